/* SPDX-License-Identifier: Apache-2.0 */
/* Layers made of ops: what backbones and tokenizers are put together from.
 *
 * [build] A layer names its parameters under `name` in the current scope, with torch's layouts and default initial
 * values (weights [out, in]). Every function returns a node [rows, …] and obeys the row law. Dropout draws are named by
 * scope and keyed by `groups`; they are off unless loom_training(b).
 */
#ifndef LOOM_NN_H
#define LOOM_NN_H

#include <loom/model.h>

/* act(x · weightᵀ + bias): name.weight [out, in] "fan_in", name.bias [out] "zeros". */
LOOM_API struct loom_node *loom_nn_linear(struct loom_build *b, const char *name, struct loom_node *x, int64_t out,
                                          int act);
/* Initial values of a linear layer, in the words of loom_param; NULL: those above. Of a bias "fan_in" is U(±1/sqrt(in))
 * of its layer, as torch starts it. */
struct loom_linear_init {
    const char *weight, *bias;
};
/* loom_nn_linear that starts otherwise; init NULL: as that one. */
LOOM_API struct loom_node *loom_nn_linear_from(struct loom_build *b, const char *name, struct loom_node *x, int64_t out,
                                               int act, const struct loom_linear_init *init);
/* The same without a bias. */
LOOM_API struct loom_node *loom_nn_project(struct loom_build *b, const char *name, struct loom_node *x, int64_t out);
LOOM_API struct loom_node *loom_nn_project_from(struct loom_build *b, const char *name, struct loom_node *x,
                                                int64_t out, const struct loom_linear_init *init);
/* name.weight [width] ones, name.bias [width] zeros, eps 1e-5; both without decay. */
LOOM_API struct loom_node *loom_nn_layer_norm(struct loom_build *b, const char *name, struct loom_node *x);
LOOM_API struct loom_node *loom_nn_rms_norm(struct loom_build *b, const char *name,
                                            struct loom_node *x); /* name.weight; eps 1e-6 */
/* Rows index[i] of name.weight [count, width]; index -1 gives a zero row. */
LOOM_API struct loom_node *loom_nn_embedding(struct loom_build *b, const char *name, int64_t count, int64_t width,
                                             int64_t n, const int32_t *index, const char *init);
/* norm(residual + dropout(x)) in one pass, the sum in *sum: parameters norm.weight and norm.bias, draws of purpose
 * `drop`, both in the scope at hand. */
LOOM_API struct loom_node *loom_nn_add_layer_norm(struct loom_build *b, const char *drop, const char *norm,
                                                  struct loom_node *residual, struct loom_node *x, double p,
                                                  const struct loom_groups *rows, struct loom_node **sum);
/* Inverted dropout over rows grouped by sample. */
LOOM_API struct loom_node *loom_nn_dropout(struct loom_build *b, const char *name, struct loom_node *x, double p,
                                           const struct loom_groups *groups);

/* Stochastic depth (Huang et al. 2016): in training all rows of a group are 0 with chance p, and 1/(1-p) times as large
 * else. The draw is named by scope and `name`, keyed by the group. */
LOOM_API struct loom_node *loom_nn_drop_path(struct loom_build *b, const char *name, struct loom_node *x, double p,
                                             const struct loom_groups *groups);
/* Factors for each column that start at `start` (LayerScale, Touvron et al. 2021): x × name [width], without decay;
 * start 0: x as it is. */
LOOM_API struct loom_node *loom_nn_layer_scale(struct loom_build *b, const char *name, struct loom_node *x,
                                               double start);

/* Shape of a transformer block and of its sublayers. What is 0 takes the meaning named first. */
struct loom_block_spec {
    int32_t heads;
    int32_t head_width;  /* 0: width / heads; else the attention's inner width is heads × head_width */
    int32_t plain_qkv;   /* 0: q, k and v have biases; 1: none (the output projection always has one) */
    int32_t pre_norm;    /* 0: norm(x + f(x)) (Vaswani et al. 2017); 1: x + f(norm(x)) */
    int32_t norm_memory; /* 0: a cross block reads its memory as it is; 1: through a layer norm of its own */
    int32_t gated;       /* 0: act(in(x)); 1: GEGLU (Shazeer 2020), mlp.in is twice as wide, activation unused */
    double feed_forward; /* hidden width of the MLP over width, rounded */
    int32_t activation;  /* enum loom_activation of the MLP */
    double dropout;      /* of both sublayers' outputs and of the MLP's hidden layer */
    double attention_dropout;
    double hidden_dropout;        /* 0: the MLP's hidden layer has `dropout`; > 0: it has this one; < 0: it has none */
    double layer_scale;           /* > 0: what a sublayer adds goes through loom_nn_layer_scale that starts there */
    double drop_path;             /* > 0: … and through loom_nn_drop_path with this chance */
    struct loom_linear_init init; /* of all linear layers */
};
/* Attention with projections: q [Rq, width] attends memory [Rk, any]; memory NULL: itself. `see` gives groups, times,
 * context flags and rotary tables; its heads, width, columns, dropout, seed, step and purpose are filled in here.
 * name.qkv.{weight [3 inner, width], bias}, or name.q.* and name.kv.* [2 inner, …] with a memory; name.out.*
 * [width, inner]. */
