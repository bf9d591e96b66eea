/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in plain loops: the definition. One (group, head, query) at a time over a row of weights in scratch. */
#include "tensor/kernels/groups.h"
#include "tensor/kernels/kernels.h"
#include "tensor/kernels/visible.h"
#include <math.h>
#include <string.h>

/* One query of one head: where its rows start, and its weights over the keys of its group. */
struct query {
    const struct loom_attention_args *a;
    int32_t group, head, dim;
    int64_t row, ordinal, keys; /* row of q, ordinal in its group, keys in the group */
    double *q, *o;              /* [dim] the query as rotated; output or its gradient, in the frame of the sums */
};

/* out[dim] = in rotated by the angles of `row`, forwards or back (turn = ±1). Tables NULL: a copy. */
static void rotate(int32_t dim, const loom_real *cosine, const loom_real *sine, int64_t row, int turn, const double *in,
                   double *out)
{
    if (!cosine) {
        memmove(out, in, (size_t)dim * sizeof *out);
        return;
    }
    for (int32_t i = 0; i < dim; i += 2) {
        double c = cosine[row * (dim / 2) + i / 2], s = turn * sine[row * (dim / 2) + i / 2];
        double even = in[i], odd = in[i + 1];
        out[i] = even * c - odd * s;
        out[i + 1] = even * s + odd * c;
    }
}

static void load(int32_t dim, const loom_real *from, double *to)
{
    for (int32_t i = 0; i < dim; i++)
        to[i] = from[i];
}

static int64_t key_row(const struct query *u, int64_t j)
{
    const struct loom_groups *groups = &u->a->rule->k_groups;
    return loom_group_row(groups, groups->first[u->group] + j);
}

/* Key (value) j of the group in head u->head, rotated as the rule says. */
static void load_key(const struct query *u, int64_t j, int value, double *out)
{
    const struct loom_attention *rule = u->a->rule;
    const int turns = !value || rule->rotate_value;
    const int64_t row = key_row(u, j);
    load(u->dim, (value ? u->a->v + row * u->a->v_ld : u->a->k + row * u->a->k_ld) + (int64_t)u->head * u->dim, out);
    rotate(u->dim, turns ? rule->k_cos : NULL, rule->k_sin, row, 1, out, out);
}

static double kept(const struct query *u, int64_t j)
{
    const struct loom_attention_args *a = u->a;
    const struct loom_groups *groups = &a->rule->q_groups;
    const uint32_t threshold = loom_draw_threshold(a->rule->dropout);
    if (!threshold)
        return 1;
    const int64_t queries = groups->first[u->group + 1] - groups->first[u->group];
    const uint64_t sample = loom_group_key(groups, u->group);
    uint32_t block = (uint32_t)(((u->head * queries) + u->ordinal) * ((u->keys + 7) / 8) + j / 8), word[4];
    uint32_t counter[4] = {block, a->step, (uint32_t)sample, (uint32_t)(sample >> 32)};
    loom_philox(a->key, counter, word);
    return (word[j % 8 / 2] >> 16 * (j % 2) & 0xffff) < threshold ? 0 : loom_draw_scale(threshold);
}

/* score[j] of every key, −inf where it is not seen. */
static void scores(const struct query *u, double *score)
{
    double key[LOOM_HEAD_DIM_MAX];
    for (int64_t j = 0; j < u->keys; j++) {
        double dot = 0;
        load_key(u, j, 0, key);
        for (int32_t i = 0; i < u->dim; i++)
            dot += u->q[i] * key[i];
        score[j] = loom_visible(u->a->rule, u->row, key_row(u, j)) ? dot / sqrt(u->dim) : -INFINITY;
    }
}

static void forward(const struct query *u, double *score)
{
    const struct loom_attention *rule = u->a->rule;
    double top = -INFINITY, sum = 0, value[LOOM_HEAD_DIM_MAX];
    scores(u, score);
    for (int64_t j = 0; j < u->keys; j++)
        top = score[j] > top ? score[j] : top;
    for (int64_t j = 0; j < u->keys && top > -INFINITY; j++)
        sum += exp(score[j] - top);
    memset(u->o, 0, (size_t)u->dim * sizeof *u->o);
    for (int64_t j = 0; j < u->keys && sum > 0; j++) {
        double p = exp(score[j] - top) / sum * kept(u, j);
        load_key(u, j, 1, value);
        for (int32_t i = 0; i < u->dim; i++)
            u->o[i] += p * value[i];
    }
    if (rule->rotate_value)
        rotate(u->dim, rule->q_cos, rule->q_sin, u->row, -1, u->o, u->o);
    for (int32_t i = 0; i < u->dim; i++)
        u->a->out[u->row * u->a->out_ld + u->head * u->dim + i] = (loom_real)u->o[i];
    u->a->lse[u->row * rule->heads + u->head] = sum > 0 ? (loom_real)(top + log(sum)) : (loom_real)INFINITY;
}

