/* SPDX-License-Identifier: Apache-2.0 */
/* Weighted sums of losses, in double. */
#include "tensor/ops/ops.h"

static const loom_real *weight_of(const struct loom_node *n)
{
    return n->inputs > 2 ? loom_real_in(n, 2) : NULL;
}

static double scale_of(const struct loom_node *n)
{
    return *(const double *)n->grad;
}

static void put_sum(const struct loom_node *n, double sum)
{
    *(double *)n->value = sum;
}

/* Prediction, target and, if there is one, weight: one shape. */
static int element_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    if (loom_need_real(n, 0, n->inputs, e) != LOOM_OK)
        return e->code;
    for (int i = 1; i < n->inputs; i++)
        if (loom_need_same(n, 0, i, e) != LOOM_OK)
            return e->code;
    return loom_infer_sum(out);
}

static struct loom_node *apply_loss(struct loom_graph *g, const struct loom_op *op, struct loom_node *x,
                                    struct loom_node *target, struct loom_node *weight, const void *attr, size_t size)
{
    return loom_apply(g, op, weight ? 3 : 2, (struct loom_node *[]){x, target, weight}, attr, size);
}

/* ---- Poisson ---- */

static void poisson_forward(const struct loom_node *n, void *scratch)
{
    (void)scratch;
    put_sum(n, KERNEL(n, poisson_nll)(n->in[0]->size, loom_real_in(n, 0), loom_real_in(n, 1), weight_of(n),
                                      *(const int *)n->attr));
}

static void poisson_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dz = loom_real_grad(n, 0, &fresh);
    if (dz)
        KERNEL(n, poisson_nll_back)
    (n->in[0]->size, loom_real_in(n, 0), loom_real_in(n, 1), weight_of(n), scale_of(n), dz, !fresh);
}

static const struct loom_op poisson_op = {
    .size = sizeof(struct loom_op),
    .name = "poisson_nll",
    .infer = element_infer,
    .forward = poisson_forward,
    .backward = poisson_backward,
};

struct loom_node *loom_poisson_nll(struct loom_graph *g, struct loom_node *log_rate, struct loom_node *target,
                                   struct loom_node *weight, int log_factorial)
{
    return apply_loss(g, &poisson_op, log_rate, target, weight, &log_factorial, sizeof(log_factorial));
}

/* ---- squared error ---- */

static void squared_error_forward(const struct loom_node *n, void *scratch)
{
    (void)scratch;
    put_sum(n, KERNEL(n, squared_error)(n->in[0]->size, loom_real_in(n, 0), loom_real_in(n, 1), weight_of(n)));
}

static void squared_error_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dz = loom_real_grad(n, 0, &fresh);
    if (dz)
        KERNEL(n, squared_error_back)
    (n->in[0]->size, loom_real_in(n, 0), loom_real_in(n, 1), weight_of(n), scale_of(n), dz, !fresh);
}

static const struct loom_op squared_error_op = {
    .size = sizeof(struct loom_op),
    .name = "squared_error",
    .infer = element_infer,
    .forward = squared_error_forward,
    .backward = squared_error_backward,
};

struct loom_node *loom_squared_error(struct loom_graph *g, struct loom_node *x, struct loom_node *target,
                                     struct loom_node *weight)
{
    return apply_loss(g, &squared_error_op, x, target, weight, NULL, 0);
}

/* ---- binary cross-entropy ---- */

static void bce_forward(const struct loom_node *n, void *scratch)
{
    (void)scratch;
    put_sum(n, KERNEL(n, bce)(n->in[0]->size, loom_real_in(n, 0), loom_real_in(n, 1), weight_of(n)));
}

static void bce_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dz = loom_real_grad(n, 0, &fresh);
    if (dz)
        KERNEL(n, bce_back)
    (n->in[0]->size, loom_real_in(n, 0), loom_real_in(n, 1), weight_of(n), scale_of(n), dz, !fresh);
}

static const struct loom_op bce_op = {
    .size = sizeof(struct loom_op),
    .name = "bce",
    .infer = element_infer,
    .forward = bce_forward,
    .backward = bce_backward,
};

struct loom_node *loom_bce(struct loom_graph *g, struct loom_node *logit, struct loom_node *target,
                           struct loom_node *weight)
{
    return apply_loss(g, &bce_op, logit, target, weight, NULL, 0);
}

/* ---- cross-entropy over classes ---- */

