/* SPDX-License-Identifier: Apache-2.0 */
#include "config/walk.h"

#include "config/tree.h"

int loom_group_values(const struct loom_group *g, void (*each)(void *payload, const char *path, const char *value),
                      void *payload, struct loom_error *e)
{
    int code = LOOM_OK;
    for (size_t i = 0; g && i < g->body->count && code == LOOM_OK; i++) {
        const struct loom_group *m = g->body->members[i];
        struct loom_str value = LOOM_STR_INIT;
        if (m->kind == LOOM_NODE_GROUP) {
            code = loom_group_values(m, each, payload, e);
            continue;
        }
        loom_node_write(&value, m);
        if (value.failed)
            code = loom_node_full(e, m->file);
        else
            each(payload, m->path, value.text);
        loom_str_release(&value);
    }
    return code;
}
