/* SPDX-License-Identifier: Apache-2.0 */
/* Poisson regression by passes. Every (left-out part, α) is a problem of its own, and all of them descend together,
 * unit by unit: a pass gives objective and gradient, and the next point lies along M⁻¹ g, where M is the Hessian as it
 * would be if the unit's rate were constant, μ̄ XᵀX / n + α I. One matrix XᵀX serves all units, so no Hessian of any
 * unit is ever summed. How the rate varies is learnt on the way: for cross-validation from the secant along the last
 * step (Barzilai & Borwein 1988), for the final fit by L-BFGS (Nocedal 1980) that starts from M⁻¹ and from the mean of
 * what cross-validation found. A step that raised the objective is halved.
 *
 * Passes: 0 sums XᵀX, counts and rows; then the problems of cross-validation until they have converged, then each unit
 * with its best α on all parts. */
#include "regression.h"

#include <loom/linalg.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64, MOST_PASSES = 25 /* of one phase */, MEMORY = 8 };
enum phase { MOMENTS, VALIDATE, FINAL, DONE };
enum { OBJECTIVE, SLOPE, STEP, SCALARS }; /* of a problem's unit: at the last point; gradient along s; length of s */
static const double steep = 30.0;         /* most that a log-rate may be */

/* Where things stand in state and sums. w [k, units]: row 0 holds intercepts, row 1 + i feature i. */
struct place {
    int64_t k, units, problems;
    int64_t gram, rows, spikes, alpha, w, s, scalar; /* state; w, s [problems][k, units] */
    int64_t history, states;       /* [units][gradient [k], pairs kept, (step, change of gradient) [MEMORY][2][k]] */
    int64_t value, gradient, sums; /* sums: value [problems][units], gradient [problems][k, units] */
};

static int64_t history_of_one(const struct place *p)
{
    return p->k + 1 + MEMORY * 2 * p->k;
}

static struct place place_of(const struct regression *r, const struct loom_recording *of, int32_t dims)
{
    struct place p = {.k = 1 + r->features(r, of), .units = dims, .problems = (int64_t)r->folds * r->alphas};
    p.gram = 2; /* phase, passes in it */
    p.rows = p.gram + p.k * p.k;
    p.spikes = p.rows + r->folds * p.units;
    p.alpha = p.spikes + r->folds * p.units;
    p.w = p.alpha + p.units;
    p.s = p.w + p.problems * p.k * p.units;
    p.scalar = p.s + p.problems * p.k * p.units;
    p.history = p.scalar + p.problems * SCALARS * p.units;
    p.states = p.history + p.units * history_of_one(&p);
    p.gradient = p.problems * p.units;
    p.sums = p.gradient + p.problems * p.k * p.units;
    if (p.sums < p.k * p.k + 2 * p.units)
        p.sums = p.k * p.k + 2 * p.units;
    return p;
}

/* Problems of a phase; the last phase has one. */
static int64_t problems_of(const struct place *p, const double *state)
{
    return state[0] == FINAL || state[0] == DONE ? 1 : p->problems;
}

static int64_t states(const void *self, const struct loom_recording *of, int32_t dims)
{
    return place_of(self, of, dims).states;
}

static int64_t sums(const void *self, const struct loom_recording *of, int32_t dims)
{
    return place_of(self, of, dims).sums;
}

static int64_t scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins)
{
    const struct place p = place_of(self, of, dims);
    (void)bins;
    return CHUNK * (2 * p.k + 2 * p.units) + 2 * p.k * p.units + p.units + p.k;
}

/* ---- sums ---- */

/* A chunk of questions: x [rows, k], y [rows, units] with NaN where nothing is scored. */
struct chunk {
    int64_t rows, asked; /* units of which anything is scored */
    double *x, *y, *eta, *turned, *gradient, *w;
    int32_t *unit; /* [asked] */
};

static void add_moments(const struct place *p, const struct chunk *c, double *to)
{
    loom_gram_add(to, p->k, c->x, c->rows);
    for (int64_t i = 0; i < c->rows * p->units; i++)
        if (!isnan(c->y[i])) {
            to[p->k * p->k + i % p->units] += 1.0;
            to[p->k * p->k + p->units + i % p->units] += c->y[i];
        }
}

