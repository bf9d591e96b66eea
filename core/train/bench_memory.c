/* SPDX-License-Identifier: Apache-2.0 */
#include "train/bench.h"

#include "base/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Vectors of what the compiler makes of 64 bytes: the loops wait for memory whatever the instruction set. */
typedef loom_real vec __attribute__((vector_size(64)));
typedef uint64_t bits __attribute__((vector_size(64)));
enum { LINE = 64 };

/* a = b + 3 c; and the bits of a, in four chains so that no load waits for the one before. Once for every instruction
 * set that moves more bytes at a time. */
#define STREAMS(set, attribute)                                                                                        \
    attribute static void triad_##set(char *a, const char *b, const char *c, size_t lines)                             \
    {                                                                                                                  \
        vec *x = (vec *)(void *)a;                                                                                     \
        const vec *y = (const vec *)(const void *)b, *z = (const vec *)(const void *)c;                                \
        for (size_t i = 0; i < lines; i++)                                                                             \
            x[i] = y[i] + 3 * z[i];                                                                                    \
    }                                                                                                                  \
    attribute static uint64_t read_##set(const char *a, size_t lines)                                                  \
    {                                                                                                                  \
        const bits *x = (const bits *)(const void *)a;                                                                 \
        bits s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};                                                                   \
        for (size_t i = 0; i + 4 <= lines; i += 4) {                                                                   \
            s0 ^= x[i];                                                                                                \
            s1 ^= x[i + 1];                                                                                            \
            s2 ^= x[i + 2];                                                                                            \
            s3 ^= x[i + 3];                                                                                            \
        }                                                                                                              \
        s0 ^= s1 ^ s2 ^ s3;                                                                                            \
        return s0[0] ^ s0[1] ^ s0[2] ^ s0[3] ^ s0[4] ^ s0[5] ^ s0[6] ^ s0[7];                                          \
    }

STREAMS(plain, )
#if defined(__x86_64__)
STREAMS(avx2, __attribute__((target("avx2"))))
STREAMS(avx512, __attribute__((target("avx512f"))))
#endif

struct streams {
    void (*triad)(char *a, const char *b, const char *c, size_t lines);
    uint64_t (*read)(const char *a, size_t lines);
};

static struct streams best_streams(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return (struct streams){triad_avx512, read_avx512};
    if (__builtin_cpu_supports("avx2"))
        return (struct streams){triad_avx2, read_avx2};
#endif
    return (struct streams){triad_plain, read_plain};
}

/* Three arrays, cut into a stretch for each worker. */
struct arrays {
    struct streams streams;
    int workers, repeats;
    size_t lines; /* in each array */
    char *a, *b, *c;
    uint64_t *sink; /* [workers] what reading found, so that nobody leaves it out */
};

static void triad_task(void *payload, int task, int worker)
{
    struct arrays *t = payload;
    size_t first = t->lines * (size_t)task / (size_t)t->workers,
           last = t->lines * ((size_t)task + 1) / (size_t)t->workers;
    (void)worker;
    for (int i = 0; i < t->repeats; i++)
        t->streams.triad(t->a + first * LINE, t->b + first * LINE, t->c + first * LINE, last - first);
}

/* The three arrays stand one behind the other. */
static void read_task(void *payload, int task, int worker)
{
    struct arrays *t = payload;
    size_t all = 3 * t->lines;
    size_t first = all * (size_t)task / (size_t)t->workers, last = all * ((size_t)task + 1) / (size_t)t->workers;
    (void)worker;
    for (int i = 0; i < t->repeats; i++)
        t->sink[task] ^= t->streams.read(t->a + first * LINE, last - first);
}

/* Every page is touched by the worker that will use it. */
static void fill_task(void *payload, int task, int worker)
{
    struct arrays *t = payload;
    size_t first = t->lines * (size_t)task / (size_t)t->workers,
           last = t->lines * ((size_t)task + 1) / (size_t)t->workers;
    char *const all[3] = {t->a, t->b, t->c};
    (void)worker;
    for (int k = 0; k < 3; k++)
        for (size_t i = first * LINE / sizeof(loom_real); i < last * LINE / sizeof(loom_real); i++)
            ((loom_real *)(void *)all[k])[i] = (loom_real)(i % 7);
}

/* Of one worker, which is the calling thread, processor time; of several wall time. */
static double time_of(struct arrays *t, struct loom_pool *pool, loom_task_fn task)
{
    double wall = loom_bench_wall(), own = loom_bench_thread();
    loom_pool_run(pool, t->workers, task, t);
    return t->workers == 1 ? loom_bench_thread() - own : loom_bench_wall() - wall;
}

