/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/nn.h>

#include <math.h>

static struct loom_node *project(struct loom_build *b, const char *name, struct loom_node *x, int64_t out,
                                 const struct loom_block_spec *spec)
{
    return spec->plain_qkv ? loom_nn_project_from(b, name, x, out, &spec->init)
                           : loom_nn_linear_from(b, name, x, out, LOOM_ACT_NONE, &spec->init);
}

struct loom_node *loom_nn_attention(struct loom_build *b, const char *name, struct loom_node *q,
                                    struct loom_node *memory, const struct loom_block_spec *spec,
                                    const struct loom_attention *see)
{
    struct loom_attention rule = *see;
    struct loom_node *k;
    int64_t width = loom_node_dim(q, -1);
    loom_scope_push(b, name);
    rule.heads = spec->heads;
    rule.width = spec->head_width ? spec->heads * spec->head_width : (int32_t)width;
    rule.q_column = 0;
    if (memory) {
        q = project(b, "q", q, rule.width, spec);
        k = project(b, "kv", memory, 2 * (int64_t)rule.width, spec);
        rule.k_column = 0;
    } else {
        q = k = project(b, "qkv", q, 3 * (int64_t)rule.width, spec);
        rule.k_column = rule.width;
    }
    rule.v_column = rule.k_column + rule.width;
    rule.dropout = loom_training(b) ? spec->attention_dropout : 0;
    rule.seed = loom_seed(b);
    rule.step = loom_step(b);
    rule.purpose = rule.dropout != 0 ? loom_purpose(b, "weights") : NULL;
    struct loom_node *y = loom_attention(loom_build_graph(b), q, k, k, &rule);
    y = loom_nn_linear_from(b, "out", y, width, LOOM_ACT_NONE, &spec->init);
    loom_scope_pop(b);
    return y;
}

static double hidden_dropout(const struct loom_block_spec *spec)
{
    return spec->hidden_dropout == 0 ? spec->dropout : fmax(spec->hidden_dropout, 0);
}

struct loom_node *loom_nn_mlp(struct loom_build *b, const char *name, struct loom_node *x,
                              const struct loom_block_spec *spec, const struct loom_groups *rows)
{
    int64_t width = loom_node_dim(x, -1), hidden = llround(spec->feed_forward * (double)width);
    loom_scope_push(b, name);
    if (spec->gated)
        x = loom_geglu(loom_build_graph(b), loom_nn_linear_from(b, "in", x, 2 * hidden, LOOM_ACT_NONE, &spec->init));
    else
        x = loom_nn_linear_from(b, "in", x, hidden, spec->activation, &spec->init);
    x = loom_nn_dropout(b, "hidden", x, hidden_dropout(spec), rows);
    x = loom_nn_linear_from(b, "out", x, width, LOOM_ACT_NONE, &spec->init);
    loom_scope_pop(b);
    return x;
}

/* x + dropout(y), one pass. */
static struct loom_node *residual(struct loom_build *b, const char *name, struct loom_node *x, struct loom_node *y,
                                  const struct loom_block_spec *spec, const struct loom_groups *rows)
{
    struct loom_graph *g = loom_build_graph(b);
    if (!loom_training(b) || spec->dropout == 0)
        return loom_add(g, x, y);
    return loom_add_dropout(g, x, y, spec->dropout, rows, loom_seed(b), loom_step(b), loom_purpose(b, name));
}

/* What a sublayer adds, scaled and now and then left out. The order is that of publication: factors first. */
static struct loom_node *branch(struct loom_build *b, const char *scale, const char *path, struct loom_node *y,
                                const struct loom_block_spec *spec, const struct loom_groups *rows)
{
    return loom_nn_drop_path(b, path, loom_nn_layer_scale(b, scale, y, spec->layer_scale), spec->drop_path, rows);
}

static struct loom_node *mlp(struct loom_build *b, struct loom_node *x, const struct loom_block_spec *spec,
                             const struct loom_groups *rows)
{
    return branch(b, "scale2", "path2", loom_nn_mlp(b, "mlp", x, spec, rows), spec, rows);
}

static struct loom_node *block(struct loom_build *b, struct loom_node *x, struct loom_node *memory,
                               const struct loom_block_spec *spec, const struct loom_attention *see,
                               const struct loom_groups *rows)
{
    if (memory && spec->norm_memory)
        memory = loom_nn_layer_norm(b, "norm_memory", memory);
    struct loom_node *sum, *h = spec->pre_norm ? loom_nn_layer_norm(b, "norm1", x) : x;
    struct loom_node *y = loom_nn_attention(b, "attention", h, memory, spec, see);
    y = branch(b, "scale1", "path1", y, spec, rows);
    if (spec->pre_norm) {
        h = loom_nn_add_layer_norm(b, "drop1", "norm2", x, y, spec->dropout, rows, &x);
        return residual(b, "drop2", x, mlp(b, h, spec, rows), spec, rows);
    }
    x = loom_nn_add_layer_norm(b, "drop1", "norm1", x, y, spec->dropout, rows, &sum);
    return loom_nn_add_layer_norm(b, "drop2", "norm2", x, mlp(b, x, spec, rows), spec->dropout, rows, &sum);
}

struct loom_node *loom_nn_block(struct loom_build *b, const char *name, struct loom_node *x,
                                const struct loom_block_spec *spec, const struct loom_attention *see,
                                const struct loom_groups *rows)
{
    loom_scope_push(b, name);
    x = block(b, x, NULL, spec, see, rows);
    loom_scope_pop(b);
    return x;
}

struct loom_node *loom_nn_cross_block(struct loom_build *b, const char *name, struct loom_node *q,
                                      struct loom_node *memory, const struct loom_block_spec *spec,
                                      const struct loom_attention *see, const struct loom_groups *rows)
{
    loom_scope_push(b, name);
    q = block(b, q, memory, spec, see, rows);
    loom_scope_pop(b);
    return q;
}
