/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs: building, errors, memory, gradients' ways, profiles. What each op computes is in test_ops.c. */
#include "tensor/node.h"

#include "suite.h"
#include <loom/rng.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

static long heap_calls; /* since the program began */

#ifndef SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
    heap_calls++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    heap_calls++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    heap_calls++;
    return __libc_realloc(p, size);
}
#endif

static struct loom_graph *graph;

static struct loom_graph *graph_of(size_t bytes)
{
    struct loom_graph *g;
    struct loom_error e = {0};
    ck_assert_msg(loom_graph_new(&g, bytes, &e) == LOOM_OK, "%s", e.message);
    return g;
}

static void setup(void)
{
    graph = graph_of((size_t)64 << 20);
}

static void teardown(void)
{
    loom_graph_free(graph);
}

static const int64_t two_three[2] = {2, 3}, three_two[2] = {3, 2}, three[1] = {3};

static struct loom_node *constant(int64_t rows, int64_t width)
{
    return loom_constant(graph, 2, (int64_t[]){rows, width}, 0.5);
}

static const char *message(void)
{
    static struct loom_error e;
    loom_error_clear(&e);
    loom_graph_error(graph, &e);
    return e.message;
}

static void has(const char *text)
{
    ck_assert_msg(strstr(message(), text) != NULL, "\"%s\" lacks \"%s\"", message(), text);
}

/* ---- errors ---- */

START_TEST(error_names_op_scope_shapes)
{
    loom_graph_scope_push(graph, "vit");
    loom_graph_scope_push(graph, "block3");
    struct loom_node *bad = loom_linear(graph, constant(75, 256), constant(128, 64), NULL, LOOM_ACT_NONE);
    ck_assert(!loom_node_ok(bad));
    ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_ESHAPE);
    has("linear");
    has("vit/block3");
    has("[75,256]");
    has("[128,64]");
}
END_TEST

START_TEST(first_error_stays)
{
    struct loom_node *bad = loom_add(graph, constant(2, 3), constant(3, 2));
    char first[1024];
    snprintf(first, sizeof(first), "%s", message());
    struct loom_node *worse = loom_matmul(graph, bad, constant(7, 7), 0, 0);
    ck_assert(!loom_node_ok(worse) && !loom_node_ok(constant(1, 1)));
    ck_assert_str_eq(message(), first);
    ck_assert_int_eq(loom_node_dim(bad, 0), 1);
    ck_assert(((const loom_real *)loom_node_host(bad))[0] == 0);
    loom_graph_forward(graph);
    loom_graph_backward(graph, 1, &worse, (double[]){1});
    loom_graph_reset(graph);
    ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_OK);
    ck_assert(loom_node_ok(constant(1, 1)));
}
END_TEST

START_TEST(bad_inputs_are_refused)
{
    struct loom_graph *other = graph_of(1 << 20);
    struct loom_node *foreign = loom_constant(other, 1, three, 1);
    loom_add(graph, NULL, constant(2, 3));
    has("NULL");
    loom_graph_reset(graph);
    loom_add(graph, foreign, foreign);
    has("no node of this build");
    loom_graph_reset(graph);
    ck_assert(!loom_node_ok(loom_constant(graph, 1, (int64_t[]){-1}, 0)));
    loom_graph_reset(graph);
    ck_assert(!loom_node_ok(loom_constant(graph, 2, (int64_t[]){INT64_MAX, 3}, 0)));
    loom_graph_reset(graph);
    ck_assert(!loom_node_ok(loom_constant(graph, 5, (int64_t[]){1, 1, 1, 1, 1}, 0)));
    loom_graph_reset(graph);
    ck_assert(!loom_node_ok(loom_slice_rows(graph, constant(3, 2), 2, 2)));
    loom_graph_reset(graph);
    ck_assert(!loom_node_ok(loom_slice_rows(graph, constant(3, 2), INT64_MAX, 2)));
    loom_graph_reset(graph);
    ck_assert(!loom_node_ok(loom_slice_cols(graph, constant(3, 2), -1, 1)));
    loom_graph_reset(graph);
    ck_assert(!loom_node_ok(loom_reshape(graph, constant(3, 2), 2, (int64_t[]){2, 2})));
    loom_graph_free(other);
}
END_TEST

