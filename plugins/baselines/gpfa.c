/* SPDX-License-Identifier: Apache-2.0 */
/* Gaussian-process factor analysis (Yu, Cunningham, Santhanam, Ryu, Shenoy & Sahani 2009), by EM:
 *
 *     y_t = C x_t + d + e, e ~ N(0, R diagonal)      x_i ~ GP, k_i(t, t') = (1 - ε) exp(-γ_i (t - t')² / 2) + ε δ.
 *
 * It is fitted to pieces of at most `segment` bins, which makes a pass linear in the data: the posterior covariance of
 * a piece, Σ = (K⁻¹ + I ⊗ Cᵀ R⁻¹ C)⁻¹, hangs on its length alone. Timescales τ_i = bin / √γ_i are learnt: in each M
 * step the expected log-likelihood is maximised over log γ_i, whose derivative is known, by false position. It starts
 * from probabilistic principal components (Tipping & Bishop 1999). In the end latents are rotated so that the columns
 * of C are orthonormal and in order of the variance that they explain. */
#include "latents.h"

#include <loom/linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct gpfa {
    struct latents latents;
    int32_t segment;
    double tau_bins;
};

static const double own_noise = 1e-3;   /* ε */
static const double least_share = 0.01; /* of a unit's variance that R keeps */

enum { PASSES, READY, FIRST_LL, LAST_LL, LL, HEAD };

/* n latents, u units, k = n + 1. State: for each unit its variance and c [n], d, R; γ [n]; the rotation [n, n].
 * Sums: likelihood, bins, Σ y (x, 1) [u, k], Σ (x, 1)(x, 1)ᵀ [k, k], Σ y² [u]; for each length the pieces, and for each
 * latent Σ E[x xᵀ] over time [length, length]. The first pass sums the Gram matrix of (1, y) instead. */
struct place {
    int64_t n, u, k, length;
    int64_t unit, unit_size, gamma, rotation, states;
    int64_t cross, second, squares, pieces, times, sums;
};

/* Where pieces of `t` bins stand among the times of a latent. */
static int64_t times_before(int64_t t)
{
    return (t - 1) * t * (2 * t - 1) / 6;
}

static struct place place_of(const struct gpfa *g, const struct loom_recording *of)
{
    const int64_t n = g->latents.dims, u = of->units;
    struct place p = {.n = n, .u = u, .k = n + 1, .length = g->segment, .unit = HEAD, .unit_size = n + 3};
    p.gamma = p.unit + u * p.unit_size;
    p.rotation = p.gamma + n;
    p.states = p.rotation + n * n;
    p.cross = 2;
    p.second = p.cross + u * p.k;
    p.squares = p.second + p.k * p.k;
    p.pieces = p.squares + u;
    p.times = p.pieces + p.length + 1;
    p.sums = p.times + n * times_before(p.length + 1);
    if (p.sums < (u + 1) * (u + 1))
        p.sums = (u + 1) * (u + 1);
    return p;
}

static int64_t states(const void *self, const struct loom_recording *of, int32_t dims)
{
    (void)dims;
    return place_of(self, of).states;
}

static int64_t sums(const void *self, const struct loom_recording *of, int32_t dims)
{
    (void)dims;
    return place_of(self, of).sums;
}

/* ---- posterior of a piece ---- */

struct posterior {
    struct place p;
    const double *state;
    double *bins;             /* that cov was made for; 0 = none */
    double *logs;             /* Σ ln R + what else of the likelihood hangs on the length alone */
    double *cov, *prior;      /* [n bins, n bins]; [bins, 2 bins] */
    double *info, *b, *m, *y; /* [n, n], [n bins], [n bins], [units] */
    uint8_t *seen;
};

static int64_t scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins)
{
    const struct gpfa *g = self;
    const int64_t n = dims, t = g->segment, u = of->units;
    (void)bins;
    return n * t * n * t + 2 * t * t + n * n + 2 * n * t + u * (t + 2) + (u + 1) * (u + 1) + u + 16;
}

static double *open_posterior(struct posterior *w, const struct gpfa *g, const struct loom_sequence *s,
                              const double *state, double *room)
{
    const int64_t n = g->latents.dims, t = g->segment, u = s->of->units;
    *w = (struct posterior){.p = place_of(g, s->of), .state = state};
    w->bins = room;
    w->logs = room + 1;
    w->cov = room + 2;
    w->prior = w->cov + n * t * n * t;
    w->info = w->prior + 2 * t * t;
    w->b = w->info + n * n;
    w->m = w->b + n * t;
    w->y = w->m + n * t;
    w->seen = (uint8_t *)(w->y + u * (t + 1));
    return w->y + u * (t + 1) + u / 8 + 1;
}

