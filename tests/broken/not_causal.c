/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: causal-leak; may break: * */
/* A transformer whose attention is not told to hold to the past. */
#include "variant.h"

static struct loom_node *blind_block(struct loom_build *b, const char *name, struct loom_node *x,
                                     const struct loom_block_spec *spec, const struct loom_attention *rule,
                                     const struct loom_groups *groups)
{
    struct loom_attention all = *rule;
    all.causal = 0;
    return loom_nn_block(b, name, x, spec, &all, groups);
}
#define loom_nn_block blind_block
#define loom_plugin_entry variant_of
#include "../../backbones/vit.c"
#undef loom_plugin_entry
VARIANT_ENTRY("not_causal")
