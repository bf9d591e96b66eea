/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/cases/cases.h"

#include <math.h>

/* rows groups of up to 9 queries (or what TOKENS says), width = columns, more = heads; option bits */
enum {
    FUSED = 1, /* q, k, v are columns of one node, which has 3 columns that nobody reads where SPARE is set */
    CAUSAL = 2,
    LOOK_BACK = 4, /* and ahead */
    CONTEXT = 8,
    ROTARY = 16,
    ROTATE_VALUE = 32,
    DROPOUT = 64,
    SHUFFLED = 128,
    SPARE = 256,
    CROSS = 512, /* keys are other rows than queries */
    SAME = 1024, /* one node, one column range, three roles */
    EVEN = 2048, /* groups are equally large */
};
#define TOKENS(n) ((uint32_t)(n) << 16) /* largest group; of keys where they are other rows, 4 more */

/* What the rule needs about rows, as functions of their names. */
static double *row_times(struct loom_case_run *r, const uint64_t *key, int64_t rows)
{
    double *t = loom_case_alloc(r, (size_t)rows * sizeof(*t));
    for (int64_t i = 0; t && i < rows; i++)
        t[i] = 0.01 * (double)(key[i] & 0xffffffff) + 0.001 * (double)(key[i] % 3);
    return t;
}

static uint8_t *row_context(struct loom_case_run *r, const uint64_t *key, int64_t rows)
{
    uint8_t *c = loom_case_alloc(r, (size_t)rows);
    for (int64_t i = 0; c && i < rows; i++)
        c[i] = key[i] % 4 == 1;
    return c;
}

static loom_real *row_angles(struct loom_case_run *r, const uint64_t *key, int64_t rows, int32_t half, int sine)
{
    loom_real *x = loom_case_alloc(r, (size_t)(rows * half) * sizeof(*x));
    for (int64_t i = 0; x && i < rows; i++)
        for (int32_t j = 0; j < half; j++) {
            double angle = 0.3 * (double)(key[i] & 0xffff) / (1 + j) + 0.1 * (double)(key[i] >> 32 & 0xff);
            x[i * half + j] = (loom_real)(sine ? sin(angle) : cos(angle));
        }
    return x;
}

static void fill_rule(struct loom_case_run *r, struct loom_attention *a, const uint64_t *q_key, int64_t q_rows,
                      const uint64_t *k_key, int64_t k_rows)
{
    uint32_t option = r->c->option;
    int32_t half = a->width / a->heads / 2;
    a->causal = (option & CAUSAL) != 0;
    a->rotate_value = (option & ROTATE_VALUE) != 0;
    a->back_s = option & LOOK_BACK ? 0.02 : -1;
    a->ahead_s = option & LOOK_BACK ? 0.01 : -1;
    a->q_time = row_times(r, q_key, q_rows);
    a->k_time = row_times(r, k_key, k_rows);
    if (option & CONTEXT) {
        a->q_context = row_context(r, q_key, q_rows);
        a->k_context = row_context(r, k_key, k_rows);
    }
    if (option & ROTARY) {
        a->q_cos = row_angles(r, q_key, q_rows, half, 0);
        a->q_sin = row_angles(r, q_key, q_rows, half, 1);
        a->k_cos = row_angles(r, k_key, k_rows, half, 0);
        a->k_sin = row_angles(r, k_key, k_rows, half, 1);
    }
    a->dropout = option & DROPOUT ? 0.3 : 0;
    a->seed = 3;
    a->step = 5;
    a->purpose = "case";
}

static struct loom_node *leaf(struct loom_case_run *r, const char *name, const uint64_t *key, int64_t rows,
                              int64_t width)
{
    r->key = key;
    return loom_case_leaf(r, name, LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){rows, width});
}

