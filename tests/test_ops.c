/* SPDX-License-Identifier: Apache-2.0 */
/* Every op on the list of cases: against the reference kernels, gradients against differences, the row law bit for bit.
 */
#include "tensor/cases/cases.h"
#include "tensor/kernels/kernels.h"
#include "tensor/node.h"

#include "suite.h"
#include <loom/rng.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct loom_graph *graph;
static char why[512];

static void setup(void)
{
    struct loom_error e = {0};
    ck_assert_msg(loom_graph_new(&graph, (size_t)256 << 20, &e) == LOOM_OK, "%s", e.message);
}

static void teardown(void)
{
    loom_graph_free(graph);
}

static const char *title(const struct loom_case *c)
{
    static char text[128];
    return loom_case_title(c, text, sizeof(text));
}

static void build(struct loom_case_run *r, const struct loom_case *c, const int32_t *select, int64_t n)
{
    struct loom_error e = {0};
    int status = loom_case_build(r, graph, c, select, n);
    loom_graph_error(graph, &e);
    ck_assert_msg(status == LOOM_OK, "%s: %s", title(c), e.message);
}

static void run(struct loom_case_run *r)
{
    const double one = 1;
    for (int i = 0; i < r->leaves; i++)
        memset(r->leaf[i].grad, 0, (size_t)r->leaf[i].size * sizeof(loom_real));
    loom_graph_forward(graph);
    loom_graph_backward(graph, 1, &r->root, &one);
    ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_OK);
}

static double root_value(const struct loom_case_run *r)
{
    return *(const double *)loom_node_host(r->root);
}

static void *copy(const void *from, size_t bytes)
{
    void *to = malloc(bytes + 1);
    ck_assert_ptr_nonnull(to);
    return memcpy(to, from, bytes);
}

static int is_test(const struct loom_case *c)
{
    return !(c->flags & LOOM_CASE_TIMING);
}

/* ---- against the reference kernels ---- */

static int near(const loom_real *a, const loom_real *b, int64_t n, const char *what, double tol)
{
    double scale = 0, worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++)
        scale = fmax(scale, fabs((double)b[i]));
    for (int64_t i = 0; i < n; i++) {
        double err = fabs((double)a[i] - b[i]) / (scale + 1e-3);
        if (!(err <= worst)) {
            worst = err;
            at = i;
        }
    }
    if (worst <= tol)
        return 1;
    snprintf(why, sizeof(why), "%s[%lld] is %.9g, reference %.9g (error %.2g)", what, (long long)at, (double)a[at],
             (double)b[at], worst);
    return 0;
}

START_TEST(reference)
{
    const double tol = sizeof(loom_real) == 8 ? 1e-11 : 2e-5;
    struct loom_case_run r;
    const struct loom_case *c;
    for (size_t i = 0; (c = loom_case_at(i)); i++) {
        if (!is_test(c))
            continue;
        loom_graph_set_kernels(graph, loom_kernels_named("reference", NULL));
        build(&r, c, NULL, 0);
        run(&r);
        int is_real = loom_node_dtype(r.out) == LOOM_REAL;
        loom_real *out = copy(loom_node_host(r.out), loom_node_bytes(r.out)), *grad[LOOM_CASE_LEAVES];
        double root = root_value(&r);
        for (int l = 0; l < r.leaves; l++)
            grad[l] = copy(r.leaf[l].grad, (size_t)r.leaf[l].size * sizeof(loom_real));
        loom_graph_set_kernels(graph, loom_kernels_default(NULL));
        build(&r, c, NULL, 0);
        run(&r);
        if (is_real)
            ck_assert_msg(near(loom_node_host(r.out), out, loom_node_size(r.out), "output", tol), "%s: %s", title(c),
                          why);
        ck_assert_msg(fabs(root_value(&r) - root) <= 10 * tol * (1 + fabs(root)), "%s: root", title(c));
        for (int l = 0; l < r.leaves; l++) {
            ck_assert_msg(near(r.leaf[l].grad, grad[l], r.leaf[l].size, r.leaf[l].name, tol), "%s: gradient of %s",
                          title(c), why);
            free(grad[l]);
        }
        free(out);
    }
}
END_TEST

