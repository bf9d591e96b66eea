/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/beside.h"
#include "suite.h"

#include <malloc.h>
#include <stdatomic.h>
#include <unistd.h>

enum { TASKS = 64 };

struct tally {
    atomic_int last;
    int done[TASKS], worker[TASKS];
};

static void count(void *payload, int task, int worker)
{
    struct tally *t = payload;
    t->done[task]++;
    t->worker[task] = worker;
}

/* Every task once, by a worker that exists, for pools and task counts on either side of each other. */
START_TEST(every_task_once)
{
    struct loom_error e = {0};
    for (int workers = 1; workers <= 5; workers++) {
        struct loom_pool *p;
        ck_ok(loom_pool_new(&p, workers, &e), &e);
        ck_assert_int_eq(loom_pool_workers(p), workers);
        for (int tasks = 0; tasks <= TASKS; tasks += tasks < 8 ? 1 : 14) {
            struct tally t = {0};
            loom_pool_run(p, tasks, count, &t);
            for (int i = 0; i < TASKS; i++) {
                ck_assert_int_eq(t.done[i], i < tasks);
                ck_assert(t.worker[i] >= 0 && t.worker[i] < workers);
            }
        }
        loom_pool_free(p);
    }
}
END_TEST

/* Runs that follow each other at once: what one wrote the next reads, with no lock of the caller's. */
START_TEST(runs_are_ordered)
{
    struct loom_error e = {0};
    struct loom_pool *p;
    struct tally t = {0};
    ck_ok(loom_pool_new(&p, 3, &e), &e);
    for (int run = 0; run < 5000; run++)
        loom_pool_run(p, 2 + run % 5, count, &t);
    ck_assert_int_eq(t.done[0], 5000);
    ck_assert_int_eq(t.done[1], 5000);
    ck_assert_int_eq(t.done[5], 1000);
    loom_pool_free(p);
}
END_TEST

START_TEST(run_allocates_nothing)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return;
#endif
    struct loom_error e = {0};
    struct loom_pool *p;
    struct tally t = {0};
    ck_ok(loom_pool_new(&p, 2, &e), &e);
    loom_pool_run(p, 4, count, &t);
    struct mallinfo2 before = mallinfo2();
    for (int run = 0; run < 100; run++)
        loom_pool_run(p, 8, count, &t);
    struct mallinfo2 after = mallinfo2();
    ck_assert_uint_eq(before.uordblks, after.uordblks);
    loom_pool_free(p);
}
END_TEST

static void count_slowly(void *payload, int task, int worker)
{
    if (worker < 0 && task % 7 == 0)
        usleep(200);
    count(payload, task, worker);
}

/* Every task of a set that ended once, none twice of one that was dropped; the thread beside takes some. */
START_TEST(tasks_beside_are_done_once)
{
    struct loom_error e = {0};
    struct loom_beside *b;
    int beside = 0;
    ck_ok(loom_beside_new(&b, &e), &e);
    for (int workers = 1; workers <= 3; workers++) {
        struct loom_pool *p;
        ck_ok(loom_pool_new(&p, workers, &e), &e);
        for (int set = 0; set < 600; set++) {
            struct tally t = {0};
            int tasks = set % TASKS;
            loom_beside_begin(b, tasks, count_slowly, &t);
            if (set % 3 == 0)
                usleep(100);
            if (set % 5 == 0)
                loom_beside_drop(b);
            else
                loom_beside_end(b, p);
            for (int i = 0; i < TASKS; i++) {
                ck_assert_int_le(t.done[i], i < tasks);
                ck_assert(set % 5 == 0 || t.done[i] == (i < tasks));
                ck_assert(t.worker[i] >= -1 && t.worker[i] < workers);
                beside += t.done[i] && t.worker[i] == -1;
            }
        }
        loom_beside_end(b, p);
        loom_pool_free(p);
    }
    ck_assert_int_gt(beside, 0);
    struct tally t = {0};
    loom_beside_begin(b, TASKS, count_slowly, &t);
    loom_beside_free(b);
    loom_beside_free(NULL);
}
END_TEST

START_TEST(refusals)
{
    struct loom_error e = {0};
    struct loom_pool *p;
    ck_fails(loom_pool_new(&p, 0, &e), LOOM_EINVAL, &e, "at least 1");
    ck_assert_ptr_null(p);
    loom_pool_free(NULL);
    ck_assert_int_ge(loom_cpu_count(), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {every_task_once, runs_are_ordered, run_allocates_nothing, tasks_beside_are_done_once,
                                  refusals};
    return run_suite("threads", sizeof tests / sizeof *tests, tests, 60);
}