/* Objective of one problem on a chunk and, unless the part is left out of it, its gradient Xᵀ (μ - y). */
static void add_problem(const struct place *p, const struct chunk *c, const double *w, double *value, double *gradient)
{
    const int64_t n = c->asked;
    for (int64_t j = 0; j < p->k; j++)
        for (int64_t u = 0; u < n; u++)
            c->w[j * n + u] = w[j * p->units + c->unit[u]];
    loom_product(c->eta, c->x, c->w, c->rows, p->k, n);
    for (int64_t i = 0; i < c->rows; i++)
        for (int64_t u = 0; u < n; u++) {
            const double y = c->y[i * p->units + c->unit[u]], eta = fmin(c->eta[i * n + u], steep), rate = exp(eta);
            c->eta[i * n + u] = isnan(y) ? 0.0 : rate - y;
            value[c->unit[u]] += isnan(y) ? 0.0 : rate - y * eta;
        }
    if (gradient == NULL)
        return;
    for (int64_t i = 0; i < c->rows; i++)
        for (int64_t j = 0; j < p->k; j++)
            c->turned[j * c->rows + i] = c->x[i * p->k + j];
    loom_product(c->gradient, c->turned, c->eta, p->k, c->rows, n);
    for (int64_t j = 0; j < p->k; j++)
        for (int64_t u = 0; u < n; u++)
            gradient[j * p->units + c->unit[u]] += c->gradient[j * n + u];
}

/* Units that the first pass saw asked. */
static void find_asked(const struct regression *r, const struct place *p, const double *state, struct chunk *c)
{
    for (int64_t u = 0; u < p->units; u++) {
        double rows = 0.0;
        for (int32_t f = 0; f < r->folds; f++)
            rows += state[p->rows + f * p->units + u];
        if (rows > 0.0)
            c->unit[c->asked++] = (int32_t)u;
    }
}

static void add_chunk(const struct regression *r, const struct place *p, const struct chunk *c, int32_t fold,
                      const double *state, double *to)
{
    if (c->rows == 0 || state[0] == DONE)
        return;
    if (state[0] == MOMENTS) {
        add_moments(p, c, to);
        return;
    }
    for (int64_t i = 0; i < problems_of(p, state); i++) {
        const int left_out = state[0] == VALIDATE && i / r->alphas == fold;
        add_problem(p, c, state + p->w + i * p->k * p->units, to + i * p->units,
                    left_out ? NULL : to + p->gradient + i * p->k * p->units);
    }
}

static void add(const void *self, const struct loom_sequence *s, const double *state, double *to, double *room)
{
    const struct regression *r = self;
    const struct place p = place_of(r, s->of, s->dims);
    struct chunk c = {.x = room};
    c.y = c.x + CHUNK * p.k;
    c.eta = c.y + CHUNK * p.units;
    c.turned = c.eta + CHUNK * p.units;
    c.gradient = c.turned + CHUNK * p.k;
    c.w = c.gradient + p.k * p.units;
    c.unit = (int32_t *)(c.w + p.k * p.units);
    find_asked(r, &p, state, &c);
    for (int32_t q = 0; q < s->asks; q++) {
        double *x = c.x + c.rows * p.k;
        x[0] = 1.0;
        if (loom_sequence_target(s, q, c.y + c.rows * p.units) == 0 ||
            !r->fill(r, s, loom_sequence_bin(s, q), NULL, x + 1))
            continue;
        if (++c.rows == CHUNK) {
            add_chunk(r, &p, &c, s->fold, state, to);
            c.rows = 0;
        }
    }
    add_chunk(r, &p, &c, s->fold, state, to);
}

static void predict(const void *self, const struct loom_sequence *s, const double *state, double *out, double *room)
{
    const struct regression *r = self;
    const struct place p = place_of(r, s->of, s->dims);
    double *x = room, *mean = x + p.k;
    for (int64_t j = 1; j < p.k; j++)
        mean[j] = state[p.gram] > 0.0 ? state[p.gram + j] / state[p.gram] : 0.0;
    x[0] = 1.0;
    for (int32_t q = 0; q < s->asks; q++, out += p.units) {
        r->fill(r, s, loom_sequence_bin(s, q), mean + 1, x + 1);
        loom_product(out, x, state + p.w, 1, p.k, p.units);
        for (int64_t u = 0; u < p.units; u++)
            out[u] = fmin(out[u], steep);
    }
}

/* ---- solving ---- */

