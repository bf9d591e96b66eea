/* SPDX-License-Identifier: Apache-2.0 */
/* How close this machine's ops and training steps come to its limits, and how they grow: what `loom bench` prints.
 *
 * Not part of the installed interface; the functions marked LOOM_API serve the program alone.
 *
 * The yardstick is the best product of large matrices that any library of this build reaches, in the precision of this
 * build. Machines are shared: whatever is compared is measured in alternation, within one process, and figures are
 * medians. Beside wall time stands processor time, which is what remains when other programs take part of the
 * processors. */
#ifndef LOOM_TRAIN_BENCH_H
#define LOOM_TRAIN_BENCH_H

#include <loom/types.h>

struct loom_bench_spec {
    int threads;                   /* 0 = the pipeline's, or one for each processor */
    int rounds;                    /* of machine and ops, 1 … LOOM_BENCH_ROUNDS */
    int steps;                     /* timed steps of a pipeline, 1 … LOOM_BENCH_ROUNDS */
    int quick;                     /* 1: fewer and smaller measurements of the machine and of scaling */
    const char *plugin_path;       /* folders, ':'-separated; NULL: the usual ones alone */
    uint64_t (*allocations)(void); /* heap allocations of this process so far; NULL: nobody counts them */
};
enum { LOOM_BENCH_ROUNDS = 1001 };

/* ---- the machine ---- */

enum { LOOM_BENCH_SIZES = 4, LOOM_BENCH_COUNTS = 12, LOOM_BENCH_LEVELS = 3 };

/* Limits with a number of threads. What was not measured, for want of memory or of time, is NaN. */
struct loom_bench_limit {
    int threads;
    double together_gflops[LOOM_BENCH_SIZES]; /* one product of n × n matrices by all threads */
    double apart_gflops[LOOM_BENCH_SIZES];    /* one product a thread, side by side */
    double triad_gbs, read_gbs;               /* from memory, all threads together */
};
/* Bandwidth of one thread from arrays that a cache holds, or memory. */
struct loom_bench_level {
    char name[8];     /* "L2", "L3", "memory" */
    int64_t size;     /* bytes of the cache; of memory: of the arrays */
    int64_t used;     /* bytes of the three arrays of the triad */
    double triad_gbs; /* a[i] = b[i] + s c[i], 12 bytes (24 in double precision) counted for three numbers */
    double read_gbs;
};
struct loom_bench_machine {
    char cpu[128], blas[160];
    int threads;
    double sgemm_gflops, bandwidth_gbs;         /* of all threads together */
    double sgemm_one_gflops, bandwidth_one_gbs; /* of one thread, by its processor time */
    int sgemm_best;                             /* side of the square matrices that gave sgemm_gflops */
    int sizes, size[LOOM_BENCH_SIZES];          /* sides measured */
    double size_one[LOOM_BENCH_SIZES];          /* GFLOP/s by one thread, by its processor time */
    int limits;
    struct loom_bench_limit limit[LOOM_BENCH_COUNTS]; /* 1, 2, 4 … threads; the last has all of them */
    int levels;
    struct loom_bench_level level[LOOM_BENCH_LEVELS]; /* nearest first, memory last */
};
/* LOOM_ENOMEM. */
LOOM_API int loom_bench_machine(struct loom_bench_machine *out, const struct loom_bench_spec *spec,
                                struct loom_error *e);

/* What a thread can do at best with `flops` operations on `bytes` that it reads or writes once: the time, and what
 * bounds it ("compute", or the level of memory that holds the bytes). */
struct loom_bench_bound {
    const char *by;
    double seconds;
};
LOOM_API struct loom_bench_bound loom_bench_bound(const struct loom_bench_machine *m, double flops, double bytes);

/* ---- ops ---- */

struct loom_bench_op {
    const char *name; /* "linear.qkv" */
    int64_t rows, width, more;
    /* Seconds of one thread, fast kernel and reference; backward 0 where the op passes no gradient, reference NaN where
     * it takes too long for spec.quick. */
    double forward_s, backward_s, reference_forward_s, reference_backward_s;
    double flops, bytes;                  /* of one forward; backward has twice as many */
    const char *bound;                    /* see loom_bench_bound */
    double forward_share, backward_share; /* of what that bound allows */
};
/* Calls `each` for every case of the core's list that is made for timing, and for the optimizer's passes. `machine`
 * holds the limits of one thread. */
