/* SPDX-License-Identifier: Apache-2.0 */
/* Wiener filter: ridge regression of behaviour on binned counts at several lags (Carmena et al. 2003), the yardstick of
 * decoding papers. */
#include "ridge.h"

static int wiener_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    int32_t lags = (int32_t)loom_opt_int(o, "lags"), ahead = (int32_t)loom_opt_int(o, "lags_ahead");
    struct ridge *r;
    int rc = ridge_new(&r, s, lags + ahead, lags + ahead, e);
    if (rc != LOOM_OK)
        return rc;
    for (int32_t f = 0; f < r->filters; f++) {
        r->weight[f] = 1.0;
        r->filter[f] = (struct ridge_filter){f - ahead, 1, &r->weight[f]};
    }
    r->causal = ahead == 0;
    *self = r;
    return LOOM_OK;
}

static const struct loom_option options[] = {
    {"lags", LOOM_OPT_INT, 0, "10", "[1,500]", "bins", "Bins up to now that a value is predicted from, its own first."},
    {"lags_ahead", LOOM_OPT_INT, 0, "0", "[0,500]", "bins", "Bins to come that are used as well; 0 = causal."},
    RIDGE_OPTIONS,
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = wiener_create,
                                                    .destroy = ridge_free,
                                                    .describe = ridge_describe,
                                                    .update = ridge_update},
                                           .encode = ridge_encode,
                                           .answer = ridge_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "wiener",
                                          .version = "1.0.0",
                                          .summary = "Wiener filter: ridge regression on lagged counts",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table,
                                          .ops = ridge_ops};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