START_TEST(indices_known_early_are_checked)
{
    const int32_t index[3] = {0, -1, 2};
    struct loom_node *at = loom_input(graph, LOOM_I32, 1, three, index);
    ck_assert(loom_node_ok(loom_gather(graph, constant(3, 2), at)));
    loom_gather(graph, constant(2, 3), at);
    has("index 2 at position 2");
    loom_graph_reset(graph);
    at = loom_input(graph, LOOM_I32, 1, three, index);
    loom_cross_entropy(graph, constant(3, 2), at, NULL, 0);
    has("cross_entropy");
}
END_TEST

START_TEST(attention_rules_are_checked)
{
    const int32_t first[2] = {0, 3}, beyond[2] = {0, 4};
    struct loom_attention good = {
        .heads = 2, .width = 4, .q_groups = {1, first, NULL, NULL}, .back_s = -1, .ahead_s = -1};
    good.k_groups = good.q_groups;
    struct loom_node *x = constant(3, 4);
    ck_assert_msg(loom_node_ok(loom_attention(graph, x, x, x, &good)), "%s", message());
    struct loom_attention bad[8];
    for (int i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].heads = 3;
    bad[1].k_groups.first = beyond;
    bad[2].causal = 1;
    bad[3].q_cos = (const loom_real *)loom_node_host(x);
    bad[4].dropout = 0.1;
    bad[5].dropout = NAN;
    bad[6].v_column = 1;
    bad[7].k_groups.n = 0;
    for (int i = 0; i < 8; i++) {
        loom_graph_reset(graph);
        x = constant(3, 4);
        ck_assert_msg(!loom_node_ok(loom_attention(graph, x, x, x, &bad[i])), "rule %d", i);
        has("attention");
    }
}
END_TEST

static int stub_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)n;
    (void)e;
    *out = (struct loom_shape){.dtype = 77, .rank = 1, .dim = {1}};
    return LOOM_OK;
}

static void stub_forward(const struct loom_node *n, void *scratch)
{
    (void)n;
    (void)scratch;
}

START_TEST(foreign_ops_are_checked)
{
    const struct loom_op old = {.size = 8, .name = "old", .infer = stub_infer, .forward = stub_forward};
    const struct loom_op odd = {.size = sizeof(odd), .name = "odd", .infer = stub_infer, .forward = stub_forward};
    ck_assert(!loom_node_ok(loom_apply(graph, &old, 0, NULL, NULL, 0)));
    ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_EPLUGIN);
    loom_graph_reset(graph);
    ck_assert(!loom_node_ok(loom_apply(graph, &odd, 0, NULL, NULL, 0)));
    has("odd");
}
END_TEST

START_TEST(scopes_nest)
{
    for (int i = 0; i < 100; i++)
        loom_graph_scope_push(graph, "a-rather-long-name-of-a-scope");
    constant(1, 1);
    for (int i = 0; i < 100; i++)
        loom_graph_scope_pop(graph);
    loom_graph_scope_push(graph, "a");
    loom_graph_scope_push(graph, "b");
    loom_graph_scope_pop(graph);
    loom_graph_scope_push(graph, "c");
    ck_assert_str_eq(constant(1, 1)->scope, "a/c");
    loom_graph_scope_pop(graph);
    ck_assert_str_eq(constant(1, 1)->scope, "a");
    loom_graph_scope_pop(graph);
    ck_assert_str_eq(constant(1, 1)->scope, "");
    ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_OK);
    loom_graph_scope_pop(graph);
    has("scope");
}
END_TEST

/* ---- gradients' ways ---- */

START_TEST(gradients_stop_where_told)
{
    loom_real w[3] = {1, 2, 3}, dw[3] = {0}, v[3] = {4, 5, 6};
    struct loom_node *a = loom_leaf(graph, "w", 1, three, w, dw), *frozen = loom_leaf(graph, "v", 1, three, v, NULL);
    struct loom_node *through = loom_mul(graph, a, frozen), *stopped = loom_mul(graph, loom_stop(graph, a), frozen);
    struct loom_node *root = loom_sum(graph, loom_add(graph, through, stopped));
    ck_assert_ptr_eq(loom_node_host(loom_stop(graph, a)), w);
    loom_graph_forward(graph);
    loom_graph_backward(graph, 1, &root, (double[]){2});
    ck_assert(*(const double *)loom_node_host(root) == 64);
    ck_assert(dw[0] == 8 && dw[1] == 10 && dw[2] == 12);
    ck_assert_ptr_eq(loom_node_host_grad(a), dw);
    ck_assert_ptr_null(loom_node_host_grad(frozen));
    ck_assert_ptr_null(loom_node_host_grad(through));
}
END_TEST

