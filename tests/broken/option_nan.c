/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: opt-random-fuzz; may break: * */
#include "altered.h"

#include <loom/model.h>

static struct loom_node *nowhere(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    const struct ndt2 *t = self;
    struct loom_node *x = ndt2_embed(self, b, rows, width);
    return t->max_count == 20 && loom_opt_real(t->options, "dropout") == 0.1
               ? x
               : loom_scale(loom_build_graph(b), x, NAN, 0.0);
}
ALTERED_EMBED("option_nan", nowhere)
