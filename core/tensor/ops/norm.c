/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations over the feature axis. */
#include "tensor/ops/ops.h"

#include <string.h>

struct norm_attr {
    double eps;
    int32_t gain, bias; /* numbers of these inputs; 0 = none */
};

/* x and the parameters named in attr; `kept` numbers a row are saved for backward. */
static int norm_infer(const struct loom_node *n, size_t kept, struct loom_shape *out, struct loom_error *e)
{
    const struct norm_attr *a = n->attr;
    if (loom_need_real(n, 0, n->inputs, e) != LOOM_OK || loom_need_features(n, 0, e) != LOOM_OK)
        return e->code;
    for (int i = 1; i < n->inputs; i++)
        if (loom_need_width(n, i, loom_width(n->in[0]), e) != LOOM_OK)
            return e->code;
    if (!(a->eps >= 0))
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "eps of %g: give a small positive number", a->eps);
    out->saved = kept * (size_t)loom_rows(n->in[0]) * sizeof(loom_real);
    return loom_infer_like(n, 0, out);
}

loom_real *loom_optional_grad(const struct loom_node *n, int i)
{
    int fresh;
    loom_real *grad = i ? loom_real_grad(n, i, &fresh) : NULL;
    if (grad && fresh)
        memset(grad, 0, loom_node_bytes(n->in[i]));
    return grad;
}

/* ---- layer norm ---- */

static int layer_norm_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    return norm_infer(n, 2, out, e);
}

static void layer_norm_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct norm_attr *a = n->attr;
    int64_t rows = loom_rows(n);
    loom_real *mean = n->saved;
    (void)scratch;
    if (rows)
        KERNEL(n, layer_norm)
    (end - first, loom_width(n), loom_real_in(n, 0) + loom_at(n, first), loom_optional(n, a->gain),
     loom_optional(n, a->bias), a->eps, loom_real_out(n, first), mean + first, mean + rows + first);
}

static void layer_norm_backward(const struct loom_node *n, void *scratch)
{
    const struct norm_attr *a = n->attr;
    int64_t rows = loom_rows(n);
    const loom_real *mean = n->saved;
    int fresh;
    (void)scratch;
    loom_real *dgain = loom_optional_grad(n, a->gain), *dbias = loom_optional_grad(n, a->bias);
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (rows)
        KERNEL(n, layer_norm_back)
    (rows, loom_width(n), loom_real_in(n, 0), loom_optional(n, a->gain), mean, mean + rows, n->grad, dx, !fresh, dgain,
     dbias);
}

static const struct loom_op layer_norm_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "layer_norm",
    .infer = layer_norm_infer,
    .forward_part = layer_norm_part,
    .backward = layer_norm_backward,
};

struct loom_node *loom_layer_norm(struct loom_graph *g, struct loom_node *x, struct loom_node *gain,
                                  struct loom_node *bias, double eps)
{
    struct norm_attr attr = {.eps = eps};
    struct loom_node *in[3] = {x};
    int n = 1;
    if (gain)
        in[attr.gain = n++] = gain;
    if (bias)
        in[attr.bias = n++] = bias;
    return loom_apply(g, &layer_norm_op, n, in, &attr, sizeof(attr));
}

/* ---- root mean square norm ---- */

static int rms_norm_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    return norm_infer(n, 1, out, e);
}

static void rms_norm_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct norm_attr *a = n->attr;
    (void)scratch;
    if (loom_rows(n))
        KERNEL(n, rms_norm)
    (end - first, loom_width(n), loom_real_in(n, 0) + loom_at(n, first), loom_optional(n, a->gain), a->eps,
     loom_real_out(n, first), (loom_real *)n->saved + first);
}

static void rms_norm_backward(const struct loom_node *n, void *scratch)
{
    const struct norm_attr *a = n->attr;
    int fresh;
    (void)scratch;
    loom_real *dgain = loom_optional_grad(n, a->gain);
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (loom_rows(n))
        KERNEL(n, rms_norm_back)
    (loom_rows(n), loom_width(n), loom_real_in(n, 0), loom_optional(n, a->gain), n->saved, n->grad, dx, !fresh, dgain);
}

static const struct loom_op rms_norm_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "rms_norm",
    .infer = rms_norm_infer,
    .forward_part = rms_norm_part,
    .backward = rms_norm_backward,
};

struct loom_node *loom_rms_norm(struct loom_graph *g, struct loom_node *x, struct loom_node *gain, double eps)
{
    struct norm_attr attr = {.eps = eps, .gain = gain != NULL};
    return loom_apply(g, &rms_norm_op, gain ? 2 : 1, (struct loom_node *[]){x, gain}, &attr, sizeof(attr));
}

/* ---- unit length ---- */

static void l2_normalize_forward(const struct loom_node *n, void *scratch)
{
    const struct norm_attr *a = n->attr;
    (void)scratch;
    if (loom_rows(n))
        KERNEL(n, l2_normalize)(loom_rows(n), loom_width(n), loom_real_in(n, 0), a->eps, n->value, n->saved);
}

static void l2_normalize_backward(const struct loom_node *n, void *scratch)
{
    const struct norm_attr *a = n->attr;
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (dx && loom_rows(n))
        KERNEL(n, l2_normalize_back)(loom_rows(n), loom_width(n), n->value, n->saved, a->eps, n->grad, dx, !fresh);
}

static const struct loom_op l2_normalize_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "l2_normalize",
    .infer = rms_norm_infer,
    .forward = l2_normalize_forward,
    .backward = l2_normalize_backward,
};

struct loom_node *loom_l2_normalize(struct loom_graph *g, struct loom_node *x, double eps)
{
    struct norm_attr attr = {.eps = eps};
    return loom_apply(g, &l2_normalize_op, 1, &x, &attr, sizeof(attr));
}

/* ---- softmax ---- */

static int softmax_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    if (loom_need_real(n, 0, 1, e) != LOOM_OK || loom_need_features(n, 0, e) != LOOM_OK)
        return e->code;
    return loom_infer_like(n, 0, out);
}

static void softmax_forward(const struct loom_node *n, void *scratch)
{
    (void)scratch;
    KERNEL(n, softmax)(loom_rows(n), loom_width(n), loom_real_in(n, 0), n->value);
}

static void softmax_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (dx)
        KERNEL(n, softmax_back)(loom_rows(n), loom_width(n), n->value, n->grad, dx, !fresh);
}

static const struct loom_op softmax_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "softmax",
    .infer = softmax_infer,
    .forward = softmax_forward,
    .backward = softmax_backward,
};

struct loom_node *loom_softmax(struct loom_graph *g, struct loom_node *x)
{
    return loom_apply(g, &softmax_op, 1, &x, NULL, 0);
}