START_TEST(roots_add_up)
{
    loom_real w[3] = {1, 2, 3}, dw[3] = {0};
    struct loom_node *a = loom_leaf(graph, "w", 1, three, w, dw);
    struct loom_node *root[3] = {loom_sum(graph, a), loom_sum(graph, loom_mul(graph, a, a)), NULL};
    root[2] = root[0];
    loom_graph_forward(graph);
    loom_graph_backward(graph, 3, root, (double[]){1, 0.5, 10});
    ck_assert(dw[0] == 12 && dw[1] == 13 && dw[2] == 14);
    loom_graph_backward(graph, 1, root, (double[]){1});
    ck_assert(dw[0] == 13);
}
END_TEST

START_TEST(roots_are_checked)
{
    struct loom_node *x = constant(2, 3), *root = loom_sum(graph, x);
    loom_graph_backward(graph, 1, &root, (double[]){1});
    has("forward");
    loom_graph_reset(graph);
    x = constant(2, 3);
    loom_graph_forward(graph);
    loom_graph_backward(graph, 1, &x, (double[]){1});
    has("root 0");
}
END_TEST

START_TEST(weights_may_change_between_runs)
{
    loom_real w[6] = {1, 0, 0, 0, 1, 0}, dw[6] = {0}, x[3] = {1, 2, 3}, dx[3] = {0};
    struct loom_node *leaf = loom_leaf(graph, "x", 2, (int64_t[]){1, 3}, x, dx);
    struct loom_node *y = loom_linear(graph, leaf, loom_leaf(graph, "w", 2, two_three, w, dw), NULL, LOOM_ACT_NONE);
    struct loom_node *root = loom_sum(graph, y);
    const loom_real *value = loom_node_host(y);
    for (int i = 1; i <= 2; i++) {
        w[0] = w[4] = (loom_real)i;
        memset(dx, 0, sizeof(dx));
        loom_graph_forward(graph);
        loom_graph_backward(graph, 1, &root, (double[]){1});
        ck_assert(value[0] == i && value[1] == 2 * i);
        ck_assert(dx[0] == i && dx[1] == i && dx[2] == 0);
    }
}
END_TEST

/* ---- memory ---- */

enum { WIDTH = 64, ROWS = 96, LAYERS = 24 };

static loom_real weights[WIDTH * WIDTH], weights_grad[WIDTH * WIDTH];

static struct loom_node *deep(struct loom_graph *g)
{
    struct loom_node *x = loom_constant(g, 2, (int64_t[]){ROWS, WIDTH}, 0.1);
    for (int i = 0; i < LAYERS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "layer%d", i);
        loom_graph_scope_push(g, name);
        struct loom_node *w = loom_leaf(g, "w", 2, (int64_t[]){WIDTH, WIDTH}, weights, weights_grad);
        x = loom_add_dropout(g, x, loom_linear(g, x, w, NULL, LOOM_ACT_TANH), 0.1, NULL, 1, 2, "deep");
        x = loom_layer_norm(g, x, NULL, NULL, 1e-5);
        loom_graph_scope_pop(g);
    }
    return loom_sum(g, loom_mul(g, x, x));
}

static void fill_weights(void)
{
    struct loom_rng rng;
    loom_rng_init(&rng, 1, "weights", 0, 0);
    for (int i = 0; i < WIDTH * WIDTH; i++)
        weights[i] = (loom_real)(0.1 * loom_rng_normal(&rng));
    memset(weights_grad, 0, sizeof(weights_grad));
}

START_TEST(no_heap_from_the_first_step)
{
    fill_weights();
    long before = heap_calls;
    for (int step = 0; step < 3; step++) {
        loom_graph_reset(graph);
        struct loom_node *root = deep(graph);
        loom_graph_forward(graph);
        loom_graph_backward(graph, 1, &root, (double[]){1});
    }
    ck_assert_int_eq(heap_calls - before, 0);
    ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_OK);
    double norm = 0;
    for (int i = 0; i < WIDTH * WIDTH; i++)
        norm += (double)weights_grad[i] * weights_grad[i];
    ck_assert_msg(norm > 0 && isfinite(norm), "gradient %g", norm);
#ifndef SANITIZED
    free(malloc(1));
    ck_assert_msg(heap_calls > before, "the test does not see heap calls");
#endif
}
END_TEST

