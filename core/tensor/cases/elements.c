/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/cases/cases.h"

static struct loom_node *rows_leaf(struct loom_case_run *r, const char *name, int fill, int64_t width)
{
    return loom_case_leaf(r, name, fill, LOOM_AXIS_ROWS, 2, (int64_t[]){loom_case_rows(r), width});
}

/* ---- pairs; option: BIAS the second input is one row, SELF the first serves as both ---- */

enum { BIAS = 1, SELF = 2 };

typedef struct loom_node *(*pair_fn)(struct loom_graph *, struct loom_node *, struct loom_node *);

static struct loom_node *build_pair(struct loom_case_run *r, pair_fn op)
{
    const struct loom_case *c = r->c;
    struct loom_node *a = rows_leaf(r, "a", LOOM_FILL_NORMAL, c->width), *b = a;
    if (c->option == BIAS)
        b = loom_case_leaf(r, "b", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 1, &c->width);
    else if (c->option != SELF)
        b = rows_leaf(r, "b", LOOM_FILL_NORMAL, c->width);
    /* Interior inputs: gradients are handed on, or fresh. */
    struct loom_node *inner = loom_scale(r->graph, a, 0.5, 0);
    return op(r->graph, inner, b == a ? inner : b);
}

static struct loom_node *build_add(struct loom_case_run *r)
{
    return build_pair(r, loom_add);
}

static struct loom_node *build_sub(struct loom_case_run *r)
{
    return build_pair(r, loom_sub);
}

static struct loom_node *build_mul(struct loom_case_run *r)
{
    return build_pair(r, loom_mul);
}

/* [2, rows, width] with [rows, width] below it */
static struct loom_node *build_add_deep(struct loom_case_run *r)
{
    const int64_t dim[3] = {2, r->c->rows, r->c->width};
    struct loom_node *a = loom_case_leaf(r, "a", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 3, dim);
    struct loom_node *b = loom_case_leaf(r, "b", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, dim + 1);
    return loom_mul(r->graph, loom_sub(r->graph, loom_add(r->graph, a, b), b), b);
}

/* ---- functions of one node ---- */

typedef struct loom_node *(*unary_fn)(struct loom_graph *, struct loom_node *);

/* Each is applied to one node twice, so that its gradient is written first and added to then. */
static struct loom_node *build_unary(struct loom_case_run *r, unary_fn op)
{
    struct loom_node *x = rows_leaf(r, "x", LOOM_FILL_EDGELESS, r->c->width);
    struct loom_node *inner = loom_scale(r->graph, x, 1, 0);
    return loom_add(r->graph, op(r->graph, inner), loom_scale(r->graph, op(r->graph, inner), 0.25, 0));
}

