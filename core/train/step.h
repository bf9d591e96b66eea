/* SPDX-License-Identifier: Apache-2.0 */
/* One step: C shards plan, their masses are joined in shard order, then shards build, run forward and backward on
 * whatever workers there are, and their blocks are joined over one fixed tree.
 *
 * Planning is a function of the windows, the mode and the step alone, so the windows of the next run can be announced
 * and are then read and planned beside the present one, by a thread of the stepper's own; what it has not begun when
 * the next run comes, the workers do. Bits are those of planning in turn. LOOM_PREFETCH=0 in the environment turns it
 * off.
 *
 * The number of shards is part of a run's identity; the number of workers is not. After set-up a step takes nothing
 * from the heap. OpenBLAS runs with one thread for as long as a stepper lives. */
#ifndef LOOM_TRAIN_STEP_H
#define LOOM_TRAIN_STEP_H

#include "base/threads.h"
#include "model/model.h"
#include "train/tree.h"

struct loom_stepper;

struct loom_step_result {
    double loss;             /* Σ of all terms that have a gradient, scaled as their objectives said */
    struct loom_block *root; /* gradients, sums, terms of the batch; the stepper's, valid until its next step */
    int64_t tokens;          /* rows of views and questions */
    double flops;            /* of forward, and of backward in LOOM_STEP */
    double plan_s, run_s; /* wall time of waiting for the plan, of all of planning where it was not announced; rest */
};

/* arena: bytes of address space for each of a shard's arenas. Model and pool must outlive it. */
int loom_stepper_new(struct loom_stepper **out, struct loom_model *model, struct loom_pool *pool, int shards,
                     size_t arena, struct loom_error *e);
void loom_stepper_free(struct loom_stepper *s);
/* What its graphs run from the next step on, instead of loom_kernels_default: exact, fast or bf16 products
 * (tensor/kernels/numerics.h). */
void loom_stepper_set_kernels(struct loom_stepper *s, const struct loom_kernels *kernels);
const struct loom_kernels *loom_stepper_kernels(const struct loom_stepper *s);
/* Say before a run which windows the run after it will take. `sample` is read in the run that comes next and not after
 * it. Where another batch comes instead, the plan is dropped. What a plan fails with is told by the run it was made
 * for. Options that a plan reads are those of when it is made: do not announce across a change of a LIVE one. The first
 * announcement of a size takes memory. */
void loom_stepper_announce(struct loom_stepper *s, const struct loom_sample *sample, int n, int arity,
                           enum loom_mode mode, uint64_t step);
/* Take `n` windows (a multiple of `arity`; tuples stay together) through the walk. `step` as in loom_shard_plan.
 * LOOM_ENUMERIC names a term that is not finite. */
int loom_stepper_run(struct loom_stepper *s, const struct loom_sample *sample, int n, int arity, enum loom_mode mode,
                     uint64_t step, struct loom_step_result *out, struct loom_error *e);
/* Shards that held windows in the last run, in order; shard i < loom_stepper_shards. */
int loom_stepper_shards(const struct loom_stepper *s);
struct loom_shard *loom_stepper_shard(const struct loom_stepper *s, int i);      /* NULL: it held none */
struct loom_graph *loom_stepper_graph(const struct loom_stepper *s, int worker); /* of training steps, for profiles */
size_t loom_stepper_peak(struct loom_stepper *s); /* bytes touched, all shards and blocks */

#endif