struct solving {
    const struct regression *r;
    const struct loom_estimate *x;
    struct place p;
    double *m, *g, *d, *room; /* [k, k], [k], [k], [k] */
    double worst;             /* what the least converged problem may still gain */
};

/* Rows of unit u that problem i is fitted to; its mean count among them. */
static double rows_of(const struct solving *v, int64_t i, int64_t u, double *mean)
{
    const double *state = v->x->state;
    double rows = 0.0, spikes = 0.0;
    for (int32_t f = 0; f < v->x->folds; f++)
        if (state[0] == FINAL || i / v->r->alphas != f) {
            rows += state[v->p.rows + f * v->p.units + u];
            spikes += state[v->p.spikes + f * v->p.units + u];
        }
    *mean = rows > 0.0 ? (spikes + 0.1) / (rows + 0.1) : 0.0;
    return rows;
}

static double alpha_of(const struct solving *v, int64_t i, int64_t u)
{
    return v->x->state[0] == FINAL ? v->x->state[v->p.alpha + u] : v->r->alpha[i % v->r->alphas];
}

static void take_moments(struct solving *v)
{
    double *state = v->x->state;
    const int64_t k = v->p.k, units = v->p.units;
    for (int32_t f = 0; f < v->x->folds; f++) {
        const double *from = v->x->sums[f];
        for (int64_t i = 0; i < k * k; i++)
            state[v->p.gram + i] += from[i];
        memcpy(state + v->p.rows + f * units, from + k * k, (size_t)units * sizeof *state);
        memcpy(state + v->p.spikes + f * units, from + k * k + units, (size_t)units * sizeof *state);
    }
}

/* From the mean rate and no weights. */
static void start(struct solving *v)
{
    double mean, *state = v->x->state;
    for (int64_t i = 0; i < problems_of(&v->p, state); i++)
        for (int64_t u = 0; u < v->p.units; u++) {
            double rows = rows_of(v, i, u, &mean);
            for (int64_t j = 0; j < v->p.k; j++) {
                state[v->p.w + (i * v->p.k + j) * v->p.units + u] = j == 0 && rows > 0.0 ? log(mean) : 0.0;
                state[v->p.s + (i * v->p.k + j) * v->p.units + u] = 0.0;
            }
            state[v->p.scalar + (i * SCALARS + OBJECTIVE) * v->p.units + u] = DBL_MAX;
        }
}

/* Takes back the last step of every problem: nobody has looked at where it leads. */
static void step_back(struct solving *v)
{
    double *state = v->x->state;
    const int64_t n = problems_of(&v->p, state) * v->p.k * v->p.units;
    for (int64_t i = 0; i < n; i++)
        state[v->p.w + i] -= state[v->p.s + i];
}

/* The final problem from where cross-validation ended with the unit's α, `best` by number. */
static void start_final(struct solving *v, int64_t u, int64_t best)
{
    double *w = v->x->state + v->p.w + u;
    const int64_t size = v->p.k * v->p.units;
    for (int64_t j = 0; j < size; j += v->p.units) {
        double sum = 0.0;
        for (int32_t f = 0; f < v->x->folds; f++)
            sum += w[(f * (int64_t)v->r->alphas + best) * size + j];
        w[j] = sum / v->x->folds;
        v->x->state[v->p.s + u + j] = 0.0;
    }
    v->x->state[v->p.scalar + OBJECTIVE * v->p.units + u] = DBL_MAX;
}

