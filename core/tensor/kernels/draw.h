/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout draws, a vector of Philox4x32-10 blocks at a time. kernels.h says what a draw's address is. A block of eight
 * draws becomes a byte: bit j is 1 where draw j keeps its element. */
#ifndef LOOM_TENSOR_DRAW_H
#define LOOM_TENSOR_DRAW_H

#include "tensor/kernels/groups.h"
#include "tensor/kernels/vec.h"
#if defined __SSE2__
#include <immintrin.h>
#endif

typedef uint64_t loom_vec64 __attribute__((vector_size(LOOM_VEC_BYTES)));
typedef uint16_t loom_draws __attribute__((vector_size(LOOM_VEC_BYTES)));
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
};

/* Where the draws of one row of elements stand. */
struct loom_draw_row {
    uint64_t key[10][2];  /* of the rounds */
    uint32_t step, block; /* block: of the row's first element */
    uint64_t sample;
    uint32_t threshold; /* draws below are dropped; 0: nothing is */
    loom_real scale;    /* survivors */
};

LOOM_INLINE struct loom_draw_row loom_draw_row(const uint32_t key[2], uint32_t step, uint64_t sample, uint32_t block,
                                               uint32_t threshold)
{
    struct loom_draw_row d = {.step = step, .block = block, .sample = sample, .threshold = threshold};
    uint32_t k0 = key[0], k1 = key[1];
    d.scale = loom_draw_scale(threshold);
    for (int round = 0; threshold && round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        d.key[round][0] = k0;
        d.key[round][1] = k1;
    }
    return d;
}

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
    x0 += block;
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        const loom_vec64 p = loom_mul_low(x0, m0), q = loom_mul_low(x2, m1);
        x0 = (q >> 32) ^ x1 ^ (zero + d->key[round][0]);
        x1 = q;
        x2 = (p >> 32) ^ x3 ^ (zero + d->key[round][1]);
        x3 = p;
    }
    const loom_vec64 first = (x0 & low) | x1 << 32, second = (x2 & low) | x3 << 32;
    out[0] = __builtin_shufflevector(first, second, LOOM_DRAW_FRONT);
    out[1] = __builtin_shufflevector(first, second, LOOM_DRAW_BACK);
}

/* One byte for each of a vector of blocks. */
LOOM_INLINE void loom_draw_compare(loom_vec64 a, loom_vec64 b, uint32_t threshold, uint8_t bits[LOOM_DRAW_BLOCKS])
{
#if defined __AVX512BW__
    const __m512i limit = _mm512_set1_epi16((short)threshold);
    const uint64_t all =
        (uint64_t)_mm512_cmpge_epu16_mask((__m512i)b, limit) << 32 | _mm512_cmpge_epu16_mask((__m512i)a, limit);
#elif defined __AVX2__
    const __m256i limit = _mm256_set1_epi16((short)threshold), zero = _mm256_setzero_si256();
    const __m256i first = _mm256_cmpeq_epi16(_mm256_subs_epu16(limit, (__m256i)a), zero);
    const __m256i second = _mm256_cmpeq_epi16(_mm256_subs_epu16(limit, (__m256i)b), zero);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(first, second), 0xd8);
    const uint32_t all = (uint32_t)_mm256_movemask_epi8(packed);
#elif defined __SSE2__ && LOOM_VEC_BYTES == 16
    const __m128i limit = _mm_set1_epi16((short)threshold), zero = _mm_setzero_si128();
    const __m128i first = _mm_cmpeq_epi16(_mm_subs_epu16(limit, (__m128i)a), zero);
    const __m128i second = _mm_cmpeq_epi16(_mm_subs_epu16(limit, (__m128i)b), zero);
    const uint16_t all = (uint16_t)_mm_movemask_epi8(_mm_packs_epi16(first, second));
#else
    const loom_draws draw[2] = {(loom_draws)a, (loom_draws)b};
    uint8_t all[LOOM_DRAW_BLOCKS] = {0};
    for (int i = 0; i < 8 * LOOM_DRAW_BLOCKS; i++)
        all[i / 8] |= (uint8_t)((draw[i / (4 * LOOM_DRAW_BLOCKS)][i % (4 * LOOM_DRAW_BLOCKS)] >= threshold) << i % 8);
#endif
    memcpy(bits, &all, LOOM_DRAW_BLOCKS);
}

/* bits[b] of blocks d->block + first + b for b < n, whole vectors of them: up to LOOM_DRAW_BLOCKS − 1 bytes are written
 * behind. */
LOOM_INLINE void loom_draw_bits(const struct loom_draw_row *d, int64_t first, int64_t n, uint8_t *bits)
{
    for (int64_t b = 0; b < n; b += LOOM_DRAW_BLOCKS) {
        loom_vec64 pair[2];
        loom_draw_blocks(d, d->block + (uint32_t)(first + b), pair);
        loom_draw_compare(pair[0], pair[1], d->threshold, bits + b);
    }
}

/* x by the bits of elements i … of the row whose bits these are: x scale, or 0. i is a multiple of LOOM_LANES. */
LOOM_INLINE loom_vec loom_draw_keep(const uint8_t *bits, int64_t i, loom_vec x, loom_real scale)
{
#if LOOM_LANES == 16 && defined __AVX512F__
    __mmask16 mask;
    memcpy(&mask, bits + i / 8, sizeof mask);
    return (loom_vec)_mm512_maskz_mul_ps(mask, (__m512)x, (__m512)loom_splat(scale));
#elif LOOM_LANES == 8 && defined __AVX512F__
    return (loom_vec)_mm512_maskz_mul_pd(bits[i / 8], (__m512d)x, (__m512d)loom_splat(scale));
#else
    loom_veci place;
    for (int l = 0; l < LOOM_LANES; l++)
        place[l] = 1 << l;
    const loom_veci mine = place & (loom_lane_int)(bits[i / 8] >> i % 8);
    return (loom_vec)((loom_veci)(x * scale) & (mine == place));
#endif
}

#endif
