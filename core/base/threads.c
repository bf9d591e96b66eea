/* SPDX-License-Identifier: Apache-2.0 */
#include "base/threads.h"

#include "base/blas.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A run is a generation: its fields are written under the lock, the first `crew` workers take part, and the run ends
 * when `busy` of them is none. A worker outside the crew may sleep through generations; one inside cannot, since the
 * run waits for it. Before anybody sleeps they look a while, for runs follow each other within microseconds. */
struct loom_pool {
    int workers, spins;
    pthread_t *threads; /* workers - 1 */
    struct seat *seats;
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    int stop, crew;
    int tasks;
    loom_task_fn fn;
    void *payload;
    atomic_uint generation;
    atomic_int next, busy;
};

struct seat {
    struct loom_pool *pool;
    int worker;
};

static void take_tasks(struct loom_pool *p, int worker)
{
    int tasks = p->tasks;
    for (int task; (task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < tasks;)
        p->fn(p->payload, task, worker);
}

static void *work(void *payload)
{
    struct seat *seat = payload;
    struct loom_pool *p = seat->pool;
    unsigned seen = 0;
    loom_blas_alone();
    for (;;) {
        for (int i = 0; i < p->spins && atomic_load(&p->generation) == seen; i++)
            loom_pause();
        pthread_mutex_lock(&p->lock);
        while (atomic_load(&p->generation) == seen && !p->stop)
            pthread_cond_wait(&p->begin, &p->lock);
        seen = atomic_load(&p->generation);
        int stop = p->stop, mine = seat->worker < p->crew;
        pthread_mutex_unlock(&p->lock);
        if (stop)
            return NULL;
        if (!mine)
            continue;
        take_tasks(p, seat->worker);
        if (atomic_fetch_sub(&p->busy, 1) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->end);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void dismiss(struct loom_pool *p, int started)
{
    pthread_mutex_lock(&p->lock);
    p->stop = 1;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < started; i++)
        pthread_join(p->threads[i], NULL);
    p->workers = 1;
}

/* Workers take no signals: those belong to the threads of the program. */
static int hire(struct loom_pool *p, struct loom_error *e)
{
    sigset_t all, before;
    int status = 0, started = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; started < p->workers - 1 && status == 0; started += status == 0) {
        p->seats[started] = (struct seat){p, started + 1};
        status = pthread_create(&p->threads[started], NULL, work, &p->seats[started]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == 0)
        return LOOM_OK;
    dismiss(p, started);
    return loom_fail(e, LOOM_ENOMEM, NULL, 0, "cannot start worker %d: %s; ask for fewer threads", started + 1,
                     strerror(status));
}

int loom_pool_new(struct loom_pool **out, int workers, struct loom_error *e)
{
    *out = NULL;
    if (workers < 1)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "%d threads asked for; at least 1 is needed", workers);
    struct loom_pool *p = calloc(1, sizeof *p);
    pthread_t *threads = calloc((size_t)workers, sizeof *threads);
    struct seat *seats = calloc((size_t)workers, sizeof *seats);
    if (p == NULL || threads == NULL || seats == NULL) {
        free(p);
        free(threads);
        free(seats);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for %d workers; ask for fewer threads", workers);
    }
    p->workers = workers;
    p->spins = workers <= loom_cpu_count() ? 4000 : 0;
    p->threads = threads;
    p->seats = seats;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
    int status = hire(p, e);
    if (status != LOOM_OK)
        loom_pool_free(p);
    else
        *out = p;
    return status;
}

void loom_pool_free(struct loom_pool *p)
{
    if (p == NULL)
        return;
    dismiss(p, p->workers - 1);
    pthread_cond_destroy(&p->end);
    pthread_cond_destroy(&p->begin);
    pthread_mutex_destroy(&p->lock);
    free(p->seats);
    free(p->threads);
    free(p);
}

int loom_pool_workers(const struct loom_pool *p)
{
    return p->workers;
}

void loom_pool_run(struct loom_pool *p, int tasks, loom_task_fn fn, void *payload)
{
    int crew = tasks < p->workers ? tasks : p->workers;
    if (crew <= 1) {
        for (int task = 0; task < tasks; task++)
            fn(payload, task, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->payload = payload;
    p->tasks = tasks;
    p->crew = crew;
    atomic_store(&p->next, 0);
    atomic_store(&p->busy, crew - 1);
    atomic_fetch_add(&p->generation, 1);
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    take_tasks(p, 0);
    for (int i = 0; i < p->spins && atomic_load(&p->busy) != 0; i++)
        loom_pause();
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->busy) != 0)
        pthread_cond_wait(&p->end, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

int loom_cpu_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count >= 1 ? count : 1;
}
