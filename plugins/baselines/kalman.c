/* SPDX-License-Identifier: Apache-2.0 */
/* Velocity Kalman filter (Wu, Gao, Bienenstock, Donoghue & Black 2006): behaviour x is a linear dynamical system,
 * counts z are linear in it with Gaussian noise,
 *
 *     x_k = A x_{k-1} + b + w, w ~ N(0, W)      z_{k-lag} = H x_k + d + q, q ~ N(0, Q),
 *
 * and both are solved by least squares from one pass of sums. The state is the behaviour in each bin (the mean of its
 * samples there) and, where wanted, its differences from bin to bin; it starts from the training mean and covariance.
 * The filter runs in information form: what a bin's counts say enters through G = Hᵀ Q⁻¹ and S = G H, so that a step
 * costs units × state and no matrix of the size of the population is inverted twice. */
#include <loom/estimator.h>
#include <loom/linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct kalman {
    int32_t lag, differences;
    int steady;
    double noise;
};

static int64_t state_of(const struct kalman *k, int32_t dims)
{
    return dims * (1 + (int64_t)k->differences);
}

/* Where things stand in the state vector of one recording. n: size of x, u: units. */
struct place {
    int64_t n, u;
    int64_t mean, cov, a, b, w, g, s, offset, steady, size;
};

static struct place place_of(const struct kalman *k, const struct loom_recording *of, int32_t dims)
{
    const int64_t n = state_of(k, dims), u = of->units;
    struct place p = {.n = n, .u = u};
    p.cov = p.mean + n;
    p.a = p.cov + n * n;
    p.b = p.a + n * n;
    p.w = p.b + n;
    p.g = p.w + n * n;
    p.s = p.g + n * u;
    p.offset = p.s + n * n;
    p.steady = p.offset + n;
    p.size = p.steady + n * n;
    return p;
}

static int64_t states(const void *self, const struct loom_recording *of, int32_t dims)
{
    return place_of(self, of, dims).size;
}

/* Gram matrices of (1, x, z) in bins, and of (1, x_{k-1}, x_k) over transitions. */
static int64_t sums(const void *self, const struct loom_recording *of, int32_t dims)
{
    const int64_t n = state_of(self, dims), first = 1 + n + of->units, second = 1 + 2 * n;
    return first * first + second * second;
}

static int64_t scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins)
{
    const int64_t n = state_of(self, dims);
    return (int64_t)bins * (n + 1) + of->units + 1 + 2 * n + dims + 8 * n * n + 8 * n;
}

/* ---- sums ---- */

/* The behaviour of each bin: x [bins, n], NaN where it is not known. */
static void behaviour(const struct kalman *k, const struct loom_sequence *s, int64_t n, double *x, double *count,
                      double *y)
{
    const int64_t dims = s->dims;
    memset(count, 0, (size_t)s->bins * sizeof *count);
    memset(x, 0, (size_t)(s->bins * n) * sizeof *x);
    for (int32_t q = 0; q < s->asks; q++) {
        const int64_t bin = loom_sequence_bin(s, q);
        if (bin < 0 || bin >= s->bins || loom_sequence_target(s, q, y) < s->dims)
            continue;
        count[bin] += 1.0;
        for (int64_t d = 0; d < dims; d++)
            x[bin * n + d] += y[d];
    }
    for (int64_t bin = 0; bin < s->bins; bin++)
        for (int64_t d = 0; d < dims; d++)
            x[bin * n + d] = count[bin] > 0.0 ? x[bin * n + d] / count[bin] : (double)NAN;
    for (int64_t order = 1; order <= k->differences; order++)
        for (int64_t bin = 0; bin < s->bins; bin++)
            for (int64_t d = (order - 1) * dims; d < order * dims; d++)
                x[bin * n + dims + d] = bin > 0 ? x[bin * n + d] - x[(bin - 1) * n + d] : (double)NAN;
}

static int known(const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return 0;
    return 1;
}

static void add(const void *self, const struct loom_sequence *s, const double *state, double *to, double *room)
{
    const struct kalman *k = self;
    const int64_t n = state_of(k, s->dims), first = 1 + n + s->of->units, second = 1 + 2 * n;
    double *x = room, *count = x + s->bins * n, *z = count + s->bins, *y = z + 1 + 2 * n + s->of->units;
    (void)state;
    behaviour(k, s, n, x, count, y);
    for (int64_t bin = 0; bin < s->bins; bin++) {
        const double *now = x + bin * n;
        if (!known(now, n))
            continue;
        z[0] = 1.0;
        if (loom_sequence_seen(s, bin - k->lag)) {
            memcpy(z + 1, now, (size_t)n * sizeof *z);
            memset(z + 1 + n, 0, (size_t)s->of->units * sizeof *z);
            loom_sequence_add(s, bin - k->lag, 1.0, z + 1 + n);
            loom_gram_add(to, first, z, 1);
        }
        if (bin == 0 || !known(now - n, n))
            continue;
        memcpy(z + 1, now - n, (size_t)(2 * n) * sizeof *z);
        loom_gram_add(to + first * first, second, z, 1);
    }
}

