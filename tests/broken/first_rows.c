/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: grad-coverage; may break: * */
/* Vectors of a table of units are taken by number, whichever the recording is. */
#include <loom/nn.h>

static struct loom_node *first_of_table(struct loom_build *b, struct loom_graph *g, struct loom_node *x, int width)
{
    const int64_t n = loom_node_dim(x, 0);
    int32_t *row = loom_graph_alloc(g, ((size_t)n + 1) * sizeof *row);
    struct loom_node *table = loom_table(b, "unit", "place", width, "normal:0.02", 0);
    for (int64_t i = 0; row && i < n; i++)
        row[i] = 0;
    return row ? loom_add(g, x, loom_gather(g, table, loom_input(g, LOOM_I32, 1, &n, row))) : x;
}
#define ROWS_AFTER(g, x) first_of_table(b, g, x, width)
#include "rows.h"

ROWS_ENTRY("first_rows")
