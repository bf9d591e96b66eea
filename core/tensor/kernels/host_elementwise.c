/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise kernels and the optimizer step: one loop body for whole vectors and tails alike. */
#include "tensor/kernels/kernels.h"
#include "tensor/kernels/vecmath.h"

/* i = first element, left = elements from there on; the loads and stores take as many as there are. */
#define EACH_VECTOR for (int64_t i = 0, left = n; left > 0; i += LOOM_LANES, left -= LOOM_LANES)

void loom_host_add(int64_t n, const loom_real *a, const loom_real *b, loom_real *y)
{
    EACH_VECTOR
    loom_store_part(y + i, loom_load_part(a + i, left) + loom_load_part(b + i, left), left);
}

void loom_host_sub(int64_t n, const loom_real *a, const loom_real *b, loom_real *y)
{
    EACH_VECTOR
    loom_store_part(y + i, loom_load_part(a + i, left) - loom_load_part(b + i, left), left);
}

void loom_host_mul(int64_t n, const loom_real *a, const loom_real *b, loom_real *y, int accumulate)
{
    EACH_VECTOR
    {
        const loom_vec from = accumulate ? loom_load_part(y + i, left) : loom_splat(0);
        loom_store_part(y + i, loom_load_part(a + i, left) * loom_load_part(b + i, left) + from, left);
    }
}

void loom_host_scale(int64_t n, double factor, double offset, const loom_real *x, loom_real *y)
{
    const loom_vec f = loom_splat((loom_real)factor), o = loom_splat((loom_real)offset);
    EACH_VECTOR
    loom_store_part(y + i, loom_load_part(x + i, left) * f + o, left);
}

void loom_host_axpy(int64_t n, double factor, const loom_real *x, loom_real *y)
{
    const loom_vec f = loom_splat((loom_real)factor);
    EACH_VECTOR
    loom_store_part(y + i, loom_load_part(x + i, left) * f + loom_load_part(y + i, left), left);
}

void loom_host_clamp(int64_t n, double low, double high, const loom_real *x, loom_real *y)
{
    const loom_vec l = loom_splat((loom_real)low), h = loom_splat((loom_real)high);
    EACH_VECTOR
    loom_store_part(y + i, loom_min(h, loom_max(l, loom_load_part(x + i, left))), left);
}

void loom_host_clamp_back(int64_t n, double low, double high, const loom_real *x, const loom_real *dy, loom_real *dx,
                          int accumulate)
{
    const loom_vec l = loom_splat((loom_real)low), h = loom_splat((loom_real)high), zero = loom_splat(0);
    EACH_VECTOR
    {
        const loom_vec v = loom_load_part(x + i, left);
        const loom_vec from = accumulate ? loom_load_part(dx + i, left) : zero;
        loom_store_part(dx + i, loom_select((v < l) | (v > h), zero, loom_load_part(dy + i, left)) + from, left);
    }
}

void loom_host_exp(int64_t n, const loom_real *x, loom_real *y)
{
    EACH_VECTOR
    loom_store_part(y + i, loom_vexp(loom_load_part(x + i, left)), left);
}

LOOM_INLINE loom_vec activate(const int activation, loom_vec x)
{
    loom_vec bell;
    switch (activation) {
    case LOOM_ACT_RELU:
        return loom_max(loom_splat(0), x);
    case LOOM_ACT_GELU:
        return x * loom_vnormal(x, &bell);
    case LOOM_ACT_SILU:
        return x * loom_vsigmoid(x);
    case LOOM_ACT_TANH:
        return loom_vtanh(x);
    case LOOM_ACT_SIGMOID:
        return loom_vsigmoid(x);
    default:
        return x;
    }
}

/* act'(x) from what the activation keeps: v is y for RELU, TANH and SIGMOID, x for GELU and SILU. */
LOOM_INLINE loom_vec slope(const int activation, loom_vec v)
{
    loom_vec bell, s;
    switch (activation) {
    case LOOM_ACT_RELU:
        return loom_select(v > 0, loom_splat(1), loom_splat(0));
    case LOOM_ACT_GELU:
        s = loom_vnormal(v, &bell);
        return bell * v * (loom_real)0.39894228040143267794 + s;
    case LOOM_ACT_SILU:
        s = loom_vsigmoid(v);
        return (1 - s) * v * s + s;
    case LOOM_ACT_TANH:
        return 1 - v * v;
    case LOOM_ACT_SIGMOID:
        return (1 - v) * v;
    default:
        return loom_splat(1);
    }
}

#define ACTIVATION(name, id)                                                                                           \
    static void name(int64_t n, const loom_real *x, loom_real *y)                                                      \
    {                                                                                                                  \
        EACH_VECTOR                                                                                                    \
        loom_store_part(y + i, activate(id, loom_load_part(x + i, left)), left);                                       \
    }                                                                                                                  \
    static void name##_back(int64_t n, const loom_real *v, const loom_real *dy, loom_real *dx, int accumulate)         \
    {                                                                                                                  \
        EACH_VECTOR                                                                                                    \
        {                                                                                                              \
            const loom_vec from = accumulate ? loom_load_part(dx + i, left) : loom_splat(0);                           \
            loom_store_part(dx + i, slope(id, loom_load_part(v + i, left)) * loom_load_part(dy + i, left) + from,      \
                            left);                                                                                     \
        }                                                                                                              \
    }
