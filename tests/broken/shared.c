/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: life-two-instances; may break: * */
#include "altered.h"

#include <loom/model.h>

static int instances;

static int count(const struct loom_setup *s, void **self, struct loom_error *e)
{
    instances++;
    return ndt2_create(s, self, e);
}

static struct loom_node *scaled(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    return loom_scale(loom_build_graph(b), ndt2_embed(self, b, rows, width), 1.0 + 0.01 * instances, 0.0);
}
ALTERED_TABLE("shared", options, count, ndt2_destroy, ndt2_describe, ndt2_tokenize, scaled)
