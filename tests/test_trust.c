/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals over trials, shuffled targets, and the benchmark's metrics of a run's predictions. */
#include "suite.h"

#include "eval/nlb.h"
#include "eval/tally.h"
#include "eval/trust.h"

#include <loom/rng.h>

#include <math.h>
#include <string.h>

enum { TRIALS = 60, BINS = 10 };
static struct loom_error error;
static struct loom_rng noise;
static struct loom_predictions p;
static int32_t group[TRIALS * BINS * 4];

static void begin(const char *likelihood)
{
    loom_predictions_init(&p);
    snprintf(p.modality, sizeof p.modality, "it");
    snprintf(p.likelihood, sizeof p.likelihood, "%s", likelihood);
    loom_rng_init(&noise, 3, "test", 0, 0);
}

/* Bin `bin` of trial `trial`, whose group it is in. */
static void put(int trial, int bin, int element, double target, double predicted, uint8_t held, const double *param)
{
    struct loom_predicted row = {.element = element,
                                 .time_ns = (int64_t)(trial * BINS + bin) * 1000000000,
                                 .held = held,
                                 .target = target,
                                 .predicted = predicted,
                                 .weight = 1};
    group[p.n] = trial;
    ck_ok(loom_predictions_add(&p, &row, param, &error), &error);
}

static struct loom_trust how(int bootstrap, int shuffles)
{
    return (struct loom_trust){.bootstrap = bootstrap, .shuffles = shuffles, .seed = 5, .group = group, .trials = 1};
}

static json_t *measured(const char *metric, const struct loom_trust *t)
{
    json_t *out;
    ck_ok(loom_metric(metric, &p, NULL, NULL, &out, &error), &error);
    ck_ok(loom_trust_add(metric, &p, NULL, NULL, t, out, &error), &error);
    return out;
}

static double in(const json_t *o, const char *name, int at)
{
    const json_t *x = json_object_get(o, name);
    x = json_is_array(x) ? json_array_get(x, (size_t)at) : x;
    return json_is_number(x) ? json_number_value(x) : NAN;
}

/* Errors are the same in all bins of a trial, so the mean squared error has 60 independent parts, not 600: its interval
 * is that of the mean of 60 squares, three times as wide as one over bins would be. */
START_TEST(trials_are_drawn_not_bins)
{
    double square[TRIALS], mean = 0, variance = 0;
    begin("gaussian");
    for (int i = 0; i < TRIALS; i++) {
        double error_here = loom_rng_normal(&noise);
        square[i] = error_here * error_here;
        mean += square[i] / TRIALS;
        for (int k = 0; k < BINS; k++)
            put(i, k, 0, sin(0.7 * k + i), sin(0.7 * k + i) + error_here, 0, NULL);
    }
    for (int i = 0; i < TRIALS; i++)
        variance += (square[i] - mean) * (square[i] - mean) / TRIALS;
    struct loom_trust t = how(2000, 0);
    json_t *a = measured("mse", &t), *b = measured("mse", &t);
    double width = in(a, "interval", 1) - in(a, "interval", 0);
    ck_near(in(a, "mean", 0), mean, 1e-9);
    ck_near(width, 2 * 1.96 * sqrt(variance / TRIALS), 0.1 * width);
    ck_assert(in(a, "interval", 0) < mean && mean < in(a, "interval", 1));
    ck_assert(json_equal(a, b));
    ck_assert_int_eq((int)in(json_object_get(a, "resampled"), "groups", 0), TRIALS);
    json_decref(b);
    t.seed = 6;
    b = measured("mse", &t);
    ck_assert(in(a, "interval", 0) != in(b, "interval", 0));
    ck_assert_ptr_null(json_object_get(a, "shuffle"));
    json_decref(a);
    json_decref(b);
    loom_predictions_release(&p);
}
END_TEST

/* All trials of a recording are alike, so that no draw within recordings changes a number; trials of one recording in
 * place of another's would, and so would a sum that is left behind. */
