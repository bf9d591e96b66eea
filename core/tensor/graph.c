/* SPDX-License-Identifier: Apache-2.0 */
#include "base/threads.h"
#include "tensor/node.h"

#include "tensor/kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *graph_scope(struct loom_graph *g);

/* ---- life of a graph ---- */

int loom_graph_new(struct loom_graph **out, size_t bytes, struct loom_error *e)
{
    const struct loom_kernels *kernels = loom_kernels_default(e);
    *out = NULL;
    if (!kernels)
        return LOOM_ECONFIG;
    struct loom_graph *g = calloc(1, sizeof(*g));
    if (!g)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a graph: close other programs");
    g->kernels = kernels;
    int status = loom_arena_init(&g->arena, bytes, e);
    if (status != LOOM_OK) {
        free(g);
        return status;
    }
    g->dummy = (struct loom_node *)g->dummy_space;
    g->dummy->graph = g;
    g->dummy->scope = "";
    g->dummy->value = g->zero;
    g->dummy->shape = (struct loom_shape){.dtype = LOOM_REAL, .rank = 2, .dim = {1, 1, 1, 1}};
    g->dummy->size = 1;
    loom_graph_reset(g);
    *out = g;
    return LOOM_OK;
}

void loom_graph_free(struct loom_graph *g)
{
    if (!g)
        return;
    loom_arena_release(&g->arena);
    free(g);
}

void loom_graph_set_kernels(struct loom_graph *g, const struct loom_kernels *kernels)
{
    g->kernels = kernels;
}

void loom_graph_reset(struct loom_graph *g)
{
    loom_arena_rewind(&g->arena, 0);
    g->first = g->last = NULL;
    g->nodes = g->depth = 0;
    g->promised = g->scratch_need = g->scratch_has = 0;
    g->scratch = NULL;
    g->workers = g->pool ? loom_pool_workers(g->pool) : 1;
    g->region = g->last_region = NULL;
    memset(g->free_grad, 0, sizeof(g->free_grad));
    memset(g->pack_table, 0, sizeof(g->pack_table));
    memset(g->zero, 0, sizeof(g->zero));
    loom_error_clear(&g->error);
    g->scope[0] = (struct loom_scope){0, ""};
    g->path[0] = '\0';
}

/* ---- errors and scopes ---- */

int loom_graph_error(const struct loom_graph *g, struct loom_error *e)
{
    if (g->error.code == LOOM_OK)
        return LOOM_OK;
    if (e && e->code == LOOM_OK)
        *e = g->error;
    return g->error.code;
}

void loom_graph_fail(struct loom_graph *g, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    loom_vfail(&g->error, code, NULL, 0, fmt, args);
    va_end(args);
}

void loom_graph_scope_push(struct loom_graph *g, const char *name)
{
    size_t above = strlen(g->path);
    if (++g->depth >= LOOM_SCOPE_DEPTH)
        return;
    g->scope[g->depth] = (struct loom_scope){(int32_t)above, NULL};
    size_t length = strlen(name), room = above + 2 < sizeof(g->path) ? sizeof(g->path) - above - 2 : 0;
    length = length < room ? length : room; /* a path that is too long is cut */
    char *at = g->path + above;
    if (above && room)
        *at++ = '/';
    memcpy(at, name, length);
    at[length] = '\0';
}

void loom_graph_scope_pop(struct loom_graph *g)
{
    if (g->depth == 0) {
        loom_graph_fail(g, LOOM_EINVAL, "a scope is popped that was never pushed: pair loom_graph_scope_push and _pop");
        return;
    }
    if (g->depth < LOOM_SCOPE_DEPTH)
        g->path[g->scope[g->depth].length] = '\0';
    g->depth--;
}

/* One copy of a path serves all nodes of its scope. */
static const char *graph_scope(struct loom_graph *g)
{
    int32_t depth = g->depth < LOOM_SCOPE_DEPTH ? g->depth : LOOM_SCOPE_DEPTH - 1;
    struct loom_scope *s = &g->scope[depth];
    if (!s->copy)
        s->copy = loom_arena_strdup(&g->arena, g->path);
    return s->copy ? s->copy : "";
}

