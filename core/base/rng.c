/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/rng.h>

#include <assert.h>
#include <math.h>
#include <string.h>

/* FNV-1a over the bytes, then the finaliser of splitmix64, since FNV alone leaves its high bits poorly mixed. */
uint64_t loom_hash(const void *bytes, size_t n, uint64_t seed)
{
    const unsigned char *b = bytes;
    uint64_t h = 0xcbf29ce484222325u ^ seed * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return h ^ h >> 31;
}

/* Ten rounds; constants of the paper. */
void loom_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* The counter holds 32 bits of the step; the rest of it goes the way of the seed. */
void loom_rng_init(struct loom_rng *r, uint64_t seed, const char *purpose, uint64_t step, uint64_t key)
{
    uint64_t k = loom_hash(purpose, strlen(purpose), seed ^ (step >> 32) << 17);
    memset(r, 0, sizeof *r);
    r->key[0] = (uint32_t)k;
    r->key[1] = (uint32_t)(k >> 32);
    r->counter[1] = (uint32_t)step;
    r->counter[2] = (uint32_t)key;
    r->counter[3] = (uint32_t)(key >> 32);
}

uint32_t loom_rng_u32(struct loom_rng *r)
{
    if (r->left == 0) {
        loom_philox(r->key, r->counter, r->buffer);
        r->counter[0]++;
        r->left = 4;
    }
    return r->buffer[4 - r->left--];
}

double loom_rng_uniform(struct loom_rng *r)
{
    uint64_t high = loom_rng_u32(r) >> 5, low = loom_rng_u32(r) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

double loom_rng_normal(struct loom_rng *r)
{
    double radius = sqrt(-2.0 * log1p(-loom_rng_uniform(r)));
    return radius * cos(2.0 * M_PI * loom_rng_uniform(r));
}

/* Multiply and take the high word, rejecting the few low words that would favour some results (Lemire, Fast random
 * integer generation in an interval, TOMACS 2019). */
uint32_t loom_rng_below(struct loom_rng *r, uint32_t n)
{
    assert(n >= 1);
    uint64_t product = (uint64_t)loom_rng_u32(r) * n;
    uint32_t unfair = -n % n;
    while ((uint32_t)product < unfair)
        product = (uint64_t)loom_rng_u32(r) * n;
    return (uint32_t)(product >> 32);
}

static int64_t poisson_inversion(struct loom_rng *r, double mean)
{
    double p = exp(-mean), u = loom_rng_uniform(r);
    int64_t k = 0;
    /* Below a mean of 30 no probability beyond 1000 is left; the bound stops rounding from walking on. */
    while (u > p && k < 1000) {
        u -= p;
        p *= mean / (double)++k;
    }
    return k;
}

/* Transformed rejection with squeeze (Hörmann, The transformed rejection method for generating Poisson random
 * variables, Insurance: Mathematics and Economics 1993, algorithm PTRS). */
static int64_t poisson_ptrs(struct loom_rng *r, double mean)
{
    double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
    double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), squeeze = 0.9277 - 3.6224 / (b - 2.0);
    for (;;) {
        double u = loom_rng_uniform(r) - 0.5, v = loom_rng_uniform(r);
        double us = 0.5 - fabs(u);
        double k = floor((2.0 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && v <= squeeze)
            return (int64_t)k;
        if (k < 0.0 || (us < 0.013 && v > us))
            continue;
        int sign;
        if (log(v * inverse_alpha / (a / (us * us) + b)) <= k * log(mean) - mean - lgamma_r(k + 1.0, &sign))
            return (int64_t)k;
    }
}

int64_t loom_rng_poisson(struct loom_rng *r, double mean)
{
    if (!(mean > 0.0))
        return 0;
    return mean < 30.0 ? poisson_inversion(r, mean) : poisson_ptrs(r, mean < 1e15 ? mean : 1e15);
}

void loom_rng_shuffle(struct loom_rng *r, int32_t *x, size_t n)
{
    assert(n <= UINT32_MAX);
    for (size_t i = n; i > 1; i--) {
        uint32_t j = loom_rng_below(r, (uint32_t)i);
        int32_t swap = x[i - 1];
        x[i - 1] = x[j];
        x[j] = swap;
    }
}
