/* SPDX-License-Identifier: Apache-2.0 */
/* Latent linear dynamical system, fitted by EM with whatever was observed (Shumway & Stoffer 1982; stitching of
 * populations that were never recorded together: Turaga et al. 2013, Nonnenmacher et al. 2017):
 *
 *     x_1 ~ N(μ, V)   x_{t+1} = A x_t + w, w ~ N(0, Q)   y_it = c_i·x_t + d_i + e, e ~ N(0, r_i), for i observed at t.
 *
 * Dynamics are one for all recordings; each neuron has its own c, d, r. The E step works in information form, which
 * never touches what is missing; the M step is closed. Several random starts run side by side for a quarter of the
 * passes, and the likeliest goes on: with missing pairs the likelihood has local optima. */
#include "lds.h"

#include <loom/linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct lds_place lds_place_of(const struct lds *l)
{
    const int64_t n = l->latents.dims;
    struct lds_place p = {.n = n, .neurons = l->neurons, .stats = HEAD, .unit_size = n + 2};
    p.model = p.stats + 3 * p.neurons; /* rows, mean, variance */
    p.a = LLS;
    p.q = p.a + n * n;
    p.v = p.q + n * n;
    p.mu = p.v + n * n;
    p.unit = p.mu + n;
    p.model_size = p.unit + p.neurons * p.unit_size;
    p.states = p.model + l->restarts * p.model_size;
    p.s11 = SUM_HEAD;
    p.s10 = p.s11 + n * n;
    p.s00 = p.s10 + n * n;
    p.x1 = p.s00 + n * n;
    p.x11 = p.x1 + n;
    p.g = p.x11 + n * n;
    p.g_size = (n + 1) * (n + 1) + n + 2;
    p.sum_size = p.g + p.neurons * p.g_size;
    p.sums = l->restarts * p.sum_size > 3 * p.neurons ? l->restarts * p.sum_size : 3 * p.neurons;
    return p;
}

static int64_t states(const void *self, const struct loom_recording *of, int32_t dims)
{
    (void)of, (void)dims;
    return lds_place_of(self).states;
}

static int64_t sums(const void *self, const struct loom_recording *of, int32_t dims)
{
    (void)of, (void)dims;
    return lds_place_of(self).sums;
}

/* ---- M step ---- */

static void read_stats(const struct lds_place *p, const double *from, double *state)
{
    for (int64_t i = 0; i < p->neurons; i++) {
        double *one = state + p->stats + 3 * i, rows = from[3 * i];
        one[0] = rows;
        one[1] = rows > 0.0 ? from[3 * i + 1] / rows : 0.0;
        one[2] = rows > 0.0 ? fmax(from[3 * i + 2] / rows - one[1] * one[1], 0.0) : 0.0;
    }
}

/* d = mean (anything else is pushed into x, and A's eigenvalues towards 1), r = half of the variance, c at random with
 * the other half, x of stationary variance 1. A neuron that never varies, or is never seen, gets r = 0: left out. */
static void start(const struct lds *l, const struct lds_place *p, int32_t number, const double *stats, double *model)
{
    const int64_t n = p->n;
    struct loom_rng g;
    loom_rng_init(&g, l->seed, "lds.start", (uint64_t)number, 0);
    memset(model, 0, (size_t)p->model_size * sizeof *model);
    for (int64_t i = 0; i < n; i++) {
        model[p->a + i * n + i] = 0.9;
        model[p->q + i * n + i] = 1.0 - 0.81;
        model[p->v + i * n + i] = 1.0;
    }
    for (int64_t i = 0; i < p->neurons; i++) {
        double *c = model + p->unit + i * p->unit_size, variance = stats[3 * i + 2];
        for (int64_t j = 0; j < n; j++)
            c[j] = sqrt(0.5 * variance / (double)n) * loom_rng_normal(&g);
        c[n] = stats[3 * i + 1];
        c[n + 1] = 0.5 * variance;
    }
}

