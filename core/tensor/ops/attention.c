/* SPDX-License-Identifier: Apache-2.0 */
/* Attention group by group. The kernel keeps one number a query and head, the log of the sum of exponentials, from
 * which backward makes the weights again (Dao et al. 2022). */
#include "tensor/ops/ops.h"

#include <loom/rng.h>
#include <string.h>

struct attention_attr {
    struct loom_attention rule;
    uint32_t key[2], step;
};

enum { Q, K, V };

static int32_t column_of(const struct loom_attention *r, int role)
{
    return role == Q ? r->q_column : role == K ? r->k_column : r->v_column;
}

static int attention_operands(const struct loom_node *n, struct loom_error *e)
{
    const struct loom_attention *r = n->attr;
    if (loom_need_real(n, 0, 3, e) != LOOM_OK)
        return e->code;
    if (r->heads < 1 || r->width < 1 || r->width % r->heads)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "width %d with %d heads: make the width a multiple of the heads",
                         r->width, r->heads);
    for (int i = Q; i <= V; i++) {
        int32_t column = column_of(r, i);
        if (loom_need_rank(n, i, 2, e) != LOOM_OK)
            return e->code;
        if (column < 0 || column > loom_width(n->in[i]) - r->width)
            return loom_fail(e, LOOM_ESHAPE, NULL, 0, "columns %d … %d of input %d, which has %lld: stay inside",
                             column, column + r->width - 1, i, (long long)loom_width(n->in[i]));
    }
    if (n->in[K]->shape.dim[0] != n->in[V]->shape.dim[0])
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "keys and values must have as many rows");
    return LOOM_OK;
}

static int attention_rule(const struct loom_node *n, struct loom_error *e)
{
    const struct loom_attention *r = n->attr;
    if (loom_need_groups(&r->q_groups, n->in[Q]->shape.dim[0], "groups of queries", e) != LOOM_OK ||
        loom_need_groups(&r->k_groups, n->in[K]->shape.dim[0], "groups of keys", e) != LOOM_OK)
        return e->code;
    if (r->q_groups.n != r->k_groups.n)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%d groups of queries and %d of keys: give as many of both",
                         r->q_groups.n, r->k_groups.n);
    if ((r->causal || r->back_s >= 0 || r->ahead_s >= 0) && !(r->q_time && r->k_time))
        return loom_fail(
            e, LOOM_EINVAL, NULL, 0,
            "a rule by time without times: give q_time and k_time, or set causal = 0, back_s = ahead_s = -1");
    if (!r->q_cos != !r->q_sin || !r->k_cos != !r->k_sin || !r->q_cos != !r->k_cos)
        return loom_fail(e, LOOM_EINVAL, NULL, 0,
                         "rotary tables that lack a part: give cos and sin of queries and keys");
    if (r->q_cos && r->width / r->heads % 2)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "rotary heads of odd width %d: make it even", r->width / r->heads);
    if (r->rotate_value && !r->q_cos)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "rotate_value without rotary tables: give them, or set it to 0");
    return loom_need_drop(r->dropout, r->dropout > 0 ? r->purpose : "", e);
}

static int attention_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct loom_attention *r = n->attr;
    if (attention_operands(n, e) != LOOM_OK || attention_rule(n, e) != LOOM_OK)
        return e->code;
    out->dtype = LOOM_REAL;
    out->rank = 2;
    out->dim[0] = n->in[Q]->shape.dim[0];
    out->dim[1] = r->width;
    out->saved = (size_t)out->dim[0] * (size_t)r->heads * sizeof(loom_real);
    return LOOM_OK;
}

static size_t attention_scratch(const struct loom_node *n)
{
    return KERNEL(n, attention_scratch)(n->attr, n->wants);
}

static struct loom_attention_args arguments(const struct loom_node *n)
{
    const struct attention_attr *a = n->attr;
    return (struct loom_attention_args){
        .rule = &a->rule,
        .q_rows = n->in[Q]->shape.dim[0],
        .k_rows = n->in[K]->shape.dim[0],
        .q = loom_real_in(n, Q) + a->rule.q_column,
        .k = loom_real_in(n, K) + a->rule.k_column,
        .v = loom_real_in(n, V) + a->rule.v_column,
        .q_ld = loom_width(n->in[Q]),
        .k_ld = loom_width(n->in[K]),
        .v_ld = loom_width(n->in[V]),
        .out = n->value,
        .out_ld = a->rule.width,
        .lse = n->saved,
        .key = {a->key[0], a->key[1]},
        .step = a->step,
    };
}

