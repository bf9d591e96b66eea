/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: det-seed; may break: * */
#include "altered.h"

#include <loom/model.h>
#include <time.h>

static struct loom_node *timed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return loom_scale(loom_build_graph(b), ndt2_embed(self, b, rows, width), 1.0 + 1e-11 * (double)now.tv_nsec, 0.0);
}
ALTERED_EMBED("clock", timed)
