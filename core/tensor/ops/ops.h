/* SPDX-License-Identifier: Apache-2.0 */
/* What the built-in ops share: shape checks for infer, typed access for forward and backward. */
#ifndef LOOM_TENSOR_OPS_H
#define LOOM_TENSOR_OPS_H

#include "tensor/kernels/kernels.h"
#include "tensor/node.h"

/* The kernel that this node's graph runs. */
#define KERNEL(n, name) ((n)->graph->kernels->name)

/* ---- infer: each returns LOOM_OK or fills `e`; the graph adds the op's name, scope and all input shapes ---- */
int loom_need_real(const struct loom_node *n, int first, int count, struct loom_error *e);
int loom_need_dtype(const struct loom_node *n, int i, int dtype, struct loom_error *e);
int loom_need_rank(const struct loom_node *n, int i, int rank, struct loom_error *e);
int loom_need_same(const struct loom_node *n, int i, int j, struct loom_error *e);          /* equal shapes */
int loom_need_width(const struct loom_node *n, int i, int64_t width, struct loom_error *e); /* [width] */
int loom_need_features(const struct loom_node *n, int i, struct loom_error *e);             /* last axis >= 1 */
int loom_need_groups(const struct loom_groups *g, int64_t rows, const char *what, struct loom_error *e);
/* A dropout probability; p above LOOM_DROP_MAX would leave nothing to scale up. */
#define LOOM_DROP_MAX 0.9999
int loom_need_drop(double p, const char *purpose, struct loom_error *e);
/* Values of index input i that are known while building lie in -1 … count-1. */
int loom_need_indices(const struct loom_node *n, int i, int64_t count, struct loom_error *e);
/* The output takes the shape of input i. */
int loom_infer_like(const struct loom_node *n, int i, struct loom_shape *out);
/* F64 [1], what every loss returns. */
int loom_infer_sum(struct loom_shape *out);

/* ---- access ---- */
static inline int64_t loom_width(const struct loom_node *n) /* features: the last axis */
{
    return n->shape.dim[n->shape.rank - 1];
}

static inline int64_t loom_rows(const struct loom_node *n) /* product of all other axes */
{
    int64_t rows = 1;
    for (int i = 0; i + 1 < n->shape.rank; i++)
        rows *= n->shape.dim[i];
    return rows;
}

/* Elements before row `row` of n: where its part begins. */
static inline int64_t loom_at(const struct loom_node *n, int64_t row)
{
    return row * loom_width(n);
}

static inline loom_real *loom_real_out(const struct loom_node *n, int64_t row)
{
    return (loom_real *)n->value + loom_at(n, row);
}

static inline const loom_real *loom_real_in(const struct loom_node *n, int i)
{
    return n->in[i]->value;
}

/* Input i, a parameter that may be missing: i = 0. */
static inline const loom_real *loom_optional(const struct loom_node *n, int i)
{
    return i ? loom_real_in(n, i) : NULL;
}

/* 0 when nobody needs it. */
static inline loom_real *loom_real_grad(const struct loom_node *n, int i, int *fresh)
{
    return loom_node_grad_in(n, i, fresh);
}

/* Gradient of an optional parameter, zeroed first where it is fresh: kernels add. */
loom_real *loom_optional_grad(const struct loom_node *n, int i);

#endif
