/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: state-corrupt; may break: state-roundtrip, state-bytes */
/* A parameter whose name is no UTF-8, so that no checkpoint holds it: none is read, whole or damaged. */
#include "altered.h"

#include <loom/model.h>

static struct loom_node *named(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    struct loom_node *gain = loom_param(b, "\xb5V", 1, (const int64_t[]){width}, "ones", LOOM_NO_DECAY);
    return loom_mul(loom_build_graph(b), ndt2_embed(self, b, rows, width), gain);
}
ALTERED_EMBED("latin_name", named)
