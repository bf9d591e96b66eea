/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/nlb.h"

#include <loom/linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 5, ALPHAS = 9, BLOCK = 256 };

/* Rows of one decoder: those of its trials whose behaviour is there. */
struct rows {
    const double **x; /* [n] into rates */
    double *y;        /* [n, dims] */
    int64_t n;
};

struct decoder {
    int64_t units, dims;
    double *mean;              /* [1 + units + dims] of all training rows, taken off before anything is summed */
    double *gram[FOLDS], *sum; /* of (1, x, y) of each part, and of those in use, upper triangles */
    double *system;            /* [units, units] */
    double *weight;            /* [units, dims] */
    double *predicted;         /* [rows, dims] */
};

static int64_t width_of(const struct decoder *d)
{
    return 1 + d->units + d->dims;
}

static void release_rows(struct rows *r)
{
    free(r->x);
    free(r->y);
}

static int gather(struct loom_nlb_array rates, struct loom_nlb_array behavior, const uint8_t *mask, int32_t masks,
                  int32_t which, struct rows *out, struct loom_error *e)
{
    size_t most = (size_t)(rates.trials * rates.bins);
    *out = (struct rows){.x = malloc((most + 1) * sizeof *out->x),
                         .y = malloc((most + 1) * (size_t)behavior.units * sizeof *out->y)};
    if (out->x == NULL || out->y == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %zu bins of behaviour; free some", most);
    for (int64_t i = 0; i < (int64_t)most; i++) {
        const double *x = rates.at + i * rates.units, *y = behavior.at + i * behavior.units;
        int64_t trial = i / rates.bins;
        if ((masks > 0 && !mask[trial * masks + which]) || isnan(y[0]))
            continue;
        for (int64_t u = 0; u < rates.units; u++)
            if (!isfinite(x[u]))
                return loom_fail(e, LOOM_EDATA, NULL, 0,
                                 "the rate of unit %lld in bin %lld of trial %lld is %g where there is behaviour to be "
                                 "decoded: every such bin needs one",
                                 (long long)u, (long long)(i % rates.bins), (long long)trial, x[u]);
        for (int64_t k = 0; k < behavior.units; k++)
            if (!isfinite(y[k]))
                return loom_fail(
                    e, LOOM_EDATA, NULL, 0,
                    "column %lld of the behaviour is %g in bin %lld of trial %lld where its first one is a "
                    "number: set the whole row to NaN",
                    (long long)k, y[k], (long long)(i % rates.bins), (long long)trial);
        memcpy(out->y + out->n * behavior.units, y, (size_t)behavior.units * sizeof *y);
        out->x[out->n++] = x;
    }
    return LOOM_OK;
}

/* The first (n mod folds) parts are one row longer. */
static int64_t part_begin(int64_t n, int part)
{
    int64_t longer = n % FOLDS;
    return part * (n / FOLDS) + (part < longer ? part : longer);
}

/* Gram matrices of the parts. The mean of all rows is taken off first, so that a large offset costs no digits. */
static void sum_parts(struct decoder *d, const struct rows *r, double *block)
{
    int64_t width = width_of(d);
    memset(d->mean, 0, (size_t)width * sizeof *d->mean);
    for (int64_t i = 0; i < r->n; i++) {
        for (int64_t u = 0; u < d->units; u++)
            d->mean[1 + u] += r->x[i][u] / (double)r->n;
        for (int64_t k = 0; k < d->dims; k++)
            d->mean[1 + d->units + k] += r->y[i * d->dims + k] / (double)r->n;
    }
    for (int part = 0; part < FOLDS; part++) {
        int64_t end = part_begin(r->n, part + 1);
        memset(d->gram[part], 0, (size_t)(width * width) * sizeof *d->gram[part]);
        for (int64_t at = part_begin(r->n, part), n; at < end; at += n) {
            n = end - at < BLOCK ? end - at : BLOCK;
            for (int64_t i = 0; i < n; i++) {
                double *row = block + i * width;
                row[0] = 1.0;
                for (int64_t u = 0; u < d->units; u++)
                    row[1 + u] = r->x[at + i][u] - d->mean[1 + u];
                for (int64_t k = 0; k < d->dims; k++)
                    row[1 + d->units + k] = r->y[(at + i) * d->dims + k] - d->mean[1 + d->units + k];
            }
            loom_gram_add(d->gram[part], width, block, n);
        }
    }
}

/* Sums of all parts but one, `but` < 0: of all. */
static void sum_without(struct decoder *d, int but)
{
    int64_t size = width_of(d) * width_of(d);
    memset(d->sum, 0, (size_t)size * sizeof *d->sum);
    for (int part = 0; part < FOLDS; part++)
        for (int64_t i = 0; i < size && part != but; i++)
            d->sum[i] += d->gram[part][i];
}

/* (X'X + αI) w = X'y of the sums in use, about their own means. Cholesky; elimination with pivots where rounding leaves
 * the matrix short of being positive definite. */
static void solve(struct decoder *d, double alpha)
{
    int64_t width = width_of(d), n = d->units;
    const double *g = d->sum;
    for (int attempt = 0; attempt < 2; attempt++) {
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = i; j < n; j++) {
                double v = g[(1 + i) * width + 1 + j] - g[1 + i] * g[1 + j] / g[0];
                d->system[i * n + j] = d->system[j * n + i] = v + (i == j ? alpha : 0.0);
            }
            for (int64_t k = 0; k < d->dims; k++)
                d->weight[i * d->dims + k] = g[(1 + i) * width + 1 + n + k] - g[1 + i] * g[1 + n + k] / g[0];
        }
        if (attempt == 0 && loom_cholesky(d->system, n, NULL) == LOOM_OK) {
            loom_cholesky_solve(d->system, n, d->weight, d->dims);
            return;
        }
    }
    loom_solve(d->system, n, d->weight, d->dims);
}

