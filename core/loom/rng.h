/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers as functions of names, never of a place in a batch or of a thread.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC11). A stream is keyed by
 * (seed, purpose) and addressed by (step, sample key, ordinal): the same five give the same number on every machine,
 * for any number of workers, before and after a resume. */
#ifndef LOOM_RNG_H
#define LOOM_RNG_H

#include <loom/types.h>

struct loom_rng {
    uint32_t key[2];
    uint32_t counter[4]; /* [0] ordinal block, [1] step, [2..3] sample key */
    uint32_t buffer[4];
    uint32_t left; /* unread words of buffer */
};

/* Stream for one purpose ("mask", "dropout.block2", "init") of one sample at one step. Purpose is hashed (FNV-1a). */
LOOM_API void loom_rng_init(struct loom_rng *r, uint64_t seed, const char *purpose, uint64_t step, uint64_t key);
LOOM_API uint32_t loom_rng_u32(struct loom_rng *r);
LOOM_API double loom_rng_uniform(struct loom_rng *r); /* in [0,1), 53 bits */
LOOM_API double loom_rng_normal(struct loom_rng *r);  /* mean 0, variance 1 (Box-Muller, one value a call) */
LOOM_API uint32_t loom_rng_below(struct loom_rng *r, uint32_t n);   /* uniform in 0..n-1, unbiased; n >= 1 */
LOOM_API int64_t loom_rng_poisson(struct loom_rng *r, double mean); /* inversion below 30, PTRS above */
LOOM_API void loom_rng_shuffle(struct loom_rng *r, int32_t *x, size_t n);
/* One block of four words by address: what kernels use to draw element masks without keeping them. */
LOOM_API void loom_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);
/* 64-bit hash of bytes, stable for ever: names of samples, purposes and parameters hang on it. */
LOOM_API uint64_t loom_hash(const void *bytes, size_t n, uint64_t seed);

#endif
