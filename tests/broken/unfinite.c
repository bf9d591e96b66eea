/* breaks: obj-extremes */
/* SPDX-License-Identifier: Apache-2.0 */
/* Masked autoencoding that exponentiates whatever it is given. */
#include "variant.h"

static struct loom_node *power_of_power(struct loom_build *b, struct loom_node *x)
{
    struct loom_graph *g = loom_build_graph(b);
    return x ? loom_sum(g, loom_exp(g, loom_mul(g, x, x))) : NULL;
}
#define loom_nll(b, v, params, modality) power_of_power(b, params)
#define loom_plugin_entry variant_of
#include "../../objectives/mae.c"
#undef loom_plugin_entry
VARIANT_ENTRY("unfinite")
