/* SPDX-License-Identifier: Apache-2.0 */
/* The tensor engine: graphs of nodes, built anew for every shard of every step and for every streamed bin.
 *
 * Building is sticky-error: every builder returns something safe to pass on; the first error stays on the graph and is
 * read once with loom_graph_error(). All failure is in building: forward and backward cannot fail and do not allocate
 * from the heap. Shapes never depend on values.
 *
 * Tensors are row-major and contiguous, 1 to 4 axes; axis 0 of a [R, W] tensor counts rows (tokens), the last axis is
 * the feature axis. Every node's memory lives in the graph's arena until the graph is reset.
 *
 * Row law: an output row of a row-local op is a function of its own input rows alone, in an order fixed by index,
 * whatever else is in the product, wherever it stands, however many threads run. Ops that obey it bit for bit say
 * "row-local".
 *
 * Nothing here knows of spikes, rows or recordings.
 */
#ifndef LOOM_GRAPH_H
#define LOOM_GRAPH_H

#include <loom/types.h>

enum loom_dtype {
    LOOM_REAL = 1, /* loom_real */
    LOOM_F64 = 2,  /* double: times, masses, sums */
    LOOM_I32 = 3,  /* int32_t: indices, codes */
};

enum { LOOM_MAX_RANK = 4 };

struct loom_graph;
struct loom_node;

struct loom_shape {
    int32_t dtype, rank;
    int64_t dim[LOOM_MAX_RANK];
    size_t saved; /* bytes that forward keeps for backward, beside inputs and output */
};

/* Rows by group: group g holds rows row[first[g]] … row[first[g+1]-1], in that order; row NULL means rows first[g] …
 * themselves. key[g] names the sample the group belongs to: random draws hang on it, never on the group's place. NULL =
 * the group's number. Borrowed: must live as long as the graph. */
struct loom_groups {
    int32_t n;
    const int32_t *first; /* [n+1], ascending */
    const int32_t *row;
    const uint64_t *key;
};

/* ---- nodes: the accessors that say "host" are the only way to tensor memory ---- */
LOOM_API int loom_node_dtype(const struct loom_node *n);
LOOM_API int loom_node_rank(const struct loom_node *n);
LOOM_API int64_t loom_node_dim(const struct loom_node *n,
                               int axis);                       /* axis < 0 counts from the last; 1 beyond the rank */
LOOM_API int64_t loom_node_size(const struct loom_node *n);     /* elements */
LOOM_API int loom_node_ok(const struct loom_node *n);           /* 0 for the safe dummy of a failed build */
LOOM_API const void *loom_node_host(const struct loom_node *n); /* values, after forward */
/* Gradient of a leaf after backward (the buffer it was made with), and of an op's own output inside its backward. NULL
 * else: interior gradients are recycled as soon as used. */
LOOM_API const void *loom_node_host_grad(const struct loom_node *n);

/* For the kernels of ops alone ([step] phase): */
LOOM_API int loom_node_inputs(const struct loom_node *n);
LOOM_API const struct loom_node *loom_node_input(const struct loom_node *n, int i);
LOOM_API const void *loom_node_attr(const struct loom_node *n);
LOOM_API void *loom_node_saved(const struct loom_node *n);
LOOM_API void *loom_node_out(const struct loom_node *n); /* forward writes here */
/* Gradient of the output, complete when backward is called. */
LOOM_API const void *loom_node_grad_out(const struct loom_node *n);
/* Gradient buffer of input i to add into, or NULL when nobody needs it. *fresh = 1: the buffer holds rubbish, write all
 * of it instead of adding. Call it once for each input: the second call for the same node says *fresh = 0. */
LOOM_API void *loom_node_grad_in(const struct loom_node *n, int i, int *fresh);

/* ---- ops: a definition and kernels ---- */
struct loom_op {
    uint32_t size; /* sizeof(struct loom_op) as its author saw it */
    /* Bit i: obeys the row law in input i and output, so that output row r reads of it row r alone, wherever the two
     * have as many rows; 0: no row law. Tested for the first input. */
    uint32_t row_local;
    const char *name;
    int (*infer)(const struct loom_node *n, struct loom_shape *out,
                 struct loom_error *e);                         /* shape of the output from inputs and attr */
    size_t (*scratch)(const struct loom_node *n);               /* bytes of scratch for either direction; NULL = 0 */
    void (*forward)(const struct loom_node *n, void *scratch);  /* NULL: forward_part does it */
    void (*backward)(const struct loom_node *n, void *scratch); /* NULL: not differentiable (stops gradients) */
    double (*flops)(const struct loom_node *n); /* of one forward; NULL = 0. Backward counts twice as much */
    /* An op whose output several threads may make together, each its own part: instead of forward it has forward_part,
     * which makes the pieces [first, end) of the output, each a function of the inputs alone, and none twice. Pieces
     * are the output's rows, or what `pieces` counts (at least 1). `scratch` is the thread's own. */
    int64_t (*pieces)(const struct loom_node *n);                                               /* NULL: rows */
    void (*forward_part)(const struct loom_node *n, int64_t first, int64_t end, void *scratch); /* NULL: one thread */
};