#define UNARY(name)                                                                                                    \
    static struct loom_node *build_##name(struct loom_case_run *r)                                                     \
    {                                                                                                                  \
        return build_unary(r, loom_##name);                                                                            \
    }

UNARY(relu)
UNARY(gelu)
UNARY(geglu)
UNARY(silu)
UNARY(tanh)
UNARY(sigmoid)
UNARY(exp)
UNARY(softmax)

static struct loom_node *scale_half(struct loom_graph *g, struct loom_node *x)
{
    return loom_scale(g, x, -1.5, 0.75);
}

static struct loom_node *clamp_three(struct loom_graph *g, struct loom_node *x)
{
    return loom_clamp(g, x, -0.75, 0.5);
}

static struct loom_node *build_scale(struct loom_case_run *r)
{
    return build_unary(r, scale_half);
}

static struct loom_node *build_clamp(struct loom_case_run *r)
{
    return build_unary(r, clamp_three);
}

static struct loom_node *l2_normalize(struct loom_graph *g, struct loom_node *x)
{
    return loom_l2_normalize(g, x, 1e-6);
}

static struct loom_node *build_l2_normalize(struct loom_case_run *r)
{
    return build_unary(r, l2_normalize);
}

static struct loom_node *build_stop(struct loom_case_run *r)
{
    return loom_stop(r->graph, rows_leaf(r, "x", LOOM_FILL_NORMAL, r->c->width));
}

/* ---- norms; option: 1 gain, 2 bias ---- */

static struct loom_node *norm_parameter(struct loom_case_run *r, const char *name, uint32_t bit)
{
    if (!(r->c->option & bit))
        return NULL;
    return loom_case_leaf(r, name, LOOM_FILL_POSITIVE, LOOM_AXIS_PLAIN, 1, &r->c->width);
}

static struct loom_node *build_layer_norm(struct loom_case_run *r)
{
    struct loom_node *x = rows_leaf(r, "x", LOOM_FILL_NORMAL, r->c->width);
    struct loom_node *gain = norm_parameter(r, "gain", 1), *bias = norm_parameter(r, "bias", 2);
    return loom_add(r->graph, loom_layer_norm(r->graph, x, gain, bias, 1e-5), x);
}

static struct loom_node *build_rms_norm(struct loom_case_run *r)
{
    struct loom_node *x = rows_leaf(r, "x", LOOM_FILL_NORMAL, r->c->width);
    return loom_add(r->graph, loom_rms_norm(r->graph, x, norm_parameter(r, "gain", 1), 1e-5), x);
}

/* ---- dropout: each row is a group of its own, named as in the whole ---- */

static struct loom_groups *row_groups(struct loom_case_run *r)
{
    int64_t n = loom_case_rows(r);
    struct loom_groups *groups = loom_case_alloc(r, sizeof(*groups));
    int32_t *first = loom_case_alloc(r, (size_t)(n + 1) * sizeof(*first));
    for (int64_t i = 0; groups && first && i < n; i++)
        first[i + 1] = (int32_t)i + 1;
    if (groups)
        *groups = (struct loom_groups){(int32_t)n, first, NULL, r->key};
    return groups;
}

static struct loom_node *build_dropout(struct loom_case_run *r)
{
    struct loom_node *x = rows_leaf(r, "x", LOOM_FILL_NORMAL, r->c->width);
    struct loom_groups *groups = row_groups(r);
    struct loom_node *a = loom_dropout(r->graph, loom_scale(r->graph, x, 2, 0), 0.4, groups, 11, 2, "case.a");
    return loom_mul(r->graph, loom_dropout(r->graph, x, 0.1, groups, 11, 2, "case.b"), a);
}

static struct loom_node *build_add_dropout(struct loom_case_run *r)
{
    struct loom_node *residual = rows_leaf(r, "residual", LOOM_FILL_NORMAL, r->c->width);
    struct loom_node *x = rows_leaf(r, "x", LOOM_FILL_NORMAL, r->c->width);
    struct loom_groups *groups = row_groups(r);
    struct loom_node *y = loom_add_dropout(r->graph, loom_scale(r->graph, residual, 2, 0),
                                           loom_scale(r->graph, x, 2, 0), 0.3, groups, 11, 2, "case");
    return loom_add_dropout(r->graph, y, x, 0.5, groups, 11, 3, "case");
}

/* option: 4 the sum is used, 8 the norm is used, 16 the residual is an op's (its gradient is fresh), 32 residual and x
 * are one node */
static struct loom_node *build_dropout_norm(struct loom_case_run *r)
{
    const uint32_t option = r->c->option >> 2;
    struct loom_node *x = rows_leaf(r, "x", LOOM_FILL_NORMAL, r->c->width), *residual = x, *sum;
    if (!(option & 8))
        residual = rows_leaf(r, "residual", LOOM_FILL_NORMAL, r->c->width);
    if (option & 4)
        residual = loom_scale(r->graph, residual, 2, 0);
    struct loom_node *gain = norm_parameter(r, "gain", 1), *bias = norm_parameter(r, "bias", 2);
    struct loom_node *y =
        loom_add_dropout_norm(r->graph, residual, x, 0.3, row_groups(r), 11, 2, "case", gain, bias, 1e-5, &sum);
    return (option & 3) == 3 ? loom_add(r->graph, loom_mul(r->graph, y, residual), loom_mul(r->graph, sum, x))
           : option & 1      ? sum
                             : y;
}

#define ONE(title, build, rows, width, option)                                                                         \
    {                                                                                                                  \
        title, build, rows, width, 0, option, LOOM_CASE_ROWS                                                           \
    }
#define SIZES(title, build)                                                                                            \
    ONE(title, build, 0, 4, 0), ONE(title, build, 1, 2, 0), ONE(title, build, 3, 14, 0), ONE(title, build, 7, 50, 0)
#define NORMS(title, build, option)                                                                                    \
    ONE(title, build, 0, 4, option), ONE(title, build, 1, 1, option), ONE(title, build, 5, 13, option),                \
        ONE(title, build, 3, 67, option)
#define TIMED(title, build, rows, width, option)                                                                       \
    {                                                                                                                  \
        title, build, rows, width, 0, option, LOOM_CASE_ROWS | LOOM_CASE_TIMING                                        \
    }

const struct loom_case loom_cases_elements[] = {
    SIZES("add", build_add),
    ONE("add.bias", build_add, 5, 13, BIAS),
    ONE("add.bias", build_add, 0, 5, BIAS),
    ONE("add.self", build_add, 5, 13, SELF),
    SIZES("sub", build_sub),
    ONE("sub.bias", build_sub, 5, 13, BIAS),
    ONE("sub.self", build_sub, 5, 13, SELF),
    SIZES("mul", build_mul),
    ONE("mul.bias", build_mul, 5, 13, BIAS),
    ONE("mul.bias", build_mul, 0, 5, BIAS),
    ONE("mul.self", build_mul, 5, 13, SELF),
    {"add.deep", build_add_deep, 3, 5, 0, 0, 0},
    SIZES("scale", build_scale),
    SIZES("relu", build_relu),
    SIZES("gelu", build_gelu),
    SIZES("geglu", build_geglu),
    SIZES("silu", build_silu),
    SIZES("tanh", build_tanh),
    SIZES("sigmoid", build_sigmoid),
    SIZES("exp", build_exp),
    SIZES("clamp", build_clamp),
    SIZES("softmax", build_softmax),
    ONE("softmax", build_softmax, 3, 1, 0),
    SIZES("l2_normalize", build_l2_normalize),
    NORMS("layer_norm", build_layer_norm, 3),
    NORMS("layer_norm.plain", build_layer_norm, 0),
    ONE("layer_norm.bias", build_layer_norm, 4, 9, 2),
    NORMS("rms_norm", build_rms_norm, 1),
    NORMS("rms_norm.plain", build_rms_norm, 0),
    SIZES("dropout", build_dropout),
    SIZES("add_dropout", build_add_dropout),
    NORMS("dropout_norm", build_dropout_norm, 3 | 4 | 8),
    NORMS("dropout_norm.inner", build_dropout_norm, 3 | 4 | 8 | 16),
    NORMS("dropout_norm.self", build_dropout_norm, 4 | 8 | 32),
    ONE("dropout_norm.sum", build_dropout_norm, 5, 13, 3 | 4),
    ONE("dropout_norm.sum", build_dropout_norm, 5, 13, 3 | 4 | 16),
    ONE("dropout_norm.norm", build_dropout_norm, 5, 13, 1 | 8),
    ONE("dropout_norm.norm", build_dropout_norm, 5, 13, 2 | 8 | 16 | 32),
    {"stop", build_stop, 3, 5, 0, 0, LOOM_CASE_ROWS | LOOM_CASE_STOPS},
    TIMED("gelu", build_gelu, 600, 256, 0),
    TIMED("add", build_add, 84, 128, 0),
    TIMED("add", build_add, 240, 128, 0),
    TIMED("add", build_add, 600, 256, 0),
    TIMED("add", build_add, 1200, 256, 0),
    TIMED("layer_norm", build_layer_norm, 84, 128, 3),
    TIMED("layer_norm", build_layer_norm, 240, 128, 3),
    TIMED("layer_norm", build_layer_norm, 600, 256, 3),
    TIMED("layer_norm", build_layer_norm, 1200, 256, 3),
    TIMED("dropout", build_dropout, 84, 128, 0),
    TIMED("dropout", build_dropout, 240, 128, 0),
    TIMED("dropout", build_dropout, 600, 256, 0),
    TIMED("dropout", build_dropout, 1200, 256, 0),
    TIMED("add_dropout", build_add_dropout, 84, 128, 0),
    TIMED("add_dropout", build_add_dropout, 240, 128, 0),
    TIMED("add_dropout", build_add_dropout, 600, 256, 0),
    TIMED("add_dropout", build_add_dropout, 1200, 256, 0),
    TIMED("dropout_norm", build_dropout_norm, 240, 128, 3 | 4 | 8 | 16),
    TIMED("dropout_norm", build_dropout_norm, 600, 256, 3 | 4 | 8 | 16),
    TIMED("dropout_norm", build_dropout_norm, 1200, 256, 3 | 4 | 8 | 16),
    {0},
};
