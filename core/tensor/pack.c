/* SPDX-License-Identifier: Apache-2.0 */
/* Weights laid out for the product kernels, once a forward run for all nodes that use the weight. */
#include "tensor/node.h"

int loom_pack_reserve(const struct loom_node *n, int i, int kind, size_t bytes)
{
    struct loom_pack *pack = &n->in[i]->pack[kind];
    if (!pack->data)
        pack->data = loom_graph_alloc(n->graph, bytes);
    return n->graph->error.code;
}

void *loom_pack_take(const struct loom_node *n, int i, int kind, int *fill)
{
    struct loom_pack *pack = &n->in[i]->pack[kind];
    *fill = pack->run != n->graph->run;
    pack->run = n->graph->run;
    return pack->data;
}