/* ---- memory ---- */

static size_t unpromised(const struct loom_graph *g)
{
    size_t scratch = g->scratch_need > g->scratch_has ? g->scratch_need * (size_t)g->workers + LOOM_ALIGN : 0;
    size_t taken = g->arena.used + g->promised + scratch;
    return taken < g->arena.size ? g->arena.size - taken : 0;
}

static void *graph_alloc(struct loom_graph *g, size_t bytes, const char *what)
{
    void *p = bytes <= unpromised(g) ? loom_arena_alloc(&g->arena, bytes) : NULL;
    if (!p)
        loom_graph_fail(
            g, LOOM_ENOMEM,
            "the graph's memory of %zu MiB is too small for %zu more bytes (%s%s%s): give it more, or build "
            "smaller shards (fewer tokens)",
            g->arena.size >> 20, bytes, what, g->path[0] ? " in " : "", g->path);
    return p;
}

void *loom_graph_alloc(struct loom_graph *g, size_t bytes)
{
    return graph_alloc(g, bytes, "loom_graph_alloc");
}

size_t loom_dtype_size(int dtype)
{
    switch (dtype) {
    case LOOM_REAL:
        return sizeof(loom_real);
    case LOOM_F64:
        return sizeof(double);
    case LOOM_I32:
        return sizeof(int32_t);
    default:
        return 0;
    }
}

size_t loom_node_bytes(const struct loom_node *n)
{
    return (size_t)n->size * loom_dtype_size(n->shape.dtype);
}

/* ---- appending ---- */

const char *loom_shape_text(const struct loom_node *n, char *out, size_t size)
{
    static const char *const prefix[] = {"", "", "f64 ", "i32 "};
    int used = snprintf(out, size, "%s[", prefix[n->shape.dtype]);
    for (int i = 0; i < n->shape.rank && used > 0 && (size_t)used < size; i++)
        used += snprintf(out + used, size - (size_t)used, "%s%lld", i ? "," : "", (long long)n->shape.dim[i]);
    if (used > 0 && (size_t)used < size)
        snprintf(out + used, size - (size_t)used, "]");
    return out;
}

/* Elements of a shape, or -1 where it is no legal shape. Unused dims become 1. */
static int64_t shape_size(struct loom_shape *s)
{
    int64_t size = 1, bytes;
    if (s->rank < 1 || s->rank > LOOM_MAX_RANK || !loom_dtype_size(s->dtype))
        return -1;
    for (int i = 0; i < LOOM_MAX_RANK; i++) {
        if (i >= s->rank)
            s->dim[i] = 1;
        if (s->dim[i] < 0 || __builtin_mul_overflow(size, s->dim[i], &size))
            return -1;
    }
    return __builtin_mul_overflow(size, (int64_t)sizeof(double), &bytes) ? -1 : size;
}

static void node_link(struct loom_graph *g, struct loom_node *n)
{
    n->prev = g->last;
    n->next = NULL;
    if (g->last)
        g->last->next = n;
    else
        g->first = n;
    g->last = n;
    g->nodes++;
    n->ok = 1;
}

static void op_fail(struct loom_graph *g, const struct loom_op *op, int n, struct loom_node *const *in,
                    const struct loom_error *why)
{
    char shapes[256] = "", one[80];
    size_t used = 0;
    for (int i = 0; i < n && used < sizeof(shapes); i++) {
        const char *text = in[i] ? loom_shape_text(in[i], one, sizeof(one)) : "NULL";
        used += (size_t)snprintf(shapes + used, sizeof(shapes) - used, "%s%s", i ? ", " : "", text);
    }
    loom_graph_fail(g, why->code, "%s%s%s of %s: %s", op->name, g->path[0] ? " in " : "", g->path,
                    n ? shapes : "no inputs", why->message);
}

