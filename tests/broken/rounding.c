/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: no-global-side-effects; may break: * */
#include "altered.h"
#include <fenv.h>

static struct loom_node *down(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    fesetround(FE_DOWNWARD);
    return ndt2_embed(self, b, rows, width);
}
ALTERED_EMBED("rounding", down)