START_TEST(recordings_are_drawn_apart)
{
    static const char *const metrics[] = {"poisson_nll", "bits_per_spike", "mse", "r2", "correlation"};
    struct loom_trust t = how(100, 0);
    begin("poisson");
    for (int r = 0; r < 2; r++)
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 4; k++)
                for (int u = 0; u < 3; u++) {
                    put(i, k, u, (double)((k * (u + 2)) % 4 + r), 0.5 + 0.5 * k + u * r, 0, NULL);
                    p.row[p.n - 1].recording = r;
                }
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        snprintf(p.likelihood, sizeof p.likelihood, "%s", i < 2 ? "poisson" : "gaussian");
        json_t *a = measured(metrics[i], &t);
        ck_near(in(a, "interval", 0), in(a, "mean", 0), 1e-9);
        ck_near(in(a, "interval", 1), in(a, "mean", 0), 1e-9);
        ck_assert_int_eq((int)in(json_object_get(a, "resampled"), "groups", 0), 12);
        json_decref(a);
    }
    loom_predictions_release(&p);
}
END_TEST

/* Each trial goes its own way, and predictions know it: with the targets of other trials nothing is left of it. */
START_TEST(targets_of_other_trials)
{
    for (int knows = 0; knows < 2; knows++) {
        begin("gaussian");
        for (int i = 0; i < TRIALS; i++) {
            double own = loom_rng_normal(&noise), other = loom_rng_normal(&noise);
            for (int k = 0; k < BINS; k++)
                put(i, k, 0, own * (k + 1), 0.8 * (knows ? own : other) * (k + 1), 0, NULL);
        }
        /* What is not scored is no target for others either. */
        p.row[p.n - 1].target = 1e6;
        p.row[p.n - 1].weight = 0;
        struct loom_trust t = how(0, 200);
        json_t *r2 = measured("r2", &t), *mse = measured("mse", &t);
        const json_t *s = json_object_get(r2, "shuffle"), *m = json_object_get(mse, "shuffle");
        ck_assert_ptr_null(json_object_get(r2, "interval"));
        ck_near(in(r2, "chance", 0), 0, 0);
        ck_assert(in(s, "mean", 0) < -0.3 && in(s, "interval", 1) < 0.3);
        ck_assert(in(m, "mean", 0) > in(mse, "chance", 0));
        ck_assert_int_eq((int)in(s, "n", 0), 200);
        if (knows) {
            ck_near(in(s, "p", 0), 1.0 / 201, 1e-12);
            ck_near(in(m, "p", 0), 1.0 / 201, 1e-12);
        } else {
            ck_assert(in(s, "p", 0) > 0.02 && in(m, "p", 0) > 0.02);
        }
        json_decref(r2);
        json_decref(mse);
        loom_predictions_release(&p);
    }
}
END_TEST

/* Without trials targets are shifted around in time: a slow signal that is followed is told from one that is not. */
START_TEST(targets_shifted_in_time)
{
    begin("gaussian");
    for (int i = 0; i < TRIALS; i++)
        for (int k = 0; k < BINS; k++)
            for (int d = 0; d < 2; d++) {
                double t = i * BINS + k, y = sin(t / 17 + d) + sin(t / 41 - d);
                put(i, k, d, y, d == 0 ? 0.9 * y : 0.5 * y, 0, NULL);
            }
    memset(group, 0, sizeof group); /* one stretch: shifted along itself, not exchanged */
    struct loom_trust t = how(0, 100);
    t.trials = 0;
    json_t *r2 = measured("r2", &t);
    const json_t *s = json_object_get(r2, "shuffle");
    ck_assert(in(s, "mean", 0) < 0.0 && in(s, "interval", 1) < 0.8);
    ck_near(in(s, "p", 0), 1.0 / 101, 1e-12);
    json_decref(r2);
    loom_predictions_release(&p);
}
END_TEST

