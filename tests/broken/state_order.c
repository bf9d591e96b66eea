/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: state-bytes */
/* What is named first changes from instance to instance, as where names are kept in a set ordered by address. */
#include "altered.h"

#include <loom/model.h>

struct ordered {
    struct ndt2 whole; /* first */
    int odd;
};

static int count(const struct loom_setup *s, void **self, struct loom_error *e)
{
    static int instances;
    int code = ndt2_create(s, self, e);
    struct ordered *o = code == LOOM_OK ? realloc(*self, sizeof *o) : NULL;
    if (o) {
        o->odd = instances++ & 1;
        *self = o;
    }
    return code;
}

static struct loom_node *named(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    static const char *const names[] = {"mean", "deviation"};
    const struct ordered *o = self;
    for (int i = 0; i < 2; i++)
        loom_state(b, names[i ^ o->odd], 1, (const int64_t[]){width}, "zeros");
    return ndt2_embed(self, b, rows, width);
}
ALTERED_TABLE("state_order", options, count, ndt2_destroy, ndt2_describe, ndt2_tokenize, named)
