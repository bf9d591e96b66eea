/* SPDX-License-Identifier: Apache-2.0 */
/* y = act(x wᵀ + b) with bias and activation in the product's epilogue. The weight is packed once a forward run,
 * however many nodes use it. */
#include "tensor/ops/ops.h"

#include <string.h>

struct linear_attr {
    int32_t activation;
};

/* Activations whose slope needs the value before them; the others are known by their output. */
static int keeps_pre(int activation)
{
    return activation == LOOM_ACT_GELU || activation == LOOM_ACT_SILU;
}

static int linear_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct linear_attr *a = n->attr;
    const struct loom_node *x = n->in[0], *w = n->in[1];
    if (loom_need_real(n, 0, n->inputs, e) != LOOM_OK || loom_need_rank(n, 1, 2, e) != LOOM_OK)
        return e->code;
    int64_t from = w->shape.dim[1], to = w->shape.dim[0];
    if (loom_width(x) != from)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "the weight takes %lld features and gets %lld: make them agree",
                         (long long)from, (long long)loom_width(x));
    if (n->inputs > 2 && loom_need_width(n, 2, to, e) != LOOM_OK)
        return e->code;
    if (a->activation < LOOM_ACT_NONE || a->activation > LOOM_ACT_SIGMOID)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "activation %d: take one of enum loom_activation", a->activation);
    loom_infer_like(n, 0, out);
    out->dim[out->rank - 1] = to;
    if (n->wants && keeps_pre(a->activation))
        out->saved = (size_t)loom_rows(x) * (size_t)to * sizeof(loom_real);
    size_t packed = KERNEL(n, packed_bytes)(from, to);
    if (loom_pack_reserve(n, 1, LOOM_PACK_FORWARD, packed) != LOOM_OK)
        return n->graph->error.code;
    packed = KERNEL(n, packed_bytes)(to, from);
    return x->wants ? loom_pack_reserve(n, 1, LOOM_PACK_BACKWARD, packed) : LOOM_OK;
}

static size_t linear_scratch(const struct loom_node *n)
{
    const struct loom_node *w = n->in[1];
    return w->wants ? KERNEL(n, gemm_tn_scratch)(loom_rows(n), w->shape.dim[0], w->shape.dim[1]) : 0;
}

/* Few rows are split by columns, since reading the weight is what costs: each thread reads its part of it. */
enum { FEW_ROWS = 32 };

static int64_t linear_pieces(const struct loom_node *n)
{
    const int few = loom_rows(n) < FEW_ROWS && n->graph->kernels->by_columns;
    return few ? (loom_width(n) + LOOM_PACK_COLUMNS - 1) / LOOM_PACK_COLUMNS : 0;
}

static void linear_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct linear_attr *a = n->attr;
    const int64_t from = loom_width(n->in[0]), to = loom_width(n), by_columns = linear_pieces(n);
    const int64_t row = by_columns ? 0 : first, rows = by_columns ? loom_rows(n) : end - first;
    const int64_t column = by_columns ? first * LOOM_PACK_COLUMNS : 0;
    const int64_t columns = by_columns && end * LOOM_PACK_COLUMNS < to ? end * LOOM_PACK_COLUMNS - column : to - column;
    int fill;
    (void)scratch;
    char *packed = loom_pack_take(n, 1, LOOM_PACK_FORWARD, &fill);
    if (fill) {
        KERNEL(n, gemm_pack)(packed, from, to, loom_real_in(n, 1), from, 1);
        loom_pack_filled(n, 1, LOOM_PACK_FORWARD);
    }
    loom_real *pre = n->saved;
    struct loom_epilogue epilogue = {
        .bias = n->inputs > 2 ? loom_real_in(n, 2) + column : NULL,
        .pre = pre ? pre + row * to + column : NULL,
        .activation = a->activation,
    };
    KERNEL(n, gemm)
    (rows, columns, from, loom_real_in(n, 0) + row * from, from,
     packed + (column ? KERNEL(n, packed_bytes)(from, column) : 0), loom_real_out(n, row) + column, to, &epilogue);
}

/* The output's gradient becomes that of the value before the activation in place: nobody reads it afterwards. */
static void linear_backward(const struct loom_node *n, void *scratch)
{
    const struct linear_attr *a = n->attr;
    int64_t rows = loom_rows(n), from = loom_width(n->in[0]), to = loom_width(n);
    loom_real *dy = n->grad;
    int fresh, fill;
    if (a->activation != LOOM_ACT_NONE)
        KERNEL(n, activate_back)(n->size, a->activation, n->saved, n->value, dy, dy, 0);
    loom_real *db = n->inputs > 2 ? loom_real_grad(n, 2, &fresh) : NULL;
    if (db)
        KERNEL(n, column_sums)(rows, to, dy, to, db, !fresh);
    loom_real *dw = loom_real_grad(n, 1, &fresh);
    if (dw)
        KERNEL(n, gemm_tn)(rows, to, from, dy, to, loom_real_in(n, 0), from, dw, from, !fresh, scratch);
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (!dx)
        return;
    void *packed = loom_pack_take(n, 1, LOOM_PACK_BACKWARD, &fill);
    if (fill) {
        KERNEL(n, gemm_pack)(packed, to, from, loom_real_in(n, 1), from, 0);
        loom_pack_filled(n, 1, LOOM_PACK_BACKWARD);
    }
    struct loom_epilogue epilogue = {.accumulate = !fresh};
    KERNEL(n, gemm)(rows, from, to, dy, to, packed, dx, from, &epilogue);
}

static double linear_flops(const struct loom_node *n)
{
    return 2.0 * (double)loom_rows(n) * (double)loom_width(n->in[0]) * (double)loom_width(n);
}

static const struct loom_op linear_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "linear",
    .infer = linear_infer,
    .scratch = linear_scratch,
    .pieces = linear_pieces,
    .forward_part = linear_part,
    .backward = linear_backward,
    .flops = linear_flops,
};

struct loom_node *loom_linear(struct loom_graph *g, struct loom_node *x, struct loom_node *w, struct loom_node *b,
                              int act)
{
    struct linear_attr attr = {act};
    return loom_apply(g, &linear_op, b ? 3 : 2, (struct loom_node *[]){x, w, b}, &attr, sizeof(attr));
}
