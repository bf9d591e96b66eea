/* SPDX-License-Identifier: Apache-2.0 */
/* Velocity decoded from a run's rates, and the recording's own velocity at the bins of windows. */
#include "suite.h"

#include "eval/metrics.h"
#include "eval/nlb.h"
#include "train/velocity.h"

#include <loom/rng.h>

#include <math.h>

static struct loom_error error;
static struct loom_rng noise;

/* Rates of units, and a behaviour of two dimensions, of trials from `first` on. */
static void answers(struct loom_predictions *rates, struct loom_predictions *behavior, int first, int trials,
                    double *rate, double *velocity)
{
    enum { UNITS = 5, SEEN = 6, STEP = 20000000 };
    static char id[] = "a", *ids[] = {id};
    loom_predictions_init(rates);
    loom_predictions_init(behavior);
    rates->bin_s = 0.02;
    rates->recording = behavior->recording = ids;
    rates->recordings = behavior->recordings = 1;
    snprintf(rates->likelihood, sizeof rates->likelihood, "poisson");
    snprintf(behavior->likelihood, sizeof behavior->likelihood, "gaussian");
    for (int i = first; i < first + trials; i++)
        for (int k = 0; k < SEEN + 1; k++) {
            int64_t time = (int64_t)(i * 2 * SEEN + k) * STEP;
            for (int u = 0; u < UNITS; u++) {
                struct loom_predicted row = {.trial = i,
                                             .time_ns = time,
                                             .element = u,
                                             .weight = 1,
                                             .predicted = exp(loom_rng_normal(&noise)),
                                             .held = k == SEEN ? LOOM_HELD_FORWARD : 0};
                /* Unit 3 was not asked in one bin and counts nowhere. */
                if (u == 3 && i == first + 1 && k == 2)
                    continue;
                if (k < SEEN && u != 3)
                    *rate++ = row.predicted;
                ck_ok(loom_predictions_add(rates, &row, NULL, &error), &error);
            }
            for (int d = 0; d < 2; d++) {
                const double *x = rate - 4;
                double y = k == SEEN ? 1e6 : x[0] - 2 * x[1 + d] + loom_rng_normal(&noise);
                if (k < SEEN)
                    *velocity++ = i == first && k == 1 ? NAN : y;
                struct loom_predicted row = {
                    .trial = i, .time_ns = time, .element = d, .target = y, .weight = i != first || k != 1};
                ck_ok(loom_predictions_add(behavior, &row, NULL, &error), &error);
            }
        }
    ck_ok(loom_predictions_settle(rates, &error), &error);
    ck_ok(loom_predictions_settle(behavior, &error), &error);
}

static void forget(struct loom_predictions *x)
{
    x->recording = NULL;
    x->recordings = 0;
    loom_predictions_release(x);
}

/* The benchmark's decoder of the same arrays: whole units, bins that are no bins to come and have a behaviour. What it
 * says is scored as any behaviour. */
START_TEST(velocity_from_rates)
{
    enum { TRAIN = 30, EVAL = 12, PER = 6, KEPT = 4 };
    static double rate[2][TRAIN * PER * KEPT], velocity[2][TRAIN * PER * 2], said[EVAL * PER * 2];
    struct loom_predictions r[2], b[2], out;
    loom_rng_init(&noise, 4, "velocity", 0, 0);
    answers(&r[0], &b[0], 0, TRAIN, rate[0], velocity[0]);
    answers(&r[1], &b[1], 100, EVAL, rate[1], velocity[1]);
    const struct loom_nlb_decoding due = {.train_rates = {rate[0], TRAIN, PER, KEPT},
                                          .train_behavior = {velocity[0], TRAIN, PER, 2},
                                          .eval_rates = {rate[1], EVAL, PER, KEPT},
                                          .eval_behavior = {velocity[1], EVAL, PER, 2},
                                          .predicted = said};
    const struct loom_velocity_part train = {&r[0], NULL, &b[0]}, eval = {&r[1], NULL, &b[1]};
    double r2;
    int64_t units;
    json_t *value;
    ck_ok(loom_nlb_velocity(&due, &r2, NULL, &error), &error);
    ck_assert(r2 > 0.5 && r2 < 0.99 && isnan(said[2]) && !isnan(said[0]));
    ck_ok(loom_velocity(&train, &eval, &out, &units, &error), &error);
    ck_assert_int_eq((int)units, KEPT);
    ck_assert_int_eq((int)out.n, (EVAL * PER - 1) * 2);
    for (int64_t i = 0, k = 0; i < out.n; i++, k++) {
        k += isnan(said[k]) ? 2 : 0;
        ck_near(out.row[i].predicted, said[k], 1e-9);
        ck_near(out.row[i].target, velocity[1][k], 1e-9);
        ck_assert_int_eq(out.row[i].trial, 100 + (int)(k / (PER * 2)));
    }
    ck_ok(loom_metric("r2", &out, NULL, NULL, &value, &error), &error);
    ck_near(json_real_value(json_object_get(value, "mean")), r2, 1e-9);
    json_decref(value);
    loom_predictions_release(&out);
    /* A baseline that answered nothing has no unit. */
    double *none = malloc((size_t)r[1].n * sizeof *none);
    for (int64_t i = 0; i < r[1].n; i++)
        none[i] = NAN;
    ck_ok(loom_velocity(&train, &(struct loom_velocity_part){&r[1], none, &b[1]}, &out, &units, &error), &error);
    ck_assert_int_eq((int)out.n, 0);
    free(none);
    loom_predictions_release(&out);
    ck_fails(loom_metric("vel_r2", &r[0], NULL, NULL, &value, &error), LOOM_ECONFIG, &error, "evaluation stage");
    for (int i = 0; i < 2; i++) {
        forget(&r[i]);
        forget(&b[i]);
    }
}
END_TEST

