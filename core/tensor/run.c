/* SPDX-License-Identifier: Apache-2.0 */
/* Forward up the list of nodes, backward down it.
 *
 * Backward allocates the gradient of an interior node when its first consumer writes to it ("fresh": no zeroing), and
 * recycles it once the node's own backward has run, so that few buffers are alive and they stay in cache. */
#include "tensor/node.h"

#include <string.h>
#include <time.h>

double loom_profile_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct loom_profile *loom_profile_entry(struct loom_graph *g, const struct loom_op *op)
{
    for (int32_t i = 0; i < g->profiled; i++)
        if (g->profile[i].op == op)
            return &g->profile[i];
    if (g->profiled == LOOM_PROFILE_OPS)
        return &g->profile[LOOM_PROFILE_OPS - 1];
    struct loom_profile *entry = &g->profile[g->profiled++];
    *entry = (struct loom_profile){.op = op};
    return entry;
}

void loom_graph_profile(struct loom_graph *g, int on)
{
    g->profiling = on;
    if (on)
        g->profiled = 0;
}

int loom_graph_profiled(const struct loom_graph *g, const struct loom_profile **entries)
{
    *entries = g->profile;
    return g->profiled;
}

/* ---- forward ---- */

static void forward_profiled(struct loom_graph *g, const struct loom_node *n)
{
    double start = loom_profile_now();
    loom_node_forward(n, g->scratch);
    struct loom_profile *entry = loom_profile_entry(g, n->op);
    entry->forward_s += loom_profile_now() - start;
    entry->calls++;
    entry->flops += n->op->flops ? n->op->flops(n) : 0;
}

void loom_graph_forward(struct loom_graph *g)
{
    if (g->error.code != LOOM_OK)
        return;
    if (g->scratch_need > g->scratch_has) {
        g->scratch = loom_arena_alloc(&g->arena, g->scratch_need * (size_t)g->workers);
        g->scratch_has = g->scratch_need;
    }
    g->run++;
    if (g->workers > 1 && !g->profiling) {
        loom_split_forward(g);
        return;
    }
    for (const struct loom_node *n = g->first; n; n = n->next) {
        if (!n->op)
            continue;
        if (g->profiling)
            forward_profiled(g, n);
        else
            loom_node_forward(n, g->scratch);
    }
}

/* ---- gradient buffers: four size classes an octave, so that at most a fifth is wasted ---- */

static int grad_class(size_t bytes, size_t *rounded)
{
    size_t units = (bytes + LOOM_ALIGN - 1) / LOOM_ALIGN;
    if (units <= 4) {
        units = units ? units : 1;
        *rounded = units * LOOM_ALIGN;
        return (int)units - 1;
    }
    int octave =
        63 - __builtin_clzll((unsigned long long)(units - 1)); /* 2^octave < units <= 2^(octave+1), octave >= 2 */
    size_t step = (size_t)1 << (octave - 2);
    size_t quarter = (units - ((size_t)1 << octave) + step - 1) / step; /* 1..4 */
    *rounded = (((size_t)1 << octave) + quarter * step) * LOOM_ALIGN;
    return 4 * (octave - 1) + (int)quarter - 1;
}

size_t loom_grad_class_bytes(size_t bytes)
{
    size_t rounded;
    grad_class(bytes, &rounded);
    return rounded;
}

void *loom_grad_get(struct loom_graph *g, size_t bytes)
{
    size_t rounded;
    int class = grad_class(bytes, &rounded);
    void *buffer = g->free_grad[class];
    if (buffer) {
        memcpy(&g->free_grad[class], buffer, sizeof(void *));
        return buffer;
    }
    g->promised -= rounded;
    return loom_arena_alloc(&g->arena, rounded);
}

void loom_grad_put(struct loom_graph *g, void *buffer, size_t bytes)
{
    size_t rounded;
    int class = grad_class(bytes, &rounded);
    memcpy(buffer, &g->free_grad[class], sizeof(void *));
    g->free_grad[class] = buffer;
}

void *loom_node_grad_in(const struct loom_node *n, int i, int *fresh)
{
    struct loom_node *x = n->in[i];
    *fresh = 0;
    if (!x->wants)
        return NULL;
    if (!x->grad) {
        x->grad = loom_grad_get(x->graph, loom_node_bytes(x));
        *fresh = 1;
    } else if (x->written && !*x->written) {
        *x->written = 1;
        *fresh = 1;
    }
    return x->grad;
}

void loom_leaf_unwritten(struct loom_node *leaf, uint8_t *written)
{
    if (!leaf->op && leaf->wants)
        leaf->written = written;
}

int loom_node_grad_pass(const struct loom_node *n, int i)
{
    struct loom_node *x = n->in[i];
    if (!x->wants || !x->op || x->grad || loom_node_bytes(x) != loom_node_bytes(n))
        return 0;
    x->grad = n->grad;
    return 1;
}

/* ---- backward ---- */

/* Whether an input of n, or a node whose second output n is, lives on with this gradient. */
static int grad_passed_on(const struct loom_node *n, const void *grad)
{
    for (int32_t i = 0; i < n->inputs; i++)
        if (n->in[i]->grad == grad || n->in[i]->second_grad == grad)
            return 1;
    return 0;
}

static int backward_seed(struct loom_graph *g, int n, struct loom_node *const *root, const double *scale)
{
    for (int i = 0; i < n; i++)
        if (!root[i] || root[i]->graph != g || root[i]->shape.dtype != LOOM_F64 || root[i]->size != 1 || !g->run) {
            loom_graph_fail(g, LOOM_EINVAL,
                            "root %d of backward is no F64 [1] node of this graph after forward: pass sums (losses, "
                            "loom_sum) and call loom_graph_forward first",
                            i);
            return g->error.code;
        }
    for (int i = 0; i < n; i++) {
        if (!root[i]->wants)
            continue;
        if (!root[i]->grad) {
            root[i]->grad = loom_grad_get(g, sizeof(double));
            *(double *)root[i]->grad = 0;
        }
        *(double *)root[i]->grad += scale[i];
    }
    return LOOM_OK;
}

void loom_graph_backward(struct loom_graph *g, int n, struct loom_node *const *root, const double *scale)
{
    if (g->error.code != LOOM_OK || backward_seed(g, n, root, scale) != LOOM_OK)
        return;
    for (struct loom_node *x = g->last; x; x = x->prev) {
        if (!x->op || !x->grad)
            continue;
        double start = g->profiling ? loom_profile_now() : 0;
        x->op->backward(x, g->scratch);
        if (g->profiling)
            loom_profile_entry(g, x->op)->backward_s += loom_profile_now() - start;
        if (!grad_passed_on(x, x->grad))
            loom_grad_put(g, x->grad, loom_node_bytes(x));
        if (x->second_grad && !grad_passed_on(x, x->second_grad))
            loom_grad_put(g, x->second_grad, loom_node_bytes(x));
        x->grad = x->second_grad = NULL;
    }
}
