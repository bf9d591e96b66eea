/* SPDX-License-Identifier: Apache-2.0 */
/* A fixed pool of workers that take numbered tasks. The calling thread is worker 0. The others never have libraries
 * make OpenMP threads for them; for worker 0 that is the caller's to see to (base/blas.h). */
#ifndef LOOM_BASE_THREADS_H
#define LOOM_BASE_THREADS_H

#include <loom/types.h>

struct loom_pool;
typedef void (*loom_task_fn)(void *payload, int task, int worker);

int loom_pool_new(struct loom_pool **out, int workers, struct loom_error *e); /* workers >= 1; 1 starts no thread */
void loom_pool_free(struct loom_pool *p);
int loom_pool_workers(const struct loom_pool *p);
/* Run fn(payload, 0..tasks-1, worker) and return when all are done. Tasks start in ascending order; no heap allocation.
 */
void loom_pool_run(struct loom_pool *p, int tasks, loom_task_fn fn, void *payload);
/* One look while waiting for another thread. */
static inline void loom_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}
int loom_cpu_count(void); /* processors this process may use (affinity), >= 1 */

#endif
