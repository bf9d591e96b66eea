/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: learn-overfit */
/* A Wiener filter that turns its sums into nothing. */
#include "variant.h"

int regression_update(const void *self, struct loom_update *u, struct loom_error *e);

static int idle(const void *self, struct loom_update *u, struct loom_error *e)
{
    (void)self, (void)u, (void)e;
    return LOOM_OK;
}
#define regression_update idle
#define loom_plugin_entry variant_of
#include "../../plugins/baselines/wiener.c"
#undef loom_plugin_entry
VARIANT_ENTRY("unfitted")