static int op_check(const struct loom_graph *g, const struct loom_op *op, int n, struct loom_node *const *in,
                    struct loom_error *e)
{
    if (op->size < sizeof(struct loom_op) || !op->infer || !(op->forward || op->forward_part))
        return loom_fail(e, LOOM_EPLUGIN, NULL, 0,
                         "its definition lacks size, infer or forward: compile it with this version's headers");
    for (int i = 0; i < n; i++) {
        if (!in[i])
            return loom_fail(e, LOOM_EINVAL, NULL, 0, "input %d is NULL: pass a node", i);
        if (in[i]->graph != g || !in[i]->ok)
            return loom_fail(e, LOOM_EINVAL, NULL, 0,
                             "input %d is no node of this build: build all nodes in one graph, after its reset", i);
    }
    return LOOM_OK;
}

/* Node, input list and attribute in one piece of memory. */
static struct loom_node *node_new(struct loom_graph *g, const struct loom_op *op, int n, struct loom_node *const *in,
                                  const void *attr, size_t attr_size)
{
    size_t head = sizeof(struct loom_node) + (size_t)n * sizeof(struct loom_node *);
    head = (head + 15) & ~(size_t)15;
    struct loom_node *node = graph_alloc(g, head + attr_size, op ? op->name : "leaf");
    if (!node)
        return NULL;
    memset(node, 0, sizeof(*node));
    node->op = op;
    node->graph = g;
    node->inputs = n;
    node->scope = graph_scope(g);
    for (int i = 0; i < n; i++) {
        node->in[i] = in[i];
        node->wants |= in[i]->wants;
    }
    if (op && !op->backward)
        node->wants = 0;
    if (attr_size) {
        node->attr = memcpy((char *)node + head, attr, attr_size);
    }
    return node;
}

/* Leaves of a graph that only declares its parameters have no memory. */
static void *view_of(const struct loom_node *x, int64_t offset)
{
    return x->value ? (char *)x->value + (size_t)offset * loom_dtype_size(x->shape.dtype) : NULL;
}

enum { NO_VIEW = -1, SECOND = -2 }; /* instead of an offset into the first input */

static int node_reserve(struct loom_graph *g, struct loom_node *n, int64_t view)
{
    size_t promise = n->wants ? loom_grad_class_bytes(loom_node_bytes(n)) : 0;
    size_t scratch = n->op && n->op->scratch ? n->op->scratch(n) : 0;
    scratch = (scratch + LOOM_ALIGN - 1) / LOOM_ALIGN * LOOM_ALIGN; /* each worker's begins aligned */
    if (scratch > g->scratch_need)
        g->scratch_need = scratch;
    g->promised += promise;
    n->view = view >= 0 ? LOOM_VIEW_PART : view == SECOND ? LOOM_VIEW_ROWS : LOOM_VIEW_NONE;
    if (view >= 0)
        n->value = view_of(n->in[0], view);
    else if (view == SECOND)
        n->value = n->in[0]->saved;
    else
        n->value = graph_alloc(g, loom_node_bytes(n), n->op ? n->op->name : "leaf");
    if (n->value && n->shape.saved)
        n->saved = graph_alloc(g, n->shape.saved, n->op->name);
    return g->error.code;
}

static struct loom_node *append(struct loom_graph *g, const struct loom_op *op, int n, struct loom_node *const *in,
                                const void *attr, size_t attr_size, int64_t view)
{
    struct loom_error why = {0};
    struct loom_node *node = NULL;
    if (g->error.code != LOOM_OK)
        return g->dummy;
    if (op_check(g, op, n, in, &why) != LOOM_OK || !(node = node_new(g, op, n, in, attr, attr_size)))
        goto failed;
    if (op->infer(node, &node->shape, &why) != LOOM_OK)
        goto failed;
    node->size = shape_size(&node->shape);
    if (node->size < 0) {
        loom_fail(&why, LOOM_ESHAPE, NULL, 0, "its output has no legal shape: dims must be >= 0 and fit in memory");
        goto failed;
    }
    if (node_reserve(g, node, view) != LOOM_OK)
        goto failed;
    node_link(g, node);
    if (g->workers > 1)
        loom_split_node(g, node);
    return node;
failed:
    if (why.code != LOOM_OK)
        op_fail(g, op, n, in, &why);
    return g->dummy;
}

