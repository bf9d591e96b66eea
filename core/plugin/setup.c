/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/setup.h"

const struct loom_options *loom_setup_options(const struct loom_setup *s)
{
    return s->options;
}

const struct loom_catalog *loom_setup_catalog(const struct loom_setup *s)
{
    return s->catalog;
}

uint64_t loom_setup_seed(const struct loom_setup *s)
{
    return s->seed;
}

const char *loom_setup_modality(const struct loom_setup *s)
{
    return s->modality;
}

int loom_setup_behavior(const struct loom_setup *s, const char *series, double lag_s, struct loom_error *e)
{
    if (s->behavior == NULL)
        return loom_fail(
            e, LOOM_EPLUGIN, NULL, 0,
            "behaviour \"%s\" is asked for by a part that asks nothing; objectives, tokenizers and baselines may",
            series);
    return s->behavior(s->owner, series, lag_s, e);
}
