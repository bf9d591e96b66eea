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
            int64_t at = 3 * r * width + c;
            loom_real reset = gate[at], keep = gate[at + width], next = gate[at + 2 * width], d = dy[r * width + c];
            loom_real dnew = d * (1 - keep) * (1 - next * next);
            loom_real dkeep = d * (state[r * width + c] - next) * keep * (1 - keep);
            loom_real dreset = dnew * hidden[at + 2 * width] * reset * (1 - reset);
            for (int i = 0; i < 2; i++) {
                if (!grad[i])
                    continue;
                put(&grad[i][at], dreset, fresh[i]);
                put(&grad[i][at + width], dkeep, fresh[i]);
                put(&grad[i][at + 2 * width], i ? dnew * reset : dnew, fresh[i]);
            }
            if (grad[2])
                put(&grad[2][r * width + c], d * keep, fresh[2]);
        }
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
