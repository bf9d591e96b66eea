/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator through the whole path: pipeline text, child process, cache, catalogue. */
#include "data/catalog.h"
#include "plugin/registry.h"
#include "suite.h"

#include <loom/config.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct made {
    struct loom_config *config;
    struct loom_registry *registry;
    struct loom_catalog *c;
    struct loom_error e;
};

static void made_init(struct made *m, const char *options)
{
    char text[512];
    memset(m, 0, sizeof *m);
    snprintf(text, sizeof text, "data: { source = \"sim\"; refresh = true; %s };", options);
    ck_ok(loom_config_parse(&m->config, text, "sim.cfg", 0, NULL, &m->e), &m->e);
    ck_ok(loom_registry_new(&m->registry, NULL, &m->e), &m->e);
    ck_ok(loom_catalog_open(&m->c, loom_config_group(m->config, "data"), m->registry, &m->e), &m->e);
    ck_ok(loom_catalog_check_leaks(m->c, &m->e), &m->e);
}

static void made_release(struct made *m)
{
    loom_catalog_free(m->c);
    loom_registry_free(m->registry);
    loom_config_free(m->config);
}

static int32_t find_unit(const struct loom_recording *r, const char *name)
{
    for (int32_t u = 0; u < r->units; u++)
        if (strcmp(r->unit[u].name, name) == 0)
            return u;
    return -1;
}

static double rate_of(const struct loom_recording *r, int32_t u)
{
    return (double)(r->first_spike[u + 1] - r->first_spike[u]) / (r->stop_s - r->start_s);
}

/* Days of one animal share the units that were not replaced, and those fire alike; another animal's are its own. */
START_TEST(days_share_units)
{
    struct made m;
    made_init(&m, "subjects = 2; sessions = 2; trials = 20; units = 40; turnover = 0.25;");
    ck_assert_int_eq(loom_catalog_count(m.c), 4);
    const struct loom_recording *a = loom_catalog_recording(m.c, 0), *b = loom_catalog_recording(m.c, 1),
                                *other = loom_catalog_recording(m.c, 2);
    ck_assert_str_eq(a->id, "sim1_day1");
    ck_assert_str_eq(other->subject, "sim2");
    int shared = 0;
    double same = 0.0, different = 0.0;
    for (int32_t u = 0; u < a->units; u++) {
        int32_t v = find_unit(b, a->unit[u].name);
        if (v < 0)
            continue;
        shared++;
        same += fabs(log((rate_of(a, u) + 0.1) / (rate_of(b, v) + 0.1)));
        different += fabs(log((rate_of(a, u) + 0.1) / (rate_of(other, v) + 0.1)));
    }
    ck_assert_int_ge(shared, 22);
    ck_assert_int_le(shared, 37);
    ck_assert_msg(same < 0.5 * different, "log rates differ by %g within, by %g between animals", same, different);
    made_release(&m);
}
END_TEST

static int equal_spikes(const struct loom_recording *a, const struct loom_recording *b)
{
    const int64_t n = a->first_spike[a->units];
    return a->units == b->units && n == b->first_spike[b->units] &&
           memcmp(a->spike_s, b->spike_s, (size_t)n * sizeof *a->spike_s) == 0;
}

START_TEST(seeds_reproduce)
{
    struct made a, b, c, more;
    made_init(&a, "trials = 6; units = 10; seed = 5;");
    made_init(&b, "trials = 6; units = 10; seed = 5;");
    made_init(&c, "trials = 6; units = 10; seed = 6;");
    made_init(&more, "trials = 6; units = 10; seed = 5; sessions = 2; subjects = 2;");
    ck_assert(equal_spikes(loom_catalog_recording(a.c, 0), loom_catalog_recording(b.c, 0)));
    ck_assert(!equal_spikes(loom_catalog_recording(a.c, 0), loom_catalog_recording(c.c, 0)));
    ck_assert(equal_spikes(loom_catalog_recording(a.c, 0), loom_catalog_recording(more.c, 0)));
    made_release(&a);
    made_release(&b);
    made_release(&c);
    made_release(&more);
}
END_TEST

struct fit {
    double n, rate, count, squares, nll, nll_mean, mean;
};

/* Counts of 10 ms bins against the true rate at each bin's begin: dispersion, and Poisson loss with its constant. */
static struct fit fit_truth(struct loom_catalog *c, double mean)
{
    struct loom_selection s;
    struct loom_windows w;
    struct loom_arena arena;
    struct loom_error e = {0};
    struct loom_series_want want = {.name = "rates"};
    struct fit f = {0};
    ck_ok(loom_arena_init(&arena, (size_t)64 << 20, &e), &e);
    ck_ok(loom_selection_init(&s, c, LOOM_TRAIN, (struct loom_words){0, NULL}, &e), &e);
    ck_ok(loom_windows_init(&w, &s, &(struct loom_tiling){0}, &e), &e);
    for (int32_t i = 0; i < w.n; i++) {
        struct loom_window x;
        size_t mark = loom_arena_mark(&arena);
        ck_ok(
            loom_window_fill(c, &w.sample[i], &(struct loom_window_ask){&want, 1, 0, 0, 0, 0, 0}, &arena, &x, NULL, &e),
            &e);
        ck_assert_int_eq(x.series[0].samples, x.bins);
        ck_assert_int_eq(x.series[0].dims, x.units);
        for (int32_t k = 0; k < x.bins * x.units; k++) {
            double rate = (double)x.series[0].value[k] * 0.01, n = x.count[k];
            f.n++;
            f.rate += rate;
            f.count += n;
            f.squares += (n - rate) * (n - rate);
            f.nll += rate - n * log(rate + 1e-9) + lgamma(n + 1.0);
            f.nll_mean += mean - n * log(mean + 1e-9) + lgamma(n + 1.0);
        }
        loom_arena_rewind(&arena, mark);
    }
    f.mean = f.count / f.n;
    loom_windows_release(&w);
    loom_selection_release(&s);
    loom_arena_release(&arena);
    return f;
}

