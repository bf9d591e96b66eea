/* SPDX-License-Identifier: Apache-2.0 */
/* Ops whose output is (part of) their input's memory: nothing is copied forward, and backward hands the gradient
 * through where it can. */
#include "tensor/ops/ops.h"

#include <string.h>

struct reshape_attr {
    int32_t rank;
    int64_t dim[LOOM_MAX_RANK];
};

struct slice_attr {
    int64_t first, count;
};

static void forward_nothing(const struct loom_node *n, void *scratch)
{
    (void)n;
    (void)scratch;
}

static void grad_add(loom_real *into, const loom_real *from, int64_t size, int fresh)
{
    if (fresh) {
        memcpy(into, from, (size_t)size * sizeof(*into));
        return;
    }
    for (int64_t i = 0; i < size; i++)
        into[i] += from[i];
}

/* ---- reshape ---- */

static int reshape_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct reshape_attr *a = n->attr;
    int64_t size = 1;
    if (loom_need_real(n, 0, 1, e) != LOOM_OK)
        return e->code;
    if (a->rank < 1 || a->rank > LOOM_MAX_RANK)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "rank %d: give 1 to %d axes", a->rank, LOOM_MAX_RANK);
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] < 0 || __builtin_mul_overflow(size, a->dim[i], &size))
            return loom_fail(e, LOOM_ESHAPE, NULL, 0, "axis %d of %lld: give sizes >= 0 that fit in memory", i,
                             (long long)a->dim[i]);
    if (size != n->in[0]->size)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%lld elements cannot become %lld: keep their number",
                         (long long)n->in[0]->size, (long long)size);
    out->dtype = LOOM_REAL;
    out->rank = a->rank;
    memcpy(out->dim, a->dim, sizeof(a->dim));
    return LOOM_OK;
}

static void whole_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    if (loom_node_grad_pass(n, 0))
        return;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (dx)
        grad_add(dx, n->grad, n->size, fresh);
}

static const struct loom_op reshape_op = {
    .size = sizeof(struct loom_op),
    .name = "reshape",
    .infer = reshape_infer,
    .forward = forward_nothing,
    .backward = whole_backward,
};

struct loom_node *loom_reshape(struct loom_graph *g, struct loom_node *x, int rank, const int64_t *dim)
{
    struct reshape_attr attr = {.rank = rank};
    for (int i = 0; i < rank && i < LOOM_MAX_RANK; i++)
        attr.dim[i] = dim[i];
    return loom_apply_view(g, &reshape_op, x, 0, &attr, sizeof(attr));
}

/* ---- stop ---- */

static int stop_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)e;
    return loom_infer_like(n, 0, out);
}

static const struct loom_op stop_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "stop",
    .infer = stop_infer,
    .forward = forward_nothing,
};

struct loom_node *loom_stop(struct loom_graph *g, struct loom_node *x)
{
    return loom_apply_view(g, &stop_op, x, 0, NULL, 0);
}

/* ---- slice of rows ---- */

static int slice_range(const struct slice_attr *a, int64_t size, const char *what, struct loom_error *e)
{
    if (a->first >= 0 && a->count >= 0 && a->count <= size && a->first <= size - a->count)
        return LOOM_OK;
    return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%lld %s from %lld on of %lld: stay inside", (long long)a->count, what,
                     (long long)a->first, (long long)size);
}

static int slice_rows_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct slice_attr *a = n->attr;
    const struct loom_node *x = n->in[0];
    if (loom_need_real(n, 0, 1, e) != LOOM_OK || slice_range(a, x->shape.dim[0], "rows", e) != LOOM_OK)
        return e->code;
    loom_infer_like(n, 0, out);
    out->dim[0] = a->count;
    return LOOM_OK;
}

static void slice_rows_backward(const struct loom_node *n, void *scratch)
{
    const struct slice_attr *a = n->attr;
    const struct loom_node *x = n->in[0];
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (!dx || x->size == 0)
        return;
    int64_t row = x->size / x->shape.dim[0];
    if (fresh) {
        memset(dx, 0, (size_t)(a->first * row) * sizeof(*dx));
        memset(dx + (a->first + a->count) * row, 0,
               (size_t)((x->shape.dim[0] - a->first - a->count) * row) * sizeof(*dx));
    }
    grad_add(dx + a->first * row, n->grad, n->size, fresh);
}

static const struct loom_op slice_rows_op = {
    .size = sizeof(struct loom_op),
    .name = "slice_rows",
    .infer = slice_rows_infer,
    .forward = forward_nothing,
    .backward = slice_rows_backward,
};

struct loom_node *loom_slice_rows(struct loom_graph *g, struct loom_node *x, int64_t first, int64_t count)
{
    struct slice_attr attr = {first, count};
    int64_t rows = loom_node_dim(x, 0), row = rows > 0 ? loom_node_size(x) / rows : 0, offset;
    if (__builtin_mul_overflow(first, row, &offset))
        offset = 0; /* infer refuses such a slice */
    return loom_apply_view(g, &slice_rows_op, x, offset, &attr, sizeof(attr));
}
