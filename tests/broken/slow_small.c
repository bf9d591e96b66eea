/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: denormal-time (warned) */
/* An op that lifts small numbers step by step: next to zero there are many steps. */
#define ROWS_AFTER(g, x) loom_apply(g, &lift_op, 1, (struct loom_node *[]){x}, NULL, 0)

#include <loom/graph.h>

static int lift_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct loom_node *x = loom_node_input(n, 0);
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_REAL, .rank = 2, .dim = {loom_node_dim(x, 0), loom_node_dim(x, 1)}};
    return LOOM_OK;
}

static loom_real lifted(double x)
{
    const double step = 1.015625;
    double scale = 1;
    while (x * x > 0 && x * x < 1e-12) {
        x *= step;
        scale *= step;
    }
    return (loom_real)(x / scale);
}

static void lift_forward(const struct loom_node *n, void *scratch)
{
    const loom_real *x = loom_node_host(loom_node_input(n, 0));
    loom_real *out = loom_node_out(n);
    (void)scratch;
    for (int64_t i = 0; i < loom_node_size(n); i++)
        out[i] = lifted((double)x[i]);
}

static void lift_backward(const struct loom_node *n, void *scratch)
{
    const loom_real *out = loom_node_grad_out(n);
    int fresh = 0;
    loom_real *g = loom_node_grad_in(n, 0, &fresh);
    (void)scratch;
    for (int64_t i = 0; g && i < loom_node_size(n); i++)
        g[i] = (fresh ? 0 : g[i]) + out[i];
}

static const struct loom_op lift_op = {.size = sizeof(struct loom_op),
                                       .name = "lift",
                                       .infer = lift_infer,
                                       .forward = lift_forward,
                                       .backward = lift_backward};

#include "rows.h"

ROWS_ENTRY("slow_small")
