/* SPDX-License-Identifier: Apache-2.0 */
/* Linear regressions on features of a bin, fitted by passes of sums: what most baselines end in.
 *
 * A baseline says what its features are; here they become answers. Behaviours: ridge regression, every dimension with
 * the λ that predicts held-out parts of the split best. Counts: Poisson regression. Every recording has its own
 * weights.
 */
#ifndef LOOM_BASELINES_REGRESSION_H
#define LOOM_BASELINES_REGRESSION_H

#include <loom/estimator.h>

/* First member of a baseline's instance. */
struct regression {
    /* Features of a bin, of which one recording has `features`. x [features] is filled; where some cannot be known they
     * are `mean`'s (0 where mean is NULL), and 0 is returned. */
    int64_t (*features)(const struct regression *r, const struct loom_recording *of);
    int (*fill)(const struct regression *r, const struct loom_sequence *s, int64_t bin, const double *mean, double *x);
    int causal, standardize;
    int32_t folds, lambdas;
    double *lambda; /* [lambdas] */
    int32_t alphas;
    double *alpha; /* [alphas] of poisson.c; NULL = counts are not answered */
};

/* Options of ridge regression, for a baseline's table. */
#define REGRESSION_OPTIONS                                                                                             \
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

/* Options beside them of a baseline that answers counts. */
#define POISSON_OPTIONS                                                                                                \
    {                                                                                                                  \
        "alphas", LOOM_OPT_REALS, 0, "0.001, 0.01, 0.1, 1", "(0,inf)", NULL,                                           \
            "Penalties of the Poisson regression to choose from by cross-validation, for each unit by itself."         \
    }

/* [setup] Reads REGRESSION_OPTIONS; the baseline fills in the functions. */
int regression_init(struct regression *r, const struct loom_setup *s, struct loom_error *e);
/* [setup] Reads POISSON_OPTIONS. */
int regression_counts(struct regression *r, const struct loom_setup *s, struct loom_error *e);
void regression_release(struct regression *r);

/* self of all of these is the struct regression. State: weight [dims, features], intercept [dims], mean [features]. */
extern const struct loom_estimator regression_ridge;
int64_t regression_states(const void *self, const struct loom_recording *of, int32_t dims);
int64_t regression_sums(const void *self, const struct loom_recording *of, int32_t dims);
int64_t regression_scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins);
void regression_add(const void *self, const struct loom_sequence *s, const double *state, double *sums,
                    double *scratch);
void regression_predict(const void *self, const struct loom_sequence *s, const double *state, double *out,
                        double *scratch);
int regression_solve(const void *self, const struct loom_estimate *x, struct loom_error *e);

/* Counts: Poisson regression with a log link (Nelder & Wedderburn 1972), each unit with the α whose fits to all parts
 * but one predict that one best. Minimises (1/n) Σ (exp η - y η) + α/2 |w|², the intercept free. */
extern const struct loom_estimator regression_poisson;

/* Table functions of a baseline that is such a regression and nothing else. */
int regression_describe(const void *self, struct loom_traits *t, struct loom_error *e);
struct loom_memory regression_encode(const void *self, struct loom_build *b, const struct loom_view *v,
                                     struct loom_node *x);
struct loom_answer regression_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                     const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q);
int regression_update(const void *self, struct loom_update *u, struct loom_error *e);

#endif
