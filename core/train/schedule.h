/* SPDX-License-Identifier: Apache-2.0 */
/* Learning rates over steps, running averages of metrics, and early stopping: small states that a checkpoint keeps. */
#ifndef LOOM_TRAIN_SCHEDULE_H
#define LOOM_TRAIN_SCHEDULE_H

#include <loom/types.h>

enum loom_schedule_kind { LOOM_SCHEDULE_CONSTANT, LOOM_SCHEDULE_COSINE, LOOM_SCHEDULE_PLATEAU, LOOM_SCHEDULE_HOLD };

struct loom_schedule_spec {
    int kind;       /* enum loom_schedule_kind */
    double lr;      /* peak */
    double floor;   /* lowest rate, as a share of lr: where the cosine ends, where the plateau stops */
    double start;   /* share of lr at step 0 of the warm-up */
    int64_t warmup; /* steps of linear warm-up, start·lr → lr; then the kind's law */
    int64_t steps;  /* total steps: the cosine reaches the floor at the last */
    double factor;  /* plateau: lr ← lr·factor after `patience` validations without a better value */
    int patience;
    double hold; /* hold: share of all steps at lr; then the cosine down to the floor */
    /* Decay of the gradient's mean: beta1 throughout, or, with beta1_low > 0, from it down to beta1_low by a cosine
     * over the share `hold` of all steps and back over the rest (one-cycle, Smith 2018, as POYO's schedule has it). */
    double beta1, beta1_low;
};

/* What a schedule remembers from one validation to the next (plateau alone). */
struct loom_schedule_state {
    double scale; /* of lr, 1 at first */
    double best;
    int seen, worse; /* validations so far; since the best one */
};

void loom_schedule_start(struct loom_schedule_state *s);
/* Rate for step 0, 1, …, steps−1. */
double loom_schedule_lr(const struct loom_schedule_spec *spec, const struct loom_schedule_state *s, int64_t step);
double loom_schedule_beta1(const struct loom_schedule_spec *spec, int64_t step);
/* A validation happened; smaller is better. */
void loom_schedule_observe(const struct loom_schedule_spec *spec, struct loom_schedule_state *s, double value);

/* Running average with bias correction: after n values it weighs the last by 1 − keep. */
struct loom_average {
    double keep, sum, weight;
};
void loom_average_add(struct loom_average *a, double value);
double loom_average_value(const struct loom_average *a); /* NaN before the first value */

/* Best value so far and how long ago; smaller is better. */
struct loom_stopping {
    double best;
    int64_t best_step; /* -1: none yet */
    int worse;         /* validations since */
};
void loom_stopping_start(struct loom_stopping *s);
int loom_stopping_observe(struct loom_stopping *s, double value, int64_t step); /* 1: a new best. NaN never is */

#endif