/* Accuracy of one label a trial: the binomial interval; AUROC and the cross-entropy have one too. */
START_TEST(classes)
{
    double right = 0;
    begin("categorical");
    p.params = 2;
    for (int i = 0; i < TRIALS; i++) {
        int label = i % 3 == 0, guess = loom_rng_uniform(&noise) < 0.8 ? label : !label;
        double sure = 0.5 + 0.4 * loom_rng_uniform(&noise),
               probability[2] = {guess ? 1 - sure : sure, guess ? sure : 1 - sure};
        put(i, 0, 0, label, guess, 0, probability);
        right += guess == label;
    }
    struct loom_trust t = how(2000, 200);
    json_t *a = measured("accuracy", &t), *b = measured("auroc", &t), *c = measured("cross_entropy", &t);
    double rate = right / TRIALS, width = in(a, "interval", 1) - in(a, "interval", 0);
    ck_near(in(a, "mean", 0), rate, 1e-12);
    ck_near(in(a, "chance", 0), 2.0 / 3, 1e-12);
    ck_near(width, 2 * 1.96 * sqrt(rate * (1 - rate) / TRIALS), 0.15 * width);
    ck_assert(in(b, "interval", 0) < in(b, "mean", 0) && in(b, "mean", 0) < in(b, "interval", 1));
    ck_near(in(json_object_get(b, "shuffle"), "mean", 0), 0.5, 0.05);
    ck_assert(in(json_object_get(b, "shuffle"), "p", 0) < 0.01);
    /* Variance of the rank sum of m among n (Mann & Whitney 1947). */
    ck_near(in(json_object_get(b, "shuffle"), "interval", 1) - in(json_object_get(b, "shuffle"), "interval", 0),
            2 * 1.96 * sqrt((TRIALS + 1) / (12.0 * 20 * 40)), 0.06);
    ck_assert(in(json_object_get(c, "shuffle"), "mean", 0) > in(c, "mean", 0));
    ck_near(in(c, "chance", 0), log(2), 1e-12);
    json_decref(a);
    json_decref(b);
    json_decref(c);
    loom_predictions_release(&p);
}
END_TEST

/* A baseline names classes and no probabilities: what needs them is not known of it, rather than the model's own. */
START_TEST(a_baseline_has_no_probabilities)
{
    static const double half[2] = {0.5, 0.5}, guess[4] = {0, 1, 1, 0};
    json_t *out;
    begin("categorical");
    p.params = 2;
    for (int i = 0; i < 4; i++)
        put(i, 0, 0, i % 2, i % 2, 0, half);
    ck_ok(loom_metric("auroc", &p, guess, NULL, &out, &error), &error);
    ck_assert(json_is_null(json_object_get(out, "mean")));
    json_decref(out);
    ck_ok(loom_metric("accuracy", &p, guess, NULL, &out, &error), &error);
    ck_near(in(out, "mean", 0), 0.5, 1e-12);
    json_decref(out);
    loom_predictions_release(&p);
}
END_TEST

/* co_bps and fp_bps of a run's predictions are the benchmark's of the same arrays. Few spikes: the interval still holds
 * what it is an interval of, for its null model is that of all trials. */