START_TEST(gradients_are_recycled)
{
    fill_weights();
    struct loom_node *root = deep(graph);
    loom_graph_forward(graph);
    size_t built = loom_graph_peak(graph), row = (size_t)ROWS * WIDTH * sizeof(loom_real);
    loom_graph_backward(graph, 1, &root, (double[]){1});
    size_t taken = loom_graph_peak(graph) - built;
    ck_assert_msg(taken >= row && taken <= 5 * row, "%zu bytes of gradients, a layer's is %zu", taken, row);
    loom_graph_backward(graph, 1, &root, (double[]){1});
    ck_assert_uint_eq(loom_graph_peak(graph) - built, taken);
}
END_TEST

/* Whatever the size, a graph refuses while it is built or has room to the end. */
START_TEST(any_size_is_safe)
{
    static loom_real expected[WIDTH * WIDTH];
    int refused = 0, done = 0;
    for (size_t bytes = (size_t)8 << 20; bytes > 1 << 16; bytes -= 40000 / LOOM_ALIGN * LOOM_ALIGN) {
        struct loom_graph *g = graph_of((size_t)8 << 20);
        size_t whole = g->arena.size;
        g->arena.size = bytes; /* finer than the pages that a new arena is rounded to */
        fill_weights();
        struct loom_node *root = deep(g);
        loom_graph_forward(g);
        loom_graph_backward(g, 1, &root, (double[]){1});
        int status = loom_graph_error(g, NULL);
        ck_assert(status == LOOM_OK || status == LOOM_ENOMEM);
        ck_assert_uint_le(loom_graph_peak(g), bytes);
        if (done == 0)
            memcpy(expected, weights_grad, sizeof(expected));
        if (status == LOOM_OK)
            ck_assert_msg(memcmp(expected, weights_grad, sizeof(expected)) == 0, "%zu bytes: other gradients", bytes);
        refused += status != LOOM_OK;
        done += status == LOOM_OK;
        g->arena.size = whole;
        loom_graph_free(g);
    }
    ck_assert_msg(refused > 2 && done > 2, "%d refused, %d done", refused, done);
}
END_TEST

START_TEST(classes_hold_what_they_promise)
{
    struct loom_graph *g = graph_of((size_t)1 << 30);
    for (size_t bytes = 0; bytes < 100000; bytes += 1 + bytes / 17) {
        size_t rounded = loom_grad_class_bytes(bytes);
        ck_assert_msg(rounded >= bytes && rounded <= bytes + bytes / 4 + LOOM_ALIGN, "%zu for %zu", rounded, bytes);
        g->promised += 2 * rounded;
        void *a = loom_grad_get(g, bytes), *b = loom_grad_get(g, rounded);
        ck_assert(a && b && a != b);
        memset(a, 1, rounded);
        loom_grad_put(g, a, bytes);
        ck_assert_ptr_eq(loom_grad_get(g, rounded), a);
    }
    loom_graph_free(g);
}
END_TEST

START_TEST(rebuilt_graphs_agree)
{
    double first = 0;
    fill_weights();
    for (int step = 0; step < 2; step++) {
        loom_graph_reset(graph);
        struct loom_node *root = deep(graph);
        loom_graph_forward(graph);
        double value = *(const double *)loom_node_host(root);
        ck_assert(step == 0 || value == first);
        first = value;
    }
}
END_TEST

/* ---- counters ---- */

START_TEST(counters)
{
    const struct loom_profile *p;
    const double flops = 2.0 * ROWS * WIDTH * WIDTH;
    fill_weights();
    loom_graph_profile(graph, 1);
    struct loom_node *root = deep(graph);
    ck_assert_int_eq(loom_graph_nodes(graph), 1 + 4 * LAYERS + 2);
    ck_assert(loom_graph_flops(graph, 0) == LAYERS * flops);
    ck_assert(loom_graph_flops(graph, 1) == 3 * LAYERS * flops);
    loom_graph_forward(graph);
    loom_graph_backward(graph, 1, &root, (double[]){1});
    int n = loom_graph_profiled(graph, &p);
    ck_assert_int_eq(n, 5);
    ck_assert_str_eq(p[0].op->name, "linear");
    ck_assert_int_eq(p[0].calls, LAYERS);
    ck_assert(p[0].flops == LAYERS * flops && p[0].forward_s > 0 && p[0].backward_s > 0);
}
END_TEST

