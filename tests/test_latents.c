/* SPDX-License-Identifier: Apache-2.0 */
/* Latent-variable baselines: EM's likelihood never falls and is that of a dense joint Gaussian; populations that were
 * never recorded together are stitched. */
#include "fitting.h"
#include "recorded.h"

#include <loom/linalg.h>
#include <loom/rng.h>

#include <math.h>
#include <stdio.h>

enum { NEURONS = 18, UNITS = 12, LATENTS = 2, LAGS = 4 };
static const double scale = 100.0, middle = 1000.0; /* counts = middle + scale y, so that rounding hardly shows */

/* A linear dynamical system, and two recordings of it: of neurons 0 … 11, and of neurons 6 … 17. */
struct truth {
    double a[LATENTS][LATENTS], c[NEURONS][LATENTS], noise[NEURONS];
};

static void make_truth(struct truth *x)
{
    struct loom_rng g;
    loom_rng_init(&g, 3, "truth", 0, 0);
    *x = (struct truth){.a = {{0.93, -0.25}, {0.25, 0.93}}};
    for (int i = 0; i < NEURONS; i++) {
        x->noise[i] = 0.5 + loom_rng_uniform(&g);
        for (int j = 0; j < LATENTS; j++)
            x->c[i][j] = loom_rng_normal(&g);
    }
}

static void make_half(struct recorded *h, const struct truth *of, const char *id, int first, int bins, uint64_t seed)
{
    struct loom_rng g;
    double x[LATENTS] = {0}, next[LATENTS];
    loom_rng_init(&g, seed, "half", 0, 0);
    recorded_init(h, id, bins, first, UNITS, "latent", 1);
    for (int t = -200; t < bins; t++) {
        for (int i = 0; i < LATENTS; i++) {
            next[i] = 0.3 * loom_rng_normal(&g);
            for (int j = 0; j < LATENTS; j++)
                next[i] += of->a[i][j] * x[j];
        }
        memcpy(x, next, sizeof x);
        if (t < 0)
            continue;
        h->value[t] = (float)x[0];
        for (int u = 0; u < UNITS; u++) {
            double y = of->noise[first + u] * loom_rng_normal(&g);
            for (int j = 0; j < LATENTS; j++)
                y += of->c[first + u][j] * x[j];
            h->count[t * UNITS + u] = (uint16_t)lround(middle + scale * y);
        }
    }
}

/* ---- where lds keeps what ---- */

struct model {
    double ll, a[LATENTS][LATENTS], q[LATENTS][LATENTS], v[LATENTS][LATENTS], mu[LATENTS];
    struct {
        double c[LATENTS], d, r;
    } unit[NEURONS];
};

static void take(const struct fitted *f, int64_t *at, double *to, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = fit_number(f, "backbone.em", (*at)++);
}

static void read_model(const struct fitted *f, int neurons, int start, struct model *m)
{
    const int64_t one = 3 + 3 * LATENTS * LATENTS + LATENTS + neurons * (LATENTS + 2);
    int64_t at = 3 + 3 * neurons + start * one;
    double lls[3];
    take(f, &at, lls, 3);
    m->ll = lls[2];
    take(f, &at, m->a[0], LATENTS * LATENTS);
    take(f, &at, m->q[0], LATENTS * LATENTS);
    take(f, &at, m->v[0], LATENTS * LATENTS);
    take(f, &at, m->mu, LATENTS);
    for (int i = 0; i < neurons; i++)
        take(f, &at, m->unit[i].c, LATENTS + 2);
}

static const char *const pipeline =
    "stage: { objectives: ( { plugin = \"decode\"; target = \"latent\"; } ); };"
    " lds: { dims = 2; transform = \"none\"; iterations = %d; restarts = %d; tolerance = 0.0; same_units = true; };"
    " gpfa: { dims = 2; transform = \"none\"; iterations = %d; tolerance = 0.0; segment = 12; };";

static void open_fit(struct fitted *f, const struct loom_catalog *c, const char *baseline, int iterations, int restarts)
{
    char text[512];
    snprintf(text, sizeof text, pipeline, iterations, restarts, iterations);
    fit_open(f, c, text, baseline);
}

/* ---- the likelihood ---- */

