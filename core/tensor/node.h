/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the tensor engine: what graph.c, backward.c and the built-in ops share.
 *
 * A graph is a list of nodes in creation order, which is a topological order: forward walks it up, backward down.
 * Nodes, values, attributes, saved state, scratch and interior gradients all live in one arena. Every node that will
 * want a gradient reserves its size class when it is appended, so backward finds room by construction: arena.used +
 * promised gradients + scratch not yet taken <= arena.size. */
#ifndef LOOM_TENSOR_NODE_H
#define LOOM_TENSOR_NODE_H

#include <loom/graph.h>

#include "base/arena.h"

enum {
    LOOM_SCOPE_DEPTH = 32,
    LOOM_SCOPE_PATH = 512,
    LOOM_GRAD_CLASSES = 4 * 48,
    LOOM_PROFILE_OPS = 64,
    LOOM_PACK_SLOTS = 128,
};

/* Which product a packed copy of a weight serves. */
enum loom_pack_kind { LOOM_PACK_FORWARD, LOOM_PACK_BACKWARD, LOOM_PACK_KINDS };

struct loom_kernels;
/* Nodes over memory that another makes: they have nothing to run. Of any part of it, or row by row. */
enum loom_view_kind { LOOM_VIEW_NONE, LOOM_VIEW_PART, LOOM_VIEW_ROWS };

struct loom_pack;
struct loom_packs;
struct loom_pool;
struct loom_region;

struct loom_node {
    const struct loom_op *op; /* NULL: a leaf */
    struct loom_graph *graph;
    struct loom_node *prev, *next; /* order of creation */
    const char *scope;             /* "vit/block3"; of a leaf: its name */
    void *value, *grad, *saved;
    void *second_grad; /* gradient of the second output, complete when backward is called; NULL: nobody used it */
    uint8_t *written; /* of a leaf whose gradient buffer holds rubbish until this is 1; NULL: it holds what was there */
    const void *attr;
    struct loom_pack *pack[LOOM_PACK_KINDS]; /* of a weight; found when its first product is appended */
    struct loom_shape shape;
    int64_t size; /* elements */
    int32_t inputs;
    uint8_t ok;                 /* 0: the graph's dummy */
    uint8_t wants;              /* a leaf below it wants a gradient and every op between passes one on */
    uint8_t host;               /* loom_input or loom_constant: the values are known while building */
    uint8_t view;               /* enum loom_view_kind */
    struct loom_region *region; /* that makes its values, or NULL */
    struct loom_node *in[];
};

/* Processor time and work of one op over all graphs built since profiling was switched on. */
struct loom_profile {
    const struct loom_op *op;
    int64_t calls;
    double forward_s, backward_s, flops; /* flops of the forwards */
};

struct loom_scope {
    int32_t length;   /* of the path above this scope */
    const char *copy; /* the path with this scope, in the arena; NULL until a node needs it */
};

struct loom_graph {
    struct loom_arena arena;
    struct loom_node *first, *last;
    struct loom_node *dummy;
    int32_t nodes, depth;
    size_t promised;                  /* bytes that interior gradients may yet take */
    size_t scratch_need, scratch_has; /* bytes */
    void *scratch;
    void *free_grad[LOOM_GRAD_CLASSES];            /* lists of gradient buffers ready for reuse */
    uint64_t run;                                  /* forward runs, never reset */
    const struct loom_kernels *kernels;            /* what its nodes run */
    struct loom_pool *pool;                        /* where forward runs from the next reset on, or NULL */
    int32_t workers;                               /* threads of the forwards of this build, 1 = the caller's alone */
    int32_t spins;                                 /* looks before one that waits offers its processor */
    struct loom_region *region, *last_region;      /* with several workers: what they do between waits */
    struct loom_packs *packs;                      /* shared with other graphs, or NULL */
    struct loom_pack *pack_table[LOOM_PACK_SLOTS]; /* the graph's own, by the weight's address */
    struct loom_error error;
    struct loom_scope scope[LOOM_SCOPE_DEPTH];
    char path[LOOM_SCOPE_PATH];
    int32_t profiling, profiled;
    struct loom_profile profile[LOOM_PROFILE_OPS];
    double zero[8];
    max_align_t dummy_space[(sizeof(struct loom_node) + sizeof(max_align_t) - 1) / sizeof(max_align_t)];
};

