/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: grad-fd-elem */
/* An op whose derivative is right to three digits: differences of a float's loss do not tell. */
#define ROWS_AFTER(g, x) loom_apply(g, &rough_op, 1, (struct loom_node *[]){x}, NULL, 0)

#include <loom/graph.h>

#include <math.h>

static int rough_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct loom_node *x = loom_node_input(n, 0);
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_REAL, .rank = 2, .dim = {loom_node_dim(x, 0), loom_node_dim(x, 1)}};
    return LOOM_OK;
}

static void rough_forward(const struct loom_node *n, void *scratch)
{
    const loom_real *x = loom_node_host(loom_node_input(n, 0));
    loom_real *out = loom_node_out(n);
    (void)scratch;
    for (int64_t i = 0; i < loom_node_size(n); i++)
        out[i] = (loom_real)atan((double)x[i]);
}

static void rough_backward(const struct loom_node *n, void *scratch)
{
    const loom_real *x = loom_node_host(loom_node_input(n, 0)), *out = loom_node_grad_out(n);
    int fresh = 0;
    loom_real *g = loom_node_grad_in(n, 0, &fresh);
    (void)scratch;
    for (int64_t i = 0; g && i < loom_node_size(n); i++)
        g[i] = (fresh ? 0 : g[i]) + out[i] * (loom_real)0.999 / (1 + x[i] * x[i]);
}

static const struct loom_op rough_op = {.size = sizeof(struct loom_op),
                                        .name = "rough",
                                        .infer = rough_infer,
                                        .forward = rough_forward,
                                        .backward = rough_backward};

#include "rows.h"

ROWS_ENTRY("rough_slope")