static struct loom_node *build_attention(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    struct loom_attention a = {.heads = (int32_t)c->more, .width = (int32_t)c->width};
    int32_t most = c->option >> 16 ? (int32_t)(c->option >> 16) : 9;
    int order = (c->option & SHUFFLED ? LOOM_GROUPS_SHUFFLED : 0) | (c->option & EVEN ? LOOM_GROUPS_EVEN : 0);
    const uint64_t *q_key = NULL, *k_key;
    int64_t q_rows, k_rows;
    loom_case_groups(r, "queries", most, order, &a.q_groups, &q_key, &q_rows);
    a.k_groups = a.q_groups;
    k_key = q_key;
    k_rows = q_rows;
    if (c->option & CROSS)
        loom_case_groups(r, "keys", most + 4, order, &a.k_groups, &k_key, &k_rows);
    fill_rule(r, &a, q_key, q_rows, k_key, k_rows);
    r->out_key = q_key;
    if (c->option & SAME) {
        struct loom_node *x = leaf(r, "x", q_key, q_rows, c->width);
        return loom_attention(r->graph, x, x, x, &a);
    }
    if (c->option & FUSED) {
        struct loom_node *x = leaf(r, "qkv", q_key, q_rows, 3 * c->width + (c->option & SPARE ? 3 : 0));
        a.k_column = a.width;
        a.v_column = 2 * a.width;
        x = loom_scale(r->graph, x, 1, 0); /* an interior node: its gradient is fresh */
        return loom_attention(r->graph, x, x, x, &a);
    }
    struct loom_node *q = leaf(r, "q", q_key, q_rows, c->width);
    struct loom_node *k = leaf(r, "k", k_key, k_rows, c->width);
    return loom_attention(r->graph, q, k, leaf(r, "v", k_key, k_rows, c->width), &a);
}

#define ATTENTION(groups, width, heads, option)                                                                        \
    {                                                                                                                  \
        "attention", build_attention, groups, width, heads, option, LOOM_CASE_GROUPS                                   \
    }

#define TIMED(title, groups, width, heads, option)                                                                     \
    {                                                                                                                  \
        title, build_attention, groups, width, heads, option, LOOM_CASE_GROUPS | LOOM_CASE_TIMING                      \
    }

const struct loom_case loom_cases_attention[] = {
    ATTENTION(0, 4, 1, 0),
    ATTENTION(1, 1, 1, 0),
    ATTENTION(3, 6, 2, 0),
    ATTENTION(5, 15, 3, FUSED),
    ATTENTION(4, 8, 2, FUSED | SPARE | CAUSAL),
    ATTENTION(4, 16, 1, FUSED | LOOK_BACK),
    ATTENTION(5, 32, 2, CONTEXT | CAUSAL),
    ATTENTION(4, 8, 2, CONTEXT | LOOK_BACK | CROSS),
    ATTENTION(4, 12, 2, ROTARY | FUSED),
    ATTENTION(4, 16, 2, ROTARY | ROTATE_VALUE | CROSS),
    ATTENTION(4, 8, 2, ROTARY | ROTATE_VALUE | CAUSAL | DROPOUT | FUSED),
    ATTENTION(5, 8, 2, DROPOUT),
    ATTENTION(5, 34, 2, SHUFFLED | FUSED),
    ATTENTION(5, 8, 2, SHUFFLED | CROSS | DROPOUT | CAUSAL),
    ATTENTION(3, 8, 2, SAME),
    ATTENTION(5, 64, 1, CROSS | LOOK_BACK),
    ATTENTION(5, 64, 2, FUSED | DROPOUT),
    ATTENTION(4, 32, 1, FUSED | SPARE | CAUSAL | DROPOUT),
    ATTENTION(4, 64, 2, SAME | CAUSAL),
    TIMED("attention.75", 8, 256, 4, FUSED | EVEN | TOKENS(75)),
    TIMED("attention.75.dropout", 8, 256, 4, FUSED | EVEN | DROPOUT | TOKENS(75)),
    TIMED("attention.150.dropout", 8, 256, 4, FUSED | EVEN | DROPOUT | TOKENS(150)),
    TIMED("attention.21.context", 4, 128, 4, FUSED | EVEN | DROPOUT | CONTEXT | TOKENS(21)),
    TIMED("attention.41.context", 4, 128, 4, FUSED | EVEN | DROPOUT | CONTEXT | TOKENS(41)),
    TIMED("attention.60.dropout", 4, 128, 4, FUSED | EVEN | DROPOUT | TOKENS(60)),
    TIMED("attention.120.dropout", 4, 128, 4, FUSED | EVEN | DROPOUT | TOKENS(120)),
    TIMED("attention.ragged.75", 16, 256, 4, FUSED | SHUFFLED | DROPOUT | TOKENS(75)),
    TIMED("attention.causal.75", 8, 256, 4, FUSED | EVEN | CAUSAL | TOKENS(75)),
    TIMED("attention.back.150", 8, 256, 4, FUSED | EVEN | LOOK_BACK | TOKENS(150)),
    TIMED("attention.cross.75", 8, 256, 4, CROSS | EVEN | TOKENS(75)),
    TIMED("attention.rotary.75", 8, 128, 2, CROSS | EVEN | ROTARY | ROTATE_VALUE | TOKENS(75)),
    TIMED("attention.1024", 1, 256, 4, FUSED | EVEN | TOKENS(1024)),
    {0},
};