/* Append a node. `attr` (attr_size bytes) is copied into the arena; pointers inside it are borrowed. */
LOOM_API struct loom_node *loom_apply(struct loom_graph *g, const struct loom_op *op, int n,
                                      struct loom_node *const *in, const void *attr, size_t attr_size);

/* ---- leaves ---- */
/* Copies host values into the graph: the only way in. */
LOOM_API struct loom_node *loom_input(struct loom_graph *g, int dtype, int rank, const int64_t *dim, const void *host);
/* A constant of loom_real filled with `value`. */
LOOM_API struct loom_node *loom_constant(struct loom_graph *g, int rank, const int64_t *dim, double value);
/* A leaf over borrowed memory: `value` [dims] read, `grad` [dims] added to (NULL = frozen).
 * What parameters are made of; layers normally get theirs from loom_param (loom/model.h). */
LOOM_API struct loom_node *loom_leaf(struct loom_graph *g, const char *name, int rank, const int64_t *dim,
                                     const loom_real *value, loom_real *grad);

/* ---- products (forward products are row-local) ---- */
enum loom_activation { LOOM_ACT_NONE, LOOM_ACT_RELU, LOOM_ACT_GELU, LOOM_ACT_SILU, LOOM_ACT_TANH, LOOM_ACT_SIGMOID };
/* y[R,out] = act(x[R,in] · w[out,in]ᵀ + b[out]); b may be NULL. GELU is exact: x Φ(x) (Hendrycks & Gimpel 2016). */
LOOM_API struct loom_node *loom_linear(struct loom_graph *g, struct loom_node *x, struct loom_node *w,
                                       struct loom_node *b, int act);
/* c[B,M,N] = a · b with a [B,M,K] (or [B,K,M] if trans_a), b [B,K,N] (or [B,N,K] if trans_b). An input of rank 2
 * serves the whole batch; two of them give rank 2. Row-local in a's rows given b. */
LOOM_API struct loom_node *loom_matmul(struct loom_graph *g, struct loom_node *a, struct loom_node *b, int trans_a,
                                       int trans_b);

/* Attention of each query to the keys of its own group (Vaswani et al. 2017), scale 1/sqrt(head_dim), never on a T×T
 * matrix. A row is in one group at most; a query in none gives 0. */
struct loom_attention {
    int32_t heads;
    int32_t width; /* heads × head_dim */
    int32_t q_column, k_column,
        v_column; /* first column of q, k, v in their nodes: a fused [R, 3 width] node is passed three times */
    struct loom_groups q_groups, k_groups; /* same n; group g of queries sees group g of keys */
    const double *q_time, *k_time;         /* [Rq], [Rk] seconds; needed when causal, back_s or ahead_s is set */
    const uint8_t *q_context,
        *k_context;       /* [Rq], [Rk] or NULL: context queries see context keys only, every query sees context keys */
    int32_t causal;       /* k_time <= q_time */
    int32_t rotate_value; /* POYO: v by its own angle, output back by the query's */
    double back_s, ahead_s;         /* k_time in [q_time - back_s, q_time + ahead_s]; < 0 = unlimited */
    const loom_real *q_cos, *q_sin; /* [Rq, head_dim/2] rotary tables, pairs (2i, 2i+1); NULL = none */
    const loom_real *k_cos, *k_sin; /* [Rk, head_dim/2] */
    double dropout;                 /* of attention weights, in [0,1) */
    uint64_t seed, step;            /* of the dropout draw */
    const char *purpose;            /* static string that names the draw */
};
/* out [Rq, width]. A query that sees no key gets 0. Row-local in q given its group's keys. */
LOOM_API struct loom_node *loom_attention(struct loom_graph *g, struct loom_node *q, struct loom_node *k,
                                          struct loom_node *v, const struct loom_attention *attr);

/* ---- rows ---- */
LOOM_API struct loom_node *
loom_gather(struct loom_graph *g, struct loom_node *table,
            struct loom_node *index); /* [V,W],[R] I32 → [R,W]; index -1 → a zero row.
                                       * Here and below an index of an input is checked while building; one that another
                                       * op made counts as -1 where it is out of range. */
