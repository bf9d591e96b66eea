/* SPDX-License-Identifier: Apache-2.0 */
/* The E step of the baseline `lds`: a Kalman filter in information form, which never touches what is missing, a
 * smoother (Rauch, Tung & Striebel 1965), and the sums that the M step takes. */
#include "lds.h"

#include <loom/linalg.h>

#include <math.h>
#include <string.h>

int64_t lds_scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins)
{
    const int64_t n = dims, units = of->units;
    (void)self;
    return (int64_t)bins * (n * n + n + units + 1 + units / 8 + 1) + 8 * n * n + 8 * n + 8;
}

/* One sequence, read once: y [bins, units]; seen [bins, units] as bytes; filtered, then smoothed m, P. */
struct smoother {
    const struct lds *l;
    struct lds_place p;
    const struct loom_sequence *s;
    const int32_t *neuron;
    const double *model;
    double *m, *cov, *y;
    uint8_t *seen;
    double *info, *next, *ahead, *room, *h, *said; /* [n, n] each; h, said [n] */
    double ll, logs;
    int64_t observed, informed; /* bin that info was made for, or -1 */
};

static void open_smoother(struct smoother *w, const struct lds *l, const struct loom_sequence *s, double *room)
{
    const int64_t n = l->latents.dims, bins = s->bins, units = s->of->units;
    *w = (struct smoother){.l = l, .p = lds_place_of(l), .s = s, .neuron = l->neuron[s->recording]};
    w->m = room;
    w->cov = w->m + bins * n;
    w->y = w->cov + bins * n * n;
    w->info = w->y + bins * units;
    w->next = w->info + n * n;
    w->ahead = w->next + n * n;
    w->room = w->ahead + n * n;
    w->h = w->room + 2 * (n + 1) * (n + 1);
    w->said = w->h + n;
    w->seen = (uint8_t *)(w->said + 2 * n);
    for (int64_t t = 0; t < bins; t++)
        latents_read(&l->latents, s, t, w->y + t * units, w->seen + t * units);
}

static const double *unit_of(const struct smoother *w, int64_t u)
{
    return w->model + w->p.unit + w->neuron[u] * w->p.unit_size;
}

/* Σ c cᵀ / r over what is observed at t; the same as before where the same is. */
static void inform(struct smoother *w, int64_t t)
{
    const int64_t n = w->p.n, units = w->s->of->units;
    const uint8_t *seen = w->seen + t * units;
    if (w->informed >= 0 && memcmp(seen, w->seen + w->informed * units, (size_t)units) == 0)
        return;
    memset(w->info, 0, (size_t)(n * n) * sizeof *w->info);
    w->logs = 0.0;
    w->observed = 0;
    w->informed = t;
    for (int64_t u = 0; u < units; u++) {
        const double *c = unit_of(w, u), r = c[n + 1];
        if (!seen[u] || !(r > 0.0))
            continue;
        w->observed++;
        w->logs += log(r);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                w->info[i * n + j] += c[i] * c[j] / r;
    }
}

/* out = a b aᵀ (+ plus) */
static void congruence(double *out, const double *a, const double *b, const double *plus, int64_t n, double *room)
{
    loom_product(room, a, b, n, n, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = plus != NULL ? plus[i * n + j] : 0.0;
            for (int64_t k = 0; k < n; k++)
                sum += room[i * n + k] * a[j * n + k];
            out[i * n + j] = sum;
        }
}

void lds_symmetrise(double *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            a[i * n + j] = a[j * n + i] = 0.5 * (a[i * n + j] + a[j * n + i]);
}

static void apply(double *out, const double *a, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        out[i] = 0.0;
        for (int64_t j = 0; j < n; j++)
            out[i] += a[i * n + j] * x[j];
    }
}

/* What bin t says, given its prediction in m, cov: P = (I + P⁻ L)⁻¹ P⁻, m = m⁻ + P h, and
 * ln p = -½ (|O| ln 2π + Σ ln r + ln det(I + P⁻ L) + q - hᵀ P h). */
static void observe(struct smoother *w, int64_t t)
{
    const int64_t n = w->p.n, units = w->s->of->units;
    double *m = w->m + t * n, *cov = w->cov + t * n * n, q = 0.0, det = 0.0;
    inform(w, t);
    if (w->observed == 0)
        return;
    memset(w->h, 0, (size_t)n * sizeof *w->h);
    for (int64_t u = 0; u < units; u++) {
        const double *c = unit_of(w, u), r = c[n + 1];
        if (!w->seen[t * units + u] || !(r > 0.0))
            continue;
        double left = w->y[t * units + u] - c[n];
        for (int64_t i = 0; i < n; i++)
            left -= c[i] * m[i];
        q += left * left / r;
        for (int64_t i = 0; i < n; i++)
            w->h[i] += c[i] * left / r;
    }
    loom_product(w->room, cov, w->info, n, n, n);
    for (int64_t i = 0; i < n; i++)
        w->room[i * n + i] += 1.0;
    loom_solve(w->room, n, cov, n);
    lds_symmetrise(cov, n);
    apply(w->said, cov, w->h, n);
    for (int64_t i = 0; i < n; i++) {
        det += log(fabs(w->room[i * n + i]));
        q -= w->h[i] * w->said[i];
        m[i] += w->said[i];
    }
    w->ll -= 0.5 * ((double)w->observed * log(2.0 * M_PI) + w->logs + det + q);
}

