/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: state-roundtrip; may break: * */
#include "altered.h"

#include <loom/model.h>

struct mind {
    struct ndt2 whole; /* first */
    int builds;
};

static int learn(const struct loom_setup *s, void **self, struct loom_error *e)
{
    int code = ndt2_create(s, self, e);
    struct mind *m = code == LOOM_OK ? realloc(*self, sizeof *m) : NULL;
    if (m) {
        m->builds = 0;
        *self = m;
    }
    return code;
}

static struct loom_node *scaled(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    struct mind *m = (struct mind *)(uintptr_t)self;
    return loom_scale(loom_build_graph(b), ndt2_embed(self, b, rows, width), 1.0 + 0.01 * m->builds++, 0.0);
}
ALTERED_TABLE("remembers", options, learn, ndt2_destroy, ndt2_describe, ndt2_tokenize, scaled)
