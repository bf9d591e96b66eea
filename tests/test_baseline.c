/* SPDX-License-Identifier: Apache-2.0 */
#include "fitting.h"
#include "recorded.h"

#include "data/catalog.h"
#include "data/recordings.h"
#include "eval/metrics.h"
#include "model/model.h"

#include <loom/config.h>
#include <loom/rng.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BINS = 3000, UNITS = 7, LAGS = 3 };

/* A behaviour that is a known filter of the counts: v_d(t) = 4 - d + Σ w_d(l, u) n(t - l, u) + noise. */
struct linear {
    struct recorded rec;
    double weight[2][LAGS][UNITS];
};

static void linear_init(struct linear *x, const char *id, int units, uint64_t seed, double noise)
{
    struct loom_rng g;
    loom_rng_init(&g, seed, "linear", 0, 0);
    recorded_init(&x->rec, id, BINS, 0, units, "vel", 2);
    for (int i = 0; i < 2 * LAGS * UNITS; i++)
        (&x->weight[0][0][0])[i] = loom_rng_normal(&g);
    for (int i = 0; i < BINS * units; i++)
        x->rec.count[i] = (uint16_t)loom_rng_poisson(&g, 1.0 + i % units);
    for (int t = 0; t < BINS; t++)
        for (int d = 0; d < 2; d++) {
            double v = 4 - d + noise * loom_rng_normal(&g);
            for (int l = 0; l < LAGS && l <= t; l++)
                for (int u = 0; u < units; u++)
                    v += x->weight[d][l][u] * x->rec.count[(t - l) * units + u];
            x->rec.value[2 * t + d] = (float)v;
        }
}

/* R² of the test split, one span a window. */
static json_t *score(const struct fitted *f, const struct loom_catalog *c, int recordings)
{
    static char ids[4][8] = {"0", "1", "2", "3"}, *names[4] = {ids[0], ids[1], ids[2], ids[3]};
    struct loom_windows w;
    struct loom_predictions p;
    json_t *out;
    loom_predictions_init(&p);
    snprintf(p.likelihood, sizeof p.likelihood, "gaussian");
    fit_windows(&w, c, LOOM_TEST, 0);
    for (int i = 0; i < w.n; i++) {
        ck_ok(loom_shard_plan(f->shard, &w.sample[i], 1, LOOM_EVALUATE, 0, &error), &error);
        ck_ok(loom_shard_build(f->shard, loom_shard_masses(f->shard), NULL, 1, &error), &error);
        loom_shard_run(f->shard);
        ck_assert_int_eq(loom_shard_readings(f->shard), 1);
        const struct loom_reading *read = loom_shard_reading(f->shard, 0);
        for (int32_t k = 0; k < read->ask->elems; k++) {
            struct loom_predicted row = {.recording = w.sample[i].recording,
                                         .time_ns = k,
                                         .weight = read->weight[k],
                                         .target = read->target[k],
                                         .predicted = read->predicted[k]};
            row.element = k - read->ask->first_elem[0];
            for (int32_t r = 0; r < read->ask->rows; r++)
                if (k >= read->ask->first_elem[r] && k < read->ask->first_elem[r + 1])
                    row.element = k - read->ask->first_elem[r];
            ck_ok(loom_predictions_add(&p, &row, NULL, &error), &error);
        }
    }
    ck_ok(loom_predictions_settle(&p, &error), &error);
    p.recordings = recordings;
    p.recording = names;
    ck_ok(loom_metric("r2", &p, NULL, NULL, &out, &error), &error);
    p.recordings = 0;
    p.recording = NULL;
    loom_predictions_release(&p);
    loom_windows_release(&w);
    return out;
}