/* [V,W] → [rows,W]: the table's rows at real-valued places at [rows], in units of its rows: between two rows the mean
 * of both, weighed by distance; before the first and behind the last, that one. Places are borrowed like groups. */
LOOM_API struct loom_node *loom_between(struct loom_graph *g, struct loom_node *table, int64_t rows, const double *at);
LOOM_API struct loom_node *loom_scatter(struct loom_graph *g, struct loom_node *x, struct loom_node *index,
                                        int64_t rows); /* [R,W],[R] → [rows,W], adding in row order */
LOOM_API struct loom_node *loom_concat_rows(struct loom_graph *g, int n, struct loom_node *const *x);
LOOM_API struct loom_node *loom_concat_cols(struct loom_graph *g, int n, struct loom_node *const *x);
LOOM_API struct loom_node *loom_slice_rows(struct loom_graph *g, struct loom_node *x, int64_t first, int64_t count);
LOOM_API struct loom_node *loom_slice_cols(struct loom_graph *g, struct loom_node *x, int64_t first, int64_t count);
LOOM_API struct loom_node *loom_reshape(struct loom_graph *g, struct loom_node *x, int rank, const int64_t *dim);
LOOM_API struct loom_node *loom_group_mean(struct loom_graph *g, struct loom_node *x,
                                           const struct loom_groups *groups); /* [R,W] → [groups,W]; empty group → 0 */

/* ---- elementwise and per row, all row-local. `b` may have fewer axes: it repeats over the leading ones (bias rule,
 * the only broadcast) ---- */
LOOM_API struct loom_node *loom_add(struct loom_graph *g, struct loom_node *a, struct loom_node *b);
LOOM_API struct loom_node *loom_sub(struct loom_graph *g, struct loom_node *a, struct loom_node *b);
LOOM_API struct loom_node *loom_mul(struct loom_graph *g, struct loom_node *a, struct loom_node *b);
LOOM_API struct loom_node *loom_scale(struct loom_graph *g, struct loom_node *a, double factor,
                                      double offset); /* factor·a + offset */
LOOM_API struct loom_node *loom_relu(struct loom_graph *g, struct loom_node *x);
LOOM_API struct loom_node *loom_gelu(struct loom_graph *g, struct loom_node *x);
LOOM_API struct loom_node *
loom_geglu(struct loom_graph *g,
           struct loom_node *x); /* [R,2W] → [R,W]: first half × gelu(second half) (Shazeer 2020) */
LOOM_API struct loom_node *loom_silu(struct loom_graph *g, struct loom_node *x);
LOOM_API struct loom_node *loom_tanh(struct loom_graph *g, struct loom_node *x);
LOOM_API struct loom_node *loom_sigmoid(struct loom_graph *g, struct loom_node *x);
LOOM_API struct loom_node *loom_exp(struct loom_graph *g, struct loom_node *x);
LOOM_API struct loom_node *loom_clamp(struct loom_graph *g, struct loom_node *x, double low,
                                      double high); /* gradient 0 outside */
LOOM_API struct loom_node *loom_softmax(struct loom_graph *g, struct loom_node *x);
LOOM_API struct loom_node *loom_layer_norm(struct loom_graph *g, struct loom_node *x, struct loom_node *gain,
                                           struct loom_node *bias, double eps); /* Ba et al. 2016 */
LOOM_API struct loom_node *loom_rms_norm(struct loom_graph *g, struct loom_node *x, struct loom_node *gain,
                                         double eps); /* Zhang & Sennrich 2019 */
LOOM_API struct loom_node *loom_l2_normalize(struct loom_graph *g, struct loom_node *x, double eps);
LOOM_API struct loom_node *loom_stop(struct loom_graph *g, struct loom_node *x); /* same values, no gradient */
/* Inverted dropout, p in [0, 0.9999]. Rows take their draws from (seed, purpose, step, groups.key, ordinal of the row
 * in its group); groups hold each row once, NULL = one group of key 0. p = 0: returns x. */
LOOM_API struct loom_node *loom_dropout(struct loom_graph *g, struct loom_node *x, double p,
                                        const struct loom_groups *groups, uint64_t seed, uint64_t step,
                                        const char *purpose);
/* residual + dropout(x), one pass. */
LOOM_API struct loom_node *loom_add_dropout(struct loom_graph *g, struct loom_node *residual, struct loom_node *x,
                                            double p, const struct loom_groups *groups, uint64_t seed, uint64_t step,
                                            const char *purpose);