/* ---- gradients ---- */

static double root_at(const struct loom_case_run *r)
{
    loom_graph_forward(graph);
    return root_value(r);
}

#ifdef LOOM_DOUBLE
static double root_moved(const struct loom_case_run *r, loom_real *at, double by)
{
    loom_real x = *at;
    *at = x + by;
    double value = root_at(r);
    *at = x;
    return value;
}

/* Central differences of fourth order for every element of every leaf. The wide step keeps the rounding of the root,
 * which a step of 1e-5 would show as an error of 1e-6 in small gradients, out of the comparison. */
static void check_elements(const struct loom_case_run *r)
{
    const double eps = 1e-4, tol = 1e-6;
    for (int l = 0; l < r->leaves; l++) {
        const struct loom_case_leaf *leaf = &r->leaf[l];
        for (int64_t i = 0; i < leaf->size; i++) {
            loom_real *at = &leaf->value[i], g = leaf->grad[i];
            double near_by = root_moved(r, at, eps) - root_moved(r, at, -eps);
            double far_off = root_moved(r, at, 2 * eps) - root_moved(r, at, -2 * eps);
            double fd = (8 * near_by - far_off) / (12 * eps);
            double err = fabs(fd - g) / (fabs(g) + 1e-3);
            ck_assert_msg(err <= tol, "%s: d/d%s[%lld] is %.9g, by differences %.9g (error %.2g)", title(r->c),
                          leaf->name, (long long)i, (double)g, fd, err);
        }
    }
}
#else
/* Difference along a direction of length 1 over all leaves at once. */
static double along(const struct loom_case_run *r, double *const *direction, double eps)
{
    double value[2];
    for (int side = 0; side < 2; side++) {
        loom_real *saved[LOOM_CASE_LEAVES];
        for (int l = 0; l < r->leaves; l++) {
            saved[l] = copy(r->leaf[l].value, (size_t)r->leaf[l].size * sizeof(loom_real));
            for (int64_t i = 0; i < r->leaf[l].size; i++)
                r->leaf[l].value[i] += (loom_real)((side ? -eps : eps) * direction[l][i]);
        }
        value[side] = root_at(r);
        for (int l = 0; l < r->leaves; l++) {
            memcpy(r->leaf[l].value, saved[l], (size_t)r->leaf[l].size * sizeof(loom_real));
            free(saved[l]);
        }
    }
    return (value[0] - value[1]) / (2 * eps);
}

static void check_direction(const struct loom_case_run *r, int trial)
{
    const double eps = 1e-2, tol = 1e-3;
    double *direction[LOOM_CASE_LEAVES], square = 0, gradient = 0, dot = 0;
    struct loom_rng rng;
    loom_rng_init(&rng, 1, "direction", 0, (uint64_t)trial);
    for (int l = 0; l < r->leaves; l++) {
        direction[l] = malloc((size_t)(r->leaf[l].size + 1) * sizeof(double));
        for (int64_t i = 0; i < r->leaf[l].size; i++) {
            double g = r->leaf[l].grad[i];
            direction[l][i] = trial ? loom_rng_normal(&rng) : g;
            square += direction[l][i] * direction[l][i];
            gradient += g * g;
            dot += g * direction[l][i];
        }
    }
    double length = sqrt(square);
    for (int l = 0; l < r->leaves; l++)
        for (int64_t i = 0; i < r->leaf[l].size && length > 0; i++)
            direction[l][i] /= length;
    double expected = length > 0 ? dot / length : 0, fd = along(r, direction, eps);
    double err = fabs(fd - expected) / (sqrt(gradient) + 1e-3);
    ck_assert_msg(err <= tol, "%s: slope along %s is %.9g, by differences %.9g (error %.2g)", title(r->c),
                  trial ? "a random direction" : "the gradient", expected, fd, err);
    for (int l = 0; l < r->leaves; l++)
        free(direction[l]);
}

