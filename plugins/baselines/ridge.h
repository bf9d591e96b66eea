/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders that are ridge regressions of a behaviour on filtered counts: wiener and smooth differ in filters alone.
 *
 * Feature (filter f, unit u) of bin k is the weighted mean of the counts of u in bins k - lag, over the filter's lags.
 * A lag whose bin was not recorded is left out of the mean; where a filter finds no bin at all, the row is not fitted,
 * and answered with the feature at its mean. The bin of a question is the one its time falls in.
 *
 * Every recording has its own weights. One fitting pass sums moments per contiguous part of the split (segment.fold);
 * update solves them, each dimension with the λ that predicts held-out parts best. */
#ifndef LOOM_BASELINES_RIDGE_H
#define LOOM_BASELINES_RIDGE_H

#include <loom/plugin.h>

struct ridge_filter {
    int32_t first_lag, taps; /* lags first_lag … first_lag + taps - 1, in bins; negative = bins to come */
    const double *weight;    /* [taps] >= 0 */
};

struct ridge {
    const struct loom_catalog *catalog;
    double bin_s;
    int causal; /* no filter looks ahead */
    int standardize;
    int32_t folds, lambdas, filters;
    double *lambda; /* [lambdas] */
    struct ridge_filter *filter;
    double *weight; /* of all filters */
};

/* Options that both plugins have, for their tables. */
#define RIDGE_OPTIONS                                                                                                  \
    {"lambdas",                                                                                                        \
     LOOM_OPT_REALS,                                                                                                   \
     0,                                                                                                                \
     "0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30",                                                                             \
     "(0,inf)",                                                                                                        \
     NULL,                                                                                                             \
     "Penalties to choose from by cross-validation, for each dimension by itself, relative to the mean variance of "   \
     "features."},                                                                                                     \
        {"folds",                                                                                                      \
         LOOM_OPT_INT,                                                                                                 \
         0,                                                                                                            \
         "5",                                                                                                          \
         "[2,64]",                                                                                                     \
         NULL,                                                                                                         \
         "Contiguous parts of the split that cross-validation leaves "                                                 \
         "out in turn."},                                                                                              \
    {                                                                                                                  \
        "standardize", LOOM_OPT_BOOL, 0, "false", NULL, NULL,                                                          \
            "Scale each feature to unit variance before it is penalised."                                              \
    }

/* [setup] Reads RIDGE_OPTIONS and takes `filters` filters of `taps` numbers in all, for the caller to fill in. */
int ridge_new(struct ridge **out, const struct loom_setup *s, int32_t filters, int32_t taps, struct loom_error *e);
void ridge_free(void *self);
int ridge_describe(const void *self, struct loom_traits *t, struct loom_error *e);
int ridge_update(const void *self, struct loom_update *u, struct loom_error *e);
struct loom_memory ridge_encode(const void *self, struct loom_build *b, const struct loom_view *v, struct loom_node *x);
struct loom_answer ridge_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q);
extern const struct loom_op *const ridge_ops[];

#endif