/* K [bins, bins] of one latent, and where wanted dK / d ln γ. */
static void fill_prior(double *k, double *slope, double gamma, int64_t bins)
{
    for (int64_t a = 0; a < bins; a++)
        for (int64_t b = 0; b < bins; b++) {
            const double square = (double)((a - b) * (a - b)), e = (1.0 - own_noise) * exp(-0.5 * gamma * square);
            k[a * bins + b] = e + (a == b ? own_noise : 0.0);
            if (slope != NULL)
                slope[a * bins + b] = -0.5 * gamma * square * e;
        }
}

/* K⁻¹ into inverse, overwriting k; returns ln |K|. */
static double invert(double *k, double *inverse, int64_t n)
{
    double det = 0.0;
    memset(inverse, 0, (size_t)(n * n) * sizeof *inverse);
    for (int64_t i = 0; i < n; i++)
        inverse[i * n + i] = 1.0;
    if (loom_cholesky(k, n, NULL) != LOOM_OK)
        return (double)NAN;
    loom_cholesky_solve(k, n, inverse, n);
    for (int64_t i = 0; i < n; i++)
        det += 2.0 * log(k[i * n + i]);
    return det;
}

static const double *unit_of(const struct posterior *w, int64_t u)
{
    return w->state + w->p.unit + u * w->p.unit_size;
}

/* Cᵀ R⁻¹ C, and what of -2 ln p hangs on parameters alone, a bin. */
static double inform(struct posterior *w)
{
    const int64_t n = w->p.n;
    double logs = 0.0;
    memset(w->info, 0, (size_t)(n * n) * sizeof *w->info);
    for (int64_t u = 0; u < w->p.u; u++) {
        const double *c = unit_of(w, u), r = c[n + 1];
        if (!(r > 0.0))
            continue;
        logs += log(2.0 * M_PI * r);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                w->info[i * n + j] += c[i] * c[j] / r;
    }
    return logs;
}

/* Σ of pieces of so many bins; rows are time × latent. What an earlier sequence left in scratch is taken. */
static void prepare(struct posterior *w, int64_t bins)
{
    const int64_t n = w->p.n, size = n * bins;
    if (*w->bins == (double)bins)
        return;
    double *work = calloc((size_t)(size * size), sizeof *work), logs = (double)bins * inform(w);
    *w->bins = (double)bins;
    *w->logs = (double)NAN;
    memset(w->cov, 0, (size_t)(size * size) * sizeof *w->cov);
    if (work == NULL)
        return;
    for (int64_t i = 0; i < n; i++) {
        double *inverse = w->prior + bins * bins;
        fill_prior(w->prior, NULL, w->state[w->p.gamma + i], bins);
        logs += invert(w->prior, inverse, bins);
        for (int64_t a = 0; a < bins; a++)
            for (int64_t b = 0; b < bins; b++)
                work[(a * n + i) * size + b * n + i] = inverse[a * bins + b];
    }
    for (int64_t a = 0; a < bins; a++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                work[(a * n + i) * size + a * n + j] += w->info[i * n + j];
    *w->logs = logs + invert(work, w->cov, size);
    free(work);
}

/* E[x] of `bins` bins whose y [bins, units] is at hand, into w->m; returns ln p(y). */
static double infer(struct posterior *w, int64_t bins)
{
    const int64_t n = w->p.n, size = n * bins;
    double q = 0.0;
    prepare(w, bins);
    memset(w->b, 0, (size_t)size * sizeof *w->b);
    for (int64_t t = 0; t < bins; t++)
        for (int64_t u = 0; u < w->p.u; u++) {
            const double *c = unit_of(w, u), r = c[n + 1], left = w->y[t * w->p.u + u] - c[n];
            if (!(r > 0.0))
                continue;
            q += left * left / r;
            for (int64_t i = 0; i < n; i++)
                w->b[t * n + i] += c[i] * left / r;
        }
    loom_product(w->m, w->cov, w->b, size, size, 1);
    for (int64_t i = 0; i < size; i++)
        q -= w->b[i] * w->m[i];
    return -0.5 * (*w->logs + q);
}

/* ---- pieces of a sequence ---- */

/* The next stretch of bins that were recorded, from *from on; its end, or -1. */
static int64_t stretch(const struct loom_sequence *s, int64_t *from)
{
    while (*from < s->bins && !loom_sequence_seen(s, *from))
        ++*from;
    int64_t end = *from;
    while (end < s->bins && loom_sequence_seen(s, end))
        end++;
    return end > *from ? end : -1;
}

static void read_piece(const struct gpfa *g, struct posterior *w, const struct loom_sequence *s, int64_t from,
                       int64_t bins)
{
    for (int64_t t = 0; t < bins; t++)
        latents_read(&g->latents, s, from + t, w->y + t * w->p.u, w->seen);
}

static void add_piece(struct posterior *w, int64_t bins, double *to)
{
    const struct place *p = &w->p;
    const int64_t n = p->n, size = n * bins;
    double x[128];
    to[0] += infer(w, bins);
    to[1] += (double)bins;
    to[p->pieces + bins] += 1.0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t a = 0; a < bins; a++)
            for (int64_t b = 0; b < bins; b++)
                to[p->times + n * times_before(bins) + (i * bins + a) * bins + b] +=
                    w->cov[(a * n + i) * size + b * n + i] + w->m[a * n + i] * w->m[b * n + i];
    for (int64_t t = 0; t < bins; t++) {
        memcpy(x, w->m + t * n, (size_t)n * sizeof *x);
        x[n] = 1.0;
        for (int64_t i = 0; i < p->k; i++)
            for (int64_t j = i; j < p->k; j++)
                to[p->second + i * p->k + j] += x[i] * x[j] + (j < n ? w->cov[(t * n + i) * size + t * n + j] : 0.0);
        for (int64_t u = 0; u < p->u; u++) {
            const double y = w->y[t * p->u + u];
            to[p->squares + u] += y * y;
            for (int64_t i = 0; i < p->k; i++)
                to[p->cross + u * p->k + i] += y * x[i];
        }
    }
}

