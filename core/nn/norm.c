/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/nn.h>

static const double EPS = 1e-5; /* of layer norms */

struct loom_node *loom_nn_layer_norm(struct loom_build *b, const char *name, struct loom_node *x)
{
    int64_t width = loom_node_dim(x, -1);
    loom_scope_push(b, name);
    struct loom_node *gain = loom_param(b, "weight", 1, &width, "ones", LOOM_NO_DECAY);
    struct loom_node *bias = loom_param(b, "bias", 1, &width, "zeros", LOOM_NO_DECAY);
    struct loom_node *y = loom_layer_norm(loom_build_graph(b), x, gain, bias, EPS);
    loom_scope_pop(b);
    return y;
}

struct loom_node *loom_nn_add_layer_norm(struct loom_build *b, const char *drop, const char *norm,
                                         struct loom_node *residual, struct loom_node *x, double p,
                                         const struct loom_groups *rows, struct loom_node **sum)
{
    int64_t width = loom_node_dim(x, -1);
    const char *purpose = NULL;
    if (!loom_training(b))
        p = 0;
    if (p != 0)
        purpose = loom_purpose(b, drop);
    loom_scope_push(b, norm);
    struct loom_node *gain = loom_param(b, "weight", 1, &width, "ones", LOOM_NO_DECAY);
    struct loom_node *bias = loom_param(b, "bias", 1, &width, "zeros", LOOM_NO_DECAY);
    struct loom_node *y = loom_add_dropout_norm(loom_build_graph(b), residual, x, p, rows, loom_seed(b), loom_step(b),
                                                purpose, gain, bias, EPS, sum);
    loom_scope_pop(b);
    return y;
}

struct loom_node *loom_nn_rms_norm(struct loom_build *b, const char *name, struct loom_node *x)
{
    int64_t width = loom_node_dim(x, -1);
    loom_scope_push(b, name);
    struct loom_node *gain = loom_param(b, "weight", 1, &width, "ones", LOOM_NO_DECAY);
    struct loom_node *y = loom_rms_norm(loom_build_graph(b), x, gain, 1e-6);
    loom_scope_pop(b);
    return y;
}
