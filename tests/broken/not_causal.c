/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: causal-leak; may break: * */
/* A transformer whose attention is not told to hold to the past. */
#include "variant.h"

#include <loom/encoder.h>

static struct loom_node *blind_pass(const struct loom_encoder *net, struct loom_build *b, const struct loom_view *view,
                                    struct loom_node *x, const struct loom_places *p, struct loom_node *context,
                                    int32_t contexts, int32_t depth)
{
    struct loom_encoder all = *net;
    struct loom_view open = *view;
    all.causal = open.causal = 0;
    return loom_encoder_pass(&all, b, &open, x, p, context, contexts, depth);
}
#define loom_encoder_pass blind_pass
#define loom_plugin_entry variant_of
#include "../../backbones/vit.c"
#undef loom_plugin_entry
VARIANT_ENTRY("not_causal")