/* Factors M of unit u in problem i into v->m. */
static int factor(struct solving *v, int64_t i, int64_t u, double mean)
{
    const int64_t k = v->p.k;
    const double *gram = v->x->state + v->p.gram;
    for (int64_t a = 0; a < k; a++)
        for (int64_t b = a; b < k; b++)
            v->m[a * k + b] = mean * gram[a * k + b] / gram[0];
    for (int64_t a = 1; a < k; a++)
        v->m[a * k + a] += alpha_of(v, i, u);
    v->m[0] *= 1.0 + 1e-9;
    return loom_cholesky(v->m, k, NULL) == LOOM_OK;
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Takes the step that led here and what it did to the gradient g into the unit's pairs, a ring with the newest at
 * kept - 1, unless the step says nothing of the curvature: a unit that has converged takes none. */
static void remember(double *history, const double *g, const double *s, int64_t stride, int64_t k)
{
    const int64_t at = (int64_t)history[k] % MEMORY;
    double *step = history + k + 1 + at * 2 * k, *change = step + k, bend = 0.0, size = 0.0;
    for (int64_t j = 0; j < k; j++) {
        bend += s[j * stride] * (g[j] - history[j]);
        size += (g[j] - history[j]) * (g[j] - history[j]);
    }
    if (!(bend > 1e-10 * size) || !(size > 0.0))
        return;
    for (int64_t j = 0; j < k; j++) {
        step[j] = s[j * stride];
        change[j] = g[j] - history[j];
    }
    history[k] += 1.0;
}

/* v->d = H g (Nocedal & Wright, algorithm 7.4), H⁻¹ starting as M, scaled as the newest pair says. */
static void two_loops(struct solving *v, const double *history)
{
    const int64_t k = v->p.k, kept = (int64_t)history[k], first = kept > MEMORY ? kept - MEMORY : 0;
    double a[MEMORY];
    for (int64_t i = kept - 1; i >= first; i--) {
        const double *s = history + k + 1 + i % MEMORY * 2 * k, *y = s + k;
        a[i % MEMORY] = dot(s, v->d, k) / dot(s, y, k);
        for (int64_t j = 0; j < k; j++)
            v->d[j] -= a[i % MEMORY] * y[j];
    }
    loom_cholesky_solve(v->m, k, v->d, 1);
    if (kept > 0) {
        const double *s = history + k + 1 + (kept - 1) % MEMORY * 2 * k, *y = s + k;
        memcpy(v->room, y, (size_t)k * sizeof *y);
        loom_cholesky_solve(v->m, k, v->room, 1);
        const double scale = dot(s, y, k) / dot(y, v->room, k);
        for (int64_t j = 0; j < k; j++)
            v->d[j] *= scale;
    }
    for (int64_t i = first; i < kept; i++) {
        const double *s = history + k + 1 + i % MEMORY * 2 * k, *y = s + k;
        const double b = a[i % MEMORY] - dot(y, v->d, k) / dot(s, y, k);
        for (int64_t j = 0; j < k; j++)
            v->d[j] += b * s[j];
    }
}

/* Objective and gradient of unit u in problem i, the penalty included. */
static double measure(struct solving *v, int64_t i, int64_t u, double rows)
{
    const int64_t k = v->p.k, n = v->p.units;
    const double *state = v->x->state, *w = state + v->p.w + i * k * n + u, alpha = alpha_of(v, i, u);
    double value = 0.0;
    memset(v->g, 0, (size_t)k * sizeof *v->g);
    for (int32_t f = 0; f < v->x->folds; f++) {
        const int left_out = state[0] == VALIDATE && i / v->r->alphas == f;
        value += left_out ? 0.0 : v->x->sums[f][i * n + u] / rows;
        for (int64_t j = 0; j < k; j++)
            v->g[j] += v->x->sums[f][v->p.gradient + (i * k + j) * n + u] / rows;
    }
    for (int64_t j = 1; j < k; j++) {
        value += 0.5 * alpha * w[j * n] * w[j * n];
        v->g[j] += alpha * w[j * n];
    }
    return value;
}

/* Moves unit u of problem i: halfway back where the objective rose, else on. */
static void move(struct solving *v, int64_t i, int64_t u)
{
    const int64_t k = v->p.k, n = v->p.units;
    double *state = v->x->state, *w = state + v->p.w + i * k * n + u, *s = state + v->p.s + i * k * n + u;
    double *scalar = state + v->p.scalar + i * SCALARS * n + u, mean, along = 0.0, step = 1.0;
    double *history = state + v->p.history + u * history_of_one(&v->p);
    const double rows = rows_of(v, i, u, &mean), value = rows > 0.0 ? measure(v, i, u, rows) : 0.0;
    if (!(rows > 0.0))
        return;
    if (value > scalar[OBJECTIVE * n] + 1e-13 * fabs(value)) {
        for (int64_t j = 0; j < k; j++) {
            s[j * n] *= 0.5;
            w[j * n] -= s[j * n];
        }
        scalar[SLOPE * n] *= 0.5;
        scalar[STEP * n] *= 0.5;
        v->worst = fmax(v->worst, fabs(scalar[SLOPE * n]));
        return;
    }
    for (int64_t j = 0; j < k; j++)
        along += v->g[j] * s[j * n];
    if (!factor(v, i, u, mean))
        return;
    memcpy(v->d, v->g, (size_t)k * sizeof *v->d);
    if (state[0] == FINAL) {
        if (scalar[OBJECTIVE * n] < DBL_MAX)
            remember(history, v->g, s, n, k);
        memcpy(history, v->g, (size_t)k * sizeof *history);
        two_loops(v, history);
    } else {
        const double bend = along - scalar[SLOPE * n];
        loom_cholesky_solve(v->m, k, v->d, 1);
        if (scalar[OBJECTIVE * n] < DBL_MAX && bend > 0.0)
            step = fmin(fmax(-scalar[STEP * n] * scalar[SLOPE * n] / bend, 0.1), 4.0);
    }
    const double decrement = dot(v->g, v->d, k);
    if (!(decrement > 1e-15))
        step = 0.0;
    for (int64_t j = 0; j < k; j++) {
        s[j * n] = step > 0.0 ? -step * v->d[j] : 0.0;
        w[j * n] += s[j * n];
    }
    scalar[OBJECTIVE * n] = value;
    scalar[SLOPE * n] = step > 0.0 ? -step * decrement : 0.0;
    scalar[STEP * n] = step;
    v->worst = fmax(v->worst, -scalar[SLOPE * n]);
}

/* Each unit's α: the one whose problems say best what was left out of them. */
static void choose(struct solving *v)
{
    double *state = v->x->state;
    for (int64_t u = 0; u < v->p.units; u++) {
        int32_t best = 0;
        double least = DBL_MAX, rows = 0.0;
        for (int32_t a = 0; a < v->r->alphas; a++) {
            double loss = 0.0;
            for (int32_t f = 0; f < v->x->folds; f++)
                loss += v->x->sums[f][(f * (int64_t)v->r->alphas + a) * v->p.units + u];
            if (loss < least) {
                least = loss;
                best = a;
            }
        }
        state[v->p.alpha + u] = v->r->alpha[best];
        start_final(v, u, best);
        for (int32_t f = 0; f < v->x->folds; f++)
            rows += state[v->p.rows + f * v->p.units + u];
        if (rows > 0.0)
            loom_log(LOOM_DEBUG, "counts of unit %d of %s: alpha %g", (int)u, v->x->of->id, v->r->alpha[best]);
    }
}

static void next_phase(struct solving *v)
{
    double *state = v->x->state;
    const int one = v->r->alphas == 1;
    state[1] = 0.0;
    if (state[0] == MOMENTS) {
        take_moments(v);
        for (int64_t u = 0; one && u < v->p.units; u++)
            state[v->p.alpha + u] = v->r->alpha[0];
        state[0] = one ? FINAL : VALIDATE;
        start(v);
    } else if (state[0] == VALIDATE) {
        step_back(v);
        choose(v);
        state[0] = FINAL;
    } else {
        step_back(v);
        state[0] = DONE;
    }
}

static int solve(const void *self, const struct loom_estimate *x, struct loom_error *e)
{
    struct solving v = {.r = self, .x = x, .p = place_of(self, x->of, x->dims)};
    double *state = x->state;
    if (state[0] == DONE)
        return LOOM_OK;
    v.m = malloc((size_t)(v.p.k * v.p.k + 3 * v.p.k) * sizeof *v.m);
    v.g = v.m + v.p.k * v.p.k;
    v.d = v.g + v.p.k;
    v.room = v.d + v.p.k;
    int rc = v.m != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to fit counts");
    if (rc == LOOM_OK && state[0] == MOMENTS) {
        next_phase(&v);
        if (!(state[v.p.gram] > 0.0)) {
            loom_log(LOOM_WARN, "counts of %s are not fitted: nothing of them is asked for in training", x->of->id);
            state[0] = DONE;
        }
    } else if (rc == LOOM_OK) {
        const double enough = state[0] == VALIDATE ? 1e-5 : 1e-11;
        for (int64_t i = 0; i < problems_of(&v.p, state); i++)
            for (int64_t u = 0; u < v.p.units; u++)
                move(&v, i, u);
        if (++state[1] >= MOST_PASSES || v.worst < enough)
            next_phase(&v);
    }
    free(v.m);
    return rc != LOOM_OK ? rc : state[0] != DONE;
}

const struct loom_estimator regression_poisson = {.name = "poisson",
                                                  .counts = 1,
                                                  .states = states,
                                                  .sums = sums,
                                                  .scratch = scratch,
                                                  .add = add,
                                                  .predict = predict,
                                                  .solve = solve};
