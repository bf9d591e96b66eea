/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and products of two nodes. The second may lack leading axes: it repeats over them (the bias rule). */
#include "tensor/ops/ops.h"

#include <string.h>

static int pair_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct loom_shape *a = &n->in[0]->shape, *b = &n->in[1]->shape;
    if (loom_need_real(n, 0, 2, e) != LOOM_OK)
        return e->code;
    int lead = a->rank - b->rank;
    if (lead < 0 || memcmp(a->dim + lead, b->dim, (size_t)b->rank * sizeof(*b->dim)) != 0)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0,
                         "the second shape must be the first, or the first without some leading axes");
    return loom_infer_like(n, 0, out);
}

/* How often the second input repeats. */
static int64_t repeats(const struct loom_node *n)
{
    return n->in[1]->size ? n->size / n->in[1]->size : 0;
}

/* Add dy, of `times` repeats, into db. */
static void sum_repeats(const struct loom_node *n, loom_real *db, int fresh)
{
    int64_t width = n->in[1]->size;
    KERNEL(n, column_sums)(repeats(n), width, n->grad, width, db, !fresh);
}

static void pass_first(const struct loom_node *n)
{
    int fresh;
    if (loom_node_grad_pass(n, 0))
        return;
    loom_real *da = loom_real_grad(n, 0, &fresh);
    if (da && fresh)
        memcpy(da, n->grad, loom_node_bytes(n));
    else if (da)
        KERNEL(n, axpy)(n->size, 1, n->grad, da);
}

/* ---- add ---- */

/* Both inputs row by row, or repeats of the second: its only row, or several at a time. */
static int64_t pair_pieces(const struct loom_node *n)
{
    const int64_t size = n->in[1]->size;
    return size == n->size || size == loom_width(n) ? 0 : repeats(n);
}

/* Operands of pieces [first, end): `times` stretches of `width` elements, the second input's the same for all. */
struct pair {
    const loom_real *a, *b;
    loom_real *y;
    int64_t width, times;
};

static struct pair pair_of(const struct loom_node *n, int64_t first, int64_t end)
{
    const int64_t size = n->in[1]->size, whole = size == n->size, width = whole ? loom_width(n) : size;
    return (struct pair){
        .a = loom_real_in(n, 0) + first * width,
        .b = loom_real_in(n, 1) + (whole ? first * width : 0),
        .y = (loom_real *)n->value + first * width,
        .width = whole ? (end - first) * width : width,
        .times = whole ? 1 : end - first,
    };
}

static void add_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct pair p = pair_of(n, first, end);
    (void)scratch;
    if (p.times == 1)
        KERNEL(n, add)(p.width, p.a, p.b, p.y);
    else
        KERNEL(n, add_bias)(p.times, p.width, p.a, p.b, p.y);
}

static void add_backward(const struct loom_node *n, void *scratch)
{
    int fresh;
    (void)scratch;
    loom_real *db = loom_real_grad(n, 1, &fresh);
    if (db)
        sum_repeats(n, db, fresh);
    pass_first(n);
}

static const struct loom_op add_op = {
    .size = sizeof(struct loom_op),
    .row_local = 3,
    .name = "add",
    .infer = pair_infer,
    .pieces = pair_pieces,
    .forward_part = add_part,
    .backward = add_backward,
};

struct loom_node *loom_add(struct loom_graph *g, struct loom_node *a, struct loom_node *b)
{
    return loom_apply(g, &add_op, 2, (struct loom_node *[]){a, b}, NULL, 0);
}

/* ---- sub ---- */

static void sub_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct pair p = pair_of(n, first, end);
    (void)scratch;
    for (int64_t r = 0; r < p.times; r++)
        KERNEL(n, sub)(p.width, p.a + r * p.width, p.b, p.y + r * p.width);
}

static void sub_backward(const struct loom_node *n, void *scratch)
{
    int64_t width = n->in[1]->size;
    const loom_real *dy = n->grad;
    int fresh;
    (void)scratch;
    loom_real *db = loom_real_grad(n, 1, &fresh);
    if (db && fresh)
        memset(db, 0, loom_node_bytes(n->in[1]));
    for (int64_t r = 0; db && r < repeats(n); r++)
        KERNEL(n, axpy)(width, -1, dy + r * width, db);
    pass_first(n);
}

static const struct loom_op sub_op = {
    .size = sizeof(struct loom_op),
    .row_local = 3,
    .name = "sub",
    .infer = pair_infer,
    .pieces = pair_pieces,
    .forward_part = sub_part,
    .backward = sub_backward,
};

struct loom_node *loom_sub(struct loom_graph *g, struct loom_node *a, struct loom_node *b)
{
    return loom_apply(g, &sub_op, 2, (struct loom_node *[]){a, b}, NULL, 0);
}

/* ---- mul ---- */

static void mul_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct pair p = pair_of(n, first, end);
    (void)scratch;
    for (int64_t r = 0; r < p.times; r++)
        KERNEL(n, mul)(p.width, p.a + r * p.width, p.b, p.y + r * p.width, 0);
}

static void mul_backward(const struct loom_node *n, void *scratch)
{
    const loom_real *a = loom_real_in(n, 0), *b = loom_real_in(n, 1), *dy = n->grad;
    int64_t width = n->in[1]->size;
    int fresh_a, fresh_b;
    (void)scratch;
    loom_real *da = loom_real_grad(n, 0, &fresh_a);
    for (int64_t r = 0; da && r < repeats(n); r++)
        KERNEL(n, mul)(width, dy + r * width, b, da + r * width, !fresh_a);
    loom_real *db = loom_real_grad(n, 1, &fresh_b);
    if (db && fresh_b && repeats(n) == 0)
        memset(db, 0, loom_node_bytes(n->in[1]));
    for (int64_t r = 0; db && r < repeats(n); r++)
        KERNEL(n, mul)(width, dy + r * width, a + r * width, db, r > 0 || !fresh_b);
}

static const struct loom_op mul_op = {
    .size = sizeof(struct loom_op),
    .row_local = 3,
    .name = "mul",
    .infer = pair_infer,
    .pieces = pair_pieces,
    .forward_part = mul_part,
    .backward = mul_backward,
};

struct loom_node *loom_mul(struct loom_graph *g, struct loom_node *a, struct loom_node *b)
{
    return loom_apply(g, &mul_op, 2, (struct loom_node *[]){a, b}, NULL, 0);
}
