/* SPDX-License-Identifier: Apache-2.0 */
#include "suite.h"

#include <loom/linalg.h>
#include <loom/rng.h>

#include <math.h>
#include <string.h>

static struct loom_error error;

static double *normal(int64_t n, uint64_t seed)
{
    struct loom_rng r;
    double *x = malloc((size_t)n * sizeof *x);
    loom_rng_init(&r, seed, "test", 0, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = loom_rng_normal(&r);
    return x;
}

/* Sizes around the block: the factors and the solution against the products that define them. */
START_TEST(cholesky)
{
    static const int64_t sizes[] = {1, 2, 47, 48, 49, 130};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int64_t n = sizes[k], rows = n + 5;
        double *x = normal(rows * n, 1), *g = calloc((size_t)(n * n), sizeof *g),
               *u = malloc((size_t)(n * n) * sizeof *u);
        double *b = normal(n * 3, 2), *back = calloc((size_t)(n * 3), sizeof *back);
        loom_gram_add(g, n, x, rows);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < i; j++)
                g[i * n + j] = g[j * n + i];
        double sum = 0;
        for (int64_t r = 0; r < rows; r++)
            sum += x[r * n] * x[r * n + n - 1];
        ck_near(g[n - 1], sum, 1e-10);
        memcpy(u, g, (size_t)(n * n) * sizeof *u);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < i; j++)
                u[i * n + j] = NAN; /* what stands below must not be read */
        ck_ok(loom_cholesky(u, n, &error), &error);
        double *z = malloc((size_t)(n * 3) * sizeof *z);
        memcpy(z, b, (size_t)(n * 3) * sizeof *z);
        loom_cholesky_solve(u, n, z, 3);
        loom_product(back, g, z, n, n, 3);
        for (int64_t i = 0; i < n * 3; i++)
            ck_near(back[i], b[i], 1e-6);
        free(x);
        free(g);
        free(u);
        free(b);
        free(back);
        free(z);
    }
}
END_TEST

START_TEST(not_positive_definite)
{
    double a[4] = {1, 2, 0, 1}, nan[1] = {NAN};
    ck_fails(loom_cholesky(a, 2, &error), LOOM_ENUMERIC, &error, "pivot 1");
    ck_fails(loom_cholesky(nan, 1, &error), LOOM_ENUMERIC, &error, "positive definite");
}
END_TEST

START_TEST(packing)
{
    double a[9] = {1, 2, 3, 0, 4, 5, 0, 0, 6}, packed[6], back[9] = {0};
    ck_assert_int_eq((int)loom_triangle_size(3), 6);
    loom_triangle_pack(packed, a, 3);
    for (int i = 0; i < 6; i++)
        ck_assert(packed[i] == i + 1);
    loom_triangle_unpack(back, packed, 3);
    ck_assert_int_eq(memcmp(a, back, sizeof a), 0);
}
END_TEST

enum { N = 6, M = 2, ROWS = 400, FOLDS = 4, SIZE = 1 + N + M };

/* Sums of each fold of y = 2 x₀ - x₁ + 5 (and noise), x₄ constant, all features with an offset. */
static void sums_of(double noise, double *z, double moments[FOLDS][SIZE * (SIZE + 1) / 2])
{
    double *x = normal(ROWS * (N + M), 3), full[SIZE * SIZE];
    for (int f = 0; f < FOLDS; f++) {
        memset(full, 0, sizeof full);
        for (int r = f * ROWS / FOLDS; r < (f + 1) * ROWS / FOLDS; r++) {
            double *row = z + r * SIZE;
            row[0] = 1;
            for (int i = 0; i < N; i++)
                row[1 + i] = i == 4 ? 0.25 : 10 + (1 + i) * x[r * (N + M) + i];
            row[1 + N] = 2 * row[1] - row[2] + 5 + noise * x[r * (N + M) + N];
            row[2 + N] = -3 + x[r * (N + M) + N + 1];
        }
        loom_gram_add(full, SIZE, z + f * ROWS / FOLDS * SIZE, ROWS / FOLDS);
        loom_triangle_pack(moments[f], full, SIZE);
    }
    free(x);
}

START_TEST(ridge_recovers)
{
    static double moments[FOLDS][SIZE * (SIZE + 1) / 2], z[ROWS * SIZE];
    const double *parts[FOLDS] = {moments[0], moments[1], moments[2], moments[3]};
    static const double lambda[] = {1e-9, 1e-2, 1, 1e6};
    double w[M * N], b[M], mean[N], chosen[M], score[M];
    struct loom_ridge r = {.n = N,
                           .m = M,
                           .lambda = lambda,
                           .lambdas = 4,
                           .folds = FOLDS,
                           .moments = parts,
                           .weight = w,
                           .intercept = b,
                           .mean = mean,
                           .chosen = chosen,
                           .score = score};
    sums_of(0.0, z, moments);
    ck_ok(loom_ridge_solve(&r, &error), &error);
    ck_near(w[0], 2, 1e-6);
    ck_near(w[1], -1, 1e-6);
    ck_near(w[2], 0, 1e-6);
    ck_assert(w[4] == 0.0);
    ck_near(b[0], 5, 1e-4);
    ck_near(mean[4], 0.25, 1e-12);
    ck_near(score[0], 1, 1e-6);
    ck_assert(chosen[0] == lambda[0]);
    /* Noise is best answered by its mean: the largest penalty, and a score about 0. */
    ck_assert(chosen[1] == lambda[3]);
    ck_near(score[1], 0, 0.05);
    ck_near(b[1], -3, 0.2);
}
END_TEST

