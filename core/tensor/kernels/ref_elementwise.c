/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise kernels and the optimizer step in plain loops: the definition. */
#include "tensor/kernels/kernels.h"
#include <math.h>

void loom_ref_add(int64_t n, const loom_real *a, const loom_real *b, loom_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

void loom_ref_sub(int64_t n, const loom_real *a, const loom_real *b, loom_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] - b[i];
}

void loom_ref_mul(int64_t n, const loom_real *a, const loom_real *b, loom_real *y, int accumulate)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] * b[i] + (accumulate ? y[i] : 0);
}

void loom_ref_scale(int64_t n, double factor, double offset, const loom_real *x, loom_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (loom_real)factor * x[i] + (loom_real)offset;
}

void loom_ref_axpy(int64_t n, double factor, const loom_real *x, loom_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += (loom_real)factor * x[i];
}

void loom_ref_clamp(int64_t n, double low, double high, const loom_real *x, loom_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] < (loom_real)low ? (loom_real)low : x[i] > (loom_real)high ? (loom_real)high : x[i];
}

void loom_ref_clamp_back(int64_t n, double low, double high, const loom_real *x, const loom_real *dy, loom_real *dx,
                         int accumulate)
{
    for (int64_t i = 0; i < n; i++) {
        loom_real d = x[i] < (loom_real)low || x[i] > (loom_real)high ? 0 : dy[i];
        dx[i] = d + (accumulate ? dx[i] : 0);
    }
}

void loom_ref_exp(int64_t n, const loom_real *x, loom_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (loom_real)exp((double)x[i]);
}

static double phi(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

static double activate(int activation, double x)
{
    switch (activation) {
    case LOOM_ACT_RELU:
        return x < 0 ? 0 : x;
    case LOOM_ACT_GELU:
        return x * phi(x);
    case LOOM_ACT_SILU:
        return x / (1 + exp(-x));
    case LOOM_ACT_TANH:
        return tanh(x);
    case LOOM_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    default:
        return x;
    }
}

static double slope(int activation, double x, double y)
{
    double s;
    switch (activation) {
    case LOOM_ACT_RELU:
        return y > 0;
    case LOOM_ACT_GELU:
        return phi(x) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
    case LOOM_ACT_SILU:
        s = 1 / (1 + exp(-x));
        return s * (1 + x * (1 - s));
    case LOOM_ACT_TANH:
        return 1 - y * y;
    case LOOM_ACT_SIGMOID:
        return y * (1 - y);
    default:
        return 1;
    }
}

void loom_ref_activate(int64_t n, int activation, const loom_real *x, loom_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (loom_real)activate(activation, x[i]);
}

void loom_ref_activate_back(int64_t n, int activation, const loom_real *x, const loom_real *y, const loom_real *dy,
                            loom_real *dx, int accumulate)
{
    for (int64_t i = 0; i < n; i++) {
        double d = slope(activation, x ? x[i] : 0, y ? y[i] : 0) * dy[i];
        dx[i] = (loom_real)d + (accumulate ? dx[i] : 0);
    }
}

void loom_ref_adamw(const struct loom_adamw *h, int64_t n, const loom_real *grad, loom_real *value, loom_real *m,
                    loom_real *v, loom_real *shadow)
{
    const double c1 = 1 - pow(h->beta1, (double)h->step), c2 = 1 - pow(h->beta2, (double)h->step);
    for (int64_t i = 0; i < n; i++) {
        double g = grad[i] * h->grad_scale;
        m[i] = (loom_real)(h->beta1 * m[i] + (1 - h->beta1) * g);
        v[i] = (loom_real)(h->beta2 * v[i] + (1 - h->beta2) * g * g);
        double kept = value[i] * (1 - h->lr * h->decay);
        value[i] = (loom_real)(kept - h->lr / c1 * m[i] / (sqrt(v[i] / c2) + h->eps));
        if (shadow)
            shadow[i] = (loom_real)(h->keep * shadow[i] + (1 - h->keep) * value[i]);
    }
}
