/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t loom_moments_size(int64_t n, int64_t m)
{
    return loom_triangle_size(1 + n + m);
}

/* Sums of some parts, as moments about the mean, the features in units of their deviation. */
struct problem {
    int64_t n, m, size; /* size = 1 + n + m */
    double rows;
    double *z;    /* [size, size]: row 0 holds sums, the rest co-moments divided by `rows` */
    double *mean; /* [size] */
    double *gain; /* [n] 1 / deviation, own or common; 0 for a feature without variance */
};

struct work {
    const struct loom_ridge *r;
    struct problem all, part;
    double *a;             /* [n, n] factored */
    double *w;             /* [n, m] weights of the scaled features */
    double *loss, *spread; /* [lambdas, m] held-out squared error; [m] held-out variation */
    double *total;         /* [moments] */
};

static int problem_init(struct problem *p, int64_t n, int64_t m)
{
    p->n = n;
    p->m = m;
    p->size = 1 + n + m;
    p->z = malloc((size_t)(p->size * p->size) * sizeof *p->z);
    p->mean = calloc((size_t)p->size, sizeof *p->mean);
    p->gain = calloc((size_t)p->size, sizeof *p->gain);
    return p->z != NULL && p->mean != NULL && p->gain != NULL;
}

static void problem_release(struct problem *p)
{
    free(p->z);
    free(p->mean);
    free(p->gain);
}

/* Co-moments about the mean from raw sums: in double this costs about log10(mean²/variance) of 15 digits, which counts
 * and velocities can spare. */
static void problem_fill(struct problem *p, const double *packed, int standardize)
{
    double *z = p->z;
    int64_t s = p->size;
    loom_triangle_unpack(z, packed, s);
    p->rows = z[0];
    double scale = p->rows > 0.0 ? 1.0 / p->rows : 0.0;
    for (int64_t i = 1; i < s; i++)
        p->mean[i] = z[i] * scale;
    for (int64_t i = 1; i < s; i++)
        for (int64_t j = i; j < s; j++)
            z[i * s + j] = z[i * s + j] * scale - p->mean[i] * p->mean[j];
    double common = 0.0;
    for (int64_t i = 1; i <= p->n; i++)
        common += z[i * s + i] / (double)p->n;
    for (int64_t i = 0; i < p->n; i++) {
        double variance = z[(i + 1) * s + i + 1], square = variance + p->mean[i + 1] * p->mean[i + 1];
        int varies = variance > 1e-12 * square && variance > 0.0;
        p->gain[i] = varies ? 1.0 / sqrt(standardize ? variance : common) : 0.0;
    }
}

/* Weights [n, m] of the scaled features at one λ. */
static int solve(const struct problem *p, double lambda, double *a, double *w, struct loom_error *e)
{
    int64_t n = p->n, s = p->size;
    for (int64_t i = 0; i < n; i++) {
        const double *row = p->z + (i + 1) * s + 1;
        for (int64_t j = i; j < n; j++)
            a[i * n + j] = row[j] * p->gain[i] * p->gain[j];
        a[i * n + i] += lambda;
        for (int64_t d = 0; d < p->m; d++)
            w[i * p->m + d] = row[n + d] * p->gain[i];
    }
    int rc = loom_cholesky(a, n, e);
    if (rc == LOOM_OK)
        loom_cholesky_solve(a, n, w, p->m);
    return rc;
}

/* Held-out squared error of dimension d: weights and means of `train` on the sums of `test`. Per row
 * (y - ȳ - w·(x - x̄))² = (ỹ - w·x̃ + b)² with x̃, ỹ about the test part's own mean and b the shift of the means. */
static double held_out(const struct problem *train, const struct problem *test, const double *w, double *v, int64_t d)
{
    int64_t n = train->n, m = train->m, s = train->size;
    double shift = test->mean[1 + n + d] - train->mean[1 + n + d], cross = 0.0, square = 0.0;
    for (int64_t i = 0; i < n; i++) {
        v[i] = w[i * m + d] * train->gain[i];
        shift -= v[i] * (test->mean[1 + i] - train->mean[1 + i]);
    }
    for (int64_t i = 0; i < n; i++) {
        const double *row = test->z + (i + 1) * s + 1;
        double sum = 0.0;
        for (int64_t j = i + 1; j < n; j++)
            sum += row[j] * v[j];
        square += v[i] * (2.0 * sum + row[i] * v[i]);
        cross += v[i] * row[n + d];
    }
    return test->rows * (test->z[(1 + n + d) * s + 1 + n + d] - 2.0 * cross + square + shift * shift);
}

