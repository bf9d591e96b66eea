/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout draws, a vector of Philox4x32-10 blocks at a time. kernels.h says what a draw's address is. */
#ifndef LOOM_TENSOR_DRAW_H
#define LOOM_TENSOR_DRAW_H

#include "tensor/kernels/vec.h"
#if defined __SSE2__
#include <immintrin.h>
#endif

typedef uint64_t loom_vec64 __attribute__((vector_size(LOOM_VEC_BYTES)));
typedef uint16_t loom_draw_lanes __attribute__((vector_size(2 * LOOM_LANES))); /* as many draws as a vector has lanes */
#if LOOM_VEC_BYTES == 64
#define LOOM_DRAW_COUNT                                                                                                \
    {                                                                                                                  \
        0, 1, 2, 3, 4, 5, 6, 7                                                                                         \
    }
#define LOOM_DRAW_FRONT 0, 8, 1, 9, 2, 10, 3, 11
#define LOOM_DRAW_BACK 4, 12, 5, 13, 6, 14, 7, 15
#elif LOOM_VEC_BYTES == 32
#define LOOM_DRAW_COUNT                                                                                                \
    {                                                                                                                  \
        0, 1, 2, 3                                                                                                     \
    }
#define LOOM_DRAW_FRONT 0, 4, 1, 5
#define LOOM_DRAW_BACK 2, 6, 3, 7
#else
#define LOOM_DRAW_COUNT                                                                                                \
    {                                                                                                                  \
        0, 1                                                                                                           \
    }
#define LOOM_DRAW_FRONT 0, 2
#define LOOM_DRAW_BACK 1, 3
#endif
enum {
    LOOM_DRAW_BLOCKS = LOOM_VEC_BYTES / 8, /* blocks drawn at once */
    LOOM_DRAWS = 8 * LOOM_DRAW_BLOCKS,     /* draws they make */
};

/* Where the draws of one row of elements stand. */
struct loom_draw_row {
    uint32_t key[2], step, block; /* block: of the row's first element */
    uint64_t sample;
    uint32_t threshold; /* draws below are dropped */
    loom_real scale;    /* survivors */
};

/* 64-bit products of the low halves. */
LOOM_INLINE loom_vec64 loom_mul_low(loom_vec64 a, loom_vec64 b)
{
#if defined __AVX512F__
    return (loom_vec64)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined __AVX2__
    return (loom_vec64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
    return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

/* The draws of blocks `block` … block + LOOM_DRAW_BLOCKS − 1, eight to a block, in two vectors. High halves of lanes
 * hold rubbish until the end. */
LOOM_INLINE void loom_draw_blocks(const struct loom_draw_row *d, uint32_t block, loom_vec64 out[2])
{
    const loom_vec64 zero = {0}, low = zero + 0xffffffffu, m0 = zero + 0xD2511F53u, m1 = zero + 0xCD9E8D57u;
    loom_vec64 x0 = LOOM_DRAW_COUNT, x1 = zero + d->step, x2 = zero + (uint32_t)d->sample,
               x3 = zero + (d->sample >> 32);
    uint32_t k0 = d->key[0], k1 = d->key[1];
    x0 += block;
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        const loom_vec64 p = loom_mul_low(x0, m0), q = loom_mul_low(x2, m1);
        x0 = (q >> 32) ^ x1 ^ (zero + k0);
        x1 = q;
        x2 = (p >> 32) ^ x3 ^ (zero + k1);
        x3 = p;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const loom_vec64 first = (x0 & low) | x1 << 32, second = (x2 & low) | x3 << 32;
    out[0] = __builtin_shufflevector(first, second, LOOM_DRAW_FRONT);
    out[1] = __builtin_shufflevector(first, second, LOOM_DRAW_BACK);
}

/* keep[i] = 0 or scale for elements from .. from + n − 1 of the row; `from` is a multiple of LOOM_DRAWS, n <=
 * LOOM_DRAWS. All LOOM_DRAWS places of `keep` are written. */
LOOM_INLINE void loom_draw_keep(const struct loom_draw_row *d, int64_t from, loom_real keep[LOOM_DRAWS])
{
    loom_vec64 pair[2];
    loom_draw_lanes draw;
    const loom_veci limit = (loom_veci){0} + (loom_lane_int)d->threshold;
    loom_draw_blocks(d, d->block + (uint32_t)(from / 8), pair);
    for (int i = 0; i < LOOM_DRAWS; i += LOOM_LANES) {
        memcpy(&draw, (const char *)pair + 2 * i, sizeof draw);
        const loom_veci drop = __builtin_convertvector(draw, loom_veci) < limit;
        loom_store(keep + i, (loom_vec)((loom_veci)loom_splat(d->scale) & ~drop));
    }
}

#endif
