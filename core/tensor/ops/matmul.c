/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of products of two activations. A matrix of rank 2 serves the whole batch. */
#include "tensor/ops/ops.h"

#include <string.h>

struct matmul_attr {
    int32_t trans_a, trans_b;
};

static int64_t batch_of(const struct loom_node *n)
{
    return n->shape.rank == 3 ? n->shape.dim[0] : 1;
}

static int64_t axis_of(const struct loom_node *n, int last) /* stored rows (0) or columns (1) */
{
    return n->shape.dim[n->shape.rank - 2 + last];
}

static int matmul_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct matmul_attr *t = n->attr;
    const struct loom_node *a = n->in[0], *b = n->in[1];
    if (loom_need_real(n, 0, 2, e) != LOOM_OK)
        return e->code;
    for (int i = 0; i < 2; i++)
        if (n->in[i]->shape.rank < 2 || n->in[i]->shape.rank > 3)
            return loom_fail(e, LOOM_ESHAPE, NULL, 0,
                             "input %d has %d axes: give [rows, columns] or [batch, rows, columns]", i,
                             n->in[i]->shape.rank);
    if (a->shape.rank == 3 && b->shape.rank == 3 && a->shape.dim[0] != b->shape.dim[0])
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "batches of %lld and %lld: make them agree, or one input of rank 2",
                         (long long)a->shape.dim[0], (long long)b->shape.dim[0]);
    if (axis_of(a, !t->trans_a) != axis_of(b, t->trans_b))
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "inner axes of %lld and %lld: make them agree",
                         (long long)axis_of(a, !t->trans_a), (long long)axis_of(b, t->trans_b));
    out->dtype = LOOM_REAL;
    out->rank = a->shape.rank > b->shape.rank ? a->shape.rank : b->shape.rank;
    out->dim[0] = a->shape.rank == 3 ? a->shape.dim[0] : b->shape.dim[0];
    out->dim[out->rank - 2] = axis_of(a, t->trans_a);
    out->dim[out->rank - 1] = axis_of(b, !t->trans_b);
    return LOOM_OK;
}

/* One operand: node, its memory, whether it is read transposed. */
struct operand {
    const struct loom_node *shape;
    const loom_real *data;
    int trans;
};

static int64_t stride_of(const struct loom_node *n)
{
    return n->shape.rank == 3 ? n->shape.dim[1] * n->shape.dim[2] : 0;
}

/* c (+)= op(a) op(b), c shaped as node `to`, over as many matrices as the product of node n has. */
static struct loom_bmm product(const struct loom_node *n, struct operand a, struct operand b,
                               const struct loom_node *to, loom_real *c, int accumulate)
{
    return (struct loom_bmm){
        .batch = batch_of(n),
        .m = axis_of(to, 0),
        .n = axis_of(to, 1),
        .k = axis_of(a.shape, !a.trans),
        .a = a.data,
        .b = b.data,
        .c = c,
        .lda = axis_of(a.shape, 1),
        .ldb = axis_of(b.shape, 1),
        .ldc = axis_of(to, 1),
        .stride_a = stride_of(a.shape),
        .stride_b = stride_of(b.shape),
        .stride_c = stride_of(to),
        .trans_a = a.trans,
        .trans_b = b.trans,
        .accumulate = accumulate,
    };
}

static struct loom_bmm forward_product(const struct loom_node *n)
{
    const struct matmul_attr *t = n->attr;
    struct operand a = {n->in[0], loom_real_in(n, 0), t->trans_a}, b = {n->in[1], loom_real_in(n, 1), t->trans_b};
    return product(n, a, b, n, n->value, 0);
}

/* With c = op(a) op(b): d op(a) = dc op(b)ᵀ and d op(b) = op(a)ᵀ dc; a gradient stored transposed swaps the factors. */
static struct loom_bmm grad_product(const struct loom_node *n, int i, loom_real *grad, int accumulate)
{
    const struct matmul_attr *t = n->attr;
    struct operand dc = {n, n->grad, 0};
    struct operand a = {n->in[0], loom_real_in(n, 0), t->trans_a}, b = {n->in[1], loom_real_in(n, 1), t->trans_b};
    if (i == 0 && t->trans_a) {
        dc.trans = 1;
        return product(n, b, dc, n->in[0], grad, accumulate);
    }
    if (i == 0) {
        b.trans = !b.trans;
        return product(n, dc, b, n->in[0], grad, accumulate);
    }
    if (t->trans_b) {
        dc.trans = 1;
        return product(n, dc, a, n->in[1], grad, accumulate);
    }
    a.trans = !a.trans;
    return product(n, a, dc, n->in[1], grad, accumulate);
}

static size_t matmul_scratch(const struct loom_node *n)
{
    struct loom_bmm p = forward_product(n);
    size_t most = KERNEL(n, bmm_scratch)(&p);
    for (int i = 0; i < 2; i++) {
        p = grad_product(n, i, NULL, 1);
        size_t bytes = n->in[i]->wants ? KERNEL(n, bmm_scratch)(&p) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

static void matmul_forward(const struct loom_node *n, void *scratch)
{
    struct loom_bmm p = forward_product(n);
    KERNEL(n, bmm)(&p, scratch);
}

static void matmul_backward(const struct loom_node *n, void *scratch)
{
    for (int i = 0; i < 2; i++) {
        int fresh;
        loom_real *grad = loom_real_grad(n, i, &fresh);
        if (!grad)
            continue;
        if (fresh && (batch_of(n) != 1 && stride_of(n->in[i]) == 0)) {
            memset(grad, 0, loom_node_bytes(n->in[i]));
            fresh = 0;
        }
        struct loom_bmm p = grad_product(n, i, grad, !fresh);
        KERNEL(n, bmm)(&p, scratch);
    }
}

static double matmul_flops(const struct loom_node *n)
{
    const struct matmul_attr *t = n->attr;
    return 2.0 * (double)n->size * (double)axis_of(n->in[0], !t->trans_a);
}

static const struct loom_op matmul_op = {
    .size = sizeof(struct loom_op),
    .row_local = 1,
    .name = "matmul",
    .infer = matmul_infer,
    .scratch = matmul_scratch,
    .forward = matmul_forward,
    .backward = matmul_backward,
    .flops = matmul_flops,
};

struct loom_node *loom_matmul(struct loom_graph *g, struct loom_node *a, struct loom_node *b, int trans_a, int trans_b)
{
    struct matmul_attr attr = {trans_a != 0, trans_b != 0};
    return loom_apply(g, &matmul_op, 2, (struct loom_node *[]){a, b}, &attr, sizeof(attr));
}
