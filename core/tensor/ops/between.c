/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a table at real-valued places. */
#include "tensor/ops/ops.h"

#include <math.h>
#include <string.h>

struct between {
    int64_t rows;
    const double *at; /* [rows] in units of table rows */
};

static int between_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct between *p = n->attr;
    if (loom_need_real(n, 0, 1, e) != LOOM_OK || loom_need_rank(n, 0, 2, e) != LOOM_OK)
        return e->code;
    if (n->in[0]->shape.dim[0] < 1 && p->rows > 0)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "a table without rows has no places: give it one row at least");
    for (int64_t r = 0; r < p->rows; r++)
        if (!isfinite(p->at[r]))
            return loom_fail(e, LOOM_ESHAPE, NULL, 0, "place %lld is %g: give finite ones", (long long)r, p->at[r]);
    loom_infer_like(n, 0, out);
    out->dim[0] = p->rows;
    return LOOM_OK;
}

/* The two table rows around place `x` and the share of the second. */
static void around(double x, int64_t count, int64_t *low, int64_t *high, loom_real *share)
{
    x = x < 0.0 ? 0.0 : x > (double)(count - 1) ? (double)(count - 1) : x;
    *low = (int64_t)x;
    double rest = x - (double)*low;
    if (rest < 1e-6 || *low + 1 >= count)
        rest = 0.0;
    *high = rest > 0.0 ? *low + 1 : *low;
    *share = (loom_real)rest;
}

static void between_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct between *p = n->attr;
    const loom_real *t = loom_real_in(n, 0);
    int64_t count = n->in[0]->shape.dim[0], width = loom_width(n), low, high;
    loom_real *out = loom_real_out(n, first), share;
    (void)scratch;
    for (int64_t r = first; r < end; r++, out += width) {
        around(p->at[r], count, &low, &high, &share);
        for (int64_t i = 0; i < width; i++)
            out[i] = (1 - share) * t[low * width + i] + share * t[high * width + i];
    }
}

static void between_backward(const struct loom_node *n, void *scratch)
{
    const struct between *p = n->attr;
    const loom_real *out = n->grad;
    int64_t count = n->in[0]->shape.dim[0], width = loom_width(n), low, high;
    int fresh;
    loom_real *g = loom_real_grad(n, 0, &fresh), share;
    (void)scratch;
    if (!g)
        return;
    if (fresh)
        memset(g, 0, (size_t)(count * width) * sizeof(*g));
    for (int64_t r = 0; r < p->rows; r++, out += width) {
        around(p->at[r], count, &low, &high, &share);
        for (int64_t i = 0; i < width; i++) {
            g[low * width + i] += (1 - share) * out[i];
            if (share != 0)
                g[high * width + i] += share * out[i];
        }
    }
}

static const struct loom_op between_op = {
    .size = sizeof(struct loom_op),
    .name = "between",
    .infer = between_infer,
    .forward_part = between_part,
    .backward = between_backward,
};

struct loom_node *loom_between(struct loom_graph *g, struct loom_node *table, int64_t rows, const double *at)
{
    struct between attr = {.rows = rows, .at = at};
    return loom_apply(g, &between_op, 1, &table, &attr, sizeof(attr));
}
