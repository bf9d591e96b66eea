/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the baseline `lds`: its M step and the plugin (lds.c, which has equations and sources), its E step
 * (lds_smooth.c), and how what both know lies in memory. */
#ifndef LOOM_BASELINES_LDS_H
#define LOOM_BASELINES_LDS_H

#include "latents.h"

struct lds {
    struct latents latents;
    int32_t restarts, neurons;
    int causal;
    uint64_t seed;
    int32_t **neuron; /* [recordings][units] */
};

/* The state begins with passes done, the start that goes on (-1: not chosen yet) and 1 when EM is over. */
enum { PASSES, CHOSEN, READY, HEAD };

/* Where things stand. A start holds its likelihoods (first, last, of this pass), A, Q, V [n, n], μ [n] and for each
 * neuron c [n], d, r. Its sums: likelihood, sequences, transitions, S11, S10, S00 and first moments, then for each
 * neuron the Gram matrix of (x, 1), Σ y (x, 1) and Σ y². */
struct lds_place {
    int64_t n, neurons, stats, model, model_size, states;
    int64_t a, q, v, mu, unit, unit_size; /* in a start's state */
    int64_t s11, s10, s00, x1, x11, g, g_size, sum_size, sums;
};
enum { FIRST_LL, LAST_LL, LL, LLS };
enum { SUM_LL, SUM_SEQUENCES, SUM_STEPS, SUM_HEAD };

struct lds_place lds_place_of(const struct lds *l);

/* 1 for a start that still runs. */
int lds_running(const double *state, int32_t start);
/* a [n, n] becomes the mean of itself and its transpose. */
void lds_symmetrise(double *a, int64_t n);

/* struct loom_estimator's functions of these names: room for one sequence; a sequence's part of the sums; means of its
 * latents [bins, n]. */
int64_t lds_scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins);
void lds_add(const void *self, const struct loom_sequence *s, const double *state, double *to, double *room);
void lds_predict(const void *self, const struct loom_sequence *s, const double *state, double *out, double *room);

#endif
