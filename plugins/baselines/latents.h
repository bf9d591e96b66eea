/* SPDX-License-Identifier: Apache-2.0 */
/* Latent-variable models of counts: EM first (an estimator that encodes), then regressions on the latents.
 *
 * A model brings the estimator; here are the options that all have, the instance, and the order of passes: regressions
 * are solved from the pass on after which the model's solve returned 0. */
#ifndef LOOM_BASELINES_LATENTS_H
#define LOOM_BASELINES_LATENTS_H

#include "regression.h"

/* First member of a model's instance. */
struct latents {
    struct regression regression; /* features are the latents of the question's bin and of `lags` - 1 before it */
    const struct loom_estimator *model;
    const struct loom_catalog *catalog;
    int32_t dims, lags, iterations;
    int roots; /* 1: what is modelled are square roots of counts */
    double tolerance;
};

#define LATENTS_OPTIONS                                                                                                 \
    {"dims", LOOM_OPT_INT, 0, "8", "[1,100]", NULL, "Latents."},                                                        \
        {"lags", LOOM_OPT_INT, 0, "10", "[1,100]", "bins", "Bins up to now whose latents an answer is a function of."}, \
        {"transform",                                                                                                   \
         LOOM_OPT_STRING,                                                                                               \
         0,                                                                                                             \
         "sqrt",                                                                                                        \
         "sqrt|none",                                                                                                   \
         NULL,                                                                                                          \
         "What is modelled: square roots of counts, whose variance hardly depends on the rate, or counts."},            \
        {"iterations", LOOM_OPT_INT, 0, "30", "[1,100000]", "passes", "Most passes of EM."},                            \
    {                                                                                                                   \
        "tolerance", LOOM_OPT_REAL, 0, "1e-6", "[0,1]", NULL,                                                           \
            "EM ends when the log-likelihood gains less, relative to what it has gained."                               \
    }

/* [setup] Reads LATENTS_OPTIONS, REGRESSION_OPTIONS and POISSON_OPTIONS into `p`. */
int latents_init(struct latents *p, const struct loom_setup *s, const struct loom_estimator *model,
                 struct loom_error *e);
void latents_release(struct latents *p);
/* y [units] = what is modelled of a bin that is there; seen [units] as loom_sequence_units. */
void latents_read(const struct latents *p, const struct loom_sequence *s, int64_t bin, double *y, uint8_t *seen);

/* Table functions. */
int latents_describe(const void *self, struct loom_traits *t, struct loom_error *e);
struct loom_memory latents_encode(const void *self, struct loom_build *b, const struct loom_view *v,
                                  struct loom_node *x);
int latents_update(const void *self, struct loom_update *u, struct loom_error *e);

#endif
