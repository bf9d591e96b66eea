/* SPDX-License-Identifier: Apache-2.0 */
/* Is one model better than another? Statistics of paired numbers: the same seeds, folds or trials under two models. */
#ifndef LOOM_EVAL_STATS_H
#define LOOM_EVAL_STATS_H

#include "base/json.h"

struct loom_paired {
    int64_t n;         /* pairs; those with a NaN are left out */
    double difference; /* mean of a - b; NaN without pairs */
    double low, high;  /* of the difference, at `confidence`; NaN with fewer than two pairs */
    double confidence;
    int64_t wins, losses; /* a > b, a < b */
    double p_sign;        /* two-sided sign test over wins and losses; 1 without any */
};

/* Bootstrap of the mean difference over pairs (Efron & Tibshirani 1993): percentiles of `draws` resamples, which are a
 * function of `seed` alone. With few pairs the interval is too narrow; loom_paired.n says how few. `confidence` in
 * (0,1). LOOM_ENOMEM. */
int loom_paired_compare(struct loom_paired *out, const double *a, const double *b, int64_t n, double confidence,
                        int32_t draws, uint64_t seed, struct loom_error *e);
/* A comparison of a and b on one metric as results have them: {metric, a, b, difference, low, high, wins, losses, n,
 * p_sign}, null for what is not known. a, b: their numbers among what is compared. */
json_t *loom_paired_json(const struct loom_paired *p, const char *metric, int a, int b);
/* Adds p_holm, of p_sign, to the comparisons `first` … of a list: those that are read together. LOOM_ENOMEM. */
int loom_paired_adjust(json_t *list, size_t first, struct loom_error *e);
/* Percentiles (1 ± confidence) / 2 of x [n], linear between order statistics. x is sorted, NaNs are left out; NaN with
 * fewer than two numbers. */
void loom_percentiles(double *x, int64_t n, double confidence, double *low, double *high);
/* Two-sided exact probability of as uneven a split of wins + losses fair coins. */
double loom_sign_test(int64_t wins, int64_t losses);
/* Two-sided 95 % quantile of Student's t with `freedom` >= 1 degrees of freedom. */
double loom_student(int freedom);
/* p [n] of n tests that are read together, NaN = none: adjusted [n], so that the chance of any false one among those
 * below a level is at most that level (Holm 1979). */
void loom_holm(const double *p, int n, double *adjusted);

#endif