static int cross_entropy_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    double smoothing = *(const double *)n->attr;
    const struct loom_node *z = n->in[0], *label = n->in[1];
    if (loom_need_real(n, 0, 1, e) != LOOM_OK || loom_need_rank(n, 0, 2, e) != LOOM_OK ||
        loom_need_features(n, 0, e) != LOOM_OK || loom_need_dtype(n, 1, LOOM_I32, e) != LOOM_OK ||
        loom_need_rank(n, 1, 1, e) != LOOM_OK)
        return e->code;
    if (label->size != z->shape.dim[0])
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%lld labels for %lld rows: give one a row", (long long)label->size,
                         (long long)z->shape.dim[0]);
    if (n->inputs > 2 && (loom_need_real(n, 2, 1, e) != LOOM_OK || loom_need_same(n, 1, 2, e) != LOOM_OK))
        return e->code;
    if (!(smoothing >= 0 && smoothing < 1))
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "label smoothing of %g: give a number in [0,1)", smoothing);
    if (loom_need_indices(n, 1, loom_width(z), e) != LOOM_OK)
        return e->code;
    out->saved = (size_t)z->shape.dim[0] * sizeof(loom_real);
    if (!label->host)
        out->saved += loom_node_bytes(label);
    return loom_infer_sum(out);
}

/* As for gather: labels made by another op are checked when they exist. */
static const int32_t *checked_labels(const struct loom_node *n, int copy)
{
    const int32_t *from = n->in[1]->value;
    if (n->in[1]->host)
        return from;
    int32_t *to = (int32_t *)((loom_real *)n->saved + n->in[1]->size);
    for (int64_t r = 0; copy && r < n->in[1]->size; r++)
        to[r] = from[r] < loom_width(n->in[0]) ? from[r] : -1;
    return to;
}

static void cross_entropy_forward(const struct loom_node *n, void *scratch)
{
    (void)scratch;
    put_sum(n, KERNEL(n, cross_entropy)(loom_rows(n->in[0]), loom_width(n->in[0]), loom_real_in(n, 0),
                                        checked_labels(n, 1), weight_of(n), *(const double *)n->attr, n->saved));
}

static void cross_entropy_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dz = loom_real_grad(n, 0, &fresh);
    if (dz)
        KERNEL(n, cross_entropy_back)
    (loom_rows(n->in[0]), loom_width(n->in[0]), loom_real_in(n, 0), checked_labels(n, 0), weight_of(n),
     *(const double *)n->attr, n->saved, scale_of(n), dz, !fresh);
}

static const struct loom_op cross_entropy_op = {
    .size = sizeof(struct loom_op),
    .name = "cross_entropy",
    .infer = cross_entropy_infer,
    .forward = cross_entropy_forward,
    .backward = cross_entropy_backward,
};

struct loom_node *loom_cross_entropy(struct loom_graph *g, struct loom_node *logits, struct loom_node *label,
                                     struct loom_node *weight, double smoothing)
{
    return apply_loss(g, &cross_entropy_op, logits, label, weight, &smoothing, sizeof(smoothing));
}

/* ---- sum ---- */

static int sum_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    if (n->in[0]->shape.dtype == LOOM_I32)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "a sum of integers: give REAL or F64");
    return loom_infer_sum(out);
}

static void sum_forward(const struct loom_node *n, void *scratch)
{
    const struct loom_node *x = n->in[0];
    const double *value = x->value;
    double sum = 0;
    (void)scratch;
    if (x->shape.dtype == LOOM_REAL)
        sum = KERNEL(n, sum)(x->size, x->value);
    for (int64_t i = 0; x->shape.dtype == LOOM_F64 && i < x->size; i++)
        sum += value[i];
    put_sum(n, sum);
}

static void sum_backward(const struct loom_node *n, void *scratch)
{
    const struct loom_node *x = n->in[0];
    double d = scale_of(n);
    int fresh;
    (void)scratch;
    void *grad = loom_node_grad_in(n, 0, &fresh);
    if (!grad)
        return;
    loom_real *dx = grad;
    double *dx64 = grad;
    for (int64_t i = 0; i < x->size; i++) {
        if (x->shape.dtype == LOOM_F64)
            dx64[i] = (fresh ? 0 : dx64[i]) + d;
        else
            dx[i] = (fresh ? 0 : dx[i]) + (loom_real)d;
    }
}

static const struct loom_op sum_op = {
    .size = sizeof(struct loom_op),
    .name = "sum",
    .infer = sum_infer,
    .forward = sum_forward,
    .backward = sum_backward,
};

struct loom_node *loom_sum(struct loom_graph *g, struct loom_node *x)
{
    return loom_apply(g, &sum_op, 1, &x, NULL, 0);
}
