/* SPDX-License-Identifier: Apache-2.0 */
/* The Mersenne Twister as numpy's legacy generator runs it, for draws that other programs made with it and that must
 * come out again. Everything else takes <loom/rng.h>. */
#ifndef LOOM_BASE_MT19937_H
#define LOOM_BASE_MT19937_H

#include <loom/types.h>

struct loom_mt19937 {
    uint32_t state[624];
    int at;
};

void loom_mt19937_init(struct loom_mt19937 *g, uint32_t seed); /* as numpy.random.seed(seed) */
double loom_mt19937_uniform(struct loom_mt19937 *g);           /* as numpy.random.random(): [0, 1), 53 bits */
/* A draw u as a whole number of bins, from 0 to as many as fit into `most`, as nlb_tools makes one; 0 where `most` is
 * NaN. Both in one unit of time. */
int64_t loom_jitter_bins(double most, double bin, double u);

#endif
