/* SPDX-License-Identifier: Apache-2.0 */
/* One decoding step, bin after bin: the part `stream` of `loom bench`. */
#ifndef LOOM_TRAIN_BENCH_STREAM_H
#define LOOM_TRAIN_BENCH_STREAM_H

#include "train/bench.h"

enum { LOOM_BENCH_BINS = 100000 };

/* Times of one step: window filled, tokenized and planned, graph built, forward done and the answer read. */
struct loom_bench_stream {
    char name[64]; /* of the pipeline */
    char set[32];  /* of kernels */
    int threads, bins, nodes;
    int64_t parameters, rows; /* rows of views and questions of one window */
    double flops;
    double min_us, p50_us, p99_us, p999_us, max_us, mean_us; /* of the whole step, wall time */
    double plan_us, build_us, run_us;                        /* medians of its parts */
    double work_us;                                          /* processor time of all ops by one thread, median */
    size_t peak_bytes;                                       /* of the stream: its window, graph and packed weights */
    int64_t heap_allocations;                                /* during all timed steps; -1: nobody counted */
    int parts;
    struct loom_bench_part part[LOOM_BENCH_PARTS]; /* ops of one step, processor time of one thread, slowest first */
};
/* Stream the test split (if there is none, the training split) through the model of the last training stage of a
 * pipeline, with fresh weights: windows that lie one bin apart, batch 1, each asked for what its last bin holds; where
 * windows are trials, trial by trial. `bins` steps, 1 ... LOOM_BENCH_BINS, after a warm-up. `override` [n] as in
 * loom_run_spec. Nothing is written. */
LOOM_API int loom_bench_stream(struct loom_bench_stream *out, const char *pipeline, const char *const *override, int n,
                               int bins, const struct loom_bench_spec *spec, struct loom_error *e);
LOOM_API int loom_bench_has_bf16(void); /* this build on this processor */

#endif
