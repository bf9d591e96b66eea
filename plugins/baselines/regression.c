/* SPDX-License-Identifier: Apache-2.0 */
#include "regression.h"

#include <loom/linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 }; /* rows a rank update */

static int read_penalties(const struct loom_options *o, const char *name, int32_t *n, double **out,
                          struct loom_error *e)
{
    *n = (int32_t)loom_opt_count(o, name);
    if (*n == 0)
        return loom_opt_fail(o, name, e, "name one penalty at least");
    *out = calloc((size_t)*n, sizeof **out);
    if (*out == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some");
    for (int32_t i = 0; i < *n; i++)
        (*out)[i] = loom_opt_real_at(o, name, (size_t)i);
    return LOOM_OK;
}

int regression_init(struct regression *r, const struct loom_setup *s, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    r->standardize = loom_opt_bool(o, "standardize");
    r->folds = (int32_t)loom_opt_int(o, "folds");
    return read_penalties(o, "lambdas", &r->lambdas, &r->lambda, e);
}

int regression_counts(struct regression *r, const struct loom_setup *s, struct loom_error *e)
{
    return read_penalties(loom_setup_options(s), "alphas", &r->alphas, &r->alpha, e);
}

void regression_release(struct regression *r)
{
    free(r->lambda);
    free(r->alpha);
}

/* ---- the estimator ---- */

int64_t regression_states(const void *self, const struct loom_recording *of, int32_t dims)
{
    const struct regression *r = self;
    int64_t n = r->features(r, of);
    return dims * n + dims + n;
}

int64_t regression_sums(const void *self, const struct loom_recording *of, int32_t dims)
{
    const struct regression *r = self;
    return loom_moments_size(r->features(r, of), dims);
}

int64_t regression_scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins)
{
    const struct regression *r = self;
    int64_t size = 1 + r->features(r, of) + dims;
    (void)bins;
    return size * size + CHUNK * size;
}

void regression_add(const void *self, const struct loom_sequence *s, const double *state, double *sums, double *scratch)
{
    const struct regression *r = self;
    const int64_t n = r->features(r, s->of), size = 1 + n + s->dims;
    double *gram = scratch, *z = gram + size * size;
    int64_t rows = 0;
    (void)state;
    memset(gram, 0, (size_t)(size * size) * sizeof *gram);
    for (int32_t q = 0; q < s->asks; q++) {
        double *row = z + rows * size;
        row[0] = 1.0;
        if (loom_sequence_target(s, q, row + 1 + n) < s->dims || !r->fill(r, s, loom_sequence_bin(s, q), NULL, row + 1))
            continue;
        if (++rows == CHUNK) {
            loom_gram_add(gram, size, z, rows);
            rows = 0;
        }
    }
    loom_gram_add(gram, size, z, rows);
    for (int64_t i = 0; i < size; i++)
        for (int64_t j = i; j < size; j++)
            *sums++ += gram[i * size + j];
}

void regression_predict(const void *self, const struct loom_sequence *s, const double *state, double *out,
                        double *scratch)
{
    const struct regression *r = self;
    const int64_t n = r->features(r, s->of);
    const double *intercept = state + s->dims * n, *mean = intercept + s->dims;
    for (int32_t q = 0; q < s->asks; q++) {
        r->fill(r, s, loom_sequence_bin(s, q), mean, scratch);
        for (int64_t d = 0; d < s->dims; d++) {
            double sum = intercept[d];
            for (int64_t i = 0; i < n; i++)
                sum += scratch[i] * state[d * n + i];
            *out++ = sum;
        }
    }
}

int regression_solve(const void *self, const struct loom_estimate *x, struct loom_error *e)
{
    const struct regression *r = self;
    const int64_t n = r->features(r, x->of), m = x->dims;
    double *report = calloc((size_t)(2 * m + 1), sizeof *report);
    if (report == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to fit a baseline; free some");
    const struct loom_ridge ridge = {.n = n,
                                     .m = m,
                                     .standardize = r->standardize,
                                     .lambda = r->lambda,
                                     .lambdas = r->lambdas,
                                     .folds = x->folds,
                                     .moments = x->sums,
                                     .weight = x->state,
                                     .intercept = x->state + m * n,
                                     .mean = x->state + m * n + m,
                                     .chosen = report,
                                     .score = report + m};
    struct loom_error why = {0};
    int rc = n > 0 ? loom_ridge_solve(&ridge, &why) : LOOM_OK;
    if (rc == LOOM_EDATA) {
        loom_log(LOOM_WARN, "%s of %s is not fitted: %s", x->asked, x->of->id, why.message);
        for (int64_t i = 0; i < m * n + m; i++)
            x->state[i] = NAN; /* no answer and no score: 0 would pass for one */
        rc = LOOM_OK;
    } else if (rc != LOOM_OK) {
        loom_fail(e, rc, x->of->file, 0, "%s of %s: %s", x->asked, x->of->id, why.message);
    } else {
        for (int64_t d = 0; d < m; d++)
            loom_log(LOOM_INFO, "%s[%d] of %s: %lld features, lambda %g, cross-validated R2 %.4f over %d parts",
                     x->asked, (int)d, x->of->id, (long long)n, report[d], report[m + d], (int)x->folds);
    }
    free(report);
    return rc;
}

const struct loom_estimator regression_ridge = {.name = "ridge",
                                                .states = regression_states,
                                                .sums = regression_sums,
                                                .scratch = regression_scratch,
                                                .add = regression_add,
                                                .predict = regression_predict,
                                                .solve = regression_solve};

/* ---- a baseline that is nothing else ---- */

int regression_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct regression *r = self;
    (void)e;
    t->needs = LOOM_STEPS | LOOM_UNITS | LOOM_KEEPS_ROWS;
    t->offers = LOOM_TARGET_SPACE | LOOM_IN_PLACE | LOOM_ANYWHERE | LOOM_AHEAD | (r->causal ? LOOM_CAUSAL : 0);
    t->width = 1;
    return LOOM_OK;
}

struct loom_memory regression_encode(const void *self, struct loom_build *b, const struct loom_view *v,
                                     struct loom_node *x)
{
    (void)self, (void)b, (void)x;
    return (struct loom_memory){.rows = &v->in};
}

struct loom_answer regression_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                     const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    const struct regression *r = self;
    (void)q;
    struct loom_answer a = loom_estimator_answer(&regression_ridge, r, r->folds, b, v, m->x, ask);
    return a.out != NULL || r->alpha == NULL ? a
                                             : loom_estimator_answer(&regression_poisson, r, r->folds, b, v, m->x, ask);
}

int regression_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    const struct regression *r = self;
    int rc = loom_estimator_update(&regression_ridge, r, r->folds, 1, u, e);
    int counts = rc < 0 || r->alpha == NULL ? 0 : loom_estimator_update(&regression_poisson, r, r->folds, 1, u, e);
    return rc < 0 || counts < 0 ? (rc < 0 ? rc : counts) : rc | counts;
}
