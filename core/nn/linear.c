/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/nn.h>

static struct loom_node *linear(struct loom_build *b, const char *name, struct loom_node *x, int64_t out, int act,
                                int with_bias)
{
    loom_scope_push(b, name);
    struct loom_node *w = loom_weight(b, "weight", out, loom_node_dim(x, -1), "fan_in", 0);
    struct loom_node *bias = with_bias ? loom_param(b, "bias", 1, &out, "zeros", LOOM_NO_DECAY) : NULL;
    struct loom_node *y = loom_linear(loom_build_graph(b), x, w, bias, act);
    loom_scope_pop(b);
    return y;
}

struct loom_node *loom_nn_linear(struct loom_build *b, const char *name, struct loom_node *x, int64_t out, int act)
{
    return linear(b, name, x, out, act, 1);
}

struct loom_node *loom_nn_project(struct loom_build *b, const char *name, struct loom_node *x, int64_t out)
{
    return linear(b, name, x, out, LOOM_ACT_NONE, 0);
}

struct loom_node *loom_nn_dropout(struct loom_build *b, const char *name, struct loom_node *x, double p,
                                  const struct loom_groups *groups)
{
    if (!loom_training(b) || p == 0)
        return x;
    return loom_dropout(loom_build_graph(b), x, p, groups, loom_seed(b), loom_step(b), loom_purpose(b, name));
}
