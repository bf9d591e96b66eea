/* SPDX-License-Identifier: Apache-2.0 */
/* One layer with its memory, on a bench of its own: built as often as a test likes, and its gradient by differences. */
#ifndef LOOM_TESTS_LAYERS_H
#define LOOM_TESTS_LAYERS_H

#include "model/internal.h"

#include <loom/nn.h>

#include "suite.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct loom_node *(*layer_fn)(struct loom_build *b, const void *payload);

/* One layer with its memory: declared, sealed, then built as often as a test likes. */
struct bench {
    struct loom_model model;
    struct loom_plan plan;
    struct loom_build build;
    struct loom_block block;
    struct loom_graph *graph;
    struct loom_node *out, *root;
    layer_fn layer;
    const void *payload;
};

static struct bench bench;

static void build(enum loom_mode mode, uint64_t step)
{
    struct loom_error e = {0};
    loom_graph_reset(bench.graph);
    bench.plan.mode = mode;
    bench.plan.step = step;
    loom_build_begin(&bench.build, &bench.model, bench.graph, &bench.plan, NULL, &bench.block, 1);
    bench.out = bench.layer(&bench.build, bench.payload);
    bench.root = loom_sum(bench.graph, loom_mul(bench.graph, bench.out, bench.out));
    ck_assert_msg(loom_graph_error(bench.graph, &e) == LOOM_OK, "%s", e.message);
}

static const loom_real *run(enum loom_mode mode, uint64_t step)
{
    build(mode, step);
    loom_graph_forward(bench.graph);
    return loom_node_host(bench.out);
}

static void start(layer_fn layer, const void *payload)
{
    struct loom_error e = {0};
    memset(&bench, 0, sizeof(bench));
    bench.layer = layer;
    bench.payload = payload;
    bench.model.seed = 5;
    ck_assert_int_eq(loom_graph_new(&bench.graph, (size_t)64 << 20, &e), LOOM_OK);
    ck_assert_int_eq(loom_store_new(&bench.model.store, 5, &e), LOOM_OK);
    build(LOOM_DECLARE, 0);
    ck_assert_msg(loom_store_seal(bench.model.store, 0, &e) == LOOM_OK, "%s", e.message);
    ck_assert_int_eq(loom_block_init(&bench.block, bench.model.store, &e), LOOM_OK);
}

static void stop(void)
{
    loom_block_release(&bench.block);
    loom_store_free(bench.model.store);
    loom_graph_free(bench.graph);
}

static loom_real *param(const char *name)
{
    const struct loom_entry *n = loom_store_find(bench.model.store, LOOM_LIFE_PARAM, name);
    ck_assert_msg(n != NULL, "there is no parameter %s", name);
    return bench.model.store->param + n->offset;
}

static double value(int64_t i)
{
    return sin(1.7 * (double)i + 0.3) + 0.2 * cos(0.31 * (double)(i * i % 97));
}

/* Zeros and ones say nothing: all parameters get values of their own. */
static void stir(void)
{
    struct loom_store *s = bench.model.store;
    for (int64_t i = 0; i < s->size[LOOM_LIFE_PARAM]; i++)
        s->param[i] += (loom_real)(0.3 * value(i + 11));
}

static struct loom_node *input(struct loom_build *b, int64_t rows, int64_t width, int salt)
{
    struct loom_graph *g = loom_build_graph(b);
    loom_real *x = loom_graph_alloc(g, (size_t)(rows * width) * sizeof(*x) + 1);
    for (int64_t i = 0; i < rows * width; i++)
        x[i] = (loom_real)value(i + salt);
    return loom_input(g, LOOM_REAL, 2, (int64_t[]){rows, width}, x);
}

/* The slope along the whole gradient, by differences. */
static void check_gradient(void)
{
    const double eps = sizeof(loom_real) == 8 ? 1e-5 : 1e-3, tol = sizeof(loom_real) == 8 ? 1e-6 : 5e-3;
    struct loom_store *s = bench.model.store;
    int64_t n = s->size[LOOM_LIFE_PARAM];
    double norm = 0, side[2];
    loom_block_zero(&bench.block, s);
    run(LOOM_STEP, 3);
    loom_graph_backward(bench.graph, 1, &bench.root, (double[]){1});
    for (int64_t i = 0; i < n; i++)
        norm += (double)bench.block.grad[i] * bench.block.grad[i];
    norm = sqrt(norm);
    ck_assert_msg(norm > 0 && isfinite(norm), "gradient of length %g", norm);
    loom_real *kept = malloc((size_t)n * sizeof(*kept));
    memcpy(kept, s->param, (size_t)n * sizeof(*kept));
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < n; i++)
            s->param[i] = kept[i] + (loom_real)((k ? -eps : eps) * bench.block.grad[i] / norm);
        run(LOOM_STEP, 3);
        side[k] = *(const double *)loom_node_host(bench.root);
    }
    memcpy(s->param, kept, (size_t)n * sizeof(*kept));
    free(kept);
    double fd = (side[0] - side[1]) / (2 * eps), err = fabs(fd - norm) / norm;
    ck_assert_msg(err <= tol, "slope %.9g, by differences %.9g", norm, fd);
}

static void same(const loom_real *got, const double *expected, int64_t n)
{
    const double tol = sizeof(loom_real) == 8 ? 1e-12 : 2e-5;
    for (int64_t i = 0; i < n; i++) {
        double err = fabs((double)got[i] - expected[i]) / (1 + fabs(expected[i]));
        ck_assert_msg(err <= tol, "element %lld is %.9g, not %.9g", (long long)i, (double)got[i], expected[i]);
    }
}

#endif