ACTIVATION(none, LOOM_ACT_NONE)
ACTIVATION(relu, LOOM_ACT_RELU)
ACTIVATION(gelu, LOOM_ACT_GELU)
ACTIVATION(silu, LOOM_ACT_SILU)
ACTIVATION(tanh_, LOOM_ACT_TANH)
ACTIVATION(sigmoid, LOOM_ACT_SIGMOID)

/* By enum loom_activation. `reads_x`: backward needs the input, else the output. */
static const struct {
    void (*forward)(int64_t n, const loom_real *x, loom_real *y);
    void (*backward)(int64_t n, const loom_real *v, const loom_real *dy, loom_real *dx, int accumulate);
    int reads_x;
} activations[] = {
    [LOOM_ACT_NONE] = {none, none_back, 0},   [LOOM_ACT_RELU] = {relu, relu_back, 0},
    [LOOM_ACT_GELU] = {gelu, gelu_back, 1},   [LOOM_ACT_SILU] = {silu, silu_back, 1},
    [LOOM_ACT_TANH] = {tanh_, tanh__back, 0}, [LOOM_ACT_SIGMOID] = {sigmoid, sigmoid_back, 0},
};

void loom_host_activate(int64_t n, int activation, const loom_real *x, loom_real *y)
{
    activations[activation].forward(n, x, y);
}

void loom_host_activate_back(int64_t n, int activation, const loom_real *x, const loom_real *y, const loom_real *dy,
                             loom_real *dx, int accumulate)
{
    const loom_real *v = activations[activation].reads_x ? x : y;
    activations[activation].backward(n, v ? v : dy, dy, dx, accumulate);
}

void loom_host_geglu(int64_t rows, int64_t width, const loom_real *x, loom_real *y)
{
    const int64_t n = width;
    for (int64_t r = 0; r < rows; r++, x += 2 * width, y += width)
        EACH_VECTOR
    loom_store_part(y + i, loom_load_part(x + i, left) * activate(LOOM_ACT_GELU, loom_load_part(x + width + i, left)),
                    left);
}

void loom_host_geglu_back(int64_t rows, int64_t width, const loom_real *x, const loom_real *dy, loom_real *dx,
                          int accumulate)
{
    const int64_t n = width;
    for (int64_t r = 0; r < rows; r++, x += 2 * width, dx += 2 * width, dy += width)
        EACH_VECTOR
        {
            const loom_vec value = loom_load_part(x + i, left), gate = loom_load_part(x + width + i, left),
                           d = loom_load_part(dy + i, left);
            const loom_vec from = accumulate ? loom_load_part(dx + i, left) : loom_splat(0);
            const loom_vec from_gate = accumulate ? loom_load_part(dx + width + i, left) : loom_splat(0);
            loom_vec bell, normal = loom_vnormal(gate, &bell);
            loom_store_part(dx + i, d * (gate * normal) + from, left);
            loom_store_part(dx + width + i,
                            value * d * (bell * gate * (loom_real)0.39894228040143267794 + normal) + from_gate, left);
        }
}

/* The moments' corrections are folded into the step: lr/c1 · m / (√v/√c2 + eps). Inlined into two loops, with and
 * without a shadow, for a test within would keep the loop from vectors. */
static inline __attribute__((always_inline)) void adamw(const struct loom_adamw *h, int64_t n,
                                                        const loom_real *restrict grad, loom_real *restrict value,
                                                        loom_real *restrict m, loom_real *restrict v,
                                                        loom_real *restrict shadow)
{
    const loom_real step = (loom_real)(h->lr / (1 - pow(h->beta1, (double)h->step)));
    const loom_real root = (loom_real)(1 / sqrt(1 - pow(h->beta2, (double)h->step)));
    const loom_real kept = (loom_real)(1 - h->lr * h->decay), eps = (loom_real)h->eps, by = (loom_real)h->grad_scale;
    const loom_real b1 = (loom_real)h->beta1, b2 = (loom_real)h->beta2, a1 = (loom_real)(1 - h->beta1),
                    a2 = (loom_real)(1 - h->beta2), keep = (loom_real)h->keep, take = 1 - keep;
    for (int64_t i = 0; i < n; i++) {
        const loom_real g = grad[i] * by;
        const loom_real first = b1 * m[i] + a1 * g, second = b2 * v[i] + a2 * (g * g);
        m[i] = first;
        v[i] = second;
        value[i] = kept * value[i] - step * first / (LOOM_SQRT(second) * root + eps);
        if (shadow)
            shadow[i] = keep * shadow[i] + take * value[i];
    }
}

void loom_host_adamw(const struct loom_adamw *h, int64_t n, const loom_real *grad, loom_real *value, loom_real *m,
                     loom_real *v, loom_real *shadow)
{
    if (shadow)
        adamw(h, n, grad, value, m, v, shadow);
    else
        adamw(h, n, grad, value, m, v, NULL);
}
