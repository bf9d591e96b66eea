/* SPDX-License-Identifier: Apache-2.0 */
/* Ridge regression of behaviour on counts smoothed by a Gaussian: the Neural Latents Benchmark's plainest baseline. */
#include "ridge.h"

#include <math.h>

static int smooth_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    int causal = loom_opt_bool(o, "causal");
    double sigma = loom_opt_real(o, "sigma_ms") / 1000.0 / loom_catalog_bin_s(loom_setup_catalog(s));
    int32_t reach = (int32_t)ceil(4.0 * sigma), before = causal ? 0 : reach;
    struct ridge *r;
    int rc = ridge_new(&r, s, 1, before + reach + 1, e);
    if (rc != LOOM_OK)
        return rc;
    for (int32_t t = 0; t < before + reach + 1; t++) {
        double at = (t - before) / sigma;
        r->weight[t] = exp(-0.5 * at * at);
    }
    r->filter[0] = (struct ridge_filter){-before, before + reach + 1, r->weight};
    r->causal = causal;
    *self = r;
    return LOOM_OK;
}

static const struct loom_option options[] = {
    {"sigma_ms", LOOM_OPT_REAL, 0, "100", "(0,10000]", "ms", "Standard deviation of the Gaussian."},
    {"causal", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "Use the half of the Gaussian that looks back."},
    RIDGE_OPTIONS,
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = smooth_create,
                                                    .destroy = ridge_free,
                                                    .describe = ridge_describe,
                                                    .update = ridge_update},
                                           .encode = ridge_encode,
                                           .answer = ridge_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "smooth",
                                          .version = "1.0.0",
                                          .summary = "ridge regression on counts smoothed by a Gaussian",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table,
                                          .ops = ridge_ops};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
