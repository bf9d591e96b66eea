/* SPDX-License-Identifier: Apache-2.0 */
/* Wiener cascade: a linear filter, then a static polynomial of its output, for each dimension (Hunter & Korenberg 1986;
 * Pohlmeyer et al. 2007). The first fitting pass solves the filter, the second the polynomial, by least squares on what
 * the filter says of the same data. The polynomial's argument is the filter's output about the behaviour's mean, in
 * units of its deviation, so that powers stay of one size. */
#include "filters.h"

#include <loom/linalg.h>

#include <math.h>
#include <string.h>

struct cascade {
    struct filtered filtered; /* first: the frame takes it for its regression */
    int32_t degree;
};

enum { MOST_DEGREE = 9, MOST_TERMS = MOST_DEGREE + 2 };

/* State beyond the filter's: passes done, then for each dimension mean, deviation, coefficients [degree + 1]. */
static int64_t states_of_one(const struct cascade *c)
{
    return 2 + c->degree + 1;
}

static int64_t states(const void *self, const struct loom_recording *of, int32_t dims)
{
    return regression_states(self, of, dims) + 1 + dims * states_of_one(self);
}

/* Sums of the second pass: for each dimension the Gram matrix of (1, u, …, u^degree, y). */
static int64_t sums_of_one(const struct cascade *c)
{
    return (c->degree + 2) * (c->degree + 2);
}

static int64_t sums(const void *self, const struct loom_recording *of, int32_t dims)
{
    int64_t first = regression_sums(self, of, dims), second = dims * sums_of_one(self);
    return first > second ? first : second;
}

static int64_t scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins)
{
    const struct regression *r = self;
    int64_t first = regression_scratch(self, of, dims, bins), second = r->features(r, of) + 2 * dims;
    return first > second ? first : second;
}

/* Powers 0 … degree of the filter's output. */
static void powers(const struct cascade *c, const double *one, double y, double *z)
{
    double u = (y - one[0]) / one[1];
    z[0] = 1.0;
    for (int32_t k = 1; k <= c->degree; k++)
        z[k] = z[k - 1] * u;
}

/* What the filter says of question q. */
static int linear(const struct cascade *c, const struct loom_sequence *s, int32_t q, const double *state, double *y,
                  double *room)
{
    const struct regression *r = &c->filtered.regression;
    const int64_t n = r->features(r, s->of);
    const double *intercept = state + s->dims * n;
    int whole = r->fill(r, s, loom_sequence_bin(s, q), intercept + s->dims, room);
    for (int32_t d = 0; d < s->dims; d++) {
        y[d] = intercept[d];
        for (int64_t i = 0; i < n; i++)
            y[d] += room[i] * state[d * n + i];
    }
    return whole;
}

static void add(const void *self, const struct loom_sequence *s, const double *state, double *to, double *room)
{
    const struct cascade *c = self;
    const double *own = state + regression_states(self, s->of, s->dims);
    const int32_t terms = c->degree + 2;
    double *y = room, *target = y + s->dims, z[MOST_TERMS];
    if (own[0] == 0.0) {
        regression_add(self, s, state, to, room);
        return;
    }
    for (int32_t q = 0; q < s->asks; q++) {
        if (loom_sequence_target(s, q, target) < s->dims || !linear(c, s, q, state, y, target + s->dims))
            continue;
        for (int32_t d = 0; d < s->dims; d++) {
            powers(c, own + 1 + d * states_of_one(c), y[d], z);
            z[terms - 1] = target[d];
            for (int32_t i = 0; i < terms; i++)
                for (int32_t j = i; j < terms; j++)
                    to[(d * terms + i) * terms + j] += z[i] * z[j];
        }
    }
}

static void predict(const void *self, const struct loom_sequence *s, const double *state, double *out, double *room)
{
    const struct cascade *c = self;
    const double *own = state + regression_states(self, s->of, s->dims) + 1;
    double z[MOST_TERMS];
    for (int32_t q = 0; q < s->asks; q++, out += s->dims) {
        linear(c, s, q, state, room, room + s->dims);
        for (int32_t d = 0; d < s->dims; d++) {
            const double *one = own + d * states_of_one(c);
            out[d] = room[d];
            if (!(one[1] > 0.0))
                continue;
            powers(c, one, room[d], z);
            out[d] = 0.0;
            for (int32_t k = 0; k <= c->degree; k++)
                out[d] += one[2 + k] * z[k];
        }
    }
}