static int try_fold(struct work *k, const double *moments, struct loom_error *e)
{
    const struct loom_ridge *r = k->r;
    int64_t size = loom_moments_size(r->n, r->m), last = k->all.size - 1;
    double *rest = malloc((size_t)size * sizeof *rest), *v = malloc((size_t)(r->n + 1) * sizeof *v);
    int rc = rest != NULL && v != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to cross-validate");
    for (int64_t i = 0; rc == LOOM_OK && i < size; i++)
        rest[i] = k->total[i] - moments[i];
    if (rc == LOOM_OK) {
        problem_fill(&k->all, rest, r->standardize);
        problem_fill(&k->part, moments, r->standardize);
    }
    for (int32_t l = 0; rc == LOOM_OK && k->all.rows >= 2.0 && l < r->lambdas; l++) {
        rc = solve(&k->all, r->lambda[l], k->a, k->w, e);
        for (int64_t d = 0; rc == LOOM_OK && d < r->m; d++)
            k->loss[l * r->m + d] += held_out(&k->all, &k->part, k->w, v, d);
    }
    for (int64_t d = 0; rc == LOOM_OK && k->all.rows >= 2.0 && d < r->m; d++) {
        int64_t at = last - r->m + 1 + d;
        k->spread[d] += k->part.rows * k->part.z[at * k->part.size + at];
    }
    free(rest);
    free(v);
    return rc;
}

static int32_t best_lambda(const struct work *k, int64_t d, int folds)
{
    int32_t best = k->r->lambdas / 2;
    for (int32_t l = 0; folds >= 2 && l < k->r->lambdas; l++)
        if (l == 0 || k->loss[l * k->r->m + d] < k->loss[best * k->r->m + d])
            best = l;
    return best;
}

static int finish(struct work *k, int folds, struct loom_error *e)
{
    const struct loom_ridge *r = k->r;
    struct problem *p = &k->all;
    int rc = LOOM_OK;
    problem_fill(p, k->total, r->standardize);
    for (int32_t l = 0, solved = 0; l < r->lambdas && rc == LOOM_OK; l++, solved = 0)
        for (int64_t d = 0; d < r->m && rc == LOOM_OK; d++) {
            if (best_lambda(k, d, folds) != l)
                continue;
            if (!solved++)
                rc = solve(p, r->lambda[l], k->a, k->w, e);
            r->intercept[d] = p->mean[1 + r->n + d];
            for (int64_t i = 0; i < r->n; i++) {
                double w = k->w[i * r->m + d] * p->gain[i];
                r->weight[d * r->n + i] = w;
                r->intercept[d] -= w * p->mean[1 + i];
            }
            if (r->chosen != NULL)
                r->chosen[d] = r->lambda[l];
            if (r->score != NULL)
                r->score[d] = folds >= 2 && k->spread[d] > 0.0 ? 1.0 - k->loss[l * r->m + d] / k->spread[d] : NAN;
        }
    if (r->mean != NULL)
        memcpy(r->mean, p->mean + 1, (size_t)r->n * sizeof *r->mean);
    return rc;
}

static int run(struct work *k, struct loom_error *e)
{
    const struct loom_ridge *r = k->r;
    int64_t size = loom_moments_size(r->n, r->m);
    int folds = 0;
    for (int32_t f = 0; f < r->folds; f++) {
        folds += r->moments[f] != NULL && r->moments[f][0] > 0.0;
        for (int64_t i = 0; r->moments[f] != NULL && i < size; i++)
            k->total[i] += r->moments[f][i];
    }
    for (int64_t i = 0; i < size; i++)
        if (!isfinite(k->total[i]))
            return loom_fail(e, LOOM_ENUMERIC, NULL, 0,
                             "sums of a regression are not finite; look for NaN or infinity in the recording");
    if (k->total[0] < 2.0)
        return loom_fail(e, LOOM_EDATA, NULL, 0,
                         "%.0f complete rows are too few for a regression; give more data or fewer lags", k->total[0]);
    int rc = LOOM_OK;
    for (int32_t f = 0; f < r->folds && folds >= 2 && rc == LOOM_OK; f++)
        if (r->moments[f] != NULL && r->moments[f][0] > 0.0)
            rc = try_fold(k, r->moments[f], e);
    return rc == LOOM_OK ? finish(k, folds, e) : rc;
}

/* λ by cross-validation over contiguous parts: a part's held-out error is a quadratic form of its own sums, so the data
 * are read once whatever the number of λs. */
int loom_ridge_solve(const struct loom_ridge *r, struct loom_error *e)
{
    struct work k = {.r = r};
    int rc;
    k.a = malloc((size_t)(r->n * r->n + 1) * sizeof *k.a);
    k.w = malloc((size_t)(r->n * r->m + 1) * sizeof *k.w);
    k.loss = calloc((size_t)(r->lambdas * r->m) + 1, sizeof *k.loss);
    k.spread = calloc((size_t)r->m + 1, sizeof *k.spread);
    k.total = calloc((size_t)loom_moments_size(r->n, r->m), sizeof *k.total);
    if (!problem_init(&k.all, r->n, r->m) || !problem_init(&k.part, r->n, r->m) || k.a == NULL || k.w == NULL ||
        k.loss == NULL || k.spread == NULL || k.total == NULL)
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to solve a regression of %lld features; use fewer lags",
                       (long long)r->n);
    else
        rc = run(&k, e);
    problem_release(&k.all);
    problem_release(&k.part);
    free(k.a);
    free(k.w);
    free(k.loss);
    free(k.spread);
    free(k.total);
    return rc;
}
