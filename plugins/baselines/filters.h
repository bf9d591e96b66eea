/* SPDX-License-Identifier: Apache-2.0 */
/* Features that are filtered counts: wiener and smooth differ in filters alone.
 *
 * Feature (filter f, unit u) of bin k is the weighted mean of the counts of u in bins k - lag, over the filter's lags.
 * A lag whose bin was not recorded is left out of the mean; where a filter finds no bin at all, the row is not fitted,
 * and answered with the feature at its mean. The bin of a question is the one its time falls in. */
#ifndef LOOM_BASELINES_FILTERS_H
#define LOOM_BASELINES_FILTERS_H

#include "regression.h"

struct filter {
    int32_t first_lag, taps; /* lags first_lag … first_lag + taps - 1, in bins; negative = bins to come */
    const double *weight;    /* [taps] >= 0 */
};

struct filtered {
    struct regression regression; /* features and fill are set */
    int32_t filters;
    struct filter *filter;
    double *weight; /* of all filters */
};

/* [setup] An instance (of `size` bytes, whose first member it is) with `filters` filters of `taps` numbers in all, for
 * the caller to fill in. */
int filtered_new(void **self, const struct loom_setup *s, size_t size, int32_t filters, int32_t taps,
                 struct loom_error *e);
/* One filter: a Gaussian of `sigma_ms`, to both sides or (causal) the half that looks back. */
int filtered_gaussian(void **self, const struct loom_setup *s, size_t size, double sigma_ms, int causal,
                      struct loom_error *e);
/* Bins up to now and to come, each a filter of its own. */
int filtered_lags(void **self, const struct loom_setup *s, size_t size, int32_t lags, int32_t ahead,
                  struct loom_error *e);
void filtered_free(void *self);

#define LAG_OPTIONS                                                                                                    \
    {                                                                                                                  \
        "lags",                                                                                                        \
        LOOM_OPT_INT,                                                                                                  \
        0,                                                                                                             \
        "10",                                                                                                          \
        "[1,500]",                                                                                                     \
        "bins",                                                                                                        \
        "Bins up to now that a value is predicted from, its own first."},                                              \
    {                                                                                                                  \
        "lags_ahead", LOOM_OPT_INT, 0, "0", "[0,500]", "bins", "Bins to come that are used as well; 0 = causal."       \
    }
#define GAUSSIAN_OPTIONS(sigma)                                                                                        \
    {"sigma_ms", LOOM_OPT_REAL, 0, sigma, "(0,10000]", "ms", "Standard deviation of the Gaussian."},                   \
    {                                                                                                                  \
        "causal", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "Use the half of the Gaussian that looks back."               \
    }

#endif
