/* SPDX-License-Identifier: Apache-2.0 */
/* exp, tanh, sigmoid, the normal distribution and its density on vectors.
 *
 * Float: polynomials fitted for this file (least squares reweighted towards the largest error), error bounds in units
 * in the last place as tests/test_kernels.c measures them. Double: libm lane by lane, for gradient checks need
 * smoothness and not speed. Either way a lane's result depends on that lane alone. */
#ifndef LOOM_TENSOR_VECMATH_H
#define LOOM_TENSOR_VECMATH_H

#include "tensor/kernels/vec.h"
#include <math.h>

#ifdef LOOM_DOUBLE

LOOM_INLINE loom_vec loom_vexp(loom_vec x)
{
    for (int i = 0; i < LOOM_LANES; i++)
        x[i] = exp(x[i]);
    return x;
}

LOOM_INLINE loom_vec loom_vtanh(loom_vec x)
{
    for (int i = 0; i < LOOM_LANES; i++)
        x[i] = tanh(x[i]);
    return x;
}

/* Φ(x), and exp(−x²/2) in *bell. */
LOOM_INLINE loom_vec loom_vnormal(loom_vec x, loom_vec *bell)
{
    for (int i = 0; i < LOOM_LANES; i++) {
        (*bell)[i] = exp(-0.5 * x[i] * x[i]);
        x[i] = 0.5 * erfc(-x[i] * 0.70710678118654752440);
    }
    return x;
}

#else

/* 2^n for whole n in [−126, 127]. */
LOOM_INLINE loom_vec loom_vpow2(loom_veci n)
{
    return (loom_vec)((n + 127) << 23);
}

/* x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) = 1 + r + r² q(r); the power of two is applied in two halves so that
 * results below the smallest normal number come out rounded once, and 0 and infinity by themselves. Error < 1 ulp.
 * exp(0) = 1 and exp(−inf) = 0 exactly; NaN stays. */
LOOM_INLINE loom_vec loom_vexp(loom_vec x)
{
    const loom_vec shift = loom_splat(0x1.8p23f);
    x = loom_max(loom_splat(-110), loom_min(loom_splat(89), x));
    const loom_vec t = loom_fma(x, loom_splat(1.44269504f), shift);
    const loom_vec whole = t - shift;
    loom_vec r = loom_fma(whole, loom_splat(-0x1.62e4p-1f), x);
    r = loom_fma(whole, loom_splat(-1.42860677e-6f), r);
    loom_vec q = loom_fma(r, loom_splat(1.38144650e-3f), loom_splat(8.36878084e-3f));
    q = loom_fma(q, r, loom_splat(4.16683927e-2f));
    q = loom_fma(q, r, loom_splat(1.66665196e-1f));
    q = loom_fma(q, r, loom_splat(4.99999940e-1f));
    q = loom_fma(q, r * r, r) + 1;
#if defined __AVX512F__
    return (loom_vec)_mm512_scalef_ps((__m512)q, (__m512)whole);
#else
    const loom_veci n = (loom_veci)t - (loom_veci)shift, half = n >> 1;
    return q * loom_vpow2(half) * loom_vpow2(n - half);
#endif
}

/* Below 0.65 an odd polynomial, above 1 − 2/(exp(2|x|) + 1). Error < 2 ulp. */
LOOM_INLINE loom_vec loom_vtanh(loom_vec x)
{
    const loom_vec size = loom_abs(x), z = x * x;
    loom_vec p = loom_fma(z, loom_splat(-5.51515445e-3f), loom_splat(2.04694103e-2f));
    p = loom_fma(p, z, loom_splat(-5.36880195e-2f));
    p = loom_fma(p, z, loom_splat(1.33308306e-1f));
    p = loom_fma(p, z, loom_splat(-3.33332598e-1f));
    p = loom_fma(p, z * x, x);
    const loom_vec far = 1 - 2 / (loom_vexp(size + size) + 1);
    return loom_select(size < 0.65f, p, loom_copysign(far, x));
}

/* Φ(x), and exp(−x²/2) in *bell. Φ(−|x|) = exp(−x²/2) h(u) / 2 where h is erfc scaled, a polynomial in u = 1/(1 + 0.4
 * |x|/√2). Relative error < 3e-7 (1 + x²/4) for x < 0: that of x² in the exponent; absolute error < 1.2e-7 everywhere.
 */
LOOM_INLINE loom_vec loom_vnormal(loom_vec x, loom_vec *bell)
{
    const loom_vec u = 1 / loom_fma(loom_abs(x), loom_splat(0.282842712f), loom_splat(1));
    loom_vec h = loom_fma(u, loom_splat(-2.92061549e-2f), loom_splat(1.95904762e-1f));
    h = loom_fma(h, u, loom_splat(-4.93853092e-1f));
    h = loom_fma(h, u, loom_splat(5.40822923e-1f));
    h = loom_fma(h, u, loom_splat(-2.78867394e-1f));
    h = loom_fma(h, u, loom_splat(2.69114941e-1f));
    h = loom_fma(h, u, loom_splat(1.30699530e-1f));
    h = loom_fma(h, u, loom_splat(2.14700714e-1f));
    h = loom_fma(h, u, loom_splat(2.24978298e-1f));
    h = loom_fma(h, u, loom_splat(2.25705564e-1f));
    *bell = loom_vexp(x * x * -0.5f);
    const loom_vec tail = *bell * (h * u) * 0.5f;
    return loom_select(x < 0, tail, 1 - tail);
}

#endif

/* 1/(1 + exp(−x)). Error < 3 ulp above −87, 0 below. */
LOOM_INLINE loom_vec loom_vsigmoid(loom_vec x)
{
    return 1 / (1 + loom_vexp(-x));
}

#endif