/* ln p of bins [from, to) under the model, from the joint covariance of all that was observed in them. */
static double dense(const struct model *m, const struct recorded *h, int from, int to)
{
    enum { SIZE = 160 };
    static double k[SIZE * SIZE], y[SIZE], x[SIZE], cov[20][LATENTS][LATENTS], mean[20][LATENTS];
    const int bins = to - from, n = bins * UNITS;
    double ll = 0.0;
    ck_assert_int_le(n, SIZE);
    memcpy(cov[0], m->v, sizeof cov[0]);
    memcpy(mean[0], m->mu, sizeof mean[0]);
    for (int t = 1; t < bins; t++)
        for (int i = 0; i < LATENTS; i++) {
            mean[t][i] = 0.0;
            for (int j = 0; j < LATENTS; j++) {
                mean[t][i] += m->a[i][j] * mean[t - 1][j];
                cov[t][i][j] = m->q[i][j];
                for (int r = 0; r < LATENTS; r++)
                    for (int s = 0; s < LATENTS; s++)
                        cov[t][i][j] += m->a[i][r] * cov[t - 1][r][s] * m->a[j][s];
            }
        }
    for (int t = 0; t < bins; t++)
        for (int u = 0; u < UNITS; u++) {
            y[t * UNITS + u] = h->count[(from + t) * UNITS + u] - m->unit[u].d;
            for (int i = 0; i < LATENTS; i++)
                y[t * UNITS + u] -= m->unit[u].c[i] * mean[t][i];
        }
    for (int t = 0; t < bins; t++) {
        double power[LATENTS][LATENTS];
        memcpy(power, cov[t], sizeof power); /* Cov(x_s, x_t) = A^(s - t) P_t for s >= t */
        for (int s = t; s < bins; s++) {
            for (int u = 0; u < UNITS; u++)
                for (int w = 0; w < UNITS; w++) {
                    double sum = s == t && u == w ? m->unit[u].r : 0.0;
                    for (int i = 0; i < LATENTS; i++)
                        for (int j = 0; j < LATENTS; j++)
                            sum += m->unit[w].c[i] * power[i][j] * m->unit[u].c[j];
                    k[(t * UNITS + u) * n + s * UNITS + w] = sum;
                }
            double next[LATENTS][LATENTS] = {{0}};
            for (int i = 0; i < LATENTS; i++)
                for (int j = 0; j < LATENTS; j++)
                    for (int r = 0; r < LATENTS; r++)
                        next[i][j] += m->a[i][r] * power[r][j];
            memcpy(power, next, sizeof power);
        }
    }
    memcpy(x, y, sizeof x);
    ck_ok(loom_cholesky(k, n, &error), &error);
    loom_cholesky_solve(k, n, x, 1);
    for (int i = 0; i < n; i++)
        ll -= 0.5 * (log(2.0 * M_PI) + 2.0 * log(k[i * n + i]) + x[i] * y[i]);
    return ll;
}

/* 80 bins, of which 56 train in five sequences. What a pass says of the parameters that the pass before left. */
START_TEST(likelihood_is_the_dense_one)
{
    static struct truth truth;
    static struct recorded h;
    static struct model m, then;
    const struct loom_recording *one[] = {&h.r};
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *c;
    struct loom_windows w;
    struct fitted f;
    double ll = 0.0;
    make_truth(&truth);
    make_half(&h, &truth, "a", 0, 80, 1);
    ck_ok(loom_catalog_new(&c, one, 1, &spec, &error), &error);
    open_fit(&f, c, "lds", 50, 1);
    for (int pass = 0; pass < 4; pass++)
        ck_assert_int_eq(fit_pass(&f, c, pass), 1);
    read_model(&f, UNITS, 0, &m);
    ck_assert_int_eq(fit_pass(&f, c, 4), 1);
    read_model(&f, UNITS, 0, &then);
    fit_windows(&w, c, LOOM_TRAIN, 5);
    ck_assert_int_eq(w.n, 5);
    for (int i = 0; i < w.n; i++) {
        const int from = (int)lround((double)w.sample[i].origin_ns * 1e-9 / 0.05);
        ll += dense(&m, &h, from, from + (int)lround(w.sample[i].length_s / 0.05));
    }
    ck_near(then.ll, ll, 1e-6 * fabs(ll));
    loom_windows_release(&w);
    fit_release(&f);
    loom_catalog_free(c);
    recorded_release(&h);
}
END_TEST

static const char *const models[] = {"lds", "gpfa"};