START_TEST(the_benchmarks_bits)
{
    enum { UNITS = 4, SEEN = 7 };
    static double co[2][TRIALS * SEEN], fp[2][TRIALS * (BINS - SEEN) * UNITS];
    int64_t n[2] = {0, 0};
    struct loom_nlb_bits one = {0}, two = {0};
    begin("poisson");
    for (int i = 0; i < TRIALS; i++)
        for (int k = 0; k < BINS; k++)
            for (int u = 0; u < UNITS; u++) {
                double rate = 0.05 * (1 + u) * (1 + sin(k + i)), y = (double)loom_rng_poisson(&noise, rate);
                put(i, k, u, y, rate, k >= SEEN ? LOOM_HELD_FORWARD : u == 3 ? LOOM_HELD_UNIT : LOOM_HELD_NOT, NULL);
                if (k >= SEEN) {
                    fp[0][n[0]] = rate;
                    fp[1][n[0]++] = y;
                } else if (u == 3) {
                    co[0][n[1]] = rate;
                    co[1][n[1]++] = y;
                }
            }
    ck_ok(loom_nlb_bits_add(&one, (struct loom_nlb_array){co[0], TRIALS, SEEN, 1},
                            (struct loom_nlb_array){co[1], TRIALS, SEEN, 1}, &error),
          &error);
    ck_ok(loom_nlb_bits_add(&two, (struct loom_nlb_array){fp[0], TRIALS, BINS - SEEN, UNITS},
                            (struct loom_nlb_array){fp[1], TRIALS, BINS - SEEN, UNITS}, &error),
          &error);
    struct loom_trust t = how(1000, 50);
    json_t *a = measured("co_bps", &t), *b = measured("fp_bps", &t);
    ck_near(in(a, "mean", 0), loom_nlb_bits(&one), 1e-9);
    ck_near(in(b, "mean", 0), loom_nlb_bits(&two), 1e-9);
    for (int i = 0; i < 2; i++) {
        const json_t *m = i == 0 ? a : b;
        double low = in(m, "mean", 0) - in(m, "interval", 0), high = in(m, "interval", 1) - in(m, "mean", 0);
        ck_assert_msg(low > 0 && high > 0 && low < 2 * high && high < 2 * low, "interval -%g +%g", low, high);
    }
    json_decref(a);
    json_decref(b);
    loom_predictions_release(&p);
}
END_TEST

/* A model that is the null model neither gains nor loses in any resample: the null is that of all trials. Fitted to
 * each resample anew it would know those trials better than the model does. */
START_TEST(the_null_stays)
{
    enum { UNITS = 3 };
    double y[12][UNITS], mean[UNITS] = {0};
    begin("poisson");
    for (int i = 0; i < 12; i++)
        for (int u = 0; u < UNITS; u++)
            mean[u] += (y[i][u] = (double)loom_rng_poisson(&noise, 0.5)) / 12;
    for (int i = 0; i < 12; i++)
        for (int u = 0; u < UNITS; u++)
            put(i, 0, u, y[i][u], mean[u], LOOM_HELD_UNIT, NULL);
    struct loom_trust t = how(200, 0);
    json_t *a = measured("co_bps", &t);
    ck_near(in(a, "interval", 0), 0, 1e-9);
    ck_near(in(a, "interval", 1), 0, 1e-9);
    json_decref(a);
    loom_predictions_release(&p);
}
END_TEST

/* Two conditions of two trials, three bins. Unit 0 is met but for a constant, unit 1 exactly; unit 2 was not asked in
 * one bin and counts for nothing, as do bins to come and the trial without a condition. */
START_TEST(mean_responses)
{
    static const double mean[2][3] = {{1, 3, 2}, {4, 0, 2}};
    static double shifted[200];
    begin("poisson");
    p.bin_s = 1;
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 4; k++)
            for (int u = 0; u < 3; u++) {
                int c = i % 2, later = k == 3;
                double wobble = i < 2 ? 1 : -1, y = later || i == 4 ? 9 : mean[c][k] + wobble;
                if (u == 2 && i == 1 && k == 1)
                    continue;
                shifted[p.n] = u == 0 ? 7 : later ? 0 : mean[c][k];
                put(i, k, u, y, later || i == 4 ? 0 : mean[c][k] + (u == 0 ? 0.5 : 0), later ? LOOM_HELD_FORWARD : 0,
                    NULL);
                p.row[p.n - 1].trial = i;
            }
    static char one[] = "one", two[] = "two", *condition[] = {one, two};
    struct loom_predicted_trial trial[5];
    for (int i = 0; i < 5; i++)
        trial[i] = (struct loom_predicted_trial){
            .condition = i == 4 ? -1 : i % 2, .row = i, .start_s = i * BINS, .stop_s = i * BINS + 4};
    p.trial = trial;
    p.trials = 5;
    p.condition = condition;
    p.conditions = 2;
    struct loom_trust t = how(100, 100);
    json_t *a = measured("psth_r2", &t), *b;
    /* Σ(y-ȳ)² of 1 3 2 4 0 2 is 10; six errors of 0.5. */
    ck_near(in(a, "mean", 0), (1 - 1.5 / 10 + 1) / 2, 1e-12);
    ck_assert_int_eq((int)in(a, "n", 0), 4);
    ck_ok(loom_metric("psth_r2", &p, shifted, NULL, &b, &error), &error);
    ck_near(in(b, "mean", 0), (1 - 6 * 25.0 / 10 - 10.0 / 10 + 1) / 2, 1e-12);
    json_decref(a);
    json_decref(b);
    p.conditions = 0;
    a = measured("psth_r2", &t);
    ck_assert(json_is_null(json_object_get(a, "mean")));
    json_decref(a);
    p.trial = NULL;
    p.condition = NULL;
    p.trials = 0;
    loom_predictions_release(&p);
}
END_TEST