/* After the first pass: the behaviour's mean and deviation, from the sums that the filter was solved with, and the
 * identity for a polynomial. */
static void start_polynomials(const struct cascade *c, const struct loom_estimate *x, double *own)
{
    const struct regression *r = &c->filtered.regression;
    const int64_t n = r->features(r, x->of), size = 1 + n + x->dims;
    for (int32_t d = 0; d < x->dims; d++) {
        const int64_t k = 1 + n + d, diagonal = k * size - k * (k - 1) / 2;
        double rows = 0.0, sum = 0.0, square = 0.0, *one = own + 1 + d * states_of_one(c);
        for (int32_t f = 0; f < x->folds; f++) {
            rows += x->sums[f][0];
            sum += x->sums[f][k];
            square += x->sums[f][diagonal];
        }
        one[0] = rows > 0.0 ? sum / rows : 0.0;
        one[1] = rows > 0.0 ? sqrt(fmax(square / rows - one[0] * one[0], 0.0)) : 0.0;
        one[2] = one[0];
        one[3] = one[1];
    }
}

static int solve_polynomial(const struct cascade *c, const struct loom_estimate *x, int32_t d, double *one)
{
    const int32_t terms = c->degree + 2, n = c->degree + 1;
    double g[MOST_TERMS * MOST_TERMS] = {0}, a[MOST_TERMS * MOST_TERMS], b[MOST_TERMS];
    for (int32_t f = 0; f < x->folds; f++)
        for (int32_t i = 0; i < terms * terms; i++)
            g[i] += x->sums[f][d * terms * terms + i];
    for (int32_t i = 0; i < n; i++) {
        memcpy(a + i * n, g + i * terms, (size_t)n * sizeof *a);
        a[i * n + i] *= 1.0 + 1e-12;
        b[i] = g[i * terms + n];
    }
    if (!(g[0] > n) || loom_cholesky(a, n, NULL) != LOOM_OK)
        return 0;
    loom_cholesky_solve(a, n, b, 1);
    memcpy(one + 2, b, (size_t)n * sizeof *b);
    return 1;
}

static int solve(const void *self, const struct loom_estimate *x, struct loom_error *e)
{
    const struct cascade *c = self;
    double *own = x->state + regression_states(self, x->of, x->dims);
    if (own[0] == 0.0) {
        int rc = regression_solve(self, x, e);
        if (rc != LOOM_OK)
            return rc;
        start_polynomials(c, x, own);
        own[0] = 1.0;
        return 1;
    }
    for (int32_t d = 0; own[0] == 1.0 && d < x->dims; d++)
        if (!solve_polynomial(c, x, d, own + 1 + d * states_of_one(c)))
            loom_log(LOOM_WARN, "%s[%d] of %s keeps its linear filter: too little varies for a polynomial", x->asked,
                     (int)d, x->of->id);
    own[0] = 2.0;
    return LOOM_OK;
}

static const struct loom_estimator estimator = {.name = "cascade",
                                                .states = states,
                                                .sums = sums,
                                                .scratch = scratch,
                                                .add = add,
                                                .predict = predict,
                                                .solve = solve};

static int cascade_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    int rc = filtered_lags(self, s, sizeof(struct cascade), (int32_t)loom_opt_int(o, "lags"),
                           (int32_t)loom_opt_int(o, "lags_ahead"), e);
    struct cascade *c = *self;
    if (c != NULL)
        c->degree = (int32_t)loom_opt_int(o, "degree");
    return rc;
}

static struct loom_answer cascade_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                         const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    const struct cascade *c = self;
    (void)m, (void)q;
    return loom_estimator_answer(&estimator, c, c->filtered.regression.folds, b, v, NULL, ask);
}

static int cascade_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    const struct cascade *c = self;
    return loom_estimator_update(&estimator, c, c->filtered.regression.folds, 1, u, e);
}

static const struct loom_option options[] = {
    LAG_OPTIONS,
    {"degree", LOOM_OPT_INT, 0, "3", "[1,9]", NULL, "Degree of the polynomial; 1 = a line."},
    REGRESSION_OPTIONS,
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = cascade_create,
                                                    .destroy = filtered_free,
                                                    .describe = regression_describe,
                                                    .update = cascade_update},
                                           .encode = regression_encode,
                                           .answer = cascade_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "wiener-cascade",
                                          .version = "1.0.0",
                                          .summary = "Wiener filter followed by a static polynomial",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