static void check_elements(const struct loom_case_run *r)
{
    for (int trial = 0; trial <= 8; trial++)
        check_direction(r, trial);
}
#endif

START_TEST(gradients)
{
    struct loom_case_run r;
    const struct loom_case *c;
    for (size_t i = 0; (c = loom_case_at(i)); i++) {
        if (!is_test(c) || (c->flags & LOOM_CASE_STOPS))
            continue;
        build(&r, c, NULL, 0);
        run(&r);
        check_elements(&r);
        for (int l = 0; l < r.leaves; l++) {
            int any = r.leaf[l].size == 0 || loom_node_size(r.out) == 0;
            for (int64_t k = 0; k < r.leaf[l].size; k++)
                any |= r.leaf[l].grad[k] != 0;
            /* Nothing moves what is one long, what has no row of the table, or what all groups' sizes leave empty. */
            ck_assert_msg(any || c->width == 1 || c->more == 0 || c->rows == 1, "%s: no gradient reaches %s", title(c),
                          r.leaf[l].name);
        }
    }
}
END_TEST

/* A leaf's own gradient is added to, not overwritten; a second backward doubles it exactly. */
START_TEST(accumulation)
{
    const double one = 1;
    struct loom_case_run r;
    const struct loom_case *c;
    for (size_t i = 0; (c = loom_case_at(i)); i++) {
        if (!is_test(c))
            continue;
        build(&r, c, NULL, 0);
        for (int l = 0; l < r.leaves; l++) {
            run(&r);
            loom_real *once = copy(r.leaf[l].grad, (size_t)r.leaf[l].size * sizeof(loom_real));
            loom_graph_backward(graph, 1, &r.root, &one);
            for (int64_t k = 0; k < r.leaf[l].size; k++) {
                double err = fabs((double)r.leaf[l].grad[k] - 2 * (double)once[k]) / (fabs((double)once[k]) + 1);
                ck_assert_msg(err <= 1e-5, "%s: gradient of %s[%lld] does not add up: %g, then %g", title(c),
                              r.leaf[l].name, (long long)k, (double)once[k], (double)r.leaf[l].grad[k]);
            }
            free(once);
        }
    }
}
END_TEST

/* ---- the row law ---- */

struct whole {
    loom_real *out, *grad[LOOM_CASE_LEAVES];
    uint64_t *out_key, *key[LOOM_CASE_LEAVES];
    int64_t out_rows, rows[LOOM_CASE_LEAVES], row[LOOM_CASE_LEAVES], out_row; /* row: elements in a row */
};

static void *copy_keys(const uint64_t *key, int64_t n)
{
    return copy(key, (size_t)n * sizeof(*key));
}

static void keep_whole(const struct loom_case_run *r, struct whole *w)
{
    w->out_rows = loom_node_dim(r->out, 0);
    w->out_row = w->out_rows ? loom_node_size(r->out) / w->out_rows : 0;
    w->out = copy(loom_node_host(r->out), loom_node_bytes(r->out));
    w->out_key = copy_keys(r->out_key, w->out_rows);
    for (int l = 0; l < r->leaves; l++) {
        const struct loom_case_leaf *leaf = &r->leaf[l];
        w->rows[l] = leaf->rows;
        w->row[l] = leaf->rows ? leaf->size / leaf->rows : 0;
        w->grad[l] = copy(leaf->grad, (size_t)leaf->size * sizeof(loom_real));
        w->key[l] = copy_keys(leaf->rows ? leaf->key : r->out_key, leaf->rows);
    }
}

