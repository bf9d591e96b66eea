/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/nn.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct loom_linear_init plain;

/* Initial values of a bias, perhaps in `words` [size]: "fan_in" is its layer's, which the bias alone does not know. */
static const char *bias_init(const char *init, int64_t in, char *words, size_t size)
{
    if (!init || strcmp(init, "fan_in") != 0)
        return init ? init : "zeros";
    snprintf(words, size, "uniform:%.9g", 1.0 / sqrt((double)(in > 0 ? in : 1)));
    return words;
}

static struct loom_node *linear(struct loom_build *b, const char *name, struct loom_node *x, int64_t out, int act,
                                int with_bias, const struct loom_linear_init *init)
{
    const int64_t in = loom_node_dim(x, -1);
    char words[32];
    loom_scope_push(b, name);
    struct loom_node *w = loom_weight(b, "weight", out, in, init->weight ? init->weight : "fan_in", 0), *bias = NULL;
    if (with_bias)
        bias = loom_param(b, "bias", 1, &out, bias_init(init->bias, in, words, sizeof(words)), LOOM_NO_DECAY);
    struct loom_node *y = loom_linear(loom_build_graph(b), x, w, bias, act);
    loom_scope_pop(b);
    return y;
}

struct loom_node *loom_nn_linear(struct loom_build *b, const char *name, struct loom_node *x, int64_t out, int act)
{
    return linear(b, name, x, out, act, 1, &plain);
}

struct loom_node *loom_nn_linear_from(struct loom_build *b, const char *name, struct loom_node *x, int64_t out, int act,
                                      const struct loom_linear_init *init)
{
    return linear(b, name, x, out, act, 1, init ? init : &plain);
}

struct loom_node *loom_nn_project(struct loom_build *b, const char *name, struct loom_node *x, int64_t out)
{
    return linear(b, name, x, out, LOOM_ACT_NONE, 0, &plain);
}

struct loom_node *loom_nn_project_from(struct loom_build *b, const char *name, struct loom_node *x, int64_t out,
                                       const struct loom_linear_init *init)
{
    return linear(b, name, x, out, LOOM_ACT_NONE, 0, init ? init : &plain);
}

struct loom_node *loom_nn_dropout(struct loom_build *b, const char *name, struct loom_node *x, double p,
                                  const struct loom_groups *groups)
{
    if (!loom_training(b) || p == 0)
        return x;
    return loom_dropout(loom_build_graph(b), x, p, groups, loom_seed(b), loom_step(b), loom_purpose(b, name));
}

struct loom_node *loom_nn_layer_scale(struct loom_build *b, const char *name, struct loom_node *x, double start)
{
    const int64_t width = loom_node_dim(x, -1);
    char init[32];
    if (start == 0)
        return x;
    snprintf(init, sizeof(init), "constant:%.9g", start);
    return loom_mul(loom_build_graph(b), x, loom_param(b, name, 1, &width, init, LOOM_NO_DECAY));
}

/* Rows that stay are gathered, rows that go are its zero rows. */
struct loom_node *loom_nn_drop_path(struct loom_build *b, const char *name, struct loom_node *x, double p,
                                    const struct loom_groups *groups)
{
    struct loom_graph *g = loom_build_graph(b);
    const int64_t rows = loom_node_dim(x, 0);
    if (!loom_training(b) || p == 0)
        return x;
    const char *purpose = loom_purpose(b, name);
    int32_t *from = loom_graph_alloc(g, ((size_t)rows + 1) * sizeof(*from));
    for (int32_t r = 0; from && r < rows; r++)
        from[r] = r;
    for (int32_t k = 0; from && k < groups->n; k++) {
        struct loom_rng draw;
        loom_rng_init(&draw, loom_seed(b), purpose, loom_step(b), groups->key ? groups->key[k] : (uint64_t)k);
        const int gone = loom_rng_uniform(&draw) < p;
        for (int32_t i = groups->first[k]; gone && i < groups->first[k + 1]; i++)
            from[groups->row ? groups->row[i] : i] = -1;
    }
    struct loom_node *kept = loom_gather(g, x, loom_input(g, LOOM_I32, 1, &rows, from));
    return loom_scale(g, kept, 1.0 / (1.0 - p), 0.0);
}
