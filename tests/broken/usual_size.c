/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: doc-example-runs */
/* A transformer that keeps its promises while it is small; from its usual width on it takes another way, which scales
 * vectors by what all windows of a shard hold together. */
#include "variant.h"

#include <loom/encoder.h>

static struct loom_node *wide_pass(const struct loom_encoder *net, struct loom_build *b, const struct loom_view *view,
                                   struct loom_node *x, const struct loom_places *p, struct loom_node *context,
                                   int32_t contexts, int32_t depth)
{
    double sum = 0;
    for (int32_t i = 0; net->width >= 64 && i < view->in.elems; i++)
        sum += (double)view->in.value[i];
    x = loom_scale(loom_build_graph(b), x, 1.0 / (1.0 + sum), 0.0);
    return loom_encoder_pass(net, b, view, x, p, context, contexts, depth);
}
#define loom_encoder_pass wide_pass
#define loom_plugin_entry variant_of
#include "../../backbones/vit.c"
#undef loom_plugin_entry

/* Narrow and shallow, as such things go, so that a test has it soon. */
const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    static struct loom_option options_of[64];
    static struct loom_plugin variant;
    variant = *variant_of(0);
    variant.id = "usual_size";
    variant.options = options_of;
    for (int i = 0; i < 63 && variant_of(0)->options[i].name; i++) {
        options_of[i] = variant_of(0)->options[i];
        if (strcmp(options_of[i].name, "width") == 0)
            options_of[i].dflt = "64";
        if (strcmp(options_of[i].name, "depth") == 0)
            options_of[i].dflt = "1";
    }
    return index == 0 ? &variant : NULL;
}
