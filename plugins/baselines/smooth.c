/* SPDX-License-Identifier: Apache-2.0 */
/* Ridge regression of behaviour on counts smoothed by a Gaussian: the Neural Latents Benchmark's plainest baseline. */
#include "filters.h"

static int smooth_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    return filtered_gaussian(self, s, sizeof(struct filtered), loom_opt_real(o, "sigma_ms"), loom_opt_bool(o, "causal"),
                             e);
}

static const struct loom_option options[] = {GAUSSIAN_OPTIONS("100"), REGRESSION_OPTIONS, {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = smooth_create,
                                                    .destroy = filtered_free,
                                                    .describe = regression_describe,
                                                    .update = regression_update},
                                           .encode = regression_encode,
                                           .answer = regression_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "smooth",
                                          .version = "1.0.0",
                                          .summary = "ridge regression on counts smoothed by a Gaussian",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
