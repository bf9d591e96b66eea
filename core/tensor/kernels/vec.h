/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of this build: as wide as its instruction set, written with GNU vectors so that one source serves all.
 *
 * Tails go through the same code as whole vectors: loom_load_part fills the missing lanes with 0, loom_store_part
 * leaves them out. */
#ifndef LOOM_TENSOR_VEC_H
#define LOOM_TENSOR_VEC_H

#include <loom/types.h>
#include <math.h>
#include <string.h>

#if defined __AVX__
#include <immintrin.h>
#endif
#if defined __AVX512F__
#define LOOM_VEC_BYTES 64
#elif defined __AVX__
#define LOOM_VEC_BYTES 32
#else
#define LOOM_VEC_BYTES 16
#endif
#ifdef LOOM_DOUBLE
#define LOOM_LANES (LOOM_VEC_BYTES / 8)
#else
#define LOOM_LANES (LOOM_VEC_BYTES / 4)
#endif

#ifdef LOOM_DOUBLE
typedef int64_t loom_lane_int;
#else
typedef int32_t loom_lane_int;
#endif
typedef loom_real loom_vec __attribute__((vector_size(LOOM_VEC_BYTES)));
typedef loom_lane_int loom_veci __attribute__((vector_size(LOOM_VEC_BYTES)));
typedef loom_real loom_vec_unaligned
    __attribute__((vector_size(LOOM_VEC_BYTES), aligned(sizeof(loom_real)), may_alias));

#ifdef LOOM_DOUBLE
#define LOOM_SQRT sqrt
#else
#define LOOM_SQRT sqrtf
#endif

#define LOOM_INLINE static inline __attribute__((always_inline, unused))

LOOM_INLINE loom_vec loom_load(const loom_real *p)
{
    return *(const loom_vec_unaligned *)p;
}

LOOM_INLINE void loom_store(loom_real *p, loom_vec v)
{
    *(loom_vec_unaligned *)p = v;
}

LOOM_INLINE loom_vec loom_splat(loom_real x)
{
    return x - (loom_vec){0};
}

/* a b + c, rounded once where the machine can. Kernels say it where they mean it and are compiled without contraction
 * of their own: a compiler that fuses in whole vectors but not in tails breaks the row law. */