struct loom_node *loom_apply(struct loom_graph *g, const struct loom_op *op, int n, struct loom_node *const *in,
                             const void *attr, size_t attr_size)
{
    return append(g, op, n, in, attr, attr_size, NO_VIEW);
}

struct loom_node *loom_apply_view(struct loom_graph *g, const struct loom_op *op, struct loom_node *x, int64_t offset,
                                  const void *attr, size_t attr_size)
{
    return append(g, op, 1, &x, attr, attr_size, offset);
}

static int second_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)e;
    *out = n->in[0]->shape;
    out->saved = 0;
    return LOOM_OK;
}

static void second_forward(const struct loom_node *n, void *scratch)
{
    (void)n;
    (void)scratch;
}

static void second_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    void *grad = loom_node_grad_in(n, 0, &fresh);
    (void)scratch;
    if (fresh)
        memset(grad, 0, loom_node_bytes(n));
    n->in[0]->second_grad = n->grad;
}

static const struct loom_op second_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "second",
    .infer = second_infer,
    .forward = second_forward,
    .backward = second_backward,
};

struct loom_node *loom_apply_second(struct loom_graph *g, struct loom_node *x)
{
    return append(g, &second_op, 1, &x, NULL, 0, SECOND);
}

/* ---- leaves ---- */

static struct loom_node *leaf_new(struct loom_graph *g, const char *name, int dtype, int rank, const int64_t *dim)
{
    struct loom_node *n;
    if (g->error.code != LOOM_OK || !(n = node_new(g, NULL, 0, NULL, NULL, 0)))
        return NULL;
    if (name)
        n->scope = name;
    n->shape = (struct loom_shape){.dtype = dtype, .rank = rank};
    if (rank >= 1 && rank <= LOOM_MAX_RANK)
        memcpy(n->shape.dim, dim, (size_t)rank * sizeof(*dim));
    n->size = shape_size(&n->shape);
    if (n->size >= 0)
        return n;
    loom_graph_fail(g, LOOM_ESHAPE, "leaf %s%s%s has no legal shape (dtype %d, rank %d): give 1 to %d dims, each >= 0",
                    name ? name : "", g->path[0] ? " in " : "", g->path, dtype, rank, LOOM_MAX_RANK);
    return NULL;
}

static struct loom_node *leaf_owned(struct loom_graph *g, int dtype, int rank, const int64_t *dim)
{
    struct loom_node *n = leaf_new(g, NULL, dtype, rank, dim);
    if (!n || node_reserve(g, n, NO_VIEW) != LOOM_OK)
        return NULL;
    n->host = 1;
    node_link(g, n);
    return n;
}

struct loom_node *loom_input(struct loom_graph *g, int dtype, int rank, const int64_t *dim, const void *host)
{
    struct loom_node *n = leaf_owned(g, dtype, rank, dim);
    if (!n)
        return g->dummy;
    if (n->size && !host)
        loom_graph_fail(g, LOOM_EINVAL, "an input%s%s of %lld elements without memory: pass the values to copy",
                        g->path[0] ? " in " : "", g->path, (long long)n->size);
    else if (n->size)
        memcpy(n->value, host, loom_node_bytes(n));
    return n;
}

struct loom_node *loom_constant(struct loom_graph *g, int rank, const int64_t *dim, double value)
{
    struct loom_node *n = leaf_owned(g, LOOM_REAL, rank, dim);
    if (!n)
        return g->dummy;
    loom_real *x = n->value;
    for (int64_t i = 0; i < n->size; i++)
        x[i] = (loom_real)value;
    return n;
}

struct loom_node *loom_leaf(struct loom_graph *g, const char *name, int rank, const int64_t *dim,
                            const loom_real *value, loom_real *grad)
{
    struct loom_node *n = leaf_new(g, name, LOOM_REAL, rank, dim);
    if (!n)
        return g->dummy;
    union {
        const loom_real *in;
        loom_real *out;
    } borrowed = {value}; /* no op writes to a leaf */
    n->value = borrowed.out;
    n->grad = grad;
    n->wants = grad != NULL;
    node_link(g, n);
    return n;
}
