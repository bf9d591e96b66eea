/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout by addressed draws: backward draws the same mask again, so none is kept. */
#include "tensor/ops/ops.h"

#include <loom/rng.h>
#include <string.h>

struct dropout_attr {
    double p;
    uint32_t key[2], step;
    int32_t x; /* number of the input that drops: 0, or 1 behind a residual */
    int32_t grouped;
    int32_t gain, bias; /* of the norm behind: numbers of these inputs; 0 = none */
    double eps;
    const char *purpose;
    struct loom_groups groups;
};

static int dropout_rule(const struct loom_node *n, struct loom_error *e)
{
    const struct dropout_attr *a = n->attr;
    int64_t rows = loom_rows(n->in[a->x]);
    if (loom_need_drop(a->p, a->purpose, e) != LOOM_OK)
        return e->code;
    if (a->grouped && loom_need_groups(&a->groups, rows, "groups of rows", e) != LOOM_OK)
        return e->code;
    if (a->grouped && (a->groups.n ? a->groups.first[a->groups.n] - a->groups.first[0] : 0) != rows)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "groups that do not hold all %lld rows: put each row in one group",
                         (long long)rows);
    return LOOM_OK;
}

static int dropout_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    if (loom_need_real(n, 0, n->inputs, e) != LOOM_OK || loom_need_same(n, 0, n->inputs - 1, e) != LOOM_OK ||
        dropout_rule(n, e) != LOOM_OK)
        return e->code;
    return loom_infer_like(n, 0, out);
}

static struct loom_draw draw_of(const struct loom_node *n)
{
    const struct dropout_attr *a = n->attr;
    return (struct loom_draw){a->p, {a->key[0], a->key[1]}, a->step, a->grouped ? &a->groups : NULL};
}

static void dropout_forward(const struct loom_node *n, void *scratch)
{
    const struct dropout_attr *a = n->attr;
    struct loom_draw draw = draw_of(n);
    (void)scratch;
    KERNEL(n, dropout)
    (loom_rows(n), loom_width(n), a->x ? loom_real_in(n, 0) : NULL, loom_real_in(n, a->x), &draw, n->value);
}

static void dropout_backward(const struct loom_node *n, void *scratch)
{
    const struct dropout_attr *a = n->attr;
    struct loom_draw draw = draw_of(n);
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, a->x, &fresh);
    if (dx)
        KERNEL(n, dropout)(loom_rows(n), loom_width(n), fresh ? NULL : dx, n->grad, &draw, dx);
    if (!a->x || loom_node_grad_pass(n, 0))
        return;
    loom_real *dresidual = loom_real_grad(n, 0, &fresh);
    if (dresidual && fresh)
        memcpy(dresidual, n->grad, loom_node_bytes(n));
    else if (dresidual)
        KERNEL(n, axpy)(n->size, 1, n->grad, dresidual);
}

static const struct loom_op dropout_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "dropout",
    .infer = dropout_infer,
    .forward = dropout_forward,
    .backward = dropout_backward,
};

static const struct loom_op add_dropout_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "add_dropout",
    .infer = dropout_infer,
    .forward = dropout_forward,
    .backward = dropout_backward,
};

static struct dropout_attr dropout_attr(double p, const struct loom_groups *groups, uint64_t seed, uint64_t step,
                                        const char *purpose)
{
    struct dropout_attr a = {.p = p, .purpose = purpose, .grouped = groups != NULL};
    struct loom_rng rng;
    loom_rng_init(&rng, seed, purpose ? purpose : "", step, 0);
    memcpy(a.key, rng.key, sizeof(a.key));
    a.step = rng.counter[1];
    if (groups)
        a.groups = *groups;
    return a;
}

struct loom_node *loom_dropout(struct loom_graph *g, struct loom_node *x, double p, const struct loom_groups *groups,
                               uint64_t seed, uint64_t step, const char *purpose)
{
    if (p == 0)
        return x;
    struct dropout_attr attr = dropout_attr(p, groups, seed, step, purpose);
    return loom_apply(g, &dropout_op, 1, &x, &attr, sizeof(attr));
}

struct loom_node *loom_add_dropout(struct loom_graph *g, struct loom_node *residual, struct loom_node *x, double p,
                                   const struct loom_groups *groups, uint64_t seed, uint64_t step, const char *purpose)
{
    if (p == 0)
        return loom_add(g, residual, x);
    struct dropout_attr attr = dropout_attr(p, groups, seed, step, purpose);
    attr.x = 1;
    return loom_apply(g, &add_dropout_op, 2, (struct loom_node *[]){residual, x}, &attr, sizeof(attr));
}

