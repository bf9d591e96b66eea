/* SPDX-License-Identifier: Apache-2.0 */
/* A model in use: one window at a time, as soon as its last bin is there, and the answer at once.
 *
 * A window takes the walk that evaluation takes, with no gradient and in memory that stays: no heap, weights packed
 * once. All threads of the pool work on the one window; its readings have the bits that any number of threads, and the
 * same window in a batch, give. */
#ifndef LOOM_TRAIN_STREAM_H
#define LOOM_TRAIN_STREAM_H

#include "base/threads.h"
#include "model/model.h"

struct loom_stream;
struct loom_stream_times {
    double plan_s, build_s, run_s; /* wall time: reading, tokenizing, planning; making the graph; forward */
};

/* arena: as in loom_stepper_new. Model and pool must outlive it; OpenBLAS has one thread for as long as it lives.
 * LOOM_ENOMEM. */
int loom_stream_new(struct loom_stream **out, struct loom_model *model, struct loom_pool *pool, size_t arena,
                    struct loom_error *e);
void loom_stream_free(struct loom_stream *s);
/* What it runs from the next step on, instead of loom_kernels_default (tensor/kernels/numerics.h). */
void loom_stream_set_kernels(struct loom_stream *s, const struct loom_kernels *kernels);
/* Answer what `window` asks. `times` may be NULL. */
int loom_stream_step(struct loom_stream *s, const struct loom_sample *window, struct loom_stream_times *times,
                     struct loom_error *e);
/* Its readings are the last step's, until the next. */
const struct loom_shard *loom_stream_shard(const struct loom_stream *s);
struct loom_graph *loom_stream_graph(const struct loom_stream *s); /* for profiles */
size_t loom_stream_peak(const struct loom_stream *s);              /* bytes touched */
uint64_t loom_stream_packed(const struct loom_stream *s);          /* weights packed so far */
/* The model's weights have changed. */
void loom_stream_stale(struct loom_stream *s);

#endif
