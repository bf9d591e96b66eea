/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one element. */
#include "tensor/ops/ops.h"

#include <string.h>

static int real_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    if (loom_need_real(n, 0, 1, e) != LOOM_OK)
        return e->code;
    return loom_infer_like(n, 0, out);
}

/* ---- scale ---- */

struct scale_attr {
    double factor, offset;
};

static void scale_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct scale_attr *a = n->attr;
    const loom_real *x = loom_real_in(n, 0) + loom_at(n, first);
    (void)scratch;
    KERNEL(n, scale)(loom_at(n, end - first), a->factor, a->offset, x, loom_real_out(n, first));
}

static void scale_backward(const struct loom_node *n, void *scratch)
{
    const struct scale_attr *a = n->attr;
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (dx && fresh)
        KERNEL(n, scale)(n->size, a->factor, 0, n->grad, dx);
    else if (dx)
        KERNEL(n, axpy)(n->size, a->factor, n->grad, dx);
}

static const struct loom_op scale_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "scale",
    .infer = real_infer,
    .forward_part = scale_part,
    .backward = scale_backward,
};

struct loom_node *loom_scale(struct loom_graph *g, struct loom_node *a, double factor, double offset)
{
    struct scale_attr attr = {factor, offset};
    return loom_apply(g, &scale_op, 1, &a, &attr, sizeof(attr));
}

/* ---- activations: one op each, so that errors and profiles name them ---- */

static int activation_of(const struct loom_node *n)
{
    return *(const int *)n->attr;
}

static void activate_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const loom_real *x = loom_real_in(n, 0) + loom_at(n, first);
    (void)scratch;
    KERNEL(n, activate)(loom_at(n, end - first), activation_of(n), x, loom_real_out(n, first));
}

static void activate_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (dx)
        KERNEL(n, activate_back)(n->size, activation_of(n), loom_real_in(n, 0), n->value, n->grad, dx, !fresh);
}

#define ACTIVATION(function, title, which)                                                                             \
    static const struct loom_op function##_op = {                                                                      \
        .size = sizeof(struct loom_op),                                                                                \
        .row_local = 1,                                                                                                \
        .name = title,                                                                                                 \
        .infer = real_infer,                                                                                           \
        .forward_part = activate_part,                                                                                 \
        .backward = activate_backward,                                                                                 \
    };                                                                                                                 \
    struct loom_node *loom_##function(struct loom_graph *g, struct loom_node *x)                                       \
    {                                                                                                                  \
        int activation = which;                                                                                        \
        return loom_apply(g, &function##_op, 1, &x, &activation, sizeof(activation));                                  \
    }

ACTIVATION(relu, "relu", LOOM_ACT_RELU)
ACTIVATION(gelu, "gelu", LOOM_ACT_GELU)
ACTIVATION(silu, "silu", LOOM_ACT_SILU)
ACTIVATION(tanh, "tanh", LOOM_ACT_TANH)
ACTIVATION(sigmoid, "sigmoid", LOOM_ACT_SIGMOID)

/* ---- exp ---- */

static void exp_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    (void)scratch;
    KERNEL(n, exp)(loom_at(n, end - first), loom_real_in(n, 0) + loom_at(n, first), loom_real_out(n, first));
}

static void exp_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (dx)
        KERNEL(n, mul)(n->size, n->grad, n->value, dx, !fresh);
}

static const struct loom_op exp_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "exp",
    .infer = real_infer,
    .forward_part = exp_part,
    .backward = exp_backward,
};

struct loom_node *loom_exp(struct loom_graph *g, struct loom_node *x)
{
    return loom_apply(g, &exp_op, 1, &x, NULL, 0);
}

/* ---- clamp ---- */

struct clamp_attr {
    double low, high;
};

static int clamp_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct clamp_attr *a = n->attr;
    if (!(a->low <= a->high))
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "from %g to %g: give low <= high", a->low, a->high);
    return real_infer(n, out, e);
}

static void clamp_forward(const struct loom_node *n, void *scratch)
{
    const struct clamp_attr *a = n->attr;
    (void)scratch;
    KERNEL(n, clamp)(n->size, a->low, a->high, loom_real_in(n, 0), n->value);
}

static void clamp_backward(const struct loom_node *n, void *scratch)
{
    const struct clamp_attr *a = n->attr;
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (dx)
        KERNEL(n, clamp_back)(n->size, a->low, a->high, loom_real_in(n, 0), n->grad, dx, !fresh);
}

static const struct loom_op clamp_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "clamp",
    .infer = clamp_infer,
    .forward = clamp_forward,
    .backward = clamp_backward,
};

struct loom_node *loom_clamp(struct loom_graph *g, struct loom_node *x, double low, double high)
{
    struct clamp_attr attr = {low, high};
    return loom_apply(g, &clamp_op, 1, &x, &attr, sizeof(attr));
}

/* ---- geglu ---- */

static int geglu_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    if (loom_need_real(n, 0, 1, e) != LOOM_OK)
        return e->code;
    if (loom_width(n->in[0]) % 2)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%lld features have no halves: make them even",
                         (long long)loom_width(n->in[0]));
    loom_infer_like(n, 0, out);
    out->dim[out->rank - 1] /= 2;
    return LOOM_OK;
}

static void geglu_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const loom_real *x = loom_real_in(n, 0) + loom_at(n->in[0], first);
    (void)scratch;
    KERNEL(n, geglu)(end - first, loom_width(n), x, loom_real_out(n, first));
}

static void geglu_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *dx = loom_real_grad(n, 0, &fresh);
    if (dx)
        KERNEL(n, geglu_back)(loom_rows(n), loom_width(n), loom_real_in(n, 0), n->grad, dx, !fresh);
}

static const struct loom_op geglu_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "geglu",
    .infer = geglu_infer,
    .forward_part = geglu_part,
    .backward = geglu_backward,
};

struct loom_node *loom_geglu(struct loom_graph *g, struct loom_node *x)
{
    return loom_apply(g, &geglu_op, 1, &x, NULL, 0);
}