static void add(const void *self, const struct loom_sequence *s, const double *state, double *to, double *room)
{
    const struct gpfa *g = self;
    struct posterior w;
    double *row = open_posterior(&w, g, s, state, room);
    if (state[READY] != 0.0 || s->of->units == 0)
        return;
    for (int64_t from = 0, end; (end = stretch(s, &from)) > 0; from = end)
        for (int64_t at = from, bins; at < end; at += bins) {
            bins = end - at < g->segment ? end - at : g->segment;
            read_piece(g, &w, s, at, bins);
            for (int64_t t = 0; state[PASSES] == 0.0 && t < bins; t++) {
                row[0] = 1.0;
                memcpy(row + 1, w.y + t * w.p.u, (size_t)w.p.u * sizeof *row);
                loom_gram_add(to, w.p.u + 1, row, 1);
            }
            if (state[PASSES] > 0.0)
                add_piece(&w, bins, to);
        }
}

/* Pieces overlap by half, and each bin is taken from where it stands furthest from an end. */
static void predict(const void *self, const struct loom_sequence *s, const double *state, double *out, double *room)
{
    const struct gpfa *g = self;
    struct posterior w;
    open_posterior(&w, g, s, state, room);
    const int64_t n = w.p.n, hop = g->segment > 1 ? g->segment / 2 : 1;
    if (state[READY] == 0.0)
        return;
    for (int64_t from = 0, end; (end = stretch(s, &from)) > 0; from = end)
        for (int64_t at = from, done = from; done < end; at += hop) {
            const int64_t low = at + g->segment > end ? end - g->segment : at, start = low < from ? from : low;
            const int64_t bins = end - start < g->segment ? end - start : g->segment;
            const int64_t upto = start + bins == end ? end : start + bins - (bins - hop) / 2;
            read_piece(g, &w, s, start, bins);
            infer(&w, bins);
            for (; done < upto; done++)
                loom_product(out + done * n, state + w.p.rotation, w.m + (done - start) * n, n, n, 1);
        }
}

/* ---- M step ---- */