size_t loom_dtype_size(int dtype);
/* "[75,256]" (with "f64" or "i32" in front where it is not REAL) into `out`; returns `out`. */
const char *loom_shape_text(const struct loom_node *n, char *out, size_t size);

/* As loom_apply for an op whose output is part of its first input's memory, `offset` elements in: no copy is made. */
struct loom_node *loom_apply_view(struct loom_graph *g, const struct loom_op *op, struct loom_node *x, int64_t offset,
                                  const void *attr, size_t attr_size);
/* As loom_apply_view for a second output of `x`, of x's shape, that x's forward writes at the front of its saved
 * memory. Append it before any other reader of x: then x's gradients are complete when x's backward is called, and that
 * of the second output is x->second_grad. When x->grad had no other source it is 0 there. */
struct loom_node *loom_apply_second(struct loom_graph *g, struct loom_node *x);
/* The gradient buffer of `leaf` holds rubbish until *written is 1, which the first op that adds to it makes it, writing
 * all of it. Leaves of the same buffer share `written`. */
void loom_leaf_unwritten(struct loom_node *leaf, uint8_t *written);
/* Hand the gradient of `n` itself to input i when that has none yet (same size, not a leaf): saves a copy. Returns 1
 * when done; the op must not touch its output's gradient afterwards. 0: nothing happened, use loom_node_grad_in. */
int loom_node_grad_pass(const struct loom_node *n, int i);

/* The packed copy of input i of `n`; *fill = 1: the caller must fill it now and say so with loom_pack_filled. */
void *loom_pack_take(const struct loom_node *n, int i, int kind, int *fill);
void loom_pack_filled(const struct loom_node *n, int i, int kind);
/* [build] Make room for the packed copy of input i; 0, or a sticky error when the arena is full. */
int loom_pack_reserve(const struct loom_node *n, int i, int kind, size_t bytes);

/* Run these kernels from the next reset on. A new graph runs loom_kernels_default. */
void loom_graph_set_kernels(struct loom_graph *g, const struct loom_kernels *kernels);

/* ---- several threads in one forward (split.c) ---- */

/* From its next reset on, g runs forward on all workers of the pool, which split the output of each op: the bits are
 * those of one thread. NULL: on the calling thread. The pool outlives the graph's use of it and runs one graph at a
 * time. Backward, and forward while profiling, stay on the calling thread. */
void loom_graph_set_pool(struct loom_graph *g, struct loom_pool *pool);
/* [build] Find the place of a node that was just appended. */
void loom_split_node(struct loom_graph *g, struct loom_node *n);
void loom_split_forward(struct loom_graph *g);
/* Shares that forward is dealt out in, over all regions of this build; 0: one thread runs it. */
int loom_split_shares(const struct loom_graph *g);
/* The whole of a node's forward on this thread. */
void loom_node_forward(const struct loom_node *n, void *scratch);

/* Profile: on = 1 clears the counters and starts; 0 stops. Entries in order of first use; returns how many. */
void loom_graph_profile(struct loom_graph *g, int on);
int loom_graph_profiled(const struct loom_graph *g, const struct loom_profile **entries);
struct loom_profile *loom_profile_entry(struct loom_graph *g, const struct loom_op *op);
double loom_profile_now(void); /* processor seconds of this thread */

/* Gradient buffers of interior nodes, recycled by size class. */
size_t loom_grad_class_bytes(size_t bytes);
void *loom_grad_get(struct loom_graph *g, size_t bytes);
void loom_grad_put(struct loom_graph *g, void *buffer, size_t bytes);
size_t loom_node_bytes(const struct loom_node *n);

#endif