static void forward(struct smoother *w, const double *model)
{
    const int64_t n = w->p.n;
    w->model = model;
    w->ll = 0.0;
    w->informed = -1;
    for (int64_t t = 0; t < w->s->bins; t++) {
        double *m = w->m + t * n, *cov = w->cov + t * n * n;
        if (t == 0) {
            memcpy(m, model + w->p.mu, (size_t)n * sizeof *m);
            memcpy(cov, model + w->p.v, (size_t)(n * n) * sizeof *cov);
        } else {
            apply(m, model + w->p.a, m - n, n);
            congruence(cov, model + w->p.a, cov - n * n, model + w->p.q, n, w->room);
        }
        observe(w, t);
    }
}

/* Smooths bin t, whose successor is smoothed (Rauch, Tung & Striebel 1965). Leaves Cov(x_{t+1}, x_t) in w->ahead. */
static void back(struct smoother *w, int64_t t)
{
    const int64_t n = w->p.n;
    const double *a = w->model + w->p.a;
    double *m = w->m + t * n, *cov = w->cov + t * n * n, *after = m + n, *cov_after = cov + n * n;
    double *gain = w->room + n * n; /* transposed: P⁻⁻¹ A P */
    congruence(w->next, a, cov, w->model + w->p.q, n, w->room);
    loom_product(gain, a, cov, n, n, n);
    memcpy(w->room, w->next, (size_t)(n * n) * sizeof *w->room);
    loom_solve(w->room, n, gain, n);
    apply(w->said, a, m, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            m[i] += gain[j * n + i] * (after[j] - w->said[j]);
    loom_product(w->ahead, cov_after, gain, n, n, n);
    for (int64_t i = 0; i < n * n; i++)
        w->next[i] = cov_after[i] - w->next[i];
    loom_product(w->room, w->next, gain, n, n, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t k = 0; k < n; k++)
                cov[i * n + j] += gain[k * n + i] * w->room[k * n + j];
    lds_symmetrise(cov, n);
}

static void add_neurons(struct smoother *w, int64_t t, double *to)
{
    const int64_t n = w->p.n, k = n + 1, units = w->s->of->units;
    double *second = w->room, *x = w->said;
    memcpy(x, w->m + t * n, (size_t)n * sizeof *x);
    x[n] = 1.0;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = i; j < k; j++)
            second[i * k + j] = x[i] * x[j] + (j < n ? w->cov[t * n * n + i * n + j] : 0.0);
    for (int64_t u = 0; u < units; u++) {
        double *g = to + w->p.g + w->neuron[u] * w->p.g_size, y = w->y[t * units + u];
        if (!w->seen[t * units + u])
            continue;
        for (int64_t i = 0; i < k; i++) {
            for (int64_t j = i; j < k; j++)
                g[i * k + j] += second[i * k + j];
            g[k * k + i] += y * x[i];
        }
        g[k * k + k] += y * y;
    }
}

static void add_steps(const struct smoother *w, int64_t t, double *to)
{
    const int64_t n = w->p.n;
    const double *m = w->m + t * n, *cov = w->cov + t * n * n, *after = m + n, *cov_after = cov + n * n;
    to[SUM_STEPS] += 1.0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            to[w->p.s11 + i * n + j] += cov_after[i * n + j] + after[i] * after[j];
            to[w->p.s10 + i * n + j] += w->ahead[i * n + j] + after[i] * m[j];
            to[w->p.s00 + i * n + j] += cov[i * n + j] + m[i] * m[j];
        }
}

static void add_sequence(struct smoother *w, const double *model, double *to)
{
    const int64_t n = w->p.n;
    forward(w, model);
    to[SUM_LL] += w->ll;
    to[SUM_SEQUENCES] += 1.0;
    for (int64_t t = w->s->bins - 1; t >= 0; t--) {
        if (t < w->s->bins - 1) {
            back(w, t);
            add_steps(w, t, to);
        }
        add_neurons(w, t, to);
    }
    for (int64_t i = 0; i < n; i++) {
        to[w->p.x1 + i] += w->m[i];
        for (int64_t j = 0; j < n; j++)
            to[w->p.x11 + i * n + j] += w->cov[i * n + j] + w->m[i] * w->m[j];
    }
}

static void add_stats(const struct smoother *w, double *to)
{
    const int64_t units = w->s->of->units;
    for (int64_t i = 0; i < w->s->bins * units; i++)
        if (w->seen[i]) {
            double *one = to + 3 * w->neuron[i % units];
            one[0] += 1.0;
            one[1] += w->y[i];
            one[2] += w->y[i] * w->y[i];
        }
}

int lds_running(const double *state, int32_t start)
{
    return state[CHOSEN] < 0.0 || state[CHOSEN] == start;
}

void lds_add(const void *self, const struct loom_sequence *s, const double *state, double *to, double *room)
{
    const struct lds *l = self;
    struct smoother w;
    if (state[READY] != 0.0 || s->bins == 0 || s->of->units == 0)
        return;
    open_smoother(&w, l, s, room);
    if (state[PASSES] == 0.0) {
        add_stats(&w, to);
        return;
    }
    for (int32_t i = 0; i < l->restarts; i++)
        if (lds_running(state, i))
            add_sequence(&w, state + w.p.model + i * w.p.model_size, to + i * w.p.sum_size);
}

void lds_predict(const void *self, const struct loom_sequence *s, const double *state, double *out, double *room)
{
    const struct lds *l = self;
    struct smoother w;
    if (state[READY] == 0.0 || s->bins == 0)
        return;
    open_smoother(&w, l, s, room);
    forward(&w, state + w.p.model + (int64_t)state[CHOSEN] * w.p.model_size);
    for (int64_t t = s->bins - 2; t >= 0 && !l->causal; t--)
        back(&w, t);
    memcpy(out, w.m, (size_t)(s->bins * w.p.n) * sizeof *out);
}