/* Medians of GB/s over `bytes` in three arrays, each passed `repeats` times a round. */
static int measure(size_t bytes, int repeats, struct loom_pool *pool, int rounds, double *triad_gbs, double *read_gbs,
                   struct loom_error *e)
{
    double write[LOOM_BENCH_ROUNDS], read[LOOM_BENCH_ROUNDS];
    struct arrays t = {
        .streams = best_streams(), .workers = loom_pool_workers(pool), .repeats = repeats, .lines = bytes / (3 * LINE)};
    void *memory = NULL;
    t.sink = calloc((size_t)t.workers, sizeof *t.sink);
    if (!t.sink || posix_memalign(&memory, 4096, 3 * t.lines * LINE) != 0) {
        free(t.sink);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to measure bandwidth with: free some");
    }
    t.a = memory;
    t.b = t.a + t.lines * LINE;
    t.c = t.b + t.lines * LINE;
    loom_pool_run(pool, t.workers, fill_task, &t);
    for (int i = -1; i < rounds; i++) { /* the first round warms up */
        write[i < 0 ? 0 : i] = time_of(&t, pool, triad_task);
        read[i < 0 ? 0 : i] = time_of(&t, pool, read_task);
    }
    double moved = 1e-9 * (double)(3 * t.lines * LINE) * repeats;
    *triad_gbs = moved / loom_bench_median(rounds, write);
    *read_gbs = moved / loom_bench_median(rounds, read);
    free(memory);
    free(t.sink);
    return LOOM_OK;
}

/* ---- memory and caches ---- */

/* Bytes of a cache as the kernel of the system counts them, for this processor alone: in a virtual machine the C
 * library may say what the whole host has. 0: nobody knows. */
static int64_t cache_size(int level)
{
    for (int i = 0; i < 8; i++) {
        char path[96];
        long long size = 0, at = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        FILE *f = fopen(path, "r");
        int known = f && fscanf(f, "%lld", &at) == 1 && at == level;
        if (f)
            fclose(f);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        f = known ? fopen(path, "r") : NULL;
        known = f && fscanf(f, "%lldK", &size) == 1;
        if (f)
            fclose(f);
        if (known)
            return size << 10;
    }
#if defined(_SC_LEVEL2_CACHE_SIZE) && defined(_SC_LEVEL3_CACHE_SIZE)
    long bytes = sysconf(level == 2 ? _SC_LEVEL2_CACHE_SIZE : _SC_LEVEL3_CACHE_SIZE);
    return bytes > 0 ? bytes : 0;
#else
    return 0;
#endif
}

/* Arrays that no cache holds: four times the last level, 96 MiB at least, 768 MiB at most. */
static size_t memory_bytes(void)
{
    int64_t four = 4 * cache_size(3), least = 96 << 20, most = 768 << 20;
    return (size_t)(four < least ? least : four > most ? most : four);
}

int loom_bench_memory(struct loom_bench_machine *m, int i, struct loom_pool *pool, int rounds, struct loom_error *e)
{
    return measure(memory_bytes(), 1, pool, rounds, &m->limit[i].triad_gbs, &m->limit[i].read_gbs, e);
}

/* Half of a cache is used: the rest is for all else that passes through. A cache that is not four times as large as the
 * one before it would be measured through that one, and is left out. */
int loom_bench_levels(struct loom_bench_machine *m, int rounds, struct loom_error *e)
{
    static const char *const name[] = {"L2", "L3"};
    struct loom_pool *one;
    int64_t before = 0;
    int code = loom_pool_new(&one, 1, e);
    m->levels = 0;
    for (int k = 0; k < 2 && code == LOOM_OK; k++) {
        int64_t size = cache_size(2 + k);
        struct loom_bench_level *l = &m->level[m->levels];
        if (size < 4 * before || size == 0)
            continue;
        *l = (struct loom_bench_level){.size = size, .used = size / 2 < 8 << 20 ? size / 2 : 8 << 20};
        snprintf(l->name, sizeof l->name, "%s", name[k]);
        int repeats = (int)((64 << 20) / l->used) + 1;
        code = measure((size_t)l->used, repeats, one, rounds, &l->triad_gbs, &l->read_gbs, e);
        before = size;
        m->levels++;
    }
    struct loom_bench_level *l = &m->level[m->levels];
    *l = (struct loom_bench_level){.name = "memory", .size = (int64_t)memory_bytes(), .used = (int64_t)memory_bytes()};
    if (code == LOOM_OK)
        code = measure(memory_bytes(), 1, one, rounds, &l->triad_gbs, &l->read_gbs, e);
    m->levels++;
    if (code == LOOM_OK)
        m->bandwidth_one_gbs = l->triad_gbs;
    loom_pool_free(one);
    return code;
}

struct loom_bench_bound loom_bench_bound(const struct loom_bench_machine *m, double flops, double bytes)
{
    int k = 0;
    while (k + 1 < m->levels && bytes > (double)m->level[k].size)
        k++;
    double compute = flops / (1e9 * m->sgemm_one_gflops), memory = bytes / (1e9 * m->level[k].triad_gbs);
    if (compute >= memory)
        return (struct loom_bench_bound){"compute", compute};
    return (struct loom_bench_bound){m->level[k].name, memory};
}
