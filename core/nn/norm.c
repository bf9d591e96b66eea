/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/nn.h>

struct loom_node *loom_nn_layer_norm(struct loom_build *b, const char *name, struct loom_node *x)
{
    int64_t width = loom_node_dim(x, -1);
    loom_scope_push(b, name);
    struct loom_node *gain = loom_param(b, "weight", 1, &width, "ones", LOOM_NO_DECAY);
    struct loom_node *bias = loom_param(b, "bias", 1, &width, "zeros", LOOM_NO_DECAY);
    struct loom_node *y = loom_layer_norm(loom_build_graph(b), x, gain, bias, 1e-5);
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
