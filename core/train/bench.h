/* SPDX-License-Identifier: Apache-2.0 */
/* How close this machine's ops and training steps come to its limits: what `loom bench` prints.
 *
 * Not part of the installed interface; the functions marked LOOM_API serve the program alone.
 *
 * The yardstick is the best product of large matrices that OpenBLAS reaches, in the precision of this build. Machines
 * are shared: whatever is compared is measured in alternation, within one process, and figures are medians. Beside wall
 * time stands processor time, which is what remains when other programs take part of the processors. */
#ifndef LOOM_TRAIN_BENCH_H
#define LOOM_TRAIN_BENCH_H

#include <loom/types.h>

struct loom_bench_spec {
    int threads;                   /* 0 = the pipeline's, or one for each processor */
    int rounds;                    /* of machine and ops, 1 … LOOM_BENCH_ROUNDS */
    int steps;                     /* timed steps of a pipeline, 1 … LOOM_BENCH_ROUNDS */
    const char *plugin_path;       /* folders, ':'-separated; NULL: the usual ones alone */
    uint64_t (*allocations)(void); /* heap allocations of this process so far; NULL: nobody counts them */
};
enum { LOOM_BENCH_ROUNDS = 1001 };

enum { LOOM_BENCH_SIZES = 4 };
struct loom_bench_machine {
    char cpu[128], blas[160];
    int threads;
    double sgemm_gflops, bandwidth_gbs;         /* of all threads together */
    double sgemm_one_gflops, bandwidth_one_gbs; /* of one thread, by its processor time */
    int sgemm_best;                             /* side of the square matrices that gave sgemm_gflops */
    int size[LOOM_BENCH_SIZES];                 /* sides measured, */
    double size_one[LOOM_BENCH_SIZES];          /* … GFLOP/s by one thread, */
    double size_blas[LOOM_BENCH_SIZES];         /* … by OpenBLAS with all threads, */
    double size_side[LOOM_BENCH_SIZES];         /* … by one product a thread, side by side */
};
/* bandwidth: a[i] = b[i] + s c[i] on arrays far larger than the caches, 24 bytes counted for three doubles.
 * LOOM_ENOMEM. */
LOOM_API int loom_bench_machine(struct loom_bench_machine *out, const struct loom_bench_spec *spec,
                                struct loom_error *e);

struct loom_bench_op {
    const char *name; /* "linear.qkv" */
    int64_t rows, width, more;
    /* Seconds of one thread, fast kernel and reference; backward 0 where the op passes no gradient. */
    double forward_s, backward_s, reference_forward_s, reference_backward_s;
    double flops, bytes;                  /* of one forward; backward has twice as many */
    double forward_share, backward_share; /* of what flops / sgemm or bytes / bandwidth allow, the slower of the two */
};
/* Calls `each` for every case of the core's list that is made for timing. `machine` holds the limits of one thread. */
LOOM_API int loom_bench_ops(const struct loom_bench_machine *machine, const struct loom_bench_spec *spec,
                            void (*each)(void *payload, const struct loom_bench_op *op), void *payload,
                            struct loom_error *e);

enum { LOOM_BENCH_PARTS = 40 };
/* One op within a step, all shards together: processor seconds of a step. */
struct loom_bench_part {
    const char *op;
    int64_t calls;
    double forward_s, backward_s, flops; /* flops of forward and backward */
};
struct loom_bench_step {
    char name[64]; /* of the pipeline */
    int threads, shards, steps;
    int64_t parameters, tokens; /* rows of views and questions of one step */
    double ms, plan_ms, optimizer_ms;
    double cpu_ms; /* processor time of a step, all threads */
    double flops;
    double sgemm_gflops,
        sgemm_cpu_gflops;                /* measured between the steps: by wall time; by processor time of one thread */
    double sgemm_share, sgemm_cpu_share; /* of the step, by wall time and by processor time */
    double tokens_per_s;
    size_t peak_bytes;
    int64_t heap_allocations; /* during all timed steps; -1: nobody counted */
    int parts;
    struct loom_bench_part part[LOOM_BENCH_PARTS]; /* slowest first */
};
/* Time steps of the first training stage of a pipeline, from fresh weights. Nothing is written. */
LOOM_API int loom_bench_step(struct loom_bench_step *out, const char *pipeline, const struct loom_bench_spec *spec,
                             struct loom_error *e);

/* ---- what the files of the benchmark share ---- */

/* Products of n × n matrices, one for each worker of a pool, OpenBLAS with one thread each. */
struct loom_pool;
struct loom_yardstick {
    struct loom_pool *pool; /* borrowed */
    int side;
    loom_real *memory;
};
int loom_yardstick_init(struct loom_yardstick *y, struct loom_pool *pool, int side, struct loom_error *e);
void loom_yardstick_release(struct loom_yardstick *y);
/* Products of about `work` FLOPs in all, at least one a worker, dealt out as shards are; seconds of wall and of
 * processor time. Returns the FLOPs done. */
double loom_yardstick_run(struct loom_yardstick *y, double work, double *wall_s, double *cpu_s);

double loom_bench_wall(void);               /* seconds of a clock that only goes forward */
double loom_bench_thread(void);             /* processor seconds of the calling thread */
double loom_bench_cpu(void);                /* processor seconds of all threads of this process */
double loom_bench_median(int n, double *x); /* sorts x */

#endif