LOOM_INLINE loom_vec loom_fma(loom_vec a, loom_vec b, loom_vec c)
{
#if defined __AVX512F__ && defined LOOM_DOUBLE
    return (loom_vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined __AVX512F__
    return (loom_vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined __AVX__ && defined __FMA__ && defined LOOM_DOUBLE
    return (loom_vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined __AVX__ && defined __FMA__
    return (loom_vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined __FP_FAST_FMA && defined __FP_FAST_FMAF
    for (int i = 0; i < LOOM_LANES; i++)
        c[i] = sizeof(loom_real) == 4 ? (loom_real)__builtin_fmaf((float)a[i], (float)b[i], (float)c[i])
                                      : (loom_real)__builtin_fma((double)a[i], (double)b[i], (double)c[i]);
    return c;
#else
    return a * b + c;
#endif
}

/* The first n lanes, 0 <= n; n >= LOOM_LANES is a whole vector. */
LOOM_INLINE loom_vec loom_load_part(const loom_real *p, int64_t n)
{
    if (n >= LOOM_LANES)
        return loom_load(p);
#if defined __AVX512F__ && defined LOOM_DOUBLE
    return (loom_vec)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#elif defined __AVX512F__
    return (loom_vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    loom_vec v = {0};
    for (int i = 0; i < LOOM_LANES; i++)
        if (i < n)
            v[i] = p[i];
    return v;
#endif
}

LOOM_INLINE void loom_store_part(loom_real *p, loom_vec v, int64_t n)
{
    if (n >= LOOM_LANES)
        loom_store(p, v);
    else
#if defined __AVX512F__ && defined LOOM_DOUBLE
        _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
#elif defined __AVX512F__
        _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
        for (int i = 0; i < LOOM_LANES; i++)
            if (i < n)
                p[i] = v[i];
#endif
}

/* Per lane: mask (all bits or none) ? a : b. */
LOOM_INLINE loom_vec loom_select(loom_veci mask, loom_vec a, loom_vec b)
{
    return (loom_vec)((mask & (loom_veci)a) | (~mask & (loom_veci)b));
}

/* a > b ? a : b, so that a NaN in b stays. */
LOOM_INLINE loom_vec loom_max(loom_vec a, loom_vec b)
{
#if defined __AVX512F__ && defined LOOM_DOUBLE
    return (loom_vec)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif defined __AVX512F__
    return (loom_vec)_mm512_max_ps((__m512)a, (__m512)b);
#else
    return loom_select(a > b, a, b);
#endif
}

/* a < b ? a : b, so that a NaN in b stays. */
LOOM_INLINE loom_vec loom_min(loom_vec a, loom_vec b)
{
#if defined __AVX512F__ && defined LOOM_DOUBLE
    return (loom_vec)_mm512_min_pd((__m512d)a, (__m512d)b);
#elif defined __AVX512F__
    return (loom_vec)_mm512_min_ps((__m512)a, (__m512)b);
#else
    return loom_select(a < b, a, b);
#endif
}

/* All bits of the first n lanes, n >= 1. */
LOOM_INLINE loom_veci loom_first_mask(int64_t n)
{
    loom_veci lane = {0};
    for (int i = 0; i < LOOM_LANES; i++)
        lane[i] = i;
    return lane < (loom_lane_int)(n < LOOM_LANES ? n : LOOM_LANES);
}

/* The first n lanes of v, the others 0. */
LOOM_INLINE loom_vec loom_first(loom_vec v, int64_t n)
{
    return n >= LOOM_LANES ? v : (loom_vec)((loom_veci)v & loom_first_mask(n));
}

LOOM_INLINE loom_vec loom_abs(loom_vec x)
{
    const loom_veci sign = (loom_veci)loom_splat((loom_real)-0.0);
    return (loom_vec)((loom_veci)x & ~sign);
}

/* |magnitude| with the sign of `sign`; magnitude >= 0. */
LOOM_INLINE loom_vec loom_copysign(loom_vec magnitude, loom_vec sign)
{
    const loom_veci bit = (loom_veci)loom_splat((loom_real)-0.0);
    return (loom_vec)((loom_veci)magnitude | ((loom_veci)sign & bit));
}

/* v joined with itself turned by half of its lanes, by a quarter … by one: lane 0 then holds all. */
#if LOOM_LANES == 16
#define LOOM_FOLD(v, join)                                                                                             \
    join(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));                      \
    join(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));                      \
    join(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));                      \
    join(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14))
#elif LOOM_LANES == 8
#define LOOM_FOLD(v, join)                                                                                             \
    join(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3));                                                    \
    join(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5));                                                    \
    join(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6))
#elif LOOM_LANES == 4
#define LOOM_FOLD(v, join)                                                                                             \
    join(v, __builtin_shufflevector(v, v, 2, 3, 0, 1));                                                                \
    join(v, __builtin_shufflevector(v, v, 1, 0, 3, 2))
#else
#define LOOM_FOLD(v, join) join(v, __builtin_shufflevector(v, v, 1, 0))
#endif
#define LOOM_JOIN_SUM(v, w) v += (w)
#define LOOM_JOIN_MAX(v, w) v = loom_max(v, w)

/* Sum of the lanes by halves: one fixed order. */
LOOM_INLINE loom_real loom_lanes_sum(loom_vec v)
{
    LOOM_FOLD(v, LOOM_JOIN_SUM);
    return v[0];
}

LOOM_INLINE loom_real loom_lanes_max(loom_vec v)
{
    LOOM_FOLD(v, LOOM_JOIN_MAX);
    return v[0];
}

#endif
