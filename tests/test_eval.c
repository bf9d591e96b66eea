/* SPDX-License-Identifier: Apache-2.0 */
#include "suite.h"

#include "eval/metrics.h"
#include "eval/stats.h"

#include <math.h>
#include <string.h>

static struct loom_error error;

static void put(struct loom_predictions *p, int32_t recording, int32_t element, int64_t time, double target,
                double predicted, double weight)
{
    struct loom_predicted row = {.recording = recording,
                                 .element = element,
                                 .time_ns = time,
                                 .target = target,
                                 .predicted = predicted,
                                 .weight = weight};
    ck_ok(loom_predictions_add(p, &row, NULL, &error), &error);
}

static struct loom_predictions of(const char *likelihood)
{
    struct loom_predictions p;
    loom_predictions_init(&p);
    snprintf(p.modality, sizeof p.modality, "it");
    snprintf(p.likelihood, sizeof p.likelihood, "%s", likelihood);
    return p;
}

static double member(const json_t *o, const char *name)
{
    const json_t *x = json_object_get(o, name);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

static json_t *compute(const char *metric, const struct loom_predictions *p, const struct loom_rates *train)
{
    json_t *out;
    ck_ok(loom_metric(metric, p, NULL, train, &out, &error), &error);
    return out;
}

/* Dimension 0: y = 1 2 3 4, ŷ = 1 2 3 3, so R² = 1 - 1/5. Dimension 1: y = 0 2 0 2, ŷ = 1: R² = 0, pooled 1 - 5/9.
 * Dimension 2 does not vary and is left out. What is missing or weighs nothing changes nothing. */
START_TEST(r2_of_dimensions)
{
    static const double y[4] = {1, 2, 3, 4}, guess[4] = {1, 2, 3, 3};
    struct loom_predictions p = of("gaussian");
    for (int t = 0; t < 4; t++) {
        put(&p, 0, 0, t, y[t] + 1e6, guess[t] + 1e6, 1);
        put(&p, 0, 1, t, t % 2 ? 2 : 0, 1, 0.5);
        put(&p, 0, 2, t, 7, t, 1);
    }
    put(&p, 0, 0, 4, NAN, 100, 1);
    put(&p, 0, 1, 4, 100, 0, 0);
    ck_ok(loom_predictions_settle(&p, &error), &error);
    json_t *r2 = compute("r2", &p, NULL), *mse = compute("mse", &p, NULL), *r = compute("correlation", &p, NULL);
    ck_near(member(r2, "dim0"), 0.8, 1e-9);
    ck_near(member(r2, "dim1"), 0.0, 1e-12);
    ck_assert(json_is_null(json_object_get(r2, "dim2")));
    ck_near(member(r2, "mean"), 0.4, 1e-9);
    ck_near(loom_metric_mean(r2), 0.4, 1e-9);
    ck_near(member(r2, "variance_weighted"), 1.0 - 5.0 / 9.0, 1e-9);
    ck_assert_int_eq((int)member(r2, "n"), 4);
    ck_near(member(mse, "dim0"), 0.25, 1e-9);
    ck_near(member(mse, "dim1"), 1.0, 1e-12);
    ck_near(member(r, "dim0"), 0.94387980744853, 1e-9);
    ck_assert(json_is_null(json_object_get(r, "dim1")));
    json_decref(r2);
    json_decref(mse);
    json_decref(r);
    loom_predictions_release(&p);
}
END_TEST

/* Two recordings with other means: each is scored about its own, and the mean of both is what counts. */
START_TEST(recordings_are_scored_apart)
{
    static char one[] = "one", two[] = "two", *ids[] = {one, two};
    struct loom_predictions p = of("gaussian");
    for (int t = 0; t < 4; t++) {
        put(&p, 0, 0, t, t, t, 1);
        put(&p, 1, 0, t, 100 + t, 101.5, 1);
    }
    ck_ok(loom_predictions_settle(&p, &error), &error);
    p.recordings = 2;
    p.recording = ids;
    json_t *r2 = compute("r2", &p, NULL);
    ck_near(member(r2, "mean"), 0.5, 1e-12);
    ck_near(member(json_object_get(r2, "recordings"), "one"), 1.0, 1e-12);
    ck_near(member(json_object_get(r2, "recordings"), "two"), 0.0, 1e-12);
    ck_assert_int_eq((int)member(r2, "n"), 8);
    json_decref(r2);
    p.recordings = 0;
    p.recording = NULL;
    loom_predictions_release(&p);
}
END_TEST

/* A stage may ask of some recordings alone, here of the third: the others have no score, and none of theirs counts. */
START_TEST(recordings_that_are_not_asked)
{
    static char one[] = "one", two[] = "two", three[] = "three", *ids[] = {one, two, three};
    struct loom_predictions p = of("gaussian");
    for (int t = 0; t < 4; t++)
        put(&p, 2, 0, t, t, t, 1);
    ck_ok(loom_predictions_settle(&p, &error), &error);
    p.recordings = 3;
    p.recording = ids;
    json_t *r2 = compute("r2", &p, NULL), *recordings = json_object_get(r2, "recordings");
    ck_near(member(r2, "mean"), 1.0, 1e-12);
    ck_assert(json_is_null(json_object_get(recordings, "one")) && json_is_null(json_object_get(recordings, "two")));
    ck_near(member(recordings, "three"), 1.0, 1e-12);
    ck_assert_int_eq((int)member(r2, "n"), 4);
    json_decref(r2);
    p.recordings = 0;
    p.recording = NULL;
    loom_predictions_release(&p);
}
END_TEST

/* Against sums written out: unit 0 fires 0 1 2 1, unit 1 fires 0 0 1 0. */
START_TEST(bits_per_spike)
{
    static const double y[2][4] = {{0, 1, 2, 1}, {0, 0, 1, 0}}, rate[2][4] = {{0.5, 1, 1.5, 1}, {0.1, 0.1, 0.5, 0}};
    static const int32_t first[2] = {0, 2};
    static const double training[2] = {0.8, 0.5};
    const struct loom_rates train = {1, first, training};
    struct loom_predictions p = of("poisson");
    double model = 0, split = 0, trained = 0;
    for (int u = 0; u < 2; u++)
        for (int t = 0; t < 4; t++) {
            double m = u == 0 ? 1.0 : 0.25, floor = rate[u][t] > 1e-9 ? rate[u][t] : 1e-9;
            put(&p, 0, u, t, y[u][t], rate[u][t], 1);
            model += rate[u][t] - y[u][t] * log(floor);
            split += m - y[u][t] * log(m);
            trained += training[u] - y[u][t] * log(training[u]);
        }
    ck_ok(loom_predictions_settle(&p, &error), &error);
    json_t *own = compute("bits_per_spike", &p, NULL), *by = compute("bits_per_spike", &p, &train);
    ck_near(member(own, "mean"), (split - model) / (5 * log(2)), 1e-12);
    ck_assert_str_eq(json_string_value(json_object_get(own, "null")), "split");
    ck_near(member(by, "mean"), (trained - model) / (5 * log(2)), 1e-12);
    ck_near(member(by, "mean_split_null"), (split - model) / (5 * log(2)), 1e-12);
    ck_assert_str_eq(json_string_value(json_object_get(by, "null")), "train");
    ck_assert_int_eq((int)member(by, "n"), 5);
    ck_assert_ptr_null(json_object_get(by, "held_out"));
    json_decref(own);
    json_decref(by);
    for (int64_t i = 0; i < p.n; i++)
        p.row[i].held = p.row[i].element == 1;
    json_t *held = compute("bits_per_spike", &p, &train), *nll = compute("poisson_nll", &p, NULL);
    ck_assert_int_eq((int)member(json_object_get(held, "held_out"), "n"), 1);
    ck_near(member(nll, "mean"), (model + log(2)) / 8, 1e-12);
    json_decref(held);
    json_decref(nll);
    loom_predictions_release(&p);
}
END_TEST

START_TEST(a_baseline_is_scored_where_it_answers)
{
    struct loom_predictions p = of("gaussian");
    double other[4] = {0, NAN, 2, 3};
    json_t *out;
    for (int t = 0; t < 4; t++)
        put(&p, 0, 0, t, t, 50, 1);
    ck_ok(loom_predictions_settle(&p, &error), &error);
    ck_ok(loom_metric("r2", &p, other, NULL, &out, &error), &error);
    ck_near(member(out, "mean"), 1.0, 1e-12);
    ck_assert_int_eq((int)member(out, "n"), 3);
    json_decref(out);
    loom_predictions_release(&p);
}
END_TEST

START_TEST(classes)
{
    struct loom_predictions p = of("categorical");
    static const double probability[4][2] = {{0.8, 0.2}, {0.6, 0.4}, {0.3, 0.7}, {0.9, 0.1}}, label[4] = {0, 0, 0, 1};
    p.params = 2;
    for (int t = 0; t < 4; t++) {
        struct loom_predicted row = {
            .time_ns = t, .target = label[t], .predicted = probability[t][1] > 0.5, .weight = 1};
        ck_ok(loom_predictions_add(&p, &row, probability[t], &error), &error);
    }
    ck_ok(loom_predictions_settle(&p, &error), &error);
    json_t *a = compute("accuracy", &p, NULL), *b = compute("balanced_accuracy", &p, NULL),
           *c = compute("cross_entropy", &p, NULL);
    ck_near(member(a, "mean"), 0.5, 1e-12);
    ck_near(member(a, "chance"), 0.75, 1e-12);
    ck_near(member(b, "mean"), 1.0 / 3.0, 1e-12);
    ck_near(member(c, "mean"), -(log(0.8) + log(0.6) + log(0.3) + log(0.1)) / 4, 1e-12);
    json_decref(a);
    json_decref(b);
    json_decref(c);
    loom_predictions_release(&p);
}
END_TEST

START_TEST(metrics_by_name)
{
    struct loom_predictions p = of("gaussian");
    json_t *out;
    ck_fails(loom_metric("r3", &p, NULL, NULL, &out, &error), LOOM_ECONFIG, &error, "did you mean \"r2\"");
    ck_fails(loom_metric("bits_per_spike", &p, NULL, NULL, &out, &error), LOOM_ECONFIG, &error, "poisson");
    for (const char *const *m = loom_metric_names(); *m != NULL; m++) {
        const char *likelihood = loom_metric_fits(*m, "categorical") ? "categorical"
                                 : loom_metric_fits(*m, "poisson")   ? "poisson"
                                                                     : "gaussian";
        struct loom_predictions none = of(likelihood);
        if (loom_metric_of_decoder(*m)) { /* of two splits */
            ck_fails(loom_metric(*m, &none, NULL, NULL, &out, &error), LOOM_ECONFIG, &error, "evaluation stage");
            continue;
        }
        out = compute(*m, &none, NULL);
        ck_assert(isnan(loom_metric_mean(out)));
        json_decref(out);
    }
    ck_assert_int_eq(loom_metric_rises("r2"), 1);
    ck_assert_int_eq(loom_metric_rises("mse"), 0);
}
END_TEST

START_TEST(paired_statistics)
{
    double a[20], b[20];
    struct loom_paired one, two;
    for (int i = 0; i < 20; i++) {
        a[i] = i + 0.3 + 0.05 * (i % 4);
        b[i] = i;
    }
    a[3] = NAN;
    ck_ok(loom_paired_compare(&one, a, b, 20, 0.95, 4000, 7, &error), &error);
    ck_ok(loom_paired_compare(&two, a, b, 20, 0.95, 4000, 7, &error), &error);
    ck_assert_int_eq((int)one.n, 19);
    ck_near(one.difference, 0.3 + 0.05 * 27 / 19.0, 1e-12);
    /* Normal theory: the deviation of the mean is 0.0555/√19. */
    ck_near(one.low, one.difference - 1.96 * 0.0555 / sqrt(19), 0.004);
    ck_near(one.high, one.difference + 1.96 * 0.0555 / sqrt(19), 0.004);
    ck_assert(one.low == two.low && one.high == two.high);
    ck_assert_int_eq((int)one.wins, 19);
    ck_near(one.p_sign, 2.0 / (1 << 19), 1e-12);
    ck_near(loom_sign_test(7, 3), 0.34375, 1e-12);
    ck_near(loom_sign_test(0, 0), 1.0, 0.0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {r2_of_dimensions,
                                  recordings_are_scored_apart,
                                  recordings_that_are_not_asked,
                                  bits_per_spike,
                                  a_baseline_is_scored_where_it_answers,
                                  classes,
                                  metrics_by_name,
                                  paired_statistics};
    return run_suite("eval", (int)(sizeof tests / sizeof *tests), tests, 20);
}