/* Probabilistic principal components of the Gram matrix of (1, y). */
static int start(const struct gpfa *g, const struct place *p, const double *gram, double *state)
{
    const int64_t n = p->n, u = p->u, size = u + 1;
    double *cov = malloc((size_t)(2 * u * u + u) * sizeof *cov), *vector = cov + u * u, *value = vector + u * u;
    double rest = 0.0;
    if (cov == NULL)
        return LOOM_ENOMEM;
    for (int64_t i = 0; i < u; i++)
        for (int64_t j = i; j < u; j++)
            cov[i * u + j] = gram[(i + 1) * size + j + 1] / gram[0] - gram[i + 1] * gram[j + 1] / gram[0] / gram[0];
    for (int64_t i = 0; i < u; i++) {
        double *unit = state + p->unit + i * p->unit_size, mean = gram[i + 1] / gram[0];
        unit[n] = mean;
        unit[n + 2] = cov[i * u + i] > 1e-9 * (mean * mean) ? cov[i * u + i] : 0.0;
    }
    loom_eigen(cov, u, value, vector);
    for (int64_t i = n; i < u; i++)
        rest += fmax(value[i], 0.0) / (double)(u - n);
    for (int64_t i = 0; i < u; i++) {
        double *unit = state + p->unit + i * p->unit_size;
        unit[n + 1] = unit[n + 2];
        for (int64_t j = 0; j < n; j++) {
            unit[j] = unit[n + 2] > 0.0 && j < u ? vector[j * u + i] * sqrt(fmax(value[j] - rest, 0.0)) : 0.0;
            unit[n + 1] -= unit[j] * unit[j];
        }
        unit[n + 1] = fmax(unit[n + 1], least_share * unit[n + 2]);
    }
    for (int64_t j = 0; j < n; j++)
        state[p->gamma + j] = 1.0 / (g->tau_bins * g->tau_bins);
    free(cov);
    return LOOM_OK;
}

static void solve_units(const struct place *p, const double *sum, double *state)
{
    const int64_t n = p->n, k = p->k;
    double *w = malloc((size_t)(k * k + k) * sizeof *w), *second = w + k;
    if (w == NULL)
        return;
    memcpy(second, sum + p->second, (size_t)(k * k) * sizeof *second);
    int rc = loom_cholesky(second, k, NULL);
    for (int64_t u = 0; rc == LOOM_OK && u < p->u; u++) {
        const double *cross = sum + p->cross + u * k;
        double *unit = state + p->unit + u * p->unit_size, left = sum[p->squares + u];
        if (!(unit[n + 2] > 0.0))
            continue;
        memcpy(w, cross, (size_t)k * sizeof *w);
        loom_cholesky_solve(second, k, w, 1);
        for (int64_t i = 0; i < k; i++) {
            left -= w[i] * cross[i];
            unit[i] = w[i];
        }
        unit[n + 1] = fmax(left / sum[1], least_share * unit[n + 2]);
    }
    free(w);
}

/* d / d ln γ of Σ over lengths of -½ N ln |K| - ½ tr(K⁻¹ P): ½ tr(K⁻¹ P K⁻¹ K') - ½ N tr(K⁻¹ K'). */
static double slope_of(const struct place *p, const double *sum, int64_t latent, double gamma, double *room)
{
    double slope = 0.0;
    for (int64_t t = 1; t <= p->length; t++) {
        const double pieces = sum[p->pieces + t];
        const double *second = sum + p->times + p->n * times_before(t) + latent * t * t;
        double *k = room, *d = k + t * t, *inverse = d + t * t, *a = inverse + t * t;
        if (pieces == 0.0)
            continue;
        fill_prior(k, d, gamma, t);
        invert(k, inverse, t);
        loom_product(a, inverse, second, t, t, t);
        loom_product(k, a, inverse, t, t, t);
        for (int64_t i = 0; i < t * t; i++)
            slope += 0.5 * (k[i] - pieces * inverse[i]) * d[i];
    }
    return slope;
}

/* The maximum next to where ln γ stands, between timescales of 1/10 bin and 1000 pieces: the derivative's zero is
 * bracketed, then found by false position (the Illinois rule: an end that stays counts half). */
static void solve_timescale(const struct place *p, const double *sum, int64_t latent, double *gamma, double *room)
{
    const double least = -2.0 * log(1000.0 * (double)p->length), most = 2.0 * log(10.0);
    const double first = slope_of(p, sum, latent, *gamma, room), up = first > 0.0 ? 1.0 : -1.0;
    double low = log(*gamma), high = low, step = 0.25 * up, at_low = up * first, at_high = at_low;
    while (at_high > 0.0 && (high == low || (high > least && high < most))) {
        low = high;
        at_low = at_high;
        high = fmin(fmax(high + step, least), most);
        step *= 2.0;
        at_high = up * slope_of(p, sum, latent, exp(high), room);
    }
    for (int i = 0, side = 0; i < 40 && at_high < 0.0 && fabs(high - low) > 1e-7; i++) {
        const double middle = (low * at_high - high * at_low) / (at_high - at_low);
        const double at = up * slope_of(p, sum, latent, exp(middle), room);
        if (fabs(at) < 1e-9 * fabs(first)) {
            low = middle;
            break;
        }
        if (at > 0.0) {
            low = middle;
            at_low = at;
            at_high *= side > 0 ? 0.5 : 1.0;
            side = 1;
        } else {
            high = middle;
            at_high = at;
            at_low *= side < 0 ? 0.5 : 1.0;
            side = -1;
        }
    }
    *gamma = exp(low);
}

