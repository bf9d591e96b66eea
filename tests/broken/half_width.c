/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: shape-contract; may break: * */
/* Vectors are half as wide as they should be. */
#include "altered.h"

static struct loom_node *narrow(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    return ndt2_embed(self, b, rows, width / 2);
}
ALTERED_EMBED("half_width", narrow)
