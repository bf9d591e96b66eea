/* SPDX-License-Identifier: Apache-2.0 */
/* Rows by index and by group. */
#include "tensor/ops/ops.h"

#include <string.h>

/* Indices made by another op are only known when it has run: those outside 0 … count-1 become -1, in a copy. */
static size_t index_saved(const struct loom_node *n)
{
    return n->in[1]->host ? 0 : loom_node_bytes(n->in[1]);
}

static const int32_t *index_of(const struct loom_node *n)
{
    return n->saved ? n->saved : n->in[1]->value;
}

/* Entries [first, end). */
static void index_copy(const struct loom_node *n, int64_t count, int64_t first, int64_t end)
{
    const int32_t *from = n->in[1]->value;
    int32_t *to = n->saved;
    for (int64_t i = first; to && i < end; i++)
        to[i] = from[i] < count ? from[i] : -1;
}

static int index_infer(const struct loom_node *n, int64_t count, struct loom_error *e)
{
    if (loom_need_real(n, 0, 1, e) != LOOM_OK || loom_need_rank(n, 0, 2, e) != LOOM_OK ||
        loom_need_dtype(n, 1, LOOM_I32, e) != LOOM_OK || loom_need_rank(n, 1, 1, e) != LOOM_OK)
        return e->code;
    return loom_need_indices(n, 1, count, e);
}

/* ---- gather ---- */

static int gather_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    if (index_infer(n, n->in[0]->shape.dim[0], e) != LOOM_OK)
        return e->code;
    loom_infer_like(n, 0, out);
    out->dim[0] = n->in[1]->size;
    out->saved = index_saved(n);
    return LOOM_OK;
}

static void gather_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const int64_t width = loom_width(n);
    (void)scratch;
    index_copy(n, n->in[0]->shape.dim[0], first, end);
    KERNEL(n, gather_rows)
    (end - first, width, loom_real_in(n, 0), width, index_of(n) + first, loom_real_out(n, first));
}

static void gather_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dtable = loom_real_grad(n, 0, &fresh);
    if (!dtable)
        return;
    if (fresh)
        memset(dtable, 0, loom_node_bytes(n->in[0]));
    KERNEL(n, scatter_add_rows)(loom_rows(n), loom_width(n), n->grad, index_of(n), dtable, loom_width(n));
}

static const struct loom_op gather_op = {
    .size = sizeof(struct loom_op),
    .name = "gather",
    .infer = gather_infer,
    .forward_part = gather_part,
    .backward = gather_backward,
};

struct loom_node *loom_gather(struct loom_graph *g, struct loom_node *table, struct loom_node *index)
{
    return loom_apply(g, &gather_op, 2, (struct loom_node *[]){table, index}, NULL, 0);
}

/* ---- scatter ---- */

static int scatter_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    int64_t rows = *(const int64_t *)n->attr;
    if (rows < 0)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "into %lld rows: give their number, 0 or more", (long long)rows);
    if (index_infer(n, rows, e) != LOOM_OK)
        return e->code;
    if (n->in[1]->size != n->in[0]->shape.dim[0])
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%lld indices for %lld rows: give one a row",
                         (long long)n->in[1]->size, (long long)n->in[0]->shape.dim[0]);
    loom_infer_like(n, 0, out);
    out->dim[0] = rows;
    out->saved = index_saved(n);
    return LOOM_OK;
}

static void scatter_forward(const struct loom_node *n, void *scratch)
{
    (void)scratch;
    index_copy(n, n->shape.dim[0], 0, n->in[1]->size);
    memset(n->value, 0, loom_node_bytes(n));
    KERNEL(n, scatter_add_rows)
    (loom_rows(n->in[0]), loom_width(n), loom_real_in(n, 0), index_of(n), n->value, loom_width(n));
}

static void scatter_backward(const struct loom_node *n, void *scratch)
{
    const loom_real *dy = n->grad;
    const int32_t *index = index_of(n);
    int64_t width = loom_width(n), rows = loom_rows(n->in[0]);
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (dx && fresh)
        KERNEL(n, gather_rows)(rows, width, dy, width, index, dx);
    for (int64_t r = 0; dx && !fresh && r < rows; r++)
        if (index[r] >= 0)
            KERNEL(n, axpy)(width, 1, dy + index[r] * width, dx + r * width);
}

static const struct loom_op scatter_op = {
    .size = sizeof(struct loom_op),
    .name = "scatter",
    .infer = scatter_infer,
    .forward = scatter_forward,
    .backward = scatter_backward,
};

struct loom_node *loom_scatter(struct loom_graph *g, struct loom_node *x, struct loom_node *index, int64_t rows)
{
    return loom_apply(g, &scatter_op, 2, (struct loom_node *[]){x, index}, &rows, sizeof(rows));
}

/* ---- mean by group ---- */

static int group_mean_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct loom_groups *groups = n->attr;
    if (loom_need_real(n, 0, 1, e) != LOOM_OK || loom_need_rank(n, 0, 2, e) != LOOM_OK ||
        loom_need_groups(groups, n->in[0]->shape.dim[0], "groups of rows", e) != LOOM_OK)
        return e->code;
    loom_infer_like(n, 0, out);
    out->dim[0] = groups->n;
    return LOOM_OK;
}

static void group_mean_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    struct loom_groups groups = *(const struct loom_groups *)n->attr;
    (void)scratch;
    if (end == first)
        return;
    groups.n = (int32_t)(end - first);
    groups.first += first;
    KERNEL(n, group_mean)(&groups, loom_width(n), loom_real_in(n, 0), loom_real_out(n, first));
}

static void group_mean_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (!dx)
        return;
    if (fresh)
        memset(dx, 0, loom_node_bytes(n->in[0]));
    KERNEL(n, group_mean_back)(n->attr, loom_width(n), n->grad, dx);
}

static const struct loom_op group_mean_op = {
    .size = sizeof(struct loom_op),
    .name = "group_mean",
    .infer = group_mean_infer,
    .forward_part = group_mean_part,
    .backward = group_mean_backward,
};

struct loom_node *loom_group_mean(struct loom_graph *g, struct loom_node *x, const struct loom_groups *groups)
{
    static const struct loom_groups none;
    return loom_apply(g, &group_mean_op, 1, &x, groups ? groups : &none, sizeof(*groups));
}