/* C = U D Vᵀ: latents become D Vᵀ x, in order of variance explained (Yu et al. 2009, section "Visualizing"). */
static void orthonormalise(const struct place *p, double *state)
{
    const int64_t n = p->n;
    double *square = calloc((size_t)(2 * n * n + n), sizeof *square), *vector = square + n * n;
    double *value = vector + n * n;
    if (square == NULL)
        return;
    for (int64_t u = 0; u < p->u; u++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = i; j < n; j++)
                square[i * n + j] += state[p->unit + u * p->unit_size + i] * state[p->unit + u * p->unit_size + j];
    loom_eigen(square, n, value, vector);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            state[p->rotation + i * n + j] = sqrt(fmax(value[i], 0.0)) * vector[i * n + j];
    free(square);
}

static void finish(const struct gpfa *g, const struct loom_estimate *x, const struct place *p)
{
    loom_log(LOOM_INFO, "%s: %d latents, log-likelihood %.6g after %.0f passes of EM", x->of->id, (int)p->n,
             x->state[LL], x->state[PASSES]);
    for (int64_t i = 0; i < p->n; i++)
        loom_log(LOOM_INFO, "%s: timescale %.0f ms", x->of->id,
                 1000.0 * loom_catalog_bin_s(g->latents.catalog) / sqrt(x->state[p->gamma + i]));
    orthonormalise(p, x->state);
    x->state[READY] = 1.0;
}

static int solve(const void *self, const struct loom_estimate *x, struct loom_error *e)
{
    const struct gpfa *g = self;
    const struct place p = place_of(g, x->of);
    const double *sum = x->sums[0];
    double *state = x->state;
    if (state[READY] != 0.0)
        return LOOM_OK;
    if (state[PASSES]++ == 0.0) {
        if (p.u == 0 || !(sum[0] > 1.0)) {
            loom_log(LOOM_WARN, "%s is not fitted: nothing of it is seen in training", x->of->id);
            state[READY] = 1.0;
            return LOOM_OK;
        }
        return start(g, &p, sum, state) == LOOM_OK ? 1 : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for GPFA");
    }
    const double passes = state[PASSES] - 1.0;
    double *room = malloc((size_t)(4 * p.length * p.length + 1) * sizeof *room);
    if (room == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for an M step; free some");
    state[FIRST_LL] = passes == 1.0 ? sum[0] : state[FIRST_LL];
    state[LAST_LL] = state[LL];
    state[LL] = sum[0];
    solve_units(&p, sum, state);
    for (int64_t i = 0; i < p.n; i++)
        solve_timescale(&p, sum, i, &state[p.gamma + i], room);
    free(room);
    if (passes >= g->latents.iterations ||
        (passes > 1.0 && state[LL] - state[LAST_LL] <= g->latents.tolerance * fabs(state[LL] - state[FIRST_LL])))
        finish(g, x, &p);
    return 1;
}

static const struct loom_estimator estimator = {
    .name = "em", .states = states, .sums = sums, .scratch = scratch, .add = add, .predict = predict, .solve = solve};

/* ---- the plugin ---- */

static void gpfa_destroy(void *self)
{
    struct gpfa *g = self;
    if (g == NULL)
        return;
    latents_release(&g->latents);
    free(g);
}

static int gpfa_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct gpfa *g = calloc(1, sizeof *g);
    if (g == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some");
    int rc = latents_init(&g->latents, s, &estimator, e);
    g->segment = (int32_t)loom_opt_int(o, "segment");
    g->tau_bins = loom_opt_real(o, "tau_ms") / 1000.0 / loom_catalog_bin_s(loom_setup_catalog(s));
    if (rc != LOOM_OK) {
        gpfa_destroy(g);
        g = NULL;
    }
    *self = g;
    return rc;
}

static const struct loom_option options[] = {
    LATENTS_OPTIONS,
    {"tau_ms", LOOM_OPT_REAL, 0, "100", "[1,10000]", "ms", "Timescale that each latent starts from."},
    {"segment", LOOM_OPT_INT, 0, "20", "[1,100]", "bins",
     "Longest piece that is inferred at once; pieces are fitted apart."},
    POISSON_OPTIONS,
    REGRESSION_OPTIONS,
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = gpfa_create,
                                                    .destroy = gpfa_destroy,
                                                    .describe = latents_describe,
                                                    .update = latents_update},
                                           .encode = latents_encode,
                                           .answer = regression_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "gpfa",
                                          .version = "1.0.0",
                                          .summary = "Gaussian-process factor analysis by EM",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
