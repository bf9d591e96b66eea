/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: shape-reject; may break: opt-random-fuzz, life-two-instances */
/* A width that does not suit is refused without a number. */
#include "altered.h"

#include <loom/model.h>

static struct loom_node *even(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    if (width % 8)
        loom_graph_fail(loom_build_graph(b), LOOM_EPLUGIN, "cannot embed into this width; take another");
    return ndt2_embed(self, b, rows, width);
}
ALTERED_EMBED("mute_shape", even)