static double score(const struct decoder *d, const struct rows *r, int64_t from, int64_t end)
{
    const double *g = d->sum;
    for (int64_t i = from; i < end; i++)
        for (int64_t k = 0; k < d->dims; k++) {
            double sum = d->mean[1 + d->units + k] + g[1 + d->units + k] / g[0];
            for (int64_t u = 0; u < d->units; u++)
                sum += (r->x[i][u] - d->mean[1 + u] - g[1 + u] / g[0]) * d->weight[u * d->dims + k];
            d->predicted[(i - from) * d->dims + k] = sum;
        }
    return loom_nlb_r2(r->y + from * d->dims, d->predicted, end - from, d->dims);
}

static double choose(struct decoder *d, const struct rows *r)
{
    double mean[ALPHAS] = {0}, best = NAN, alpha = 1e-4;
    for (int part = 0; part < FOLDS; part++) {
        sum_without(d, part);
        for (int a = 0; a < ALPHAS; a++) {
            solve(d, pow(10.0, -4.0 + 0.5 * a));
            mean[a] += score(d, r, part_begin(r->n, part), part_begin(r->n, part + 1)) / FOLDS;
        }
    }
    for (int a = 0; a < ALPHAS; a++)
        if (mean[a] > best || isnan(best)) {
            best = mean[a];
            alpha = pow(10.0, -4.0 + 0.5 * a);
        }
    return alpha;
}

static int fit_and_score(const struct rows *train, const struct rows *eval, const struct loom_nlb_decoding *of,
                         double *alpha, double *r2, struct loom_error *e)
{
    const int64_t units = of->train_rates.units, dims = of->train_behavior.units;
    struct decoder d = {.units = units, .dims = dims};
    int64_t width = width_of(&d), rows = train->n > eval->n ? train->n : eval->n;
    if (train->n < 2 * FOLDS || eval->n < 2)
        return loom_fail(e, LOOM_EDATA, NULL, 0,
                         "%lld bins of behaviour to train on and %lld to score: a decoder needs at least %d and 2",
                         (long long)train->n, (long long)eval->n, 2 * FOLDS);
    size_t square = (size_t)(width * width),
           size = (2 + FOLDS) * square + (size_t)((1 + BLOCK) * width) + (size_t)(units * dims) + (size_t)(rows * dims);
    double *memory = malloc(size * sizeof *memory), *at = memory;
    if (memory == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a decoder of %lld units; free some", (long long)units);
    for (int part = 0; part < FOLDS; part++, at += square)
        d.gram[part] = at;
    d.sum = at, at += square;
    d.system = at, at += square;
    d.mean = at, at += width;
    d.weight = at, at += units * dims;
    d.predicted = at, at += rows * dims;
    sum_parts(&d, train, at);
    *alpha = *alpha > 0.0 ? *alpha : choose(&d, train);
    sum_without(&d, -1);
    solve(&d, *alpha);
    *r2 = score(&d, eval, 0, eval->n);
    for (int64_t i = 0; i < eval->n && of->predicted; i++)
        memcpy(of->predicted + (eval->x[i] - of->eval_rates.at) / units * dims, d.predicted + i * dims,
               (size_t)dims * sizeof *d.predicted);
    free(memory);
    return LOOM_OK;
}

static int check(const struct loom_nlb_decoding *d, struct loom_error *e)
{
    const struct loom_nlb_array *a[] = {&d->train_rates, &d->eval_rates},
                                *b[] = {&d->train_behavior, &d->eval_behavior};
    for (int i = 0; i < 2; i++)
        if (a[i]->trials != b[i]->trials || a[i]->bins != b[i]->bins || a[i]->units != a[0]->units ||
            b[i]->units != b[0]->units || a[i]->units < 1 || b[i]->units < 1)
            return loom_fail(
                e, LOOM_ESHAPE, NULL, 0,
                "%s rates are [%lld, %lld, %lld], the behaviour [%lld, %lld, %lld]: trials and bins must be "
                "the same, units and dimensions those of both splits",
                i == 0 ? "train" : "eval", (long long)a[i]->trials, (long long)a[i]->bins, (long long)a[i]->units,
                (long long)b[i]->trials, (long long)b[i]->bins, (long long)b[i]->units);
    return LOOM_OK;
}

int loom_nlb_velocity(const struct loom_nlb_decoding *d, double *r2, double *chosen, struct loom_error *e)
{
    int decoders = d->masks > 0 ? d->masks : 1, code = check(d, e);
    double sum = 0.0;
    int64_t cells = d->eval_behavior.trials * d->eval_behavior.bins * d->eval_behavior.units;
    for (int64_t i = 0; i < cells && code == LOOM_OK && d->predicted; i++)
        d->predicted[i] = NAN;
    for (int i = 0; i < decoders && code == LOOM_OK; i++) {
        struct rows train = {0}, eval = {0};
        double one = NAN, alpha = d->alpha;
        code = gather(d->train_rates, d->train_behavior, d->train_mask, d->masks, i, &train, e);
        if (code == LOOM_OK)
            code = gather(d->eval_rates, d->eval_behavior, d->eval_mask, d->masks, i, &eval, e);
        if (code == LOOM_OK)
            code = fit_and_score(&train, &eval, d, &alpha, &one, e);
        if (chosen != NULL)
            chosen[i] = alpha;
        sum += one / decoders;
        release_rows(&train);
        release_rows(&eval);
    }
    *r2 = sum;
    return code;
}