/* Add `by` × grad[dim], turned back by the row's angles, to a gradient row. */
static void add_row(const struct query *u, loom_real *to, const loom_real *cosine, const loom_real *sine, int64_t row,
                    double by, const double *grad)
{
    double turned[LOOM_HEAD_DIM_MAX];
    rotate(u->dim, cosine, sine, row, -1, grad, turned);
    for (int32_t i = 0; i < u->dim; i++)
        to[i] += (loom_real)(by * turned[i]);
}

static void backward(const struct query *u, double *score)
{
    const struct loom_attention_args *a = u->a;
    const struct loom_attention *rule = a->rule;
    const int64_t at = (int64_t)u->head * u->dim;
    double key[LOOM_HEAD_DIM_MAX], value[LOOM_HEAD_DIM_MAX], delta = 0;
    scores(u, score);
    load(u->dim, a->dout + u->row * a->out_ld + at, u->o);
    for (int32_t i = 0; i < u->dim; i++)
        delta += u->o[i] * a->out[u->row * a->out_ld + at + i];
    if (rule->rotate_value)
        rotate(u->dim, rule->q_cos, rule->q_sin, u->row, 1, u->o, u->o);
    for (int64_t j = 0; j < u->keys; j++) {
        double p = exp(score[j] - a->lse[u->row * rule->heads + u->head]), dp = 0;
        load_key(u, j, 0, key);
        load_key(u, j, 1, value);
        for (int32_t i = 0; i < u->dim; i++)
            dp += u->o[i] * value[i];
        double ds = p * (dp * kept(u, j) - delta) / sqrt(u->dim);
        int64_t row = key_row(u, j);
        if (a->dq)
            add_row(u, a->dq + u->row * a->q_ld + at, rule->q_cos, rule->q_sin, u->row, ds, key);
        if (a->dk)
            add_row(u, a->dk + row * a->k_ld + at, rule->k_cos, rule->k_sin, row, ds, u->q);
        if (a->dv)
            add_row(u, a->dv + row * a->v_ld + at, rule->rotate_value ? rule->k_cos : NULL, rule->k_sin, row,
                    p * kept(u, j), u->o);
    }
}

static void walk(const struct loom_attention_args *a, void *scratch, void (*visit)(const struct query *, double *))
{
    const struct loom_attention *rule = a->rule;
    double q[LOOM_HEAD_DIM_MAX], o[LOOM_HEAD_DIM_MAX];
    int64_t piece = 0, from, to;
    for (int32_t g = 0; g < rule->q_groups.n; g++) {
        const int32_t first = rule->q_groups.first[g], queries = rule->q_groups.first[g + 1] - first;
        for (int32_t h = 0; h < rule->heads; h++) {
            loom_attention_share(a, queries, &piece, &from, &to);
            for (int64_t i = from; i < to; i++) {
                struct query u = {
                    .a = a, .group = g, .head = h, .dim = rule->width / rule->heads, .ordinal = i, .q = q, .o = o};
                u.row = loom_group_row(&rule->q_groups, first + i);
                u.keys = rule->k_groups.first[g + 1] - rule->k_groups.first[g];
                load(u.dim, a->q + u.row * a->q_ld + (int64_t)h * u.dim, q);
                rotate(u.dim, rule->q_cos, rule->q_sin, u.row, 1, q, q);
                visit(&u, scratch);
            }
        }
    }
}

static void clear(loom_real *x, int64_t rows, int64_t width, int64_t ld)
{
    for (int64_t r = 0; x && r < rows; r++)
        memset(x + r * ld, 0, (size_t)width * sizeof *x);
}

/* One row of weights, for the keys of the largest group. */
size_t loom_ref_attention_scratch(const struct loom_attention *rule, int backward)
{
    int64_t keys = 1;
    (void)backward;
    for (int32_t g = 0; g < rule->k_groups.n; g++) {
        const int64_t k = rule->k_groups.first[g + 1] - rule->k_groups.first[g];
        keys = k > keys ? k : keys;
    }
    return (size_t)keys * sizeof(double);
}

void loom_ref_attention(const struct loom_attention_args *a, void *scratch)
{
    walk(a, scratch, forward);
}

void loom_ref_attention_back(const struct loom_attention_args *a, void *scratch)
{
    if (!a->dq_accumulate)
        clear(a->dq, a->q_rows, a->rule->width, a->q_ld);
    if (!a->dk_accumulate)
        clear(a->dk, a->k_rows, a->rule->width, a->k_ld);
    if (!a->dv_accumulate)
        clear(a->dv, a->k_rows, a->rule->width, a->v_ld);
    walk(a, scratch, backward);
}
