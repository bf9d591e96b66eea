/* SPDX-License-Identifier: Apache-2.0 */
/* What callers and ops read from nodes and graphs. All accessors take the dummy of a failed build, and NULL, as
 * harmless. */
#include "tensor/node.h"

int loom_node_dtype(const struct loom_node *n)
{
    return n ? n->shape.dtype : LOOM_REAL;
}

int loom_node_rank(const struct loom_node *n)
{
    return n ? n->shape.rank : 0;
}

int64_t loom_node_dim(const struct loom_node *n, int axis)
{
    if (!n)
        return 1;
    if (axis < 0)
        axis += n->shape.rank;
    return axis >= 0 && axis < n->shape.rank ? n->shape.dim[axis] : 1;
}

int64_t loom_node_size(const struct loom_node *n)
{
    return n ? n->size : 0;
}

int loom_node_ok(const struct loom_node *n)
{
    return n && n->ok;
}

const void *loom_node_host(const struct loom_node *n)
{
    return n ? n->value : NULL;
}

const void *loom_node_host_grad(const struct loom_node *n)
{
    return n ? n->grad : NULL;
}

int loom_node_inputs(const struct loom_node *n)
{
    return n->inputs;
}

const struct loom_node *loom_node_input(const struct loom_node *n, int i)
{
    return i >= 0 && i < n->inputs ? n->in[i] : NULL;
}

const void *loom_node_attr(const struct loom_node *n)
{
    return n->attr;
}

void *loom_node_saved(const struct loom_node *n)
{
    return n->saved;
}

void *loom_node_out(const struct loom_node *n)
{
    return n->value;
}

const void *loom_node_grad_out(const struct loom_node *n)
{
    return n->grad;
}

double loom_graph_flops(const struct loom_graph *g, int training)
{
    double sum = 0;
    for (const struct loom_node *n = g->first; n; n = n->next)
        if (n->op && n->op->flops)
            sum += n->op->flops(n) * (training && n->wants ? 3 : 1);
    return sum;
}

size_t loom_graph_peak(const struct loom_graph *g)
{
    return g->arena.peak;
}

int loom_graph_nodes(const struct loom_graph *g)
{
    return g->nodes;
}
