/* SPDX-License-Identifier: Apache-2.0 */
/* One forward by several threads: every value of every node has the bits that one thread gives, whatever the op, the
 * number of threads, and what stands beside it in a region. */
#include <string.h>

#include "base/threads.h"
#include "tensor/cases/cases.h"
#include "tensor/kernels/numerics.h"
#include "tensor/node.h"
#include "tensor/packs.h"

#include <math.h>
#include <stdio.h>

#include "suite.h"

enum { MOST = 5, WIDTH = 64, HEADS = 2, LONG = 200 * 1000 * 1000 /* operations of a case that is left out */ };

static struct loom_error e;
static struct loom_graph *alone, *shared;
static struct loom_pool *pool[MOST + 1];

static void setup(void)
{
    ck_ok(loom_graph_new(&alone, (size_t)512 << 20, &e), &e);
    ck_ok(loom_graph_new(&shared, (size_t)512 << 20, &e), &e);
    for (int i = 1; i <= MOST; i++)
        ck_ok(loom_pool_new(&pool[i], i, &e), &e);
}

static void teardown(void)
{
    loom_graph_free(alone);
    loom_graph_free(shared);
    for (int i = 1; i <= MOST; i++)
        loom_pool_free(pool[i]);
}

/* What no thread writes must not look right: memory of ops is made wrong before a run. */
static void spoil(struct loom_graph *g)
{
    for (const struct loom_node *n = g->first; n; n = n->next) {
        if (n->op && !n->view)
            memset(n->value, 0xa5, loom_node_bytes(n));
        if (n->saved)
            memset(n->saved, 0xa5, n->shape.saved);
    }
}

static void compare(const char *what, int workers)
{
    const struct loom_node *a = alone->first, *b = shared->first;
    for (; a && b; a = a->next, b = b->next) {
        const size_t bytes = loom_node_bytes(a); /* nothing of nothing may be NULL */
        if (bytes && memcmp(a->value, b->value, bytes) != 0)
            ck_abort_msg("%s: %s in %s differs with %d threads", what, a->op ? a->op->name : "leaf", a->scope, workers);
        if (a->saved && memcmp(a->saved, b->saved, a->shape.saved) != 0)
            ck_abort_msg("%s: what %s saves differs with %d threads", what, a->op->name, workers);
    }
    ck_assert(!a && !b);
}

START_TEST(every_op)
{
    const struct loom_case *c;
    for (size_t i = 0; (c = loom_case_at(i)); i++) {
        struct loom_case_run r;
        char title[128];
        loom_case_title(c, title, sizeof title);
        ck_assert_int_eq(loom_case_build(&r, alone, c, NULL, 0), LOOM_OK);
        if (loom_graph_flops(alone, 0) > LONG)
            continue;
        spoil(alone);
        loom_graph_forward(alone);
        const int large = (c->flags & LOOM_CASE_TIMING) != 0;
        for (int workers = large ? 2 : 1; workers <= (large ? 3 : MOST); workers++) {
            loom_graph_set_pool(shared, pool[workers]);
            ck_assert_int_eq(loom_case_build(&r, shared, c, NULL, 0), LOOM_OK);
            spoil(shared);
            loom_graph_forward(shared);
            compare(title, workers);
        }
    }
}
END_TEST

/* ---- a net: regions of many nodes, few rows and many, with packs that last ---- */

static loom_real weight[12][4 * WIDTH * WIDTH], input[300 * WIDTH];

static struct loom_node *leaf(struct loom_graph *g, int i, int64_t rows, int64_t columns)
{
    return loom_leaf(g, "w", columns ? 2 : 1, (int64_t[]){rows, columns}, weight[i], NULL);
}

static struct loom_node *linear(struct loom_graph *g, struct loom_node *x, int i, int64_t to, int act)
{
    return loom_linear(g, x, leaf(g, i, to, loom_node_dim(x, -1)), leaf(g, i + 1, to, 0), act);
}

/* A block that also has what breaks regions: a weight made by an op, rows moved, a view, a mean over rows. */
static struct loom_node *net(struct loom_graph *g, int32_t rows, const struct loom_attention *rule)
{
    int64_t n = rows;
    int32_t index[300];
    static int32_t pair[200];
    struct loom_groups pairs = {.n = (rows + 1) / 2, .first = pair};
    for (int32_t i = 0; i < rows; i++)
        index[i] = rows - 1 - i;
    for (int32_t i = 0; i <= pairs.n; i++)
        pair[i] = 2 * i < rows ? 2 * i : rows;
    loom_graph_reset(g);
    struct loom_node *x = loom_leaf(g, "x", 2, (int64_t[]){n, WIDTH}, input, NULL);
    x = loom_layer_norm(g, x, leaf(g, 0, WIDTH, 0), NULL, 1e-5);
    struct loom_node *qkv = linear(g, x, 1, 3 * WIDTH, LOOM_ACT_NONE);
    struct loom_node *y = loom_attention(g, qkv, qkv, qkv, rule);
    y = linear(g, y, 3, WIDTH, LOOM_ACT_NONE);
    y = loom_add_dropout_norm(g, x, y, 0, NULL, 0, 0, NULL, leaf(g, 0, WIDTH, 0), NULL, 1e-5, &x);
    x = loom_add(g, x, y);
    y = linear(g, linear(g, x, 5, 4 * WIDTH, LOOM_ACT_GELU), 7, WIDTH, LOOM_ACT_TANH);
    x = loom_rms_norm(g, loom_add(g, y, x), leaf(g, 9, WIDTH, 0), 1e-6);
    x = loom_gather(g, x, loom_input(g, LOOM_I32, 1, &n, index));
    x = loom_mul(g, loom_scale(g, loom_slice_rows(g, x, 0, n), 0.5, 1), x);
    x = loom_geglu(g, loom_concat_cols(g, 2, (struct loom_node *[]){x, y}));
    struct loom_node *w = loom_scale(g, leaf(g, 10, WIDTH, WIDTH), 2, 0.1);
    x = loom_sub(g, loom_linear(g, x, w, NULL, LOOM_ACT_NONE), loom_reshape(g, y, 2, (int64_t[]){n, WIDTH}));
    return loom_sum(g, loom_group_mean(g, x, &pairs));
}