static double nested(const json_t *list, size_t i, size_t k, size_t u)
{
    return json_number_value(json_array_get(json_array_get(json_array_get(list, i), k), u));
}

/* Trials of recording `r` with their conditions, one a second. */
static void put_recording(const json_t *of, int r)
{
    const json_t *counts = json_object_get(of, "counts"), *rates = json_object_get(of, "rates");
    for (size_t i = 0; i < json_array_size(counts); i++) {
        const json_t *trial = json_array_get(counts, i);
        p.trial[p.trials++] = (struct loom_predicted_trial){
            .recording = r,
            .condition = (int32_t)json_integer_value(json_array_get(json_object_get(of, "condition"), i)),
            .row = (int32_t)i,
            .start_s = (double)i - 0.1,
            .stop_s = (double)i + 0.8};
        for (size_t k = 0; k < json_array_size(trial); k++)
            for (size_t u = 0; u < json_array_size(json_array_get(trial, k)); u++) {
                struct loom_predicted row = {.recording = r,
                                             .element = (int32_t)u,
                                             .trial = (int32_t)i,
                                             .time_ns = (int64_t)i * 1000000000 + (int64_t)k * 20000000,
                                             .target = nested(counts, i, k, u),
                                             .predicted = nested(rates, i, k, u),
                                             .weight = 1};
                ck_ok(loom_predictions_add(&p, &row, NULL, &error), &error);
            }
    }
}

/* Of the same arrays NumPy has the same value, and with its own draws the same percentiles (tests/peers/psth.py):
 * trials within conditions, both sides alike, shifted back, a condition of one trial with the spread of others;
 * conditions dealt anew. Where all conditions of a recording have one trial there is no interval. */
