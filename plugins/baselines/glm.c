/* SPDX-License-Identifier: Apache-2.0 */
/* Generalised linear model on smoothed rates: counts of held-out units and of bins to come by Poisson regression on the
 * logarithm of the smoothed counts of what is seen (the Neural Latents Benchmark's smoothing baseline, Pei et al.
 * 2021); behaviours, whose link is the identity, by ridge regression on the same features. */
#include "filters.h"

#include <math.h>
#include <string.h>

struct glm {
    struct filtered filtered;
    int (*smoothed)(const struct regression *r, const struct loom_sequence *s, int64_t bin, const double *mean,
                    double *x);
};

static const double floor_rate = 1e-4; /* counts a bin, under the logarithm */

static int log_rates(const struct regression *r, const struct loom_sequence *s, int64_t bin, const double *mean,
                     double *x)
{
    const int64_t n = r->features(r, s->of);
    if (!((const struct glm *)r)->smoothed(r, s, bin, NULL, x)) {
        for (int64_t i = 0; i < n; i++)
            x[i] = mean != NULL ? mean[i] : 0.0;
        return 0;
    }
    for (int64_t i = 0; i < n; i++)
        x[i] = log(x[i] + floor_rate);
    return 1;
}

static int glm_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    int rc =
        filtered_gaussian(self, s, sizeof(struct glm), loom_opt_real(o, "sigma_ms"), loom_opt_bool(o, "causal"), e);
    struct glm *g = *self;
    if (rc != LOOM_OK)
        return rc;
    g->smoothed = g->filtered.regression.fill;
    g->filtered.regression.fill = log_rates;
    rc = regression_counts(&g->filtered.regression, s, e);
    if (rc != LOOM_OK) {
        filtered_free(g);
        *self = NULL;
    }
    return rc;
}

static const struct loom_option options[] = {GAUSSIAN_OPTIONS("50"), POISSON_OPTIONS, REGRESSION_OPTIONS, {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = glm_create,
                                                    .destroy = filtered_free,
                                                    .describe = regression_describe,
                                                    .update = regression_update},
                                           .encode = regression_encode,
                                           .answer = regression_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "glm",
                                          .version = "1.0.0",
                                          .summary =
                                              "Poisson regression of counts on smoothed rates, ridge for behaviour",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
