/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/nn.h>

struct loom_node *loom_nn_embedding(struct loom_build *b, const char *name, int64_t count, int64_t width, int64_t n,
                                    const int32_t *index, const char *init)
{
    struct loom_graph *g = loom_build_graph(b);
    loom_scope_push(b, name);
    struct loom_node *table =
        loom_param(b, "weight", 2, (int64_t[]){count, width}, init, LOOM_NO_DECAY | LOOM_SPARSE_ROWS);
    struct loom_node *rows = loom_gather(g, table, loom_input(g, LOOM_I32, 1, &n, index));
    loom_scope_pop(b);
    return rows;
}
