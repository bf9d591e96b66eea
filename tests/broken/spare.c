/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: grad-coverage */
/* A parameter that is declared and never used. */
#include "altered.h"

#include <loom/model.h>

static struct loom_node *spared(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    loom_param(b, "spare", 1, (const int64_t[]){width}, "zeros", 0);
    return ndt2_embed(self, b, rows, width);
}
ALTERED_EMBED("spare", spared)