static void drop_whole(const struct loom_case_run *r, struct whole *w)
{
    free(w->out);
    free(w->out_key);
    for (int l = 0; l < r->leaves; l++) {
        free(w->grad[l]);
        free(w->key[l]);
    }
}

static void same_rows(const struct loom_case *c, const char *what, const loom_real *part, const uint64_t *key,
                      int64_t rows, int64_t row, const loom_real *all, const uint64_t *all_key, int64_t all_rows)
{
    for (int64_t i = 0; i < rows; i++) {
        int64_t j = 0;
        while (j < all_rows && all_key[j] != key[i])
            j++;
        ck_assert_msg(j < all_rows, "%s: %s has a row that the whole lacks", title(c), what);
        ck_assert_msg(memcmp(part + i * row, all + j * row, (size_t)row * sizeof(*part)) == 0,
                      "%s: %s of row %lld has other bits at place %lld of %lld", title(c), what, (long long)j,
                      (long long)i, (long long)rows);
    }
}

static void check_selection(const struct loom_case *c, const struct whole *w, const int32_t *select, int64_t n)
{
    struct loom_case_run r;
    build(&r, c, select, n);
    run(&r);
    same_rows(c, "output", loom_node_host(r.out), r.out_key, loom_node_dim(r.out, 0), w->out_row, w->out, w->out_key,
              w->out_rows);
    for (int l = 0; l < r.leaves; l++)
        same_rows(c, r.leaf[l].name, r.leaf[l].grad, r.leaf[l].key, r.leaf[l].rows, w->row[l], w->grad[l], w->key[l],
                  w->rows[l]);
}

START_TEST(row_law)
{
    const struct loom_case *c;
    int32_t select[64];
    for (size_t i = 0; (c = loom_case_at(i)); i++) {
        struct loom_case_run r;
        struct whole w;
        if (!is_test(c) || !(c->flags & (LOOM_CASE_ROWS | LOOM_CASE_GROUPS)) || c->rows == 0)
            continue;
        build(&r, c, NULL, 0);
        run(&r);
        keep_whole(&r, &w);
        int32_t n = (int32_t)c->rows;
        for (int32_t k = 0; k < n; k++) { /* each alone */
            select[0] = k;
            check_selection(c, &w, select, 1);
        }
        for (int32_t k = 0; k < n; k++) /* all, last first */
            select[k] = n - 1 - k;
        check_selection(c, &w, select, n);
        int32_t odd = 0;
        for (int32_t k = 1; k < n; k += 2) /* every second */
            select[odd++] = k;
        check_selection(c, &w, select, odd);
        drop_whole(&r, &w);
    }
}
END_TEST

/* ---- elements without weight ---- */

typedef struct loom_node *(*loss_fn)(struct loom_graph *, struct loom_node *, struct loom_node *, struct loom_node *);

static struct loom_node *poisson(struct loom_graph *g, struct loom_node *x, struct loom_node *y, struct loom_node *w)
{
    return loom_poisson_nll(g, x, y, w, 1);
}

enum { ELEMENTS = 37 };

/* Value and gradient with `target` put where the weight is 0. */
static double loss_with(loss_fn loss, double target, loom_real *grad)
{
    const int64_t n = ELEMENTS;
    const double one = 1;
    loom_real x[ELEMENTS], y[ELEMENTS], w[ELEMENTS];
    for (int i = 0; i < ELEMENTS; i++) {
        w[i] = i % 3 ? (loom_real)0.5 : 0;
        x[i] = (loom_real)0.1 * (loom_real)(i - 18);
        y[i] = i % 3 ? (loom_real)(i % 2) : (loom_real)target;
    }
    memset(grad, 0, ELEMENTS * sizeof(*grad));
    loom_graph_reset(graph);
    struct loom_node *leaf = loom_leaf(graph, "x", 1, &n, x, grad);
    struct loom_node *root =
        loss(graph, leaf, loom_input(graph, LOOM_REAL, 1, &n, y), loom_input(graph, LOOM_REAL, 1, &n, w));
    loom_graph_forward(graph);
    loom_graph_backward(graph, 1, &root, &one);
    ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_OK);
    return *(const double *)loom_node_host(root);
}

