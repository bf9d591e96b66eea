/* SPDX-License-Identifier: Apache-2.0 */
/* What a metric is made of, in sums that add: one cell for each element (dimension, unit) of each group of rows (a
 * trial). Metrics are functions of the sum of all groups; resampling adds up other groups and never reads a row again.
 */
#ifndef LOOM_EVAL_TALLY_H
#define LOOM_EVAL_TALLY_H

#include "eval/metrics.h"

/* Which rows, and what stands in for their columns. */
struct loom_scored {
    const struct loom_predictions *p;
    const double *predicted; /* [p->n] of a baseline, NaN = not scored; NULL = the model's own */
    const double *target;    /* [p->n] in place of the rows' own (a shuffle), NaN = not scored; NULL = theirs */
    const struct loom_rates *train;
    int held; /* rows: enum loom_held; LOOM_HELD_ALL = all */
};
enum { LOOM_HELD_ALL = -1, LOOM_HELD_ANY = -2 };

/* 1 and the pair, if row i is scored. */
int loom_scored_pair(const struct loom_scored *s, int64_t i, double *target, double *predicted);

/* Largest numbers of recordings and elements + 1, and first [recordings+1] groups of each recording (the caller frees
 * it; NULL without memory). group as in loom_tally_init. */
int64_t *loom_tally_shape(const struct loom_predictions *p, const int32_t *group, int32_t *recordings,
                          int32_t *elements);

/* A rate a bin under which none counts, so that a model that says 0 loses much and not all. */
#define LOOM_LEAST_RATE 1e-9

struct loom_cell {
    struct loom_regression r;
    double loss;      /* Σ rate - y ln rate, of counts; no rate below LOOM_LEAST_RATE */
    double factorial; /* Σ ln y! */
};

struct loom_tally {
    int32_t recordings, elements; /* largest numbers of a row + 1 */
    int64_t *first;               /* [recordings+1] groups of each recording */
    struct loom_cell *cell;       /* [groups, elements] */
};
/* group [p->n]: each row's group within its recording, 0, 1, …, -1 = left out; NULL = one for each recording. counts: 1
 * = the losses are wanted. LOOM_ENOMEM. */
int loom_tally_init(struct loom_tally *t, const struct loom_scored *s, const int32_t *group, int counts,
                    struct loom_error *e);
void loom_tally_release(struct loom_tally *t);
/* total [recordings, elements] of the groups that pick [groups] names, recording by recording; NULL = each once. */
void loom_tally_sum(const struct loom_tally *t, const int64_t *pick, struct loom_cell *total);

#endif
