/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and columns put together and taken apart, by copies. */
#include "tensor/ops/ops.h"

#include <string.h>

struct slice_attr {
    int64_t first, count;
};

static void block_copy(loom_real *to, int64_t to_stride, const loom_real *from, int64_t from_stride, int64_t rows,
                       int64_t width)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * to_stride, from + r * from_stride, (size_t)width * sizeof(*to));
}

static void block_add(loom_real *to, int64_t to_stride, const loom_real *from, int64_t from_stride, int64_t rows,
                      int64_t width)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < width; c++)
            to[r * to_stride + c] += from[r * from_stride + c];
}

/* ---- concat ---- */

/* All inputs agree in rank and in every axis but `axis`; the output's is the sum. */
static int concat_infer(const struct loom_node *n, int axis_from_end, struct loom_shape *out, struct loom_error *e)
{
    if (n->inputs < 1)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "nothing to put together: pass at least one node");
    if (loom_need_real(n, 0, n->inputs, e) != LOOM_OK)
        return e->code;
    loom_infer_like(n, 0, out);
    int axis = axis_from_end ? out->rank - 1 : 0;
    for (int i = 1; i < n->inputs; i++) {
        const struct loom_shape *s = &n->in[i]->shape;
        for (int d = 0; d < LOOM_MAX_RANK; d++)
            if (s->rank != out->rank || (d != axis && s->dim[d] != out->dim[d]))
                return loom_fail(e, LOOM_ESHAPE, NULL, 0, "inputs 0 and %d must agree in all axes but axis %d", i,
                                 axis);
        out->dim[axis] += s->dim[axis];
    }
    return LOOM_OK;
}

static int concat_rows_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    return concat_infer(n, 0, out, e);
}

static void concat_rows_forward(const struct loom_node *n, void *scratch)
{
    loom_real *y = n->value;
    (void)scratch;
    for (int i = 0; i < n->inputs; i++) {
        memcpy(y, n->in[i]->value, loom_node_bytes(n->in[i]));
        y += n->in[i]->size;
    }
}

static void concat_rows_backward(const struct loom_node *n, void *scratch)
{
    const loom_real *dy = n->grad;
    int fresh;
    (void)scratch;
    for (int i = 0; i < n->inputs; i++) {
        int64_t size = n->in[i]->size;
        loom_real *dx = loom_real_grad(n, i, &fresh);
        if (dx && fresh)
            block_copy(dx, size, dy, size, 1, size);
        else if (dx)
            block_add(dx, size, dy, size, 1, size);
        dy += size;
    }
}

static const struct loom_op concat_rows_op = {
    .size = sizeof(struct loom_op),
    .name = "concat_rows",
    .infer = concat_rows_infer,
    .forward = concat_rows_forward,
    .backward = concat_rows_backward,
};

struct loom_node *loom_concat_rows(struct loom_graph *g, int n, struct loom_node *const *x)
{
    return loom_apply(g, &concat_rows_op, n, x, NULL, 0);
}

static int concat_cols_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    return concat_infer(n, 1, out, e);
}

static void concat_cols_forward(const struct loom_node *n, void *scratch)
{
    loom_real *y = n->value;
    (void)scratch;
    for (int i = 0; i < n->inputs; i++) {
        int64_t width = loom_width(n->in[i]);
        block_copy(y, loom_width(n), loom_real_in(n, i), width, loom_rows(n), width);
        y += width;
    }
}

static void concat_cols_backward(const struct loom_node *n, void *scratch)
{
    const loom_real *dy = n->grad;
    int fresh;
    (void)scratch;
    for (int i = 0; i < n->inputs; i++) {
        int64_t width = loom_width(n->in[i]);
        loom_real *dx = loom_real_grad(n, i, &fresh);
        if (dx && fresh)
            block_copy(dx, width, dy, loom_width(n), loom_rows(n), width);
        else if (dx)
            block_add(dx, width, dy, loom_width(n), loom_rows(n), width);
        dy += width;
    }
}

static const struct loom_op concat_cols_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "concat_cols",
    .infer = concat_cols_infer,
    .forward = concat_cols_forward,
    .backward = concat_cols_backward,
};

struct loom_node *loom_concat_cols(struct loom_graph *g, int n, struct loom_node *const *x)
{
    return loom_apply(g, &concat_cols_op, n, x, NULL, 0);
}

/* ---- slice of columns ---- */

static int slice_cols_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct slice_attr *a = n->attr;
    int64_t width = loom_width(n->in[0]);
    if (loom_need_real(n, 0, 1, e) != LOOM_OK)
        return e->code;
    if (a->first < 0 || a->count < 0 || a->count > width || a->first > width - a->count)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%lld columns from %lld on of %lld: stay inside", (long long)a->count,
                         (long long)a->first, (long long)width);
    loom_infer_like(n, 0, out);
    out->dim[out->rank - 1] = a->count;
    return LOOM_OK;
}

static void slice_cols_forward(const struct loom_node *n, void *scratch)
{
    const struct slice_attr *a = n->attr;
    (void)scratch;
    block_copy(n->value, a->count, loom_real_in(n, 0) + a->first, loom_width(n->in[0]), loom_rows(n), a->count);
}

static void slice_cols_backward(const struct loom_node *n, void *scratch)
{
    const struct slice_attr *a = n->attr;
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (!dx)
        return;
    if (fresh)
        memset(dx, 0, loom_node_bytes(n->in[0]));
    block_add(dx + a->first, loom_width(n->in[0]), n->grad, a->count, loom_rows(n), a->count);
}

static const struct loom_op slice_cols_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "slice_cols",
    .infer = slice_cols_infer,
    .forward = slice_cols_forward,
    .backward = slice_cols_backward,
};

struct loom_node *loom_slice_cols(struct loom_graph *g, struct loom_node *x, int64_t first, int64_t count)
{
    struct slice_attr attr = {first, count};
    return loom_apply(g, &slice_cols_op, 1, &x, &attr, sizeof(attr));
}