LOOM_API struct loom_node *loom_nn_attention(struct loom_build *b, const char *name, struct loom_node *q,
                                             struct loom_node *memory, const struct loom_block_spec *spec,
                                             const struct loom_attention *see);
/* out(dropout(act(in(x)))): name.in.*, name.out.*. `rows` keys dropout. */
LOOM_API struct loom_node *loom_nn_mlp(struct loom_build *b, const char *name, struct loom_node *x,
                                       const struct loom_block_spec *spec, const struct loom_groups *rows);
/* Self-attention, then MLP, each in a residual, over rows x [R, width]: name.attention.*, name.norm1.*, name.mlp.*,
 * name.norm2.*, name.scale1 and name.scale2 with layer_scale. `rows` keys dropout and drop_path, `see` as for
 * loom_nn_attention. */
LOOM_API struct loom_node *loom_nn_block(struct loom_build *b, const char *name, struct loom_node *x,
                                         const struct loom_block_spec *spec, const struct loom_attention *see,
                                         const struct loom_groups *rows);
/* As above, but q [Rq, width] attends memory [Rk, any]. `rows` are the queries'. name.norm_memory.* if spec says so. */
LOOM_API struct loom_node *loom_nn_cross_block(struct loom_build *b, const char *name, struct loom_node *q,
                                               struct loom_node *memory, const struct loom_block_spec *spec,
                                               const struct loom_attention *see, const struct loom_groups *rows);

/* One step of a gated recurrent unit (Cho et al. 2014, in torch's form and gate order r, z, n), x [R, in], h [R,
 * width]: n = tanh(W x + b + r (U h + c)), h' = (1−z) n + z h. name.input.* [3 width, in], name.hidden.* [3 width,
 * width], all U(±1/sqrt(width)). */
LOOM_API struct loom_node *loom_nn_gru_cell(struct loom_build *b, const char *name, struct loom_node *x,
                                            struct loom_node *h);
/* Over the rows of each group in order; h0 [groups, width] or NULL = zeros. reverse 1: from the last row to the first.
 * → [R, width]; rows in no group are 0. */
LOOM_API struct loom_node *loom_nn_gru(struct loom_build *b, const char *name, struct loom_node *x, int64_t width,
                                       const struct loom_groups *groups, struct loom_node *h0, int reverse);

/* Contrast of the rows of z [n, any], l2-normalised, with each other. positive [n, n]: 1 where row j is a positive of
 * anchor i (the diagonal is not read). A row is an anchor if it has a positive and a row that is none. Sums over
 * anchors i with positives P, candidates all rows but i, s = z zᵀ: loss        −1/|P| Σ_p ln (exp(s_ip/τ) / Σ_a
 * exp(s_ia/τ)); one positive: InfoNCE (van den Oord et al. 2018), NT-Xent (Chen et al. 2020); several: supervised
 * contrast (Khosla et al. 2020, L_out) alignment   mean over P of |z_i − z_p|²; uniformity: ln mean_a exp(−2 |z_i −
 * z_a|²) (Wang & Isola 2020) A sum of two nodes is emitted as two, under one name. All NULL, and no anchors, for fewer
 * than two rows. */
struct loom_contrast {
    struct loom_node *loss[2], *alignment, *uniformity[2]; /* F64 [1]; without gradients they are for the log */
    double anchors, negatives; /* how many; their candidates that are not positive, summed */
};
LOOM_API struct loom_contrast loom_nn_contrast(struct loom_graph *g, struct loom_node *z, const uint8_t *positive,
                                               double temperature);

#endif
