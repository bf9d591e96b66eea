/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW over a store's parameter block, with clipping by global norm and a moving average of the weights.
 *
 * Loshchilov & Hutter 2019, as torch.optim.AdamW: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p(1 − lr·λ),
 * p ← p − lr·m̂ / (√v̂ + ε) with m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ). Entries flagged LOOM_NO_DECAY have λ = 0; an entry's
 * lr_scale multiplies lr, and 0 leaves it, its moments and the norm alone.
 *
 * The block is cut into fixed spans that workers take in any order; the norm adds the spans' sums in span order. So the
 * bits do not depend on how many workers there are. The norm reads the gradient once; one pass over each span then does
 * all the rest, the moving average too. No heap after init. */
#ifndef LOOM_TRAIN_OPTIMIZER_H
#define LOOM_TRAIN_OPTIMIZER_H

#include "base/threads.h"
#include "model/store.h"

struct loom_optimizer_spec {
    double beta1, beta2, eps;
    double weight_decay;
    double clip;         /* largest global norm of the gradient; 0 = no clipping */
    double shadow_decay; /* moving average of the weights: s ← d·s + (1−d)·p; ignored without a shadow */
};

struct loom_span;
struct loom_optimizer {
    struct loom_optimizer_spec spec;
    struct loom_store *store; /* borrowed */
    const struct loom_kernels *kernels;
    loom_real *m, *v; /* [size[PARAM]] first and second moments */
    int64_t step;     /* steps taken */
    int spans;
    struct loom_span *span;
    double *partial; /* [spans] sums of squares */
};

/* Moments start at zero. Reads flags and lr_scale of the store's entries now: set those before. */
int loom_optimizer_init(struct loom_optimizer *o, struct loom_store *store, const struct loom_optimizer_spec *spec,
                        struct loom_error *e);
void loom_optimizer_release(struct loom_optimizer *o);
/* One step with gradient `grad` [size[PARAM]] × scale (1 / accumulated batches). *norm is the global norm of the scaled
 * gradient before clipping. LOOM_ENUMERIC names a parameter whose gradient is not finite; nothing was changed then. */
int loom_optimizer_step(struct loom_optimizer *o, const loom_real *grad, double scale, double lr,
                        struct loom_pool *pool, double *norm, struct loom_error *e);

/* Glob match of dotted names: `*` any run of characters, `?` one. */
int loom_name_match(const char *pattern, const char *name);
/* Multiply lr_scale of every parameter that matches by `scale` (0 freezes); returns how many matched. */
int loom_store_scale(struct loom_store *store, const char *pattern, double scale);

#endif