/* ---- solving ---- */

/* Least squares of the last m of (1, x [n], y [m]) on the first 1 + n, from their Gram matrix g (upper triangle):
 * coef [1 + n, m], and the residuals' sum of squares [m, m]. */
static int regress(const double *g, int64_t n, int64_t m, double *coef, double *residual)
{
    const int64_t k = 1 + n, size = k + m;
    double *a = malloc((size_t)(k * k) * sizeof *a);
    int rc = a != NULL ? LOOM_OK : LOOM_ENOMEM;
    for (int64_t i = 0; a != NULL && i < k; i++) {
        memcpy(a + i * k + i, g + i * size + i, (size_t)(k - i) * sizeof *a);
        a[i * k + i] *= 1.0 + 1e-10;
        memcpy(coef + i * m, g + i * size + k, (size_t)m * sizeof *coef);
    }
    if (rc == LOOM_OK)
        rc = loom_cholesky(a, k, NULL);
    if (rc == LOOM_OK) {
        loom_cholesky_solve(a, k, coef, m);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < m; j++) {
                double sum = g[(k + (i < j ? i : j)) * size + k + (i < j ? j : i)];
                for (int64_t r = 0; r < k; r++)
                    sum -= g[r * size + k + i] * coef[r * m + j];
                residual[i * m + j] = sum;
            }
    }
    free(a);
    return rc;
}

/* Mean and covariance of x, then A, b and W. */
static int solve_dynamics(const struct kalman *k, const struct place *p, const double *bins, const double *steps,
                          double *state)
{
    const int64_t n = p->n, size = 1 + n + p->u, second = 1 + 2 * n;
    double *coef = malloc((size_t)((1 + n) * n) * sizeof *coef);
    int rc = coef != NULL ? regress(steps, n, n, coef, state + p->w) : LOOM_ENOMEM;
    for (int64_t i = 0; i < n; i++)
        state[p->mean + i] = bins[1 + i] / bins[0];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            state[p->cov + i * n + j] = bins[(1 + (i < j ? i : j)) * size + 1 + (i < j ? j : i)] / bins[0] -
                                        state[p->mean + i] * state[p->mean + j];
    for (int64_t i = 0; rc == LOOM_OK && i < n; i++) {
        state[p->b + i] = coef[i];
        for (int64_t j = 0; j < n; j++) {
            state[p->a + i * n + j] = coef[(1 + j) * n + i];
            state[p->w + i * n + j] *= k->noise / (steps[0] - 1.0);
        }
    }
    (void)second;
    free(coef);
    return rc;
}

/* H, d and Q, and of them G = Hᵀ Q⁻¹, S = G H, offset = G d. A unit that never varied says nothing. */
static int solve_counts(const struct place *p, const double *bins, double *state)
{
    const int64_t n = p->n, u = p->u;
    double *coef = malloc((size_t)((1 + n) * u) * sizeof *coef), *q = malloc((size_t)(u * u) * sizeof *q);
    double *g = malloc((size_t)(u * (n + 1)) * sizeof *g), common = 0.0;
    int rc = coef != NULL && q != NULL && g != NULL ? regress(bins, n, u, coef, q) : LOOM_ENOMEM;
    for (int64_t i = 0; rc == LOOM_OK && i < u; i++)
        common += q[i * u + i] / (double)u;
    for (int64_t i = 0; rc == LOOM_OK && i < u; i++) {
        const double square = bins[(1 + n + i) * (1 + n + u) + 1 + n + i];
        const int silent = !(q[i * u + i] > 1e-9 * square);
        for (int64_t j = 0; silent && j < u; j++)
            q[i * u + j] = q[j * u + i] = 0.0;
        for (int64_t j = 0; silent && j <= n; j++)
            coef[j * u + i] = 0.0;
        q[i * u + i] += silent ? common + 1.0 : 1e-6 * common;
        for (int64_t j = 0; j < n; j++)
            g[i * (n + 1) + j] = coef[(1 + j) * u + i];
        g[i * (n + 1) + n] = coef[i];
    }
    if (rc == LOOM_OK) {
        for (int64_t i = 0; i < u * u; i++)
            q[i] /= bins[0];
        rc = loom_cholesky(q, u, NULL);
    }
    if (rc == LOOM_OK)
        loom_cholesky_solve(q, u, g, n + 1);
    for (int64_t i = 0; rc == LOOM_OK && i < n; i++) {
        state[p->offset + i] = 0.0;
        for (int64_t j = 0; j < u; j++) {
            state[p->g + i * u + j] = g[j * (n + 1) + i];
            state[p->offset + i] += g[j * (n + 1) + i] * coef[j];
        }
        for (int64_t j = 0; j < n; j++) {
            state[p->s + i * n + j] = 0.0;
            for (int64_t r = 0; r < u; r++)
                state[p->s + i * n + j] += g[r * (n + 1) + i] * coef[(1 + j) * u + r];
        }
    }
    free(coef);
    free(q);
    free(g);
    return rc;
}

