/* SPDX-License-Identifier: Apache-2.0 */
#include "base/beside.h"

#include "base/blas.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Tasks are claimed from one counter by whoever comes. The thread takes up a set that is pending and is busy until it
 * finds nothing to claim; a set's fields change only while it is neither pending nor busy, so a thread that wakes late
 * finds no set rather than the wrong one. */
struct loom_beside {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t begin, idle;
    int stop, pending, busy;
    int tasks;
    loom_task_fn fn;
    void *payload;
    atomic_int next;
};

static int claim(struct loom_beside *b)
{
    return atomic_fetch_add_explicit(&b->next, 1, memory_order_relaxed);
}

static void *work(void *payload)
{
    struct loom_beside *b = payload;
    loom_blas_alone();
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->pending && !b->stop)
            pthread_cond_wait(&b->begin, &b->lock);
        if (b->stop)
            break;
        b->pending = 0;
        b->busy = 1;
        pthread_mutex_unlock(&b->lock);
        for (int task; (task = claim(b)) < b->tasks;)
            b->fn(b->payload, task, -1);
        pthread_mutex_lock(&b->lock);
        b->busy = 0;
        pthread_cond_signal(&b->idle);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

int loom_beside_new(struct loom_beside **out, struct loom_error *e)
{
    struct loom_beside *b = calloc(1, sizeof *b);
    sigset_t all, before;
    *out = NULL;
    if (!b)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a thread: free some");
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->begin, NULL);
    pthread_cond_init(&b->idle, NULL);
    sigfillset(&all); /* signals belong to the threads of the program */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&b->thread, NULL, work, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == 0) {
        *out = b;
        return LOOM_OK;
    }
    pthread_cond_destroy(&b->idle);
    pthread_cond_destroy(&b->begin);
    pthread_mutex_destroy(&b->lock);
    free(b);
    return loom_fail(e, LOOM_ENOMEM, NULL, 0, "cannot start a thread: %s; allow this user more of them",
                     strerror(status));
}

void loom_beside_free(struct loom_beside *b)
{
    if (!b)
        return;
    loom_beside_drop(b);
    pthread_mutex_lock(&b->lock);
    b->stop = 1;
    pthread_cond_signal(&b->begin);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->idle);
    pthread_cond_destroy(&b->begin);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void loom_beside_begin(struct loom_beside *b, int tasks, loom_task_fn fn, void *payload)
{
    pthread_mutex_lock(&b->lock);
    b->tasks = tasks;
    b->fn = fn;
    b->payload = payload;
    atomic_store(&b->next, 0);
    b->pending = 1;
    pthread_cond_signal(&b->begin);
    pthread_mutex_unlock(&b->lock);
}

static void take(void *payload, int task, int worker)
{
    struct loom_beside *b = payload;
    (void)task;
    for (int mine; (mine = claim(b)) < b->tasks;)
        b->fn(b->payload, mine, worker);
}

static void settle(struct loom_beside *b)
{
    pthread_mutex_lock(&b->lock);
    b->pending = 0;
    while (b->busy)
        pthread_cond_wait(&b->idle, &b->lock);
    b->tasks = 0;
    pthread_mutex_unlock(&b->lock);
}

void loom_beside_end(struct loom_beside *b, struct loom_pool *pool)
{
    if (atomic_load(&b->next) < b->tasks)
        loom_pool_run(pool, loom_pool_workers(pool), take, b);
    settle(b);
}

void loom_beside_drop(struct loom_beside *b)
{
    atomic_store(&b->next, b->tasks);
    settle(b);
}
