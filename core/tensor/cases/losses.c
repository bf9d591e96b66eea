/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/cases/cases.h"

/* option: WEIGHTED with weights, a third of them 0; others see the builder */
enum { WEIGHTED = 1, FACTORIAL = 2, SMOOTH = 4, TWICE = 8, HIGH = 16 };

static struct loom_node *rows_input(struct loom_case_run *r, const char *name, int fill)
{
    return loom_case_input(r, name, fill, LOOM_AXIS_PLAIN, 2, (int64_t[]){r->c->rows, r->c->width});
}

static struct loom_node *prediction(struct loom_case_run *r)
{
    struct loom_node *x =
        loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){r->c->rows, r->c->width});
    return r->c->option & TWICE ? loom_scale(r->graph, x, 0.5, 0) : x;
}

/* To both sides of where the tangent begins. */
static struct loom_node *high(struct loom_case_run *r)
{
    struct loom_node *x =
        loom_case_leaf(r, "x", LOOM_FILL_EDGELESS, LOOM_AXIS_PLAIN, 2, (int64_t[]){r->c->rows, r->c->width});
    return loom_scale(r->graph, x, 0.5, LOOM_LOG_RATE_MOST);
}

static struct loom_node *weights(struct loom_case_run *r)
{
    return r->c->option & WEIGHTED ? rows_input(r, "weight", LOOM_FILL_WEIGHTS) : NULL;
}

static struct loom_node *build_poisson(struct loom_case_run *r)
{
    struct loom_node *x = r->c->option & HIGH ? high(r) : prediction(r);
    return loom_poisson_nll(r->graph, x, rows_input(r, "target", LOOM_FILL_COUNTS), weights(r),
                            (r->c->option & FACTORIAL) != 0);
}

static struct loom_node *build_squared_error(struct loom_case_run *r)
{
    struct loom_node *x = prediction(r);
    return loom_squared_error(r->graph, x, rows_input(r, "target", LOOM_FILL_NORMAL), weights(r));
}

static struct loom_node *build_bce(struct loom_case_run *r)
{
    struct loom_node *x = prediction(r);
    return loom_bce(r->graph, x, rows_input(r, "target", LOOM_FILL_SHARE), weights(r));
}

static struct loom_node *build_cross_entropy(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    int32_t *label = loom_case_alloc(r, (size_t)c->rows * sizeof(*label));
    for (int64_t i = 0; label && i < c->rows; i++)
        label[i] = loom_case_draw("label", i, (int32_t)c->width + 1) - 1;
    struct loom_node *x = prediction(r), *weight = NULL;
    if (c->option & WEIGHTED)
        weight = loom_case_input(r, "weight", LOOM_FILL_WEIGHTS, LOOM_AXIS_PLAIN, 1, &c->rows);
    return loom_cross_entropy(r->graph, x, label ? loom_input(r->graph, LOOM_I32, 1, &c->rows, label) : NULL, weight,
                              c->option & SMOOTH ? 0.1 : 0);
}

static struct loom_node *build_sum(struct loom_case_run *r)
{
    struct loom_node *x = prediction(r);
    if (!(r->c->option & TWICE))
        return loom_sum(r->graph, x);
    return loom_sum(r->graph, loom_sum(r->graph, loom_mul(r->graph, x, x)));
}

#define LOSS(title, build, rows, width, option)                                                                        \
    {                                                                                                                  \
        title, build, rows, width, 0, option, 0                                                                        \
    }
#define SIZES(title, build)                                                                                            \
    LOSS(title, build, 0, 4, WEIGHTED), LOSS(title, build, 1, 1, 0), LOSS(title, build, 7, 13, 0),                     \
        LOSS(title, build, 5, 33, WEIGHTED), LOSS(title, build, 3, 5, WEIGHTED | TWICE)

const struct loom_case loom_cases_losses[] = {
    SIZES("poisson_nll", build_poisson),
    LOSS("poisson_nll.factorial", build_poisson, 7, 13, WEIGHTED | FACTORIAL),
    LOSS("poisson_nll.high", build_poisson, 7, 13, WEIGHTED | HIGH),
    SIZES("squared_error", build_squared_error),
    SIZES("bce", build_bce),
    SIZES("cross_entropy", build_cross_entropy),
    LOSS("cross_entropy.smooth", build_cross_entropy, 7, 13, WEIGHTED | SMOOTH),
    SIZES("sum", build_sum),
    {"poisson_nll", build_poisson, 600, 32, 0, WEIGHTED, LOOM_CASE_TIMING},
    {"poisson_nll", build_poisson, 80, 32, 0, WEIGHTED, LOOM_CASE_TIMING},
    {"squared_error", build_squared_error, 400, 2, 0, WEIGHTED, LOOM_CASE_TIMING},
    {0},
};