/* A recording of 4 s in bins of 20 ms with a behaviour at 200 Hz that is its own time in ms, but for one that is
 * missing. */
static struct loom_catalog *clock_catalog(void)
{
    enum { LONG = 200, PER = 4 };
    static const char *const dims[] = {"ms", "one"};
    static const double start = 0, observed[2] = {0, LONG * 0.02};
    static const int64_t first[2] = {0, LONG};
    static uint16_t count[LONG];
    static float value[LONG * PER * 2];
    static const struct loom_unit unit = {.name = "u", .group = "", .region = ""};
    static const struct loom_counts counts = {0.02, 1, &start, first, count};
    static const struct loom_series series = {"clock", "ms", 2, dims, LONG * PER, 200, 0, NULL, value};
    static const struct loom_recording r = {.id = "r",
                                            .subject = "",
                                            .session = "r",
                                            .task = "",
                                            .date = "",
                                            .file = "",
                                            .stop_s = LONG * 0.02,
                                            .units = 1,
                                            .unit = &unit,
                                            .counts = &counts,
                                            .series_count = 1,
                                            .series = &series,
                                            .observed_count = 1,
                                            .observed_s = observed};
    const struct loom_recording *all[] = {&r};
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *c;
    spec.bin_s = 0.02;
    spec.window_s = 0.6;
    spec.stride_s = 0.24;
    for (int i = 0; i < LONG * PER; i++) {
        value[2 * i] = (float)(5 * i);
        value[2 * i + 1] = i == 4 * PER + 1 ? NAN : 1;
    }
    ck_ok(loom_catalog_new(&c, all, 1, &spec, &error), &error);
    return c;
}

/* Bins of windows that overlap are met once, each with the mean of what the recording has so much later; what lies
 * behind the split is not read, and what is missing stays missing. */
START_TEST(behavior_of_the_recording)
{
    struct loom_catalog *c = clock_catalog();
    struct loom_selection s;
    struct loom_windows windows;
    ck_ok(loom_selection_init(&s, c, LOOM_TRAIN, (struct loom_words){0, NULL}, &error), &error);
    ck_ok(loom_windows_init(&windows, &s, &(struct loom_tiling){0}, &error), &error);
    ck_assert_int_gt(windows.n, 3);
    for (int lag_ms = -60; lag_ms <= 60; lag_ms += 60) {
        struct loom_predictions out;
        int64_t bins = 0, missing = 0, last_ms = 0;
        ck_ok(loom_velocity_behavior(&s, "clock", 1e-3 * lag_ms, &out, &error), &error);
        ck_assert_str_eq(out.unit, "ms");
        ck_assert_int_eq(out.elements, 2);
        for (int64_t i = 0; i < out.n; i++) {
            const struct loom_predicted *row = &out.row[i];
            double ms = 1e-6 * (double)row->time_ns;
            if (row->element == 0) {
                /* Samples stand at 0, 5, 10 and 15 ms of a bin, whose middle is at 10. */
                ck_near(row->target, ms + lag_ms - 2.5, 1e-3);
                ck_assert(i == 0 || row->time_ns - row[-1].time_ns == 20000000);
                last_ms = (int64_t)row->target;
                bins++;
            } else if (!(row->target == 1)) {
                ck_assert(isnan(row->target));
                ck_near(ms + lag_ms, 90, 1e-6);
                missing++;
            }
        }
        ck_assert_int_eq((int)missing, 1);
        ck_assert_int_eq((int)bins, (int)lround(windows.seconds / 0.02) - abs(lag_ms) / 20);
        ck_assert_int_lt((int)last_ms, (int)lround(1e3 * windows.seconds));
        loom_predictions_release(&out);
    }
    loom_windows_release(&windows);
    loom_selection_release(&s);
    loom_catalog_free(c);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {velocity_from_rates, behavior_of_the_recording};
    return run_suite("velocity", (int)(sizeof tests / sizeof *tests), tests, 60);
}