START_TEST(mean_responses_beside_numpy)
{
    static char name[] = "c", *condition[] = {name, name, name, name};
    static struct loom_predicted_trial trial[64];
    json_t *golden = json_load_file(in_sources("tests/golden/psth.json"), 0, NULL);
    const json_t *recordings = json_object_get(golden, "recordings"), *due = json_object_get(golden, "shuffle");
    begin("poisson");
    p.bin_s = in(golden, "bin_s", 0);
    p.trial = trial;
    p.condition = condition;
    p.conditions = 4;
    ck_assert_int_eq((int)json_array_size(recordings), 2);
    for (int r = 0; r < 2; r++)
        put_recording(json_array_get(recordings, (size_t)r), r);
    struct loom_trust t = {.bootstrap = 8000, .shuffles = 8000, .seed = 5};
    json_t *a = measured("psth_r2", &t);
    const json_t *shuffle = json_object_get(a, "shuffle"), *resampled = json_object_get(a, "resampled");
    double width = in(golden, "interval", 1) - in(golden, "interval", 0),
           across = in(due, "interval", 1) - in(due, "interval", 0);
    ck_near(in(a, "mean", 0), in(golden, "mean", 0), 1e-9);
    ck_assert_int_eq((int)in(a, "n", 0), (int)in(golden, "trials", 0));
    ck_assert_int_eq((int)in(resampled, "groups", 0), (int)in(golden, "trials", 0));
    ck_assert_int_eq((int)in(resampled, "draws", 0), 8000);
    ck_near(in(resampled, "shift", 0), in(golden, "shift", 0), 0.02 * width);
    ck_near(in(shuffle, "mean", 0), in(due, "mean", 0), 0.02 * across);
    ck_near(in(shuffle, "p", 0), 1.0 / 8001, 1e-9);
    for (int k = 0; k < 2; k++) {
        ck_near(in(a, "interval", k), in(golden, "interval", k), 0.05 * width);
        ck_near(in(shuffle, "interval", k), in(due, "interval", k), 0.05 * across);
    }
    json_decref(a);
    for (int k = 3; k < 15; k++)
        trial[k].condition = -1;
    a = measured("psth_r2", &t);
    ck_assert_ptr_null(json_object_get(a, "interval"));
    ck_assert_ptr_nonnull(json_object_get(a, "shuffle"));
    json_decref(a);
    json_decref(golden);
    p.trial = NULL;
    p.condition = NULL;
    p.trials = p.conditions = 0;
    loom_predictions_release(&p);
}
END_TEST

/* Trials reach to the next one's start; without a table, stretches of so many seconds. */
START_TEST(groups)
{
    static const double start[3] = {10, 30, 20}, stop[3] = {15, 33, 24};
    const struct loom_intervals table = {.name = "trials", .rows = 3, .start_s = start, .stop_s = stop};
    const struct loom_recording with = {.id = "a", .intervals_count = 1, .intervals = &table},
                                without = {.id = "b", .start_s = 5};
    const struct loom_recording *recording[2] = {&with, &without};
    static const double time[10] = {11, 14, 17, 21, 29, 31, 6, 9, 12, 16};
    static const int32_t due[10] = {0, 0, 0, 1, 1, 2, 0, 0, 1, 2};
    int trials;
    int32_t got[10];
    begin("gaussian");
    for (int i = 0; i < 10; i++) {
        struct loom_predicted row = {
            .recording = i >= 6, .trial = -1, .time_ns = (int64_t)(time[i] * 1e9), .weight = 1};
        ck_ok(loom_predictions_add(&p, &row, NULL, &error), &error);
    }
    ck_ok(loom_trust_groups(&p, recording, "trials", 5, got, &trials, &error), &error);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(got[i], due[i]);
    ck_assert_int_eq(trials, 0);
    p.n = 6;
    ck_ok(loom_trust_groups(&p, recording, "trials", 5, got, &trials, &error), &error);
    ck_assert_int_eq(trials, 1);
    /* Windows of trials, two of which overlap: the trial decides, not the time. */
    static const int32_t trial[6] = {7, 7, 2, 7, 2, 4}, by_trial[6] = {0, 0, 1, 0, 1, 2};
    for (int i = 0; i < 6; i++)
        p.row[i].trial = trial[i];
    ck_ok(loom_trust_groups(&p, recording, "none", 5, got, &trials, &error), &error);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(got[i], by_trial[i]);
    ck_assert_int_eq(trials, 1);
    ck_fails(loom_trust_groups(&p, recording, "trials", 0, got, &trials, &error), LOOM_EINVAL, &error, "more than 0");
    loom_predictions_release(&p);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {trials_are_drawn_not_bins,
                                  recordings_are_drawn_apart,
                                  targets_of_other_trials,
                                  targets_shifted_in_time,
                                  classes,
                                  a_baseline_has_no_probabilities,
                                  the_benchmarks_bits,
                                  the_null_stays,
                                  mean_responses,
                                  mean_responses_beside_numpy,
                                  groups};
    return run_suite("trust", (int)(sizeof tests / sizeof *tests), tests, 60);
}
