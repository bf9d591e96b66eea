/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: causal-leak */
/* A Wiener filter that takes bins to come, and offers to hold to the past. */
#include "variant.h"

#include "../../plugins/baselines/filters.h"

static int ahead(void **self, const struct loom_setup *s, size_t size, int32_t lags, int32_t lags_ahead,
                 struct loom_error *e)
{
    (void)lags_ahead;
    int code = filtered_lags(self, s, size, lags, 2, e);
    if (code == LOOM_OK)
        ((struct filtered *)*self)->regression.causal = 1;
    return code;
}
#define filtered_lags ahead
#define loom_plugin_entry variant_of
#include "../../plugins/baselines/wiener.c"
#undef loom_plugin_entry
VARIANT_ENTRY("foresees")