/* Layer norm of residual + dropout(x) [R,W] in one pass, the step from a block's sublayer to its next: returns the
 * norm, and in *sum the sum, which the next residual adds to. gain, bias [W] may be NULL; p = 0: nothing is dropped,
 * groups and purpose are not read. Both outputs have the values, and give the gradients, of loom_add_dropout and
 * loom_layer_norm bit by bit (the reference kernels: to rounding), gradients of gain and bias where the groups hold the
 * rows in order. */
LOOM_API struct loom_node *loom_add_dropout_norm(struct loom_graph *g, struct loom_node *residual, struct loom_node *x,
                                                 double p, const struct loom_groups *groups, uint64_t seed,
                                                 uint64_t step, const char *purpose, struct loom_node *gain,
                                                 struct loom_node *bias, double eps, struct loom_node **sum);

/* ---- losses: weighted sums over all elements as one F64 value [1]. target, weight: nodes of the same shape; weight
 * NULL = 1. An element of weight 0 contributes exactly nothing, NaN targets included. No gradient flows into target and
 * weight. ---- */
/* Σ w (e^z − y z [+ ln y!]), z = log_rate. Where z is above LOOM_LOG_RATE_MOST, which is half a billion counts a bin,
 * e^z goes on along its tangent there, so that the loss stays convex and finite, and its gradient points back, however
 * far off a model is. */
#define LOOM_LOG_RATE_MOST 20.0
LOOM_API struct loom_node *loom_poisson_nll(struct loom_graph *g, struct loom_node *log_rate, struct loom_node *target,
                                            struct loom_node *weight, int log_factorial);
LOOM_API struct loom_node *loom_squared_error(struct loom_graph *g, struct loom_node *x, struct loom_node *target,
                                              struct loom_node *weight); /* Σ w (x−y)² */
LOOM_API struct loom_node *loom_cross_entropy(struct loom_graph *g, struct loom_node *logits /* [R,C] */,
                                              struct loom_node *label /* [R] I32, -1 = skip */,
                                              struct loom_node *weight /* [R] */, double smoothing);
LOOM_API struct loom_node *loom_bce(struct loom_graph *g, struct loom_node *logit, struct loom_node *target,
                                    struct loom_node *weight);                  /* logits, targets in [0,1] */
LOOM_API struct loom_node *loom_sum(struct loom_graph *g, struct loom_node *x); /* REAL or F64 → F64 [1] */

/* ---- graphs ---- */
/* The kernels that new graphs run: "avx512", "avx2", "baseline" (what the compiler takes for granted), or "reference"
 * (plain loops, which define the ops). The fastest that the processor has, unless $LOOM_KERNELS names one. Graphs by
 * different kernels differ in the last bits. NULL and LOOM_ECONFIG where $LOOM_KERNELS names none that runs here. */
LOOM_API const char *loom_kernels_name(struct loom_error *e);
/* A graph over an arena of `bytes` of reserved addresses (pages are touched as used). Holds no heap memory that grows.
 */
LOOM_API int loom_graph_new(struct loom_graph **out, size_t bytes, struct loom_error *e);
LOOM_API void loom_graph_free(struct loom_graph *g);
LOOM_API void loom_graph_reset(struct loom_graph *g); /* forget all nodes, keep the memory */
LOOM_API void *
loom_graph_alloc(struct loom_graph *g,
                 size_t bytes); /* [build] memory that lives until reset; NULL + sticky error when full */
LOOM_API int loom_graph_error(const struct loom_graph *g,
                              struct loom_error *e); /* LOOM_OK or the first error of this build */
LOOM_API void loom_graph_fail(struct loom_graph *g, int code, const char *fmt, ...) LOOM_PRINTF(3, 4);
LOOM_API void loom_graph_scope_push(struct loom_graph *g,
                                    const char *name); /* names in errors and profiles: "vit/block3" */
LOOM_API void loom_graph_scope_pop(struct loom_graph *g);
LOOM_API void loom_graph_forward(struct loom_graph *g);
/* d(Σ_i scale[i]·root[i]) into every leaf that wants it; roots are F64 [1]. Leaves' own buffers are added to. */
LOOM_API void loom_graph_backward(struct loom_graph *g, int n, struct loom_node *const *root, const double *scale);
LOOM_API double loom_graph_flops(const struct loom_graph *g,
                                 int training);              /* of one forward, or forward and backward */
LOOM_API size_t loom_graph_peak(const struct loom_graph *g); /* bytes, highest ever */
LOOM_API int loom_graph_nodes(const struct loom_graph *g);

#endif