/* [c d] = H G⁻¹, r = (Σ y² - [c d]·H) / N. */
static void solve_neuron(const struct lds_place *p, const double *sum, double variance, double *c, double *room)
{
    const int64_t n = p->n, k = n + 1;
    double *g = room, *w = g + k * k, left = sum[k * k + k];
    if (!(variance > 0.0))
        return;
    memcpy(g, sum, (size_t)(k * k) * sizeof *g);
    memcpy(w, sum + k * k, (size_t)k * sizeof *w);
    const double rows = g[n * k + n];
    if (loom_cholesky(g, k, NULL) != LOOM_OK)
        return;
    loom_cholesky_solve(g, k, w, 1);
    for (int64_t i = 0; i < k; i++) {
        left -= w[i] * sum[k * k + i];
        c[i] = w[i];
    }
    c[n + 1] = fmax(left / rows, 1e-4 * variance);
}

/* A = S10 S00⁻¹, Q = (S11 - A S10ᵀ) / steps; μ and V where there are sequences enough to tell. */
static void solve_dynamics(const struct lds_place *p, const double *sum, double *model, double *room)
{
    const int64_t n = p->n;
    double *s00 = room, *at = s00 + n * n;
    memcpy(s00, sum + p->s00, (size_t)(n * n) * sizeof *s00);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            at[i * n + j] = sum[p->s10 + j * n + i];
    if (sum[SUM_STEPS] > (double)n && loom_cholesky(s00, n, NULL) == LOOM_OK) {
        loom_cholesky_solve(s00, n, at, n);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                double q = sum[p->s11 + i * n + j];
                for (int64_t k = 0; k < n; k++)
                    q -= at[k * n + i] * sum[p->s10 + j * n + k];
                model[p->a + i * n + j] = at[j * n + i];
                model[p->q + i * n + j] = q / sum[SUM_STEPS];
            }
        lds_symmetrise(model + p->q, n);
    }
    if (!(sum[SUM_SEQUENCES] > (double)n))
        return;
    for (int64_t i = 0; i < n; i++)
        model[p->mu + i] = sum[p->x1 + i] / sum[SUM_SEQUENCES];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            model[p->v + i * n + j] =
                sum[p->x11 + i * n + j] / sum[SUM_SEQUENCES] - model[p->mu + i] * model[p->mu + j];
}

