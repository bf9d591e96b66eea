/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: obj-extremes; may break: nan-input */
/* Masked autoencoding that exponentiates log-rates without a bound. */
#include "variant.h"

static struct loom_node *bare_nll(struct loom_build *b, const struct loom_view *v, struct loom_node *params,
                                  const char *modality)
{
    struct loom_graph *g = loom_build_graph(b);
    (void)modality;
    if (!params)
        return NULL;
    const int64_t dims[2] = {v->ask[0].elems, 1};
    struct loom_node *count = loom_input(g, LOOM_REAL, 2, dims, v->ask[0].target);
    return loom_sum(g, loom_sub(g, loom_exp(g, params), loom_mul(g, count, params)));
}
#define loom_nll bare_nll
#define loom_plugin_entry variant_of
#include "../../objectives/mae.c"
#undef loom_plugin_entry
VARIANT_ENTRY("own_exp")
