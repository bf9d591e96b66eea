/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mt19937.h"

#include <math.h>

enum { WORDS = 624, SHIFT = 397 };

/* Matsumoto and Nishimura, Mersenne Twister (1998), with the initialisation of 2002. */
void loom_mt19937_init(struct loom_mt19937 *g, uint32_t seed)
{
    g->state[0] = seed;
    for (uint32_t i = 1; i < WORDS; i++)
        g->state[i] = 1812433253u * (g->state[i - 1] ^ g->state[i - 1] >> 30) + i;
    g->at = WORDS;
}

static void twist(struct loom_mt19937 *g)
{
    for (int i = 0; i < WORDS; i++) {
        const uint32_t y = (g->state[i] & 0x80000000u) | (g->state[(i + 1) % WORDS] & 0x7fffffffu);
        g->state[i] = g->state[(i + SHIFT) % WORDS] ^ y >> 1 ^ ((y & 1) != 0 ? 0x9908b0dfu : 0);
    }
    g->at = 0;
}

static uint32_t word(struct loom_mt19937 *g)
{
    if (g->at == WORDS)
        twist(g);
    uint32_t y = g->state[g->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

double loom_mt19937_uniform(struct loom_mt19937 *g)
{
    const uint32_t high = word(g) >> 5, low = word(g) >> 6;
    return ((double)high * 67108864.0 + (double)low) / 9007199254740992.0;
}

int64_t loom_jitter_bins(double most, double bin, double u)
{
    return isfinite(most) ? (int64_t)rint(u * floor(rint(most / bin * 1e4) / 1e4)) : 0;
}
