/* SPDX-License-Identifier: Apache-2.0 */
/* Wiener filter: ridge regression of behaviour on binned counts at several lags (Carmena et al. 2003), the yardstick of
 * decoding papers. */
#include "filters.h"

static int wiener_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    return filtered_lags(self, s, sizeof(struct filtered), (int32_t)loom_opt_int(o, "lags"),
                         (int32_t)loom_opt_int(o, "lags_ahead"), e);
}

static const struct loom_option options[] = {LAG_OPTIONS, REGRESSION_OPTIONS, {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = wiener_create,
                                                    .destroy = filtered_free,
                                                    .describe = regression_describe,
                                                    .update = regression_update},
                                           .encode = regression_encode,
                                           .answer = regression_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "wiener",
                                          .version = "1.0.0",
                                          .summary = "Wiener filter: ridge regression on lagged counts",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
