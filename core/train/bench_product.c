/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "train/bench.h"

#include "base/threads.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#if defined HAVE_ONEDNN && !defined LOOM_DOUBLE
#define WITH_ONEDNN 1
#include <dnnl.h>
#include <omp.h>
#endif

#ifdef LOOM_DOUBLE
#define cblas_gemm cblas_dgemm
#else
#define cblas_gemm cblas_sgemm
#endif

/* ---- who makes products ---- */

/* A library that makes products in loom_real. Another one joins with a line in `provider`; the fastest with one thread
 * is the yardstick. */
struct provider {
    void (*product)(int n, const loom_real *a, const loom_real *b, loom_real *c);
    void (*set_threads)(int threads);
    int (*threads)(void);
    void (*text)(char *out, size_t size);
};

static void openblas_product(int n, const loom_real *a, const loom_real *b, loom_real *c)
{
    cblas_gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
}

static void openblas_threads(int threads)
{
    openblas_set_num_threads(threads);
}

static int openblas_threads_now(void)
{
    return openblas_get_num_threads();
}

static void openblas_text(char *out, size_t size)
{
    snprintf(out, size, "%s, %s", openblas_get_config(), openblas_get_corename());
}

#ifdef WITH_ONEDNN

/* OpenMP keeps its number of threads for each calling thread; this one is for all of ours. */
static int onednn_team = 1;

static void onednn_product(int n, const loom_real *a, const loom_real *b, loom_real *c)
{
    omp_set_num_threads(onednn_team);
    dnnl_sgemm('N', 'N', n, n, n, 1, a, n, b, n, 0, c, n);
}

static void onednn_threads(int threads)
{
    onednn_team = threads;
}

static int onednn_threads_now(void)
{
    return onednn_team;
}

static void onednn_text(char *out, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(out, size, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

#endif

static const struct provider provider[] = {
    {openblas_product, openblas_threads, openblas_threads_now, openblas_text},
#ifdef WITH_ONEDNN
    {onednn_product, onednn_threads, onednn_threads_now, onednn_text},
#endif
};
enum { PROVIDERS = sizeof provider / sizeof *provider };

/* The first one at the first call when there is but one; else the one with the shortest of a few products. */
static const struct provider *best(void)
{
    enum { SIDE = 768, ROUNDS = 5 };
    static const struct provider *chosen;
    if (chosen || PROVIDERS == 1)
        return chosen ? chosen : &provider[0];
    const size_t n = (size_t)SIDE * SIDE;
    loom_real *memory = calloc(3 * n, sizeof *memory);
    double shortest = 0;
    for (int i = 0; memory && i < PROVIDERS; i++) {
        int before = provider[i].threads();
        provider[i].set_threads(1);
        for (int k = 0; k < ROUNDS; k++) {
            double began = loom_bench_thread();
            provider[i].product(SIDE, memory, memory + n, memory + 2 * n);
            double s = loom_bench_thread() - began;
            if (!chosen || s < shortest) {
                chosen = &provider[i];
                shortest = s;
            }
        }
        provider[i].set_threads(before);
    }
    free(memory);
    return chosen ? chosen : &provider[0];
}

void loom_yardstick_product(int n, const loom_real *a, const loom_real *b, loom_real *c)
{
    best()->product(n, a, b, c);
}

void loom_yardstick_threads(int threads)
{
    best()->set_threads(threads);
}

int loom_yardstick_threads_now(void)
{
    return best()->threads();
}

void loom_yardstick_text(char *out, size_t size)
{
    best()->text(out, size);
}

/* ---- the yardstick ---- */

int loom_yardstick_init(struct loom_yardstick *y, struct loom_pool *pool, int side, struct loom_error *e)
{
    size_t n = (size_t)loom_pool_workers(pool) * 3 * (size_t)side * (size_t)side;
    *y = (struct loom_yardstick){.pool = pool, .side = side};
    void *memory = NULL;
    (void)best(); /* chosen here, by one thread, before many ask */
    if (posix_memalign(&memory, 64, n * sizeof(loom_real)) != 0)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for matrices to measure with: free some");
    y->memory = memory;
    for (size_t i = 0; i < n; i++)
        y->memory[i] = (loom_real)(i % 17) / 16 - (loom_real)0.5;
    return LOOM_OK;
}

void loom_yardstick_release(struct loom_yardstick *y)
{
    free(y->memory);
    y->memory = NULL;
}

static void product_task(void *payload, int task, int worker)
{
    struct loom_yardstick *y = payload;
    size_t n = (size_t)y->side * (size_t)y->side;
    loom_real *a = y->memory + (size_t)worker * 3 * n;
    (void)task;
    loom_yardstick_product(y->side, a, a + n, a + 2 * n);
}

double loom_yardstick_run(struct loom_yardstick *y, double work, double *wall_s, double *cpu_s)
{
    double n = y->side, one = 2 * n * n * n;
    int workers = loom_pool_workers(y->pool), each = work > one * workers ? (int)(work / (one * workers) + 0.5) : 1;
    double wall = loom_bench_wall(), cpu = loom_bench_cpu();
    loom_pool_run(y->pool, each * workers, product_task, y);
    *wall_s = loom_bench_wall() - wall;
    *cpu_s = loom_bench_cpu() - cpu;
    return one * each * workers;
}