/* ---- residual, dropout and layer norm in one pass: the value is the norm, the second output the sum ---- */

/* Saved: the sum, then mean and 1/deviation of each row. */
static int dropout_norm_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct dropout_attr *a = n->attr;
    if (loom_need_real(n, 0, n->inputs, e) != LOOM_OK || loom_need_same(n, 0, 1, e) != LOOM_OK ||
        loom_need_features(n, 0, e) != LOOM_OK || dropout_rule(n, e) != LOOM_OK)
        return e->code;
    for (int i = 2; i < n->inputs; i++)
        if (loom_need_width(n, i, loom_width(n->in[0]), e) != LOOM_OK)
            return e->code;
    if (!(a->eps >= 0))
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "eps of %g: give a small positive number", a->eps);
    out->saved = ((size_t)n->in[0]->size + 2 * (size_t)loom_rows(n->in[0])) * sizeof(loom_real);
    return loom_infer_like(n, 0, out);
}

/* Draws count rows from the first of their group on, so where something is dropped one thread runs. */
static int64_t dropout_norm_pieces(const struct loom_node *n)
{
    return ((const struct dropout_attr *)n->attr)->p > 0 ? 1 : 0;
}

static void dropout_norm_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct dropout_attr *a = n->attr;
    const struct loom_draw draw = draw_of(n);
    const int64_t rows = a->p > 0 ? loom_rows(n) : end - first, at = loom_at(n, first);
    loom_real *sum = n->saved, *mean = sum + n->size + first;
    (void)scratch;
    KERNEL(n, dropout_norm)
    (rows, loom_width(n), loom_real_in(n, 0) + at, loom_real_in(n, 1) + at, &draw, loom_optional(n, a->gain),
     loom_optional(n, a->bias), a->eps, sum + at, loom_real_out(n, first), mean, mean + loom_rows(n));
}

/* The residual takes the sum's gradient over where it can: the kernel reads each element before it writes it. */
static void dropout_norm_backward(const struct loom_node *n, void *scratch)
{
    const struct dropout_attr *a = n->attr;
    const struct loom_draw draw = draw_of(n);
    const loom_real *sum = n->saved, *mean = sum + n->size;
    struct loom_node *residual = n->in[0];
    struct loom_dropout_norm_grad d = {.dsum_in = n->second_grad, .dy = n->grad};
    int fresh;
    (void)scratch;
    d.dgain = loom_optional_grad(n, a->gain);
    d.dbias = loom_optional_grad(n, a->bias);
    if (n->second_grad && residual->wants && residual->op && !residual->grad) {
        d.dresidual = residual->grad = n->second_grad;
    } else {
        d.dresidual = loom_real_grad(n, 0, &fresh);
        d.dresidual_accumulate = !fresh;
    }
    d.dx = loom_real_grad(n, 1, &fresh);
    d.dx_accumulate = !fresh;
    KERNEL(n, dropout_norm_back)
    (loom_rows(n), loom_width(n), sum, &draw, loom_optional(n, a->gain), mean, mean + loom_rows(n), &d);
}

static const struct loom_op dropout_norm_op = {
    .size = sizeof(struct loom_op),
    .row_local = 3,
    .name = "dropout_norm",
    .infer = dropout_norm_infer,
    .pieces = dropout_norm_pieces,
    .forward_part = dropout_norm_part,
    .backward = dropout_norm_backward,
};

struct loom_node *loom_add_dropout_norm(struct loom_graph *g, struct loom_node *residual, struct loom_node *x, double p,
                                        const struct loom_groups *groups, uint64_t seed, uint64_t step,
                                        const char *purpose, struct loom_node *gain, struct loom_node *bias, double eps,
                                        struct loom_node **sum)
{
    struct dropout_attr attr = dropout_attr(p, p > 0 ? groups : NULL, seed, step, p == 0 ? "" : purpose);
    struct loom_node *in[4] = {residual, x}, *y;
    int n = 2;
    attr.x = 1;
    attr.eps = eps;
    if (gain)
        in[attr.gain = n++] = gain;
    if (bias)
        in[attr.bias = n++] = bias;
    y = loom_apply(g, &dropout_norm_op, n, in, &attr, sizeof(attr));
    *sum = loom_apply_second(g, y);
    return y;
}