START_TEST(weight_zero)
{
    static const loss_fn losses[] = {poisson, loom_squared_error, loom_bce};
    loom_real clean[ELEMENTS], dirty[ELEMENTS];
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        double expected = loss_with(losses[i], 1, clean), got = loss_with(losses[i], NAN, dirty);
        ck_assert_msg(isfinite(expected) && expected != 0 && expected == got, "loss %zu: %g with NaN, %g without", i,
                      got, expected);
        for (int k = 0; k < ELEMENTS; k++) {
            ck_assert_msg(clean[k] == dirty[k], "loss %zu: gradient %d", i, k);
            ck_assert_msg((clean[k] != 0) == (k % 3 != 0), "loss %zu: gradient %d of weight 0", i, k);
        }
    }
}
END_TEST

/* Rows without label or weight add nothing, though their logits are NaN. */
START_TEST(cross_entropy_skips)
{
    const int64_t dim[2] = {4, 3}, rows = 4;
    const int32_t label[4] = {1, -1, 2, 0};
    const loom_real weight[4] = {1, 1, 0, 2};
    const loom_real bad = (loom_real)NAN;
    loom_real x[12] = {0.5, 1, -1, bad, bad, bad, bad, 0, 0, 2, 1, 0}, grad[12] = {0};
    const double one = 1;
    struct loom_node *leaf = loom_leaf(graph, "x", 2, dim, x, grad);
    struct loom_node *root = loom_cross_entropy(graph, leaf, loom_input(graph, LOOM_I32, 1, &rows, label),
                                                loom_input(graph, LOOM_REAL, 1, &rows, weight), 0);
    loom_graph_forward(graph);
    loom_graph_backward(graph, 1, &root, &one);
    double expected = log(exp(0.5) + exp(1) + exp(-1)) - 1 + 2 * (log(exp(2) + exp(1) + 1) - 2);
    double err = fabs(*(const double *)loom_node_host(root) - expected);
    ck_assert_msg(err <= 1e-5, "off by %g", err);
    for (int i = 3; i < 9; i++)
        ck_assert_msg(grad[i] == 0, "gradient %d", i);
    ck_assert(grad[1] < 0 && grad[9] < 0);
}
END_TEST

/* An index made by another op may not exist: it counts as -1. */
static int far_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)n;
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_I32, .rank = 1, .dim = {3}};
    return LOOM_OK;
}

static void far_forward(const struct loom_node *n, void *scratch)
{
    int32_t *index = loom_node_out(n);
    (void)scratch;
    index[0] = 1;
    index[1] = 1000000;
    index[2] = -7;
}

START_TEST(computed_indices)
{
    static const struct loom_op far = {.size = sizeof(far), .name = "far", .infer = far_infer, .forward = far_forward};
    const int64_t dim[2] = {2, 2};
    const double one = 1;
    loom_real x[4] = {1, 2, 3, 4}, grad[4] = {0};
    struct loom_node *leaf = loom_leaf(graph, "x", 2, dim, x, grad), *index = loom_apply(graph, &far, 0, NULL, NULL, 0);
    struct loom_node *picked = loom_gather(graph, leaf, index);
    struct loom_node *put = loom_scatter(graph, picked, index, 2), *root = loom_sum(graph, put);
    loom_graph_forward(graph);
    loom_graph_backward(graph, 1, &root, &one);
    ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_OK);
    const loom_real *y = loom_node_host(picked);
    ck_assert(y[0] == 3 && y[1] == 4 && y[2] == 0 && y[3] == 0 && y[4] == 0);
    ck_assert(grad[0] == 0 && grad[2] == 1 && grad[3] == 1);
}
END_TEST

