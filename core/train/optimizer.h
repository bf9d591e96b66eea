/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW or SparseLamb over a store's parameter block, with clipping by global norm and a moving average of the weights.
 *
 * AdamW: Loshchilov & Hutter 2019, as torch.optim.AdamW: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p(1 − lr·λ),
 * p ← p − lr·m̂ / (√v̂ + ε) with m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ). Entries flagged LOOM_NO_DECAY have λ = 0; an entry's
 * lr_scale multiplies lr, and 0 leaves it, its moments and the norm alone.
 *
 * SparseLamb: LAMB (You et al. 2020) as POYO trains with it. Moments as above, neither corrected for their start; entry
 * by entry u = m/(√v + ε) + λp, p ← p − lr·r·u with r = min(‖p‖, 10)/‖u‖, or 1 where either is 0. λ holds for every
 * entry, LOOM_NO_DECAY or not. In an entry flagged LOOM_SPARSE_ROWS a row whose gradient is 0 forgets its moments and
 * stays as it is; ‖p‖ and ‖u‖ are of the whole entry all the same, such rows with u = λp.
 *
 * The block is cut into fixed spans that workers take in any order; the norm adds the spans' sums in span order. So the
 * bits do not depend on how many workers there are. The norm reads the gradient once; one pass over each span then does
 * all the rest, the moving average too. No heap after init. */
#ifndef LOOM_TRAIN_OPTIMIZER_H
#define LOOM_TRAIN_OPTIMIZER_H

#include "base/threads.h"
#include "model/store.h"

enum loom_optimizer_kind { LOOM_ADAMW, LOOM_SPARSE_LAMB };

struct loom_optimizer_spec {
    int kind; /* enum loom_optimizer_kind */
    double beta1, beta2, eps;
    double weight_decay;
    double clip;         /* largest global norm of the gradient; 0 = no clipping */
    double shadow_decay; /* moving average of the weights: s ← d·s + (1−d)·p; ignored without a shadow */
};

struct loom_span;
struct loom_optimizer {
    struct loom_optimizer_spec spec; /* beta1 may be written between steps */
    struct loom_store *store;        /* borrowed */
    const struct loom_kernels *kernels;
    loom_real *m, *v; /* [size[PARAM]] first and second moments */
    int64_t step;     /* steps taken */
    int spans;
    struct loom_span *span;
    double *partial;               /* [spans] sums of squares of gradients */
    double *squares, *step_square; /* [spans] of parameters and of u: SparseLamb */
    int64_t *born;                 /* [entries] step from which it trains; -1: frozen so far */
};

/* Moments start at zero. Reads flags and lr_scale of the store's entries now: set those before. */
int loom_optimizer_init(struct loom_optimizer *o, struct loom_store *store, const struct loom_optimizer_spec *spec,
                        struct loom_error *e);
void loom_optimizer_release(struct loom_optimizer *o);
/* Read the entries' lr_scale again. What was frozen and is no longer begins at step `since` with the moments it has (0,
 * unless a checkpoint knew better). */
void loom_optimizer_refresh(struct loom_optimizer *o, int64_t since);
/* One step with gradient `grad` [size[PARAM]] × scale (1 / accumulated batches). *norm is the global norm of the scaled
 * gradient before clipping. LOOM_ENUMERIC names a parameter whose gradient is not finite; nothing was changed then. */
int loom_optimizer_step(struct loom_optimizer *o, const loom_real *grad, double scale, double lr,
                        struct loom_pool *pool, double *norm, struct loom_error *e);

/* Glob match of dotted names: `*` any run of characters, `?` one. */
int loom_name_match(const char *pattern, const char *name);
/* Multiply lr_scale of every parameter that matches by `scale` (0 freezes); returns how many matched. */
int loom_store_scale(struct loom_store *store, const char *pattern, double scale);

#endif