START_TEST(likelihood_never_falls)
{
    static struct truth truth;
    static struct recorded h;
    const struct loom_recording *one[] = {&h.r};
    const int lds = strcmp(models[_i], "lds") == 0;
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *c;
    struct fitted f;
    double before = -INFINITY, first = 0.0;
    make_truth(&truth);
    make_half(&h, &truth, "a", 0, 600, 2);
    ck_ok(loom_catalog_new(&c, one, 1, &spec, &error), &error);
    open_fit(&f, c, models[_i], 40, 1);
    for (int pass = 0; pass <= 40; pass++) {
        ck_assert_int_eq(fit_pass(&f, c, pass), 1);
        double ll = lds ? fit_number(&f, "backbone.em", 3 + 3 * UNITS + 2) : fit_number(&f, "backbone.em.a", 4);
        if (pass == 0)
            continue;
        ck_assert_msg(ll >= before - 1e-9 * fabs(ll), "pass %d of %s: log-likelihood %.12g after %.12g", pass,
                      models[_i], ll, before);
        first = pass == 1 ? ll : first;
        before = ll;
    }
    ck_assert_msg(before > first + 50.0, "40 passes gain %g nats", before - first);
    fit_release(&f);
    loom_catalog_free(c);
    recorded_release(&h);
}
END_TEST

/* ---- stitching ---- */

/* Cov(y_i at t + lag, y_j at t) of neurons recorded in the first half alone and in the second alone. */
static void lagged(const double a[LATENTS][LATENTS], const double q[LATENTS][LATENTS], const double *c, int stride,
                   double *out)
{
    double p[LATENTS][LATENTS] = {{0}}, next[LATENTS][LATENTS];
    for (int k = 0; k < 2000; k++) {
        for (int i = 0; i < LATENTS; i++)
            for (int j = 0; j < LATENTS; j++) {
                next[i][j] = q[i][j];
                for (int r = 0; r < LATENTS; r++)
                    for (int s = 0; s < LATENTS; s++)
                        next[i][j] += a[i][r] * p[r][s] * a[j][s];
            }
        memcpy(p, next, sizeof p);
    }
    for (int lag = 0; lag < LAGS; lag++) {
        for (int u = 0; u < 6; u++)
            for (int w = UNITS; w < NEURONS; w++) {
                double sum = 0.0;
                for (int i = 0; i < LATENTS; i++)
                    for (int j = 0; j < LATENTS; j++)
                        sum += c[u * stride + i] * p[i][j] * c[w * stride + j];
                *out++ = sum;
            }
        for (int i = 0; i < LATENTS; i++)
            for (int j = 0; j < LATENTS; j++) {
                next[i][j] = 0.0;
                for (int r = 0; r < LATENTS; r++)
                    next[i][j] += a[i][r] * p[r][j];
            }
        memcpy(p, next, sizeof p);
    }
}

static double correlation(const double *x, const double *y, int n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        mx += x[i] / n;
        my += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xy / sqrt(xx * yy);
}

/* Turaga et al. 2013: what two populations that share six neurons have in common, of pairs that never stood together.
 */
START_TEST(populations_are_stitched)
{
    enum { PAIRS = 6 * 6 * LAGS };
    static struct truth truth;
    static struct recorded a, b;
    static struct model m;
    static double told[PAIRS], said[PAIRS];
    const double q[LATENTS][LATENTS] = {{0.09, 0}, {0, 0.09}};
    const struct loom_recording *both[] = {&a.r, &b.r};
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *c;
    struct fitted f;
    make_truth(&truth);
    make_half(&a, &truth, "a", 0, 2000, 3);
    make_half(&b, &truth, "b", NEURONS - UNITS, 2000, 4);
    ck_ok(loom_catalog_new(&c, both, 2, &spec, &error), &error);
    open_fit(&f, c, "lds", 50, 4);
    for (int pass = 0, more = 1; more; pass++)
        more = fit_pass(&f, c, pass);
    read_model(&f, NEURONS, (int)fit_number(&f, "backbone.em", 1), &m);
    lagged((const double(*)[LATENTS])truth.a, q, truth.c[0], LATENTS, told);
    lagged((const double(*)[LATENTS])m.a, (const double(*)[LATENTS])m.q, m.unit[0].c, LATENTS + 2, said);
    const double r = correlation(told, said, PAIRS);
    printf("# lagged covariances of pairs never recorded together: correlation %.4f with the truth\n", r);
    ck_assert_msg(r > 0.9, "correlation %g", r);
    fit_release(&f);
    loom_catalog_free(c);
    recorded_release(&a);
    recorded_release(&b);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {likelihood_is_the_dense_one, populations_are_stitched};
    Suite *s = suite_create("latents");
    TCase *t = tcase_create("latents");
    tcase_set_timeout(t, 120);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tcase_add_test(t, tests[i]);
    tcase_add_loop_test(t, likelihood_never_falls, 0, (int)(sizeof models / sizeof *models));
    suite_add_tcase(s, t);
    return run_tap(s);
}