LOOM_API int loom_bench_ops(const struct loom_bench_machine *machine, const struct loom_bench_spec *spec,
                            void (*each)(void *payload, const struct loom_bench_op *op), void *payload,
                            struct loom_error *e);

/* ---- training steps ---- */

enum { LOOM_BENCH_PARTS = 40 };
/* One op within a step, all shards together: processor seconds of a step. */
struct loom_bench_part {
    const char *op;
    int64_t calls;
    double forward_s, backward_s, flops; /* flops of forward and backward */
    double bytes, elements;              /* read or written, and made, by forward and backward together */
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
/* Time steps of the first training stage of a pipeline, from fresh weights, with overrides [n] "path.to.key=value" as
 * in loom_run_spec. Nothing is written. */
LOOM_API int loom_bench_step(struct loom_bench_step *out, const char *pipeline, const char *const *override, int n,
                             const struct loom_bench_spec *spec, struct loom_error *e);

/* ---- scaling ---- */

/* y = a xᵇ by least squares between the logarithms. */
struct loom_bench_law {
    double exponent;
    double residual; /* typical factor between a point and the law, less 1: 0.05 = 5 % */
};
/* NaN unless two points at least are positive. */
LOOM_API struct loom_bench_law loom_bench_law(int n, const double *x, const double *y);

enum { LOOM_BENCH_POINTS = 12 };
struct loom_bench_curve {
    const char *name;   /* "attention.length" */
    const char *varies; /* what x counts: "tokens a segment" */
    const char *what;   /* what stands still, in words */
    const char *clock;  /* "processor" or "wall" */
    int points;
    double x[LOOM_BENCH_POINTS], seconds[LOOM_BENCH_POINTS], flops[LOOM_BENCH_POINTS];
    double bytes[LOOM_BENCH_POINTS]; /* highest use of graphs' memory */
    int fitted; /* first point of the laws: over the upper half of them, where what is constant counts for little */
    struct loom_bench_law time, memory;
};
/* Forward and backward of attention and of a transformer block, made of ops, over length, number of segments, width
 * and threads. Calls `each` for every curve. LOOM_ENOMEM. */
LOOM_API int loom_bench_scaling(const struct loom_bench_spec *spec,
                                void (*each)(void *payload, const struct loom_bench_curve *curve), void *payload,
                                struct loom_error *e);

/* ---- the picture ---- */

struct loom_bench_picture {
    const struct loom_bench_machine *machine; /* NULL: not measured */
    const struct loom_bench_step *step;       /* [steps]; the first one's ops are the points of the roofline */
    int steps;
    const struct loom_bench_curve *curve; /* [curves] */
    int curves;
};
/* Roofline with the ops of a step, shares of steps, and scaling laws, as one SVG; what was not measured is left out.
 * LOOM_ENOMEM, LOOM_EIO. */
LOOM_API int loom_bench_picture(const struct loom_bench_picture *p, const char *path, struct loom_error *e);

/* ---- what the files of the benchmark share ---- */

/* c = a · b, all [n, n], by the calling thread or, after loom_yardstick_threads(n > 1), by several. */
void loom_yardstick_product(int n, const loom_real *a, const loom_real *b, loom_real *c);
void loom_yardstick_threads(int threads);
int loom_yardstick_threads_now(void);
void loom_yardstick_text(char *out, size_t size); /* who makes it: "OpenBLAS 0.3.21 …" */

/* Products of n × n matrices, one for each worker of a pool, one thread each. */
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

/* Fills triad_gbs and read_gbs of limit i, with a pool of as many workers; and the levels of one thread. */
int loom_bench_memory(struct loom_bench_machine *m, int i, struct loom_pool *pool, int rounds, struct loom_error *e);
int loom_bench_levels(struct loom_bench_machine *m, int rounds, struct loom_error *e);

/* Bytes of inputs, each once, and of the output. */
struct loom_node;
double loom_bench_node_bytes(const struct loom_node *n);

double loom_bench_wall(void);               /* seconds of a clock that only goes forward */
double loom_bench_thread(void);             /* processor seconds of the calling thread */
double loom_bench_cpu(void);                /* processor seconds of all threads of this process */
double loom_bench_median(int n, double *x); /* sorts x */

#endif
