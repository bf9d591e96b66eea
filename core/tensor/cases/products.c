/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/cases/cases.h"

#include "tensor/ops/gru.h"

/* ---- linear: rows x width → more; option: activation, + 16 without bias ---- */

enum { NO_BIAS = 16 };

static struct loom_node *build_linear(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    int act = (int)(c->option & 15);
    struct loom_node *x =
        loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){loom_case_rows(r), c->width});
    struct loom_node *w = loom_case_leaf(r, "w", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){c->more, c->width});
    struct loom_node *b = NULL;
    if (!(c->option & NO_BIAS))
        b = loom_case_leaf(r, "b", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 1, &c->more);
    return loom_linear(r->graph, x, w, b, act);
}

/* ---- one weight used twice, and the product's input used twice: gradients add, the weight is packed once ---- */

static struct loom_node *build_linear_shared(struct loom_case_run *r)
{
    int64_t width = r->c->width;
    struct loom_node *x =
        loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){loom_case_rows(r), width});
    struct loom_node *w = loom_case_leaf(r, "w", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){width, width});
    struct loom_node *y = loom_linear(r->graph, x, w, NULL, LOOM_ACT_TANH);
    return loom_add(r->graph, loom_linear(r->graph, y, w, NULL, LOOM_ACT_GELU), loom_add(r->graph, y, x));
}

/* ---- matmul: [rows, width] · [width, more]; option bits ---- */

enum { TRANS_A = 1, TRANS_B = 2, BATCH = 4, SHARED_A = 8, SHARED_B = 16 };

static struct loom_node *build_matmul(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    int64_t rows = c->flags & LOOM_CASE_ROWS ? loom_case_rows(r) : c->rows;
    int trans_a = (c->option & TRANS_A) != 0, trans_b = (c->option & TRANS_B) != 0;
    int64_t a[3] = {3, trans_a ? c->width : rows, trans_a ? rows : c->width};
    int64_t b[3] = {3, trans_b ? c->more : c->width, trans_b ? c->width : c->more};
    int one_a = !(c->option & BATCH) || (c->option & SHARED_A), one_b = !(c->option & BATCH) || (c->option & SHARED_B);
    int axis = c->flags & LOOM_CASE_ROWS ? LOOM_AXIS_ROWS : LOOM_AXIS_PLAIN;
    struct loom_node *x = loom_case_leaf(r, "a", LOOM_FILL_NORMAL, axis, 3 - one_a, a + one_a);
    struct loom_node *y = loom_case_leaf(r, "b", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 3 - one_b, b + one_b);
    return loom_matmul(r->graph, x, y, trans_a, trans_b);
}

/* ---- gates of a recurrence, twice so that gradients add ---- */

static struct loom_node *build_gru(struct loom_case_run *r)
{
    int64_t rows = loom_case_rows(r), width = r->c->width;
    struct loom_node *x = loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){rows, 3 * width});
    struct loom_node *u = loom_case_leaf(r, "u", LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){rows, 3 * width});
    struct loom_node *h = loom_case_leaf(r, "h", LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){rows, width});
    struct loom_node *inner = loom_scale(r->graph, x, 0.5, 0);
    return loom_gru_gates(r->graph, inner, u, loom_gru_gates(r->graph, inner, u, h));
}

#define LINEAR(rows, width, more, option)                                                                              \
    {                                                                                                                  \
        "linear", build_linear, rows, width, more, option, LOOM_CASE_ROWS                                              \
    }
#define MATMUL(rows, width, more, option)                                                                              \
    {                                                                                                                  \
        "matmul", build_matmul, rows, width, more, option, 0                                                           \
    }
#define TIMED(title, build, rows, width, more, option)                                                                 \
    {                                                                                                                  \
        title, build, rows, width, more, option, LOOM_CASE_ROWS | LOOM_CASE_TIMING                                     \
    }

const struct loom_case loom_cases_products[] = {
    LINEAR(0, 4, 3, 0),
    LINEAR(1, 1, 1, 0),
    LINEAR(1, 7, 5, LOOM_ACT_GELU),
    LINEAR(2, 16, 33, LOOM_ACT_RELU),
    LINEAR(5, 3, 1, NO_BIAS),
    LINEAR(7, 13, 17, LOOM_ACT_SILU),
    LINEAR(13, 32, 16, LOOM_ACT_TANH | NO_BIAS),
    LINEAR(17, 19, 48, LOOM_ACT_SIGMOID),
    LINEAR(31, 5, 70, LOOM_ACT_GELU | NO_BIAS),
    {"linear.shared", build_linear_shared, 11, 17, 0, 0, LOOM_CASE_ROWS},
    {"matmul.rows", build_matmul, 1, 1, 1, 0, LOOM_CASE_ROWS},
    {"matmul.rows", build_matmul, 7, 13, 5, 0, LOOM_CASE_ROWS},
    {"matmul.rows", build_matmul, 17, 3, 33, TRANS_B, LOOM_CASE_ROWS},
    MATMUL(0, 3, 2, 0),
    MATMUL(5, 7, 11, TRANS_A),
    MATMUL(3, 2, 5, TRANS_A | TRANS_B),
    MATMUL(5, 3, 2, BATCH),
    MATMUL(2, 7, 3, BATCH | TRANS_A),
    MATMUL(1, 5, 7, BATCH | TRANS_B),
    MATMUL(3, 4, 5, BATCH | TRANS_A | TRANS_B),
    MATMUL(4, 3, 5, BATCH | SHARED_B),
    MATMUL(4, 3, 5, BATCH | SHARED_A | TRANS_B),
    MATMUL(2, 5, 3, BATCH | SHARED_B | TRANS_A | TRANS_B),
    {"gru_gates", build_gru, 0, 3, 0, 0, LOOM_CASE_ROWS},
    {"gru_gates", build_gru, 1, 1, 0, 0, LOOM_CASE_ROWS},
    {"gru_gates", build_gru, 7, 13, 0, 0, LOOM_CASE_ROWS},
    TIMED("linear.qkv", build_linear, 600, 64, 192, 0),
    TIMED("linear.qkv", build_linear, 84, 128, 384, 0),
    TIMED("linear.qkv", build_linear, 240, 128, 384, 0),
    TIMED("linear.qkv", build_linear, 600, 256, 768, 0),
    TIMED("linear.qkv", build_linear, 1200, 256, 768, 0),
    TIMED("linear.qkv", build_linear, 600, 512, 1536, 0),
    TIMED("linear.out", build_linear, 84, 128, 128, 0),
    TIMED("linear.out", build_linear, 240, 128, 128, 0),
    TIMED("linear.out", build_linear, 600, 256, 256, 0),
    TIMED("linear.out", build_linear, 1200, 256, 256, 0),
    TIMED("linear.gelu", build_linear, 84, 128, 128, LOOM_ACT_GELU),
    TIMED("linear.gelu", build_linear, 240, 128, 128, LOOM_ACT_GELU),
    TIMED("linear.gelu", build_linear, 600, 256, 256, LOOM_ACT_GELU),
    TIMED("linear.gelu", build_linear, 600, 256, 1024, LOOM_ACT_GELU),
    TIMED("linear.back", build_linear, 600, 1024, 256, 0),
    TIMED("linear.read", build_linear, 600, 256, 32, 0),
    TIMED("linear.read", build_linear, 240, 128, 32, 0),
    TIMED("linear.series", build_linear, 400, 128, 2, 0),
    TIMED("linear.one_row", build_linear, 1, 256, 256, 0),
    {0},
};
