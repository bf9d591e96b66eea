/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: grad-fd-dir; may break: * */
/* An op whose backward has the wrong sign. */
#define ROWS_AFTER(g, x) loom_apply(g, &flip_op, 1, (struct loom_node *[]){x}, NULL, 0)

#include <loom/graph.h>

static int flip_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct loom_node *x = loom_node_input(n, 0);
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_REAL, .rank = 2, .dim = {loom_node_dim(x, 0), loom_node_dim(x, 1)}};
    return LOOM_OK;
}

static void flip_forward(const struct loom_node *n, void *scratch)
{
    const loom_real *x = loom_node_host(loom_node_input(n, 0));
    loom_real *out = loom_node_out(n);
    (void)scratch;
    for (int64_t i = 0; i < loom_node_size(n); i++)
        out[i] = 2 * x[i];
}

static void flip_backward(const struct loom_node *n, void *scratch)
{
    const loom_real *out = loom_node_grad_out(n);
    int fresh = 0;
    loom_real *g = loom_node_grad_in(n, 0, &fresh);
    (void)scratch;
    for (int64_t i = 0; g && i < loom_node_size(n); i++)
        g[i] = (fresh ? 0 : g[i]) - 2 * out[i];
}

static const struct loom_op flip_op = {.size = sizeof(struct loom_op),
                                       .name = "flip",
                                       .infer = flip_infer,
                                       .forward = flip_forward,
                                       .backward = flip_backward};

#include "rows.h"

ROWS_ENTRY("wrong_sign")