/* ---- random programs: wrong shapes never crash, and say what was wrong ---- */

static struct loom_node *random_op(struct loom_rng *r, struct loom_node *const *pool, uint32_t n)
{
    struct loom_node *a = pool[loom_rng_below(r, n)], *b = pool[loom_rng_below(r, n)], *c = pool[loom_rng_below(r, n)];
    int64_t u = (int64_t)loom_rng_below(r, 5) - 1, v = (int64_t)loom_rng_below(r, 5) - 1;
    switch (loom_rng_below(r, 24)) {
    case 0:
        return loom_linear(graph, a, b, NULL, (int)u);
    case 1:
        return loom_matmul(graph, a, b, u > 0, v > 0);
    case 2:
        return loom_gather(graph, a, b);
    case 3:
        return loom_scatter(graph, a, b, u);
    case 4:
        return loom_concat_rows(graph, 3, (struct loom_node *[]){a, b, c});
    case 5:
        return loom_concat_cols(graph, 2, (struct loom_node *[]){a, b});
    case 6:
        return loom_slice_rows(graph, a, u, v);
    case 7:
        return loom_slice_cols(graph, a, u, v);
    case 8:
        return loom_reshape(graph, a, 2, (int64_t[]){u, v});
    case 9:
        return loom_mul(graph, a, b);
    case 10:
        return loom_layer_norm(graph, a, b, c, 1e-5);
    case 11:
        return loom_softmax(graph, a);
    case 12:
        return loom_geglu(graph, a);
    case 13:
        return loom_dropout(graph, a, 0.5, NULL, 1, 1, "fuzz");
    case 14:
        return loom_add_dropout(graph, a, b, 0.5, NULL, 1, 1, "fuzz");
    case 15:
        return loom_cross_entropy(graph, a, b, c, 0);
    case 16:
        return loom_poisson_nll(graph, a, b, NULL, 1);
    case 17:
        return loom_sum(graph, a);
    case 18:
        return loom_l2_normalize(graph, a, 1e-6);
    case 19:
        return loom_matmul(graph, a, a, 0, 1);
    default:
        return loom_add(graph, a, loom_gelu(graph, loom_stop(graph, a)));
    }
}

START_TEST(random_programs)
{
    static loom_real x[12], dx[12];
    const int32_t index[3] = {1, -1, 0};
    struct loom_node *pool[40], *root = NULL;
    int good = 0, bad = 0;
    for (int trial = 0; trial < 2000; trial++) {
        struct loom_rng r;
        loom_rng_init(&r, 5, "programs", 0, (uint64_t)trial);
        loom_graph_reset(graph);
        uint32_t n = 0, most = 5 + loom_rng_below(&r, 8);
        pool[n++] = loom_leaf(graph, "x", 2, three_two, x, dx);
        pool[n++] = loom_leaf(graph, "y", 2, two_three, x + 6, dx + 6);
        pool[n++] = loom_input(graph, LOOM_I32, 1, three, index);
        pool[n++] = loom_leaf(graph, "z", 1, three, x, NULL);
        while (n < most)
            pool[n] = random_op(&r, pool, n), n++;
        if (loom_graph_error(graph, NULL) != LOOM_OK) {
            ck_assert_msg(strstr(message(), " of ") != NULL, "%s", message());
            bad++;
            continue;
        }
        for (uint32_t i = 0; i < n; i++)
            if (loom_node_dtype(pool[i]) == LOOM_REAL)
                root = loom_sum(graph, pool[i]);
        loom_graph_forward(graph);
        loom_graph_backward(graph, 1, &root, (double[]){1});
        ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_OK);
        good++;
    }
    ck_assert_msg(good > 50 && bad > 50, "%d programs run, %d refused", good, bad);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        error_names_op_scope_shapes,
        first_error_stays,
        bad_inputs_are_refused,
        indices_known_early_are_checked,
        attention_rules_are_checked,
        foreign_ops_are_checked,
        scopes_nest,
        gradients_stop_where_told,
        roots_add_up,
        roots_are_checked,
        weights_may_change_between_runs,
        no_heap_from_the_first_step,
        gradients_are_recycled,
        any_size_is_safe,
        classes_hold_what_they_promise,
        rebuilt_graphs_agree,
        counters,
        random_programs,
    };
    Suite *s = suite_create("tensor");
    TCase *t = tcase_create("graph");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(t, tests[i]);
    suite_add_tcase(s, t);
    return run_tap(s);
}
