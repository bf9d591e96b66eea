/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: nan-input; may break: heldout-leak, obj-extremes, learn-overfit */
/* Masked autoencoding that scores every element, whatever its weight: one that is missing as well. */
#include "variant.h"

static struct loom_node *plain_error(struct loom_build *b, const struct loom_view *v, struct loom_node *params,
                                     const char *modality)
{
    struct loom_graph *g = loom_build_graph(b);
    (void)modality;
    if (!params)
        return NULL;
    const int64_t dims[2] = {v->ask[0].elems, 1};
    return loom_squared_error(g, params, loom_input(g, LOOM_REAL, 2, dims, v->ask[0].target), NULL);
}
#define loom_nll plain_error
#define loom_plugin_entry variant_of
#include "../../objectives/mae.c"
#undef loom_plugin_entry
VARIANT_ENTRY("scores_missing")