/* Cross-validated error from sums against the error counted row by row. */
START_TEST(ridge_score_is_the_held_out_one)
{
    static double moments[FOLDS][SIZE * (SIZE + 1) / 2], z[ROWS * SIZE];
    static const double lambda[] = {0.1};
    double w[M * N], b[M], score[M], error_sum = 0, spread = 0;
    sums_of(2.0, z, moments);
    for (int standardize = 0; standardize < 2; standardize++) {
        const double *all[FOLDS] = {moments[0], moments[1], moments[2], moments[3]};
        struct loom_ridge r = {.n = N,
                               .m = M,
                               .standardize = standardize,
                               .lambda = lambda,
                               .lambdas = 1,
                               .folds = FOLDS,
                               .moments = all,
                               .weight = w,
                               .intercept = b,
                               .score = score};
        ck_ok(loom_ridge_solve(&r, &error), &error);
        double said = score[0];
        error_sum = spread = 0;
        for (int f = 0; f < FOLDS; f++) {
            const double *rest[FOLDS] = {moments[0], moments[1], moments[2], moments[3]};
            double mean = 0;
            rest[f] = NULL;
            r.moments = rest;
            ck_ok(loom_ridge_solve(&r, &error), &error);
            for (int t = f * ROWS / FOLDS; t < (f + 1) * ROWS / FOLDS; t++)
                mean += z[t * SIZE + 1 + N] / (ROWS / FOLDS);
            for (int t = f * ROWS / FOLDS; t < (f + 1) * ROWS / FOLDS; t++) {
                double y = z[t * SIZE + 1 + N], guess = b[0];
                for (int i = 0; i < N; i++)
                    guess += w[i] * z[t * SIZE + 1 + i];
                error_sum += (y - guess) * (y - guess);
                spread += (y - mean) * (y - mean);
            }
        }
        ck_near(said, 1 - error_sum / spread, 1e-9);
    }
}
END_TEST

START_TEST(ridge_refuses)
{
    static double moments[FOLDS][SIZE * (SIZE + 1) / 2], z[ROWS * SIZE];
    const double *parts[FOLDS] = {moments[0], NULL, NULL, NULL};
    static const double lambda[] = {0.1};
    double w[M * N], b[M], score[M];
    struct loom_ridge r = {.n = N,
                           .m = M,
                           .lambda = lambda,
                           .lambdas = 1,
                           .folds = FOLDS,
                           .moments = parts,
                           .weight = w,
                           .intercept = b,
                           .score = score};
    ck_fails(loom_ridge_solve(&r, &error), LOOM_EDATA, &error, "too few");
    sums_of(1.0, z, moments);
    ck_ok(loom_ridge_solve(&r, &error), &error);
    ck_assert(isnan(score[0])); /* one part: nothing to hold out */
    moments[0][5] = INFINITY;
    ck_fails(loom_ridge_solve(&r, &error), LOOM_ENUMERIC, &error, "not finite");
}
END_TEST

/* A matrix of known sort: symmetric for eigen, any for solve. */
static void fill_matrix(double *a, int n, int symmetric)
{
    struct loom_rng g;
    loom_rng_init(&g, 5, "matrix", 0, (uint64_t)n);
    for (int i = 0; i < n * n; i++)
        a[i] = loom_rng_normal(&g);
    for (int i = 0; symmetric && i < n; i++)
        for (int j = 0; j < i; j++)
            a[i * n + j] = a[j * n + i];
}

START_TEST(solve_any)
{
    enum { SIDE = 17, RIGHT = 3 };
    double a[SIDE * SIDE], b[SIDE * RIGHT], x[SIDE * RIGHT], was[SIDE * SIDE];
    fill_matrix(a, SIDE, 0);
    a[0] = 0.0; /* needs a pivot */
    memcpy(was, a, sizeof a);
    fill_matrix(b, 7, 0);
    b[49] = b[50] = 1.0;
    memcpy(x, b, sizeof x);
    loom_solve(a, SIDE, x, RIGHT);
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < RIGHT; j++) {
            double sum = 0.0;
            for (int k = 0; k < SIDE; k++)
                sum += was[i * SIDE + k] * x[k * RIGHT + j];
            ck_near(sum, b[i * RIGHT + j], 1e-11);
        }
    memset(a, 0, sizeof a);
    loom_solve(a, SIDE, x, RIGHT);
    ck_assert(isnan(x[0]));
}
END_TEST

START_TEST(eigen_of_symmetric)
{
    enum { SIDE = 23 };
    double a[SIDE * SIDE], was[SIDE * SIDE], value[SIDE], vector[SIDE * SIDE];
    fill_matrix(a, SIDE, 1);
    memcpy(was, a, sizeof a);
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < i; j++)
            a[i * SIDE + j] = NAN; /* must not be read */
    loom_eigen(a, SIDE, value, vector);
    for (int i = 0; i < SIDE; i++) {
        ck_assert(i == 0 || value[i] <= value[i - 1]);
        for (int j = 0; j < SIDE; j++) {
            double sum = 0.0, dot = 0.0;
            for (int k = 0; k < SIDE; k++) {
                sum += was[j * SIDE + k] * vector[i * SIDE + k];
                dot += vector[i * SIDE + k] * vector[j * SIDE + k];
            }
            ck_near(sum, value[i] * vector[i * SIDE + j], 1e-11);
            ck_near(dot, i == j ? 1.0 : 0.0, 1e-12);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        cholesky,  not_positive_definite, packing, ridge_recovers, ridge_score_is_the_held_out_one, ridge_refuses,
        solve_any, eigen_of_symmetric};
    return run_suite("linalg", (int)(sizeof tests / sizeof *tests), tests, 20);
}