/* P = A P Aᵀ + W. room [n, n] */
static void predict_covariance(const struct place *p, const double *state, double *cov, double *room)
{
    const int64_t n = p->n;
    loom_product(room, state + p->a, cov, n, n, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = state[p->w + i * n + j];
            for (int64_t r = 0; r < n; r++)
                sum += room[i * n + r] * state[p->a + j * n + r];
            cov[i * n + j] = sum;
        }
}

/* P = (I + P S)⁻¹ P, what is left of it after a bin's counts: needs no inverse of P, which differences make singular.
 * room [n, n] */
static void update_covariance(const struct place *p, const double *state, double *cov, double *room)
{
    const int64_t n = p->n;
    loom_product(room, cov, state + p->s, n, n, n);
    for (int64_t i = 0; i < n; i++)
        room[i * n + i] += 1.0;
    loom_solve(room, n, cov, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            cov[i * n + j] = cov[j * n + i] = 0.5 * (cov[i * n + j] + cov[j * n + i]);
}

/* The Riccati equation by iteration: it converges geometrically where the system is observed. */
static void solve_steady(const struct place *p, double *state)
{
    enum { MOST = 10000 };
    const int64_t n = p->n;
    double *cov = state + p->steady, *room = malloc((size_t)(2 * n * n) * sizeof *room), change = 1.0, size = 1.0;
    if (room == NULL)
        return;
    memcpy(cov, state + p->cov, (size_t)(n * n) * sizeof *cov);
    for (int i = 0; i < MOST && change > 1e-12 * size; i++) {
        double *was = room + n * n;
        memcpy(was, cov, (size_t)(n * n) * sizeof *was);
        predict_covariance(p, state, cov, room);
        update_covariance(p, state, cov, room);
        change = size = 0.0;
        for (int64_t j = 0; j < n * n; j++) {
            change += fabs(cov[j] - was[j]);
            size += fabs(cov[j]);
        }
    }
    free(room);
}

static int solve(const void *self, const struct loom_estimate *x, struct loom_error *e)
{
    const struct kalman *k = self;
    const struct place p = place_of(k, x->of, x->dims);
    const int64_t first = 1 + p.n + p.u;
    const double *bins = x->sums[0], *steps = bins + first * first;
    if (p.u == 0 || !(bins[0] > (double)p.n + 1) || !(steps[0] > (double)p.n + 2)) {
        loom_log(LOOM_WARN, "%s of %s is not fitted: %.0f bins with behaviour are too few; give more data", x->asked,
                 x->of->id, bins[0]);
        return LOOM_OK;
    }
    int rc = solve_dynamics(k, &p, bins, steps, x->state);
    if (rc == LOOM_OK)
        rc = solve_counts(&p, bins, x->state);
    if (rc != LOOM_OK)
        return loom_fail(e, rc, x->of->file, 0,
                         "%s of %s: its Kalman filter cannot be solved; look for NaN or for dimensions that never vary",
                         x->asked, x->of->id);
    solve_steady(&p, x->state);
    return LOOM_OK;
}

/* ---- filtering ---- */

struct filter {
    const struct kalman *k;
    struct place p;
    const double *state;
    double *x, *cov, *room, *z; /* [n], [n, n], [2 n n + 2 n], [units] */
};

static void step(struct filter *f, const struct loom_sequence *s, int64_t bin)
{
    const int64_t n = f->p.n, u = f->p.u;
    double *said = f->room + n * n, *next = said + n;
    for (int64_t i = 0; bin > 0 && i < n; i++) {
        next[i] = f->state[f->p.b + i];
        for (int64_t j = 0; j < n; j++)
            next[i] += f->state[f->p.a + i * n + j] * f->x[j];
    }
    if (bin > 0) {
        memcpy(f->x, next, (size_t)n * sizeof *next);
        predict_covariance(&f->p, f->state, f->cov, f->room);
    }
    if (!loom_sequence_seen(s, bin - f->k->lag))
        return;
    memset(f->z, 0, (size_t)u * sizeof *f->z);
    loom_sequence_add(s, bin - f->k->lag, 1.0, f->z);
    update_covariance(&f->p, f->state, f->cov, f->room);
    const double *cov = f->k->steady ? f->state + f->p.steady : f->cov;
    for (int64_t i = 0; i < n; i++) {
        said[i] = -f->state[f->p.offset + i];
        for (int64_t j = 0; j < u; j++)
            said[i] += f->state[f->p.g + i * u + j] * f->z[j];
        for (int64_t j = 0; j < n; j++)
            said[i] -= f->state[f->p.s + i * n + j] * f->x[j];
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            f->x[i] += cov[i * n + j] * said[j];
}

/* x of every bin into path [bins, n]. */
static void filter_all(struct filter *f, const struct loom_sequence *s, double *path)
{
    const int64_t n = f->p.n;
    memcpy(f->x, f->state + f->p.mean, (size_t)n * sizeof *f->x);
    memcpy(f->cov, f->state + f->p.cov, (size_t)(n * n) * sizeof *f->cov);
    for (int64_t bin = 0; bin < s->bins; bin++) {
        step(f, s, bin);
        memcpy(path + bin * n, f->x, (size_t)n * sizeof *path);
    }
}

static void predict(const void *self, const struct loom_sequence *s, const double *state, double *out, double *room)
{
    const struct kalman *k = self;
    struct filter f = {.k = k, .p = place_of(k, s->of, s->dims), .state = state};
    const int64_t n = f.p.n;
    double *path = room;
    f.x = path + s->bins * n;
    f.cov = f.x + n;
    f.room = f.cov + n * n;
    f.z = f.room + 2 * n * n + 2 * n;
    filter_all(&f, s, path);
    for (int32_t q = 0; q < s->asks; q++) {
        int64_t bin = loom_sequence_bin(s, q);
        bin = bin < 0 ? 0 : bin >= s->bins ? s->bins - 1 : bin;
        for (int32_t d = 0; d < s->dims; d++)
            out[q * s->dims + d] = s->bins > 0 ? path[bin * n + d] : state[f.p.mean + d];
    }
}

static const struct loom_estimator estimator = {.name = "kalman",
                                                .states = states,
                                                .sums = sums,
                                                .scratch = scratch,
                                                .add = add,
                                                .predict = predict,
                                                .solve = solve};

/* ---- the plugin ---- */

static int kalman_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct kalman *k = calloc(1, sizeof *k);
    if (k == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some");
    k->lag = (int32_t)lround(loom_opt_real(o, "lag_ms") / 1000.0 / loom_catalog_bin_s(loom_setup_catalog(s)));
    k->differences = (int32_t)loom_opt_int(o, "differences");
    k->steady = loom_opt_bool(o, "steady");
    k->noise = loom_opt_real(o, "noise");
    *self = k;
    return LOOM_OK;
}

static int kalman_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct kalman *k = self;
    (void)e;
    t->needs = LOOM_STEPS | LOOM_UNITS | LOOM_KEEPS_ROWS;
    t->offers = LOOM_TARGET_SPACE | LOOM_IN_PLACE | LOOM_ANYWHERE | LOOM_AHEAD | (k->lag >= 0 ? LOOM_CAUSAL : 0);
    t->width = 1;
    return LOOM_OK;
}

static struct loom_memory kalman_encode(const void *self, struct loom_build *b, const struct loom_view *v,
                                        struct loom_node *x)
{
    (void)self, (void)b, (void)x;
    return (struct loom_memory){.rows = &v->in};
}

static struct loom_answer kalman_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                        const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    (void)m, (void)q;
    return loom_estimator_answer(&estimator, self, 1, b, v, NULL, ask);
}

static int kalman_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    return loom_estimator_update(&estimator, self, 1, 1, u, e);
}

static const struct loom_option options[] = {
    {"lag_ms", LOOM_OPT_REAL, 0, "100", "[-5000,5000]", "ms",
     "How far counts run ahead of the behaviour that they tell of; negative = they follow it, and the filter waits."},
    {"differences", LOOM_OPT_INT, 0, "1", "[0,2]", NULL,
     "Differences of the behaviour from bin to bin that are part of the state: 1 adds the acceleration of a velocity."},
    {"steady", LOOM_OPT_BOOL, 0, "false", NULL, NULL,
     "Use the gain that the filter ends at (the Riccati equation's) from the first bin on."},
    {"noise", LOOM_OPT_REAL, 0, "1", "(0,inf)", NULL, "Multiplies W: more than 1 trusts counts, less the dynamics."},
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = kalman_create,
                                                    .destroy = free,
                                                    .describe = kalman_describe,
                                                    .update = kalman_update},
                                           .encode = kalman_encode,
                                           .answer = kalman_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "kalman",
                                          .version = "1.0.0",
                                          .summary = "Kalman filter of behaviour from counts",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