/* One node or three: residual + dropout(x) and its norm have the same bits, and give the same gradients. */
enum { CHAIN_ROWS = 21, CHAIN_WIDTH = 19, CHAIN = CHAIN_ROWS * CHAIN_WIDTH };
struct chain {
    loom_real norm[CHAIN], sum[CHAIN], grad[2][CHAIN], dgain[CHAIN_WIDTH], dbias[CHAIN_WIDTH];
};

static void run_chain(struct chain *out, int fused, loom_real *residual, loom_real *x, loom_real *gain, loom_real *bias)
{
    const int64_t dim[2] = {CHAIN_ROWS, CHAIN_WIDTH}, width = CHAIN_WIDTH;
    const int32_t first[] = {0, 5, 5, 21};
    const uint64_t key[] = {7, 8, 9};
    const struct loom_groups groups = {3, first, NULL, key};
    const double one = 1;
    struct loom_node *sum, *norm;
    memset(out, 0, sizeof *out);
    loom_graph_reset(graph);
    struct loom_node *a = loom_leaf(graph, "residual", 2, dim, residual, out->grad[0]);
    struct loom_node *b = loom_leaf(graph, "x", 2, dim, x, out->grad[1]);
    struct loom_node *g = loom_leaf(graph, "gain", 1, &width, gain, out->dgain);
    struct loom_node *h = loom_leaf(graph, "bias", 1, &width, bias, out->dbias);
    struct loom_node *from = loom_scale(graph, a, 3, 0);
    if (fused) {
        norm = loom_add_dropout_norm(graph, from, b, 0.3, &groups, 5, 6, "chain", g, h, 1e-5, &sum);
    } else {
        sum = loom_add_dropout(graph, from, b, 0.3, &groups, 5, 6, "chain");
        norm = loom_layer_norm(graph, sum, g, h, 1e-5);
    }
    struct loom_node *root = loom_sum(graph, loom_add(graph, loom_mul(graph, norm, norm), loom_mul(graph, sum, a)));
    ck_assert_int_eq(loom_graph_error(graph, NULL), LOOM_OK);
    loom_graph_forward(graph);
    memcpy(out->norm, loom_node_host(norm), sizeof out->norm);
    memcpy(out->sum, loom_node_host(sum), sizeof out->sum);
    loom_graph_backward(graph, 1, &root, &one);
}

START_TEST(add_dropout_norm_is_the_chain)
{
    static struct chain one, three;
    loom_real value[2][CHAIN], gain[CHAIN_WIDTH], bias[CHAIN_WIDTH];
    for (int i = 0; i < CHAIN; i++) {
        value[0][i] = (loom_real)sin(1.7 * i);
        value[1][i] = (loom_real)cos(2.3 * i);
    }
    for (int i = 0; i < CHAIN_WIDTH; i++) {
        gain[i] = (loom_real)(1 + 0.1 * i);
        bias[i] = (loom_real)(0.5 - 0.1 * i);
    }
    run_chain(&three, 0, value[0], value[1], gain, bias);
    run_chain(&one, 1, value[0], value[1], gain, bias);
    if (strcmp(loom_kernels_default(NULL)->set, "reference") != 0)
        ck_assert_mem_eq(&one, &three, sizeof one);
    ck_assert_msg(near(one.grad[0], three.grad[0], 2 * CHAIN, "gradient", 1e-6), "%s", why);
    ck_assert(one.grad[0][1] != 0 && one.dgain[3] != 0 && one.sum[0] != one.norm[0]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops");
    TCase *t = tcase_create("cases");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 300);
    tcase_add_test(t, reference);
    tcase_add_test(t, gradients);
    tcase_add_test(t, accumulation);
    tcase_add_test(t, row_law);
    tcase_add_test(t, weight_zero);
    tcase_add_test(t, cross_entropy_skips);
    tcase_add_test(t, computed_indices);
    tcase_add_test(t, add_dropout_norm_is_the_chain);
    suite_add_tcase(s, t);
    return run_tap(s);
}