static int32_t entries(const struct loom_groups *g)
{
    return g->n ? g->first[g->n] - g->first[0] : 0;
}

/* Rows in no group see no key; where there are any, one thread runs. */
static int all_in_groups(const struct loom_node *n)
{
    return entries(&((const struct attention_attr *)n->attr)->rule.q_groups) >= n->in[Q]->shape.dim[0];
}

static int64_t attention_pieces(const struct loom_node *n)
{
    const struct loom_attention *r = n->attr;
    int64_t pieces = 0;
    for (int32_t g = 0; g < r->q_groups.n && all_in_groups(n); g++)
        pieces += r->heads *
                  ((r->q_groups.first[g + 1] - r->q_groups.first[g] + LOOM_ATTENTION_PIECE - 1) / LOOM_ATTENTION_PIECE);
    return pieces > 0 ? pieces : 1;
}

static void attention_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    struct loom_attention_args args = arguments(n);
    if (all_in_groups(n)) {
        args.first = first;
        args.end = end;
    } else {
        memset(n->value, 0, loom_node_bytes(n));
    }
    KERNEL(n, attention)(&args, scratch);
}

/* Whether the roles that share the node of role `i` fill its columns, none twice: then each is written, not added. */
static int tiles(const struct loom_node *n, int i)
{
    const struct loom_attention *r = n->attr;
    int64_t covered = 0;
    for (int a = Q; a <= V; a++) {
        if (n->in[a] != n->in[i])
            continue;
        covered += r->width;
        for (int b = Q; b < a; b++)
            if (n->in[b] == n->in[a] && column_of(r, a) < column_of(r, b) + r->width &&
                column_of(r, b) < column_of(r, a) + r->width)
                return 0;
    }
    return covered == loom_width(n->in[i]);
}

static void attention_backward(const struct loom_node *n, void *scratch)
{
    struct loom_attention_args args = arguments(n);
    loom_real *grad[3];
    int accumulate[3];
    for (int i = Q; i <= V; i++) {
        int fresh, first = i;
        grad[i] = loom_real_grad(n, i, &fresh);
        for (int j = V; j >= Q; j--)
            if (j < i && n->in[j] == n->in[i])
                first = j;
        accumulate[i] = first < i ? accumulate[first] : !fresh || !tiles(n, i);
        if (grad[i] && fresh && accumulate[i])
            memset(grad[i], 0, loom_node_bytes(n->in[i]));
        if (grad[i])
            grad[i] += column_of(n->attr, i);
    }
    args.dout = n->grad;
    args.dq = grad[Q];
    args.dk = grad[K];
    args.dv = grad[V];
    args.dq_accumulate = accumulate[Q];
    args.dk_accumulate = accumulate[K];
    args.dv_accumulate = accumulate[V];
    KERNEL(n, attention_back)(&args, scratch);
}

/* Two products for each pair of a query and a key of its group, seen or not. */
static double attention_flops(const struct loom_node *n)
{
    const struct loom_attention *r = n->attr;
    double pairs = 0;
    for (int32_t g = 0; g < r->q_groups.n; g++)
        pairs += (double)(r->q_groups.first[g + 1] - r->q_groups.first[g]) *
                 (double)(r->k_groups.first[g + 1] - r->k_groups.first[g]);
    return 4.0 * pairs * r->width;
}

static const struct loom_op attention_op = {
    .size = sizeof(struct loom_op),
    .name = "attention",
    .infer = attention_infer,
    .scratch = attention_scratch,
    .pieces = attention_pieces,
    .forward_part = attention_part,
    .backward = attention_backward,
    .flops = attention_flops,
};

struct loom_node *loom_attention(struct loom_graph *g, struct loom_node *q, struct loom_node *k, struct loom_node *v,
                                 const struct loom_attention *attr)
{
    struct attention_attr a = {.rule = *attr};
    struct loom_rng rng;
    loom_rng_init(&rng, attr->seed, attr->purpose ? attr->purpose : "", attr->step, 0);
    memcpy(a.key, rng.key, sizeof(a.key));
    a.step = rng.counter[1];
    return loom_apply(g, &attention_op, 3, (struct loom_node *[]){q, k, v}, &a, sizeof(a));
}