/* Two recordings with other units and other filters: each finds its own, at the right lag and unit. */
START_TEST(wiener_finds_the_filter)
{
    static struct linear a, b;
    const struct loom_recording *both[] = {&a.rec.r, &b.rec.r};
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *c;
    struct fitted f;
    linear_init(&a, "a", UNITS, 1, 0.5);
    linear_init(&b, "b", 4, 2, 0.5);
    ck_ok(loom_catalog_new(&c, both, 2, &spec, &error), &error);
    fit_all(
        &f, c,
        "stage: { objectives: ( { plugin = \"decode\"; target = \"vel\"; } ); }; wiener: { lags = 4; lags_ahead = 1; "
        "};",
        "wiener");
    const loom_real *w = fit_state(&f, "backbone.vel.ridge.a"), *v = fit_state(&f, "backbone.vel.ridge.b");
    for (int d = 0; d < 2; d++)
        for (int l = -1; l < 4; l++) {
            for (int u = 0; u < UNITS; u++)
                ck_near(w[(d * 5 + l + 1) * UNITS + u], l >= 0 && l < LAGS ? a.weight[d][l][u] : 0.0, 0.06);
            for (int u = 0; u < 4; u++)
                ck_near(v[(d * 5 + l + 1) * 4 + u], l >= 0 && l < LAGS ? b.weight[d][l][u] : 0.0, 0.06);
        }
    json_t *r2 = score(&f, c, 2);
    ck_assert_msg(loom_metric_mean(r2) > 0.985, "R2 %g", loom_metric_mean(r2));
    json_decref(r2);
    fit_release(&f);
    loom_catalog_free(c);
    recorded_release(&a.rec);
    recorded_release(&b.rec);
}
END_TEST

/* Noise has nothing to be predicted from: the penalty must be chosen so that it is not. */
START_TEST(nothing_is_made_of_noise)
{
    static struct linear a;
    const struct loom_recording *one[] = {&a.rec.r};
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *c;
    struct fitted f;
    linear_init(&a, "a", UNITS, 1, 0.5);
    struct loom_rng g;
    loom_rng_init(&g, 9, "noise", 0, 0);
    for (int i = 0; i < 2 * BINS; i++)
        a.rec.value[i] = (float)loom_rng_normal(&g);
    ck_ok(loom_catalog_new(&c, one, 1, &spec, &error), &error);
    fit_all(&f, c, "stage: { objectives: ( { plugin = \"decode\"; target = \"vel\"; } ); };", "smooth");
    json_t *r2 = score(&f, c, 1);
    ck_near(loom_metric_mean(r2), 0.0, 0.01);
    json_decref(r2);
    fit_release(&f);
    loom_catalog_free(c);
    recorded_release(&a.rec);
}
END_TEST

static const char m1[] =
    "data: { source = \"mat\"; files = ( \"m1-centre-out/m1_stevenson_2011.mat\" ); counts = \"spikes\";"
    " counts_axes = \"unit,bin\"; bin_ms = 50.0; series = ( \"handVel\" ); window_ms = 1000.0;"
    " split: { by = \"time\"; train = 0.7; valid = 0.1; test = 0.2; }; };"
    " stage: { objectives: ( { plugin = \"decode\"; target = \"handVel\"; } ); };";

static const struct {
    const char *baseline;
    double least, most;
} figures[] = {{"wiener", 0.76, 0.79}, {"smooth", 0.61, 0.65}, {"kalman", 0.67, 0.71}, {"wiener-cascade", 0.79, 0.82}};

START_TEST(m1_hand_velocity)
{
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_catalog *c;
    struct fitted f;
    ck_ok(loom_registry_new(&registry, NULL, &error), &error);
    ck_ok(loom_config_parse(&config, m1, "m1", 0, NULL, &error), &error);
    ck_ok(loom_catalog_open(&c, loom_config_group(config, "data"), registry, &error), &error);
    fit_all(&f, c, m1, figures[_i].baseline);
    json_t *r2 = score(&f, c, 1);
    double mean = loom_metric_mean(r2);
    ck_assert_msg(mean >= figures[_i].least && mean <= figures[_i].most, "R2 of hand velocity is %g", mean);
    json_decref(r2);
    fit_release(&f);
    loom_catalog_free(c);
    loom_config_free(config);
    loom_registry_free(registry);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {wiener_finds_the_filter, nothing_is_made_of_noise};
    Suite *s = suite_create("baseline");
    TCase *t = tcase_create("baseline");
    tcase_set_timeout(t, 120);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tcase_add_test(t, tests[i]);
    if (getenv("LOOM_DATA") != NULL)
        tcase_add_loop_test(t, m1_hand_velocity, 0, (int)(sizeof figures / sizeof *figures));
    else
        puts("# m1_hand_velocity is left out: LOOM_DATA does not name a folder of recordings");
    suite_add_tcase(s, t);
    return run_tap(s);
}
