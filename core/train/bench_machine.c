/* SPDX-License-Identifier: Apache-2.0 */
#include "train/bench.h"

#include "base/threads.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef LOOM_DOUBLE
#define cblas_gemm cblas_dgemm
#else
#define cblas_gemm cblas_sgemm
#endif

static const int sides[LOOM_BENCH_SIZES] = {256, 512, 1024, 2048};

static double clock_s(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double loom_bench_wall(void)
{
    return clock_s(CLOCK_MONOTONIC);
}

double loom_bench_cpu(void)
{
    return clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

double loom_bench_thread(void)
{
    return clock_s(CLOCK_THREAD_CPUTIME_ID);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double loom_bench_median(int n, double *x)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* ---- products ---- */

int loom_yardstick_init(struct loom_yardstick *y, struct loom_pool *pool, int side, struct loom_error *e)
{
    size_t n = (size_t)loom_pool_workers(pool) * 3 * (size_t)side * (size_t)side;
    *y = (struct loom_yardstick){.pool = pool, .side = side};
    void *memory = NULL;
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

static void product(int n, loom_real *a)
{
    loom_real *b = a + (size_t)n * (size_t)n, *c = b + (size_t)n * (size_t)n;
    cblas_gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
}

static void product_task(void *payload, int task, int worker)
{
    struct loom_yardstick *y = payload;
    (void)task;
    product(y->side, y->memory + (size_t)worker * 3 * (size_t)y->side * (size_t)y->side);
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

/* ---- bandwidth ---- */

enum { TRIAD = 4 << 20 }; /* doubles in an array */

struct triad {
    int workers;
    double *a, *b, *c;
};

static void triad_task(void *payload, int task, int worker)
{
    struct triad *t = payload;
    size_t first = (size_t)TRIAD * (size_t)task / (size_t)t->workers;
    size_t last = (size_t)TRIAD * ((size_t)task + 1) / (size_t)t->workers;
    (void)worker;
    for (size_t i = first; i < last; i++)
        t->a[i] = t->b[i] + 3.0 * t->c[i];
}

/* Of one worker, which is the calling thread, processor time; of several wall time. */
static double triad_s(struct triad *t, struct loom_pool *pool, int workers)
{
    t->workers = workers;
    double wall = loom_bench_wall(), own = loom_bench_thread();
    loom_pool_run(pool, workers, triad_task, t);
    return workers == 1 ? loom_bench_thread() - own : loom_bench_wall() - wall;
}

static int measure_bandwidth(struct loom_bench_machine *m, struct loom_pool *pool, int rounds, struct loom_error *e)
{
    double one[LOOM_BENCH_ROUNDS], all[LOOM_BENCH_ROUNDS];
    double *memory = malloc(3 * (size_t)TRIAD * sizeof *memory);
    if (!memory)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to measure bandwidth with: free some");
    for (size_t i = 0; i < 3 * (size_t)TRIAD; i++)
        memory[i] = (double)(i % 7);
    struct triad t = {.a = memory, .b = memory + TRIAD, .c = memory + 2 * (size_t)TRIAD};
    triad_s(&t, pool, m->threads);
    for (int i = 0; i < rounds; i++) {
        one[i] = triad_s(&t, pool, 1);
        all[i] = triad_s(&t, pool, m->threads);
    }
    const double bytes = 3.0 * TRIAD * sizeof(double);
    m->bandwidth_one_gbs = 1e-9 * bytes / loom_bench_median(rounds, one);
    m->bandwidth_gbs = 1e-9 * bytes / loom_bench_median(rounds, all);
    free(memory);
    return LOOM_OK;
}

/* ---- the machine ---- */

static int measure_side(struct loom_bench_machine *m, int k, struct loom_pool *pool, int rounds, struct loom_error *e)
{
    double one[LOOM_BENCH_ROUNDS], blas[LOOM_BENCH_ROUNDS], side[LOOM_BENCH_ROUNDS], cpu;
    struct loom_yardstick y;
    int n = sides[k];
    int code = loom_yardstick_init(&y, pool, n, e);
    if (code != LOOM_OK)
        return code;
    const double flops = 2.0 * n * n * n;
    for (int i = -1; i < rounds; i++) { /* the first round warms up */
        int at = i < 0 ? 0 : i;
        openblas_set_num_threads(m->threads);
        double t0 = loom_bench_wall();
        product(n, y.memory);
        blas[at] = loom_bench_wall() - t0;
        openblas_set_num_threads(1);
        t0 = loom_bench_thread();
        product(n, y.memory);
        one[at] = loom_bench_thread() - t0;
        loom_yardstick_run(&y, 0, &side[at], &cpu);
    }
    loom_yardstick_release(&y);
    m->size[k] = n;
    m->size_one[k] = 1e-9 * flops / loom_bench_median(rounds, one);
    m->size_blas[k] = 1e-9 * flops / loom_bench_median(rounds, blas);
    m->size_side[k] = 1e-9 * flops * m->threads / loom_bench_median(rounds, side);
    return LOOM_OK;
}

static void take_best(struct loom_bench_machine *m)
{
    for (int k = 0; k < LOOM_BENCH_SIZES; k++) {
        double all = m->size_blas[k] > m->size_side[k] ? m->size_blas[k] : m->size_side[k];
        if (all > m->sgemm_gflops) {
            m->sgemm_gflops = all;
            m->sgemm_best = m->size[k];
        }
        if (m->size_one[k] > m->sgemm_one_gflops)
            m->sgemm_one_gflops = m->size_one[k];
    }
}

/* The processor in its maker's words, or nothing where the system does not say. */
static void read_cpu(char *out, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    out[0] = '\0';
    while (f && !out[0] && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(out, size, "%.*s", (int)strcspn(colon, "\n"), colon);
    }
    if (f)
        fclose(f);
}

int loom_bench_machine(struct loom_bench_machine *out, const struct loom_bench_spec *spec, struct loom_error *e)
{
    struct loom_pool *pool;
    int rounds = spec->rounds, before = openblas_get_num_threads();
    *out = (struct loom_bench_machine){.threads = spec->threads > 0 ? spec->threads : loom_cpu_count()};
    int code = loom_pool_new(&pool, out->threads, e);
    if (code != LOOM_OK)
        return code;
    read_cpu(out->cpu, sizeof out->cpu);
    snprintf(out->blas, sizeof out->blas, "%s, %s", openblas_get_config(), openblas_get_corename());
    for (int k = 0; k < LOOM_BENCH_SIZES && code == LOOM_OK; k++)
        code = measure_side(out, k, pool, rounds, e);
    if (code == LOOM_OK)
        code = measure_bandwidth(out, pool, rounds, e);
    take_best(out);
    openblas_set_num_threads(before);
    loom_pool_free(pool);
    return code;
}
