/* SPDX-License-Identifier: Apache-2.0 */
/* Packed weights that graphs share: the same bits as alone, each weight packed once until it changes. */
#include "tensor/packs.h"

#include "tensor/node.h"

#include "suite.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

enum { WIDTH = 64, ROWS = 96, SHARERS = 4 };

static loom_real weights[WIDTH * WIDTH];

struct sharer {
    struct loom_graph *graph;
    loom_real x[ROWS * WIDTH], dx[ROWS * WIDTH];
    double value;
};

static struct loom_graph *graph_of(size_t bytes)
{
    struct loom_graph *g;
    struct loom_error e = {0};
    ck_assert_msg(loom_graph_new(&g, bytes, &e) == LOOM_OK, "%s", e.message);
    return g;
}

static void fill_weights(void)
{
    for (int i = 0; i < WIDTH * WIDTH; i++)
        weights[i] = (loom_real)(0.1 * sin(1.3 * i));
}

/* Two nodes use the weight, through two leaves over one memory, as two calls of loom_param give them. */
static void share_step(struct sharer *s)
{
    const int64_t square[2] = {WIDTH, WIDTH}, shape[2] = {ROWS, WIDTH};
    loom_graph_reset(s->graph);
    memset(s->dx, 0, sizeof(s->dx));
    struct loom_node *x = loom_leaf(s->graph, "x", 2, shape, s->x, s->dx);
    for (int i = 0; i < 2; i++)
        x = loom_linear(s->graph, x, loom_leaf(s->graph, "w", 2, square, weights, NULL), NULL, LOOM_ACT_TANH);
    struct loom_node *root = loom_sum(s->graph, loom_mul(s->graph, x, x));
    loom_graph_forward(s->graph);
    loom_graph_backward(s->graph, 1, &root, (double[]){1});
    s->value = *(const double *)loom_node_host(root);
}

static void *share_thread(void *sharer)
{
    for (int i = 0; i < 3; i++)
        share_step(sharer);
    return NULL;
}

static void share_all(struct sharer *s)
{
    pthread_t thread[SHARERS];
    for (int i = 0; i < SHARERS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, share_thread, &s[i]), 0);
    for (int i = 0; i < SHARERS; i++)
        pthread_join(thread[i], NULL);
}

START_TEST(packs_are_shared)
{
    static struct sharer alone, s[SHARERS];
    struct loom_packs *packs;
    fill_weights();
    ck_assert_int_eq(loom_packs_new(&packs, 1 << 20, NULL), LOOM_OK);
    alone.graph = graph_of(1 << 24);
    for (int i = 0; i < ROWS * WIDTH; i++)
        alone.x[i] = (loom_real)sin(i);
    for (int k = 0; k < SHARERS; k++) {
        s[k].graph = graph_of(1 << 24);
        loom_graph_set_packs(s[k].graph, packs);
        memcpy(s[k].x, alone.x, sizeof(alone.x));
    }
    for (int change = 1; change <= 2; change++) {
        share_step(&alone);
        share_all(s);
        for (int k = 0; k < SHARERS; k++)
            ck_assert(s[k].value == alone.value && memcmp(s[k].dx, alone.dx, sizeof(alone.dx)) == 0);
        ck_assert_uint_eq(loom_packs_made(packs), 2 * (uint64_t)change); /* one for each direction */
        for (int i = 0; i < WIDTH * WIDTH; i++)
            weights[i] *= (loom_real)1.5;
        loom_packs_stale(packs);
    }
    for (int k = 0; k < SHARERS; k++)
        loom_graph_free(s[k].graph);
    loom_graph_free(alone.graph);
    loom_packs_free(packs);
}
END_TEST

START_TEST(full_packs_do_no_harm)
{
    static struct sharer s;
    struct loom_packs *packs;
    fill_weights();
    ck_assert_int_eq(loom_packs_new(&packs, 4096, NULL), LOOM_OK);
    s.graph = graph_of(1 << 24);
    s.x[0] = 1;
    share_step(&s);
    double expected = s.value;
    loom_graph_set_packs(s.graph, packs);
    share_step(&s);
    ck_assert(s.value == expected && loom_packs_made(packs) <= 1);
    loom_graph_free(s.graph);
    loom_packs_free(packs);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("packs");
    TCase *t = tcase_create("shared");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, packs_are_shared);
    tcase_add_test(t, full_packs_do_no_harm);
    suite_add_tcase(s, t);
    return run_tap(s);
}
