/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: learn-overfit; may break: * */
/* Masked autoencoding of which nothing is learnt. */
#include "variant.h"

static struct loom_node *stopped(struct loom_build *b, const struct loom_view *v, struct loom_node *x, const char *name)
{
    return x ? loom_nll(b, v, loom_stop(loom_build_graph(b), x), name) : NULL;
}
#define loom_nll stopped
#define loom_plugin_entry variant_of
#include "../../objectives/mae.c"
#undef loom_plugin_entry
VARIANT_ENTRY("no_gradient")