static int improve(const struct loom_estimate *x, const struct lds_place *p, int32_t start, struct loom_error *e)
{
    const int64_t k = p->n + 1;
    const double *sum = x->sums[0] + start * p->sum_size;
    double *model = x->state + p->model + start * p->model_size;
    double *room = malloc((size_t)(2 * k * k + k) * sizeof *room);
    if (room == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for an M step; free some");
    model[FIRST_LL] = x->state[PASSES] == 1.0 ? sum[SUM_LL] : model[FIRST_LL];
    model[LAST_LL] = model[LL];
    model[LL] = sum[SUM_LL];
    solve_dynamics(p, sum, model, room);
    for (int64_t i = 0; i < p->neurons; i++)
        solve_neuron(p, sum + p->g + i * p->g_size, x->state[p->stats + 3 * i + 2], model + p->unit + i * p->unit_size,
                     room);
    free(room);
    return LOOM_OK;
}

static int32_t likeliest(const struct lds *l, const struct lds_place *p, const double *state)
{
    int32_t best = 0;
    for (int32_t i = 1; i < l->restarts; i++)
        if (state[p->model + i * p->model_size + LL] > state[p->model + best * p->model_size + LL])
            best = i;
    return best;
}

static int solve(const void *self, const struct loom_estimate *x, struct loom_error *e)
{
    const struct lds *l = self;
    const struct lds_place p = lds_place_of(l);
    const int32_t iterations = l->latents.iterations;
    double *state = x->state;
    if (state[READY] != 0.0)
        return LOOM_OK;
    if (state[PASSES]++ == 0.0) {
        read_stats(&p, x->sums[0], state);
        state[CHOSEN] = l->restarts == 1 ? 0.0 : -1.0;
        for (int32_t i = 0; i < l->restarts; i++)
            start(l, &p, i, state + p.stats, state + p.model + i * p.model_size);
        return 1;
    }
    state[PASSES] -= 1.0;
    for (int32_t i = 0; i < l->restarts; i++) {
        int rc = lds_running(state, i) ? improve(x, &p, i, e) : LOOM_OK;
        if (rc != LOOM_OK)
            return rc;
    }
    if (state[CHOSEN] < 0.0 && state[PASSES] >= 0.25 * iterations)
        state[CHOSEN] = likeliest(l, &p, state);
    if (state[CHOSEN] >= 0.0) {
        const double *model = state + p.model + (int64_t)state[CHOSEN] * p.model_size;
        const double gain = model[LL] - model[LAST_LL], all = model[LL] - model[FIRST_LL];
        if (state[PASSES] >= iterations || (state[PASSES] > 1.0 && gain <= l->latents.tolerance * fabs(all))) {
            loom_log(LOOM_INFO, "%d latents of %d neurons: log-likelihood %.6g after %.0f passes of EM", (int)p.n,
                     (int)p.neurons, model[LL], state[PASSES]);
            state[READY] = 1.0;
        }
    }
    state[PASSES] += 1.0;
    return 1;
}

static const struct loom_estimator estimator = {.name = "em",
                                                .shared = 1,
                                                .states = states,
                                                .sums = sums,
                                                .scratch = lds_scratch,
                                                .add = lds_add,
                                                .predict = lds_predict,
                                                .solve = solve};

/* ---- the plugin ---- */

static void lds_destroy(void *self)
{
    struct lds *l = self;
    if (l == NULL)
        return;
    for (int i = 0; l->neuron != NULL && i < loom_catalog_count(l->latents.catalog); i++)
        free(l->neuron[i]);
    free(l->neuron);
    latents_release(&l->latents);
    free(l);
}

/* The neuron of an earlier recording that bears the unit's name, of the same subject; -1 = none. */
static int32_t known_neuron(const struct lds *l, int recording, const char *name)
{
    const struct loom_recording *now = loom_catalog_recording(l->latents.catalog, recording);
    for (int i = 0; i < recording; i++) {
        const struct loom_recording *of = loom_catalog_recording(l->latents.catalog, i);
        for (int32_t u = 0; strcmp(of->subject, now->subject) == 0 && u < of->units; u++)
            if (strcmp(of->unit[u].name, name) == 0)
                return l->neuron[i][u];
    }
    return -1;
}

static int number_neurons(struct lds *l, int by_name)
{
    const int recordings = loom_catalog_count(l->latents.catalog);
    l->neuron = calloc((size_t)recordings + 1, sizeof *l->neuron);
    for (int i = 0; l->neuron != NULL && i < recordings; i++) {
        const struct loom_recording *of = loom_catalog_recording(l->latents.catalog, i);
        l->neuron[i] = calloc((size_t)of->units + 1, sizeof **l->neuron);
        if (l->neuron[i] == NULL)
            return 0;
        for (int32_t u = 0; u < of->units; u++) {
            int32_t known = by_name ? known_neuron(l, i, of->unit[u].name) : -1;
            l->neuron[i][u] = known >= 0 ? known : l->neurons++;
        }
    }
    return l->neuron != NULL;
}

static int lds_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct lds *l = calloc(1, sizeof *l);
    if (l == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some");
    int rc = latents_init(&l->latents, s, &estimator, e);
    l->restarts = (int32_t)loom_opt_int(o, "restarts");
    l->causal = l->latents.regression.causal = loom_opt_bool(o, "causal");
    l->seed = loom_setup_seed(s);
    if (rc == LOOM_OK && !number_neurons(l, loom_opt_bool(o, "same_units")))
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some");
    if (rc != LOOM_OK) {
        lds_destroy(l);
        l = NULL;
    }
    *self = l;
    return rc;
}

static const struct loom_option options[] = {
    LATENTS_OPTIONS,
    {"restarts", LOOM_OPT_INT, 0, "2", "[1,100]", NULL,
     "Random starts, which run side by side for a quarter of the passes; the likeliest goes on."},
    {"same_units", LOOM_OPT_BOOL, 0, "false", NULL, NULL,
     "Units of one name in several recordings of a subject are one neuron: populations that overlap are stitched."},
    {"causal", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "Filter: latents of a bin know of it and of those before alone."},
    POISSON_OPTIONS,
    REGRESSION_OPTIONS,
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = lds_create,
                                                    .destroy = lds_destroy,
                                                    .describe = latents_describe,
                                                    .update = latents_update},
                                           .encode = latents_encode,
                                           .answer = regression_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "lds",
                                          .version = "1.0.0",
                                          .summary = "linear dynamical system by EM, stitching recordings",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