static const char whole[] = "bin_ms = 10.0; window = \"trial\"; truth = true; "
                            "split: { by = \"trial\"; train = 1.0; valid = 0.0; test = 0.0; };";

/* The published set has 0.0183 spikes a bin, and a loss of 0.0775 under the true rates; both hang on the readout drawn.
 */
START_TEST(lorenz_numbers)
{
    char options[300];
    snprintf(options, sizeof options, "kind = \"lorenz\"; trials = 200; %s", whole);
    struct made m;
    made_init(&m, options);
    struct fit f = fit_truth(m.c, 0.0183);
    ck_assert_int_eq(loom_catalog_recording(m.c, 0)->units, 60);
    ck_assert(f.n == 200 * 100 * 60);
    ck_near(f.mean, 0.0183, 0.006);
    ck_near(f.count / f.rate, 1.0, 0.03);   /* counts follow the rates … */
    ck_near(f.squares / f.rate, 1.0, 0.05); /* … as Poisson variance says */
    ck_near(f.nll / f.n, 0.0775, 0.02);
    ck_assert(f.nll < 0.95 * f.nll_mean);
    made_release(&m);
}
END_TEST

START_TEST(chaos_numbers)
{
    char options[300];
    snprintf(options, sizeof options, "kind = \"chaos\"; conditions = 20; trials = 100; %s", whole);
    struct made m;
    made_init(&m, options);
    struct fit f = fit_truth(m.c, 0.15);
    ck_assert_int_eq(loom_catalog_recording(m.c, 0)->units, 50);
    ck_near(f.mean, 0.15, 0.04); /* half of 30 Hz */
    ck_near(f.count / f.rate, 1.0, 0.02);
    ck_near(f.squares / f.rate, 1.0, 0.03);
    made_release(&m);
}
END_TEST

START_TEST(reach_numbers)
{
    struct made m;
    made_init(&m, "trials = 30; units = 40; truth = true; bin_ms = 10.0;"
                  "split: { train = 1.0; valid = 0.0; test = 0.0; };");
    const struct loom_recording *r = loom_catalog_recording(m.c, 0);
    const struct loom_series *v = loom_recording_series(r, "handVel"), *p = loom_recording_series(r, "handPos");
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    double fastest = 0.0, worst = 0.0;
    ck_assert_int_eq(t->rows, 30);
    for (int64_t i = 0; i < v->samples; i++)
        fastest = fmax(fastest, hypot((double)v->value[2 * i], (double)v->value[2 * i + 1]));
    ck_assert(fastest > 20.0 && fastest < 60.0);
    const double *x = loom_intervals_column(t, "target_x")->number, *y = loom_intervals_column(t, "target_y")->number;
    for (int32_t i = 0; i < t->rows; i++) {
        int64_t k = (int64_t)floor((t->stop_s[i] - 0.02) * v->rate_hz);
        worst = fmax(worst, hypot((double)p->value[2 * k] - x[i], (double)p->value[2 * k + 1] - y[i]));
    }
    ck_assert_msg(worst < 3.0, "a reach ends %.2f cm from its target", worst);
    struct fit f = fit_truth(m.c, 0.1);
    ck_near(f.count / f.rate, 1.0, 0.03);
    ck_near(f.squares / f.rate, 1.0, 0.05);
    made_release(&m);
}
END_TEST

START_TEST(data_group_errors)
{
    static const struct {
        const char *data, *words;
        int status;
    } bad[] = {
        {"source = \"sim\"; files = \"nowhere.mat\";", "there is no file nowhere.mat", LOOM_EDATA},
        {"source = \"sim\"; window_s = 1.0;", "window_ms", LOOM_ECONFIG},
        {"source = \"sim\"; split: { train = 0.9; test = 0.3; };", "is more than 1", LOOM_ECONFIG},
        {"source = \"sim\"; trials = 4; units = 4; window = \"trial\"; align = \"goo\";", "near: \"go\"", LOOM_EDATA},
        {"source = \"simm\";", "sim", LOOM_EPLUGIN},
        {"window_ms = 1.0;", "needs `source`", LOOM_ECONFIG},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct made m = {0};
        char text[300];
        snprintf(text, sizeof text, "data: { %s };", bad[i].data);
        ck_ok(loom_config_parse(&m.config, text, "sim.cfg", 0, NULL, &m.e), &m.e);
        ck_ok(loom_registry_new(&m.registry, NULL, &m.e), &m.e);
        ck_fails(loom_catalog_open(&m.c, loom_config_group(m.config, "data"), m.registry, &m.e), bad[i].status, &m.e,
                 bad[i].words);
        made_release(&m);
    }
}
END_TEST

int main(void)
{
    char cache[] = "/tmp/loom_test_sim.XXXXXX", command[80];
    const TTest *const tests[] = {days_share_units, seeds_reproduce, lorenz_numbers,
                                  chaos_numbers,    reach_numbers,   data_group_errors};
    if (mkdtemp(cache) == NULL || setenv("LOOM_CACHE", cache, 1) != 0)
        return EXIT_FAILURE;
    int status = run_suite("sim", sizeof tests / sizeof *tests, tests, 120.0);
    snprintf(command, sizeof command, "rm -rf %s", cache);
    return system(command) == 0 ? status : EXIT_FAILURE;
}