static void fill(void)
{
    for (int i = 0; i < 12; i++)
        for (int k = 0; k < 4 * WIDTH * WIDTH; k++)
            weight[i][k] = (loom_real)(0.2 * sin(0.7 * k + i));
    for (int k = 0; k < 300 * WIDTH; k++)
        input[k] = (loom_real)sin(0.37 * k);
}

static void a_net(struct loom_packs *packs)
{
    static const int32_t sizes[] = {1, 2, 3, 6, 31, 32, 51, 150, 299};
    loom_packs_stale(packs);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int32_t rows = sizes[s], first[3] = {0, rows / 3, rows};
        struct loom_attention rule = {.heads = HEADS, .width = WIDTH, .k_column = WIDTH, .v_column = 2 * WIDTH};
        rule.q_groups = rule.k_groups = (struct loom_groups){.n = 2, .first = first};
        rule.back_s = rule.ahead_s = -1;
        net(alone, rows, &rule);
        spoil(alone);
        loom_graph_forward(alone);
        ck_ok(loom_graph_error(alone, &e), &e);
        for (int workers = 2; workers <= MOST; workers++) {
            loom_graph_set_pool(shared, pool[workers]);
            net(shared, rows, &rule);
            ck_ok(loom_graph_error(shared, &e), &e);
            for (int times = 0; times < 3; times++) {
                spoil(shared);
                loom_graph_forward(shared);
                compare(alone->kernels->set, workers);
            }
        }
    }
}

/* With exact products and, where there are such, with rounded ones. */
START_TEST(nets)
{
    const struct loom_kernels *exact = loom_kernels_default(&e);
    const struct loom_kernels *rounded = loom_kernels_numeric(exact, LOOM_NUMERICS_BF16, NULL);
    struct loom_packs *packs;
    fill();
    ck_ok(loom_packs_new(&packs, 8 << 20, &e), &e);
    loom_graph_set_packs(shared, packs);
    a_net(packs);
    if (rounded) {
        loom_graph_set_kernels(alone, rounded);
        loom_graph_set_kernels(shared, rounded);
        a_net(packs);
    }
    loom_graph_set_packs(shared, NULL);
    loom_packs_free(packs);
}
END_TEST

/* The large net is really split: several regions, and each thread has its part in them. */
START_TEST(work_is_shared)
{
    const int32_t first[2] = {0, 150};
    struct loom_attention rule = {.heads = HEADS, .width = WIDTH, .k_column = WIDTH, .v_column = 2 * WIDTH};
    rule.q_groups = rule.k_groups = (struct loom_groups){.n = 1, .first = first};
    rule.back_s = rule.ahead_s = -1;
    fill();
    loom_graph_set_pool(shared, pool[2]);
    net(shared, 150, &rule);
    ck_assert_int_ge(loom_split_shares(shared), 10);
    loom_graph_set_pool(shared, NULL);
    net(shared, 150, &rule);
    ck_assert_int_eq(loom_split_shares(shared), 0);
    loom_graph_forward(shared);
}
END_TEST

/* Backward and profiles stay on the calling thread and find what the threads left. */
START_TEST(gradients_follow)
{
    loom_real grad[2][150 * WIDTH];
    struct loom_graph *g[2] = {alone, shared};
    fill();
    loom_graph_set_pool(shared, pool[3]);
    memset(grad, 0, sizeof grad);
    for (int k = 0; k < 2; k++) {
        loom_graph_reset(g[k]);
        struct loom_node *x = loom_leaf(g[k], "x", 2, (int64_t[]){150, WIDTH}, input, grad[k]);
        x = linear(g[k], linear(g[k], x, 1, 4 * WIDTH, LOOM_ACT_GELU), 3, WIDTH, LOOM_ACT_NONE);
        struct loom_node *root = loom_sum(g[k], loom_layer_norm(g[k], x, leaf(g[k], 0, WIDTH, 0), NULL, 1e-5));
        loom_graph_forward(g[k]);
        loom_graph_backward(g[k], 1, &root, (double[]){1});
    }
    ck_assert_mem_eq(grad[0], grad[1], sizeof grad[0]);
    loom_graph_profile(shared, 1);
    spoil(shared);
    loom_graph_forward(shared);
    loom_graph_profile(shared, 0);
    compare("profiled", 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("split");
    TCase *t = tcase_create("split");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, every_op);
    tcase_add_test(t, nets);
    tcase_add_test(t, work_is_shared);
    tcase_add_test(t, gradients_follow);
    suite_add_tcase(s, t);
    return run_tap(s);
}
