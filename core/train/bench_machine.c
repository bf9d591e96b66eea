/* SPDX-License-Identifier: Apache-2.0 */
#include "train/bench.h"

#include "base/order.h"
#include "base/threads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int sides[LOOM_BENCH_SIZES] = {256, 512, 1024, 2048};

/* ---- clocks and medians ---- */

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

double loom_bench_median(int n, double *x)
{
    qsort(x, (size_t)n, sizeof *x, loom_ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* ---- products with some number of threads ---- */

static const size_t MOST_MEMORY = (size_t)1 << 30; /* bytes of matrices side by side */

static int measure_side(struct loom_bench_machine *m, int i, int k, struct loom_pool *pool, int rounds,
                        struct loom_error *e)
{
    double together[LOOM_BENCH_ROUNDS], apart[LOOM_BENCH_ROUNDS], cpu;
    struct loom_bench_limit *l = &m->limit[i];
    struct loom_yardstick y;
    const int n = m->size[k];
    const size_t square = (size_t)n * (size_t)n;
    const double flops = 2.0 * n * n * n;
    l->together_gflops[k] = l->apart_gflops[k] = NAN;
    if (3 * square * sizeof(loom_real) * (size_t)l->threads > MOST_MEMORY)
        return LOOM_OK;
    int code = loom_yardstick_init(&y, pool, n, e);
    for (int r = -1; r < rounds && code == LOOM_OK; r++) { /* the first round warms up */
        int at = r < 0 ? 0 : r;
        loom_yardstick_threads(l->threads);
        double wall = loom_bench_wall(), own = loom_bench_thread();
        loom_yardstick_product(n, y.memory, y.memory + square, y.memory + 2 * square);
        together[at] = l->threads == 1 ? loom_bench_thread() - own : loom_bench_wall() - wall;
        loom_yardstick_threads(1);
        apart[at] = together[at];
        if (l->threads > 1)
            loom_yardstick_run(&y, 0, &apart[at], &cpu);
    }
    loom_yardstick_release(&y);
    if (code == LOOM_OK) {
        l->together_gflops[k] = 1e-9 * flops / loom_bench_median(rounds, together);
        l->apart_gflops[k] = 1e-9 * flops * l->threads / loom_bench_median(rounds, apart);
    }
    return code;
}

static int measure_limit(struct loom_bench_machine *m, int i, int rounds, struct loom_error *e)
{
    struct loom_pool *pool;
    int code = loom_pool_new(&pool, m->limit[i].threads, e);
    if (code != LOOM_OK)
        return code;
    for (int k = 0; k < m->sizes && code == LOOM_OK; k++)
        code = measure_side(m, i, k, pool, rounds, e);
    if (code == LOOM_OK)
        code = loom_bench_memory(m, i, pool, rounds, e);
    loom_pool_free(pool);
    return code;
}

/* ---- the machine ---- */

/* 1, 2, 4 … and all threads. */
static void choose_threads(struct loom_bench_machine *m)
{
    for (int n = 1; n < m->threads && m->limits < LOOM_BENCH_COUNTS - 1; n *= 2)
        m->limit[m->limits++].threads = n;
    m->limit[m->limits++].threads = m->threads;
}

static void take_best(struct loom_bench_machine *m)
{
    const struct loom_bench_limit *one = &m->limit[0], *all = &m->limit[m->limits - 1];
    for (int k = 0; k < m->sizes; k++) {
        double most = fmax(all->together_gflops[k], all->apart_gflops[k]);
        m->size_one[k] = one->together_gflops[k];
        if (most > m->sgemm_gflops) {
            m->sgemm_gflops = most;
            m->sgemm_best = m->size[k];
        }
        if (m->size_one[k] > m->sgemm_one_gflops)
            m->sgemm_one_gflops = m->size_one[k];
    }
    m->bandwidth_gbs = all->triad_gbs;
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
    int before = loom_yardstick_threads_now(), code = LOOM_OK;
    *out = (struct loom_bench_machine){.threads = spec->threads > 0 ? spec->threads : loom_cpu_count(),
                                       .sizes = spec->quick ? LOOM_BENCH_SIZES - 1 : LOOM_BENCH_SIZES};
    memcpy(out->size, sides, sizeof sides);
    read_cpu(out->cpu, sizeof out->cpu);
    loom_yardstick_text(out->blas, sizeof out->blas);
    choose_threads(out);
    for (int i = 0; i < out->limits && code == LOOM_OK; i++)
        code = measure_limit(out, i, spec->rounds, e);
    if (code == LOOM_OK)
        code = loom_bench_levels(out, spec->rounds, e);
    if (code == LOOM_OK)
        take_best(out);
    loom_yardstick_threads(before);
    return code;
}
