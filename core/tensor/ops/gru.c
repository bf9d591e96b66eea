/* SPDX-License-Identifier: Apache-2.0 */
/* The gates of a gated recurrent unit in one node: what is left when the two products are made. */
#include "tensor/ops/gru.h"

#include "tensor/ops/ops.h"

#include <string.h>

/* Inputs: input part [R,3W], hidden part [R,3W], both in the order r, z, n; state [R,W]. */
static int gru_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    if (loom_need_real(n, 0, 3, e) != LOOM_OK || loom_need_same(n, 0, 1, e) != LOOM_OK ||
        loom_need_rank(n, 0, 2, e) != LOOM_OK || loom_need_rank(n, 2, 2, e) != LOOM_OK)
        return e->code;
    if (n->in[0]->shape.dim[0] != n->in[2]->shape.dim[0] || loom_width(n->in[0]) != 3 * loom_width(n->in[2]))
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "the parts must be [rows, 3 width] where the state is [rows, width]");
    out->saved = loom_node_bytes(n->in[0]);
    return loom_infer_like(n, 2, out);
}

/* Saved are the three gates after their activations. */
static void gru_forward(const struct loom_node *n, void *scratch)
{
    const loom_real *x = loom_real_in(n, 0), *hidden = loom_real_in(n, 1), *state = loom_real_in(n, 2);
    loom_real *gate = n->saved, *y = n->value;
    int64_t width = loom_width(n);
    (void)scratch;
    for (int64_t r = 0; r < loom_rows(n); r++) {
        loom_real *reset = gate, *keep = gate + width, *fresh = gate + 2 * width;
        KERNEL(n, add)(2 * width, x, hidden, gate);
        KERNEL(n, activate)(2 * width, LOOM_ACT_SIGMOID, gate, gate);
        KERNEL(n, mul)(width, reset, hidden + 2 * width, fresh, 0);
        KERNEL(n, add)(width, x + 2 * width, fresh, fresh);
        KERNEL(n, activate)(width, LOOM_ACT_TANH, fresh, fresh);
        for (int64_t c = 0; c < width; c++)
            y[c] = fresh[c] + keep[c] * (state[c] - fresh[c]);
        x += 3 * width;
        hidden += 3 * width;
        gate += 3 * width;
        state += width;
        y += width;
    }
}

static void put(loom_real *at, loom_real d, int fresh)
{
    *at = (fresh ? 0 : *at) + d;
}

static void gru_backward(const struct loom_node *n, void *scratch)
{
    const loom_real *hidden = loom_real_in(n, 1), *state = loom_real_in(n, 2), *gate = n->saved, *dy = n->grad;
    int64_t width = loom_width(n);
    int fresh[3];
    loom_real *grad[3];
    (void)scratch;
    for (int i = 0; i < 3; i++)
        grad[i] = loom_real_grad(n, i, &fresh[i]);
    for (int64_t r = 0; r < loom_rows(n); r++) {
        for (int64_t c = 0; c < width; c++) {
            loom_real reset = gate[c], keep = gate[width + c], new = gate[2 * width + c];
            loom_real dnew = dy[c] * (1 - keep) * (1 - new *new);
            loom_real dkeep = dy[c] * (state[c] - new) * keep * (1 - keep);
            loom_real dreset = dnew * hidden[2 * width + c] * reset * (1 - reset);
            const loom_real d[3] = {dreset, dkeep, dnew};
            for (int k = 0; k < 3 && grad[0]; k++)
                put(&grad[0][k * width + c], d[k], fresh[0]);
            for (int k = 0; k < 3 && grad[1]; k++)
                put(&grad[1][k * width + c], k == 2 ? dnew * reset : d[k], fresh[1]);
            if (grad[2])
                put(&grad[2][c], dy[c] * keep, fresh[2]);
        }
        hidden += 3 * width;
        gate += 3 * width;
        state += width;
        dy += width;
        grad[0] += grad[0] ? 3 * width : 0;
        grad[1] += grad[1] ? 3 * width : 0;
        grad[2] += grad[2] ? width : 0;
    }
}

static const struct loom_op gru_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "gru_gates",
    .infer = gru_infer,
    .forward = gru_forward,
    .backward = gru_backward,
};

struct loom_node *loom_gru_gates(struct loom_graph *g, struct loom_node *input, struct loom_node *hidden,
                                 struct loom_node *state)
{
    return loom_apply(g, &gru_op, 3, (struct loom_node *[]){input, hidden, state}, NULL, 0);
}
