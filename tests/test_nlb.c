/* SPDX-License-Identifier: Apache-2.0 */
/* Benchmark metrics beside nlb_tools and scikit-learn (tests/peers/nlb.py): the same arrays, the same numbers. */
#include "suite.h"

#include "eval/classes.h"
#include "eval/nlb.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct loom_error error;
static json_t *golden;

static const double tolerance = 1e-9; /* of both sides' rounding; rates are given to four digits */

/* ---- arrays of a case ---- */

/* Numbers of nested lists in their order; null is NaN. Returns how many. */
static int64_t flatten(const json_t *list, double *out)
{
    int64_t n = 0;
    size_t i;
    json_t *x;
    if (!json_is_array(list)) {
        *out = json_is_null(list) ? NAN : json_is_true(list) ? 1.0 : json_number_value(list);
        return 1;
    }
    json_array_foreach(list, i, x) n += flatten(x, out + n);
    return n;
}

static const json_t *member(const json_t *c, const char *name)
{
    const json_t *x = json_object_get(c, name);
    if (x == NULL)
        ck_abort_msg("a case has no \"%s\"", name);
    return x;
}

static double number(const json_t *c, const char *name)
{
    return json_number_value(member(c, name));
}

/* The caller frees .at. Two dimensions: one bin a trial. */
static struct loom_nlb_array array(const json_t *c, const char *name)
{
    const json_t *list = member(c, name), *row = json_array_get(list, 0), *cell = json_array_get(row, 0);
    struct loom_nlb_array a = {.trials = (int64_t)json_array_size(list)};
    a.bins = json_is_array(cell) ? (int64_t)json_array_size(row) : 1;
    a.units = (int64_t)json_array_size(json_is_array(cell) ? cell : row);
    double *at = calloc((size_t)(a.trials * a.bins * a.units) + 1, sizeof *at);
    ck_assert_int_eq(flatten(list, at), a.trials * a.bins * a.units);
    a.at = at;
    return a;
}

static void release(struct loom_nlb_array a)
{
    free((void *)(uintptr_t)a.at);
}

static int64_t *integers(const json_t *list)
{
    int64_t *out = calloc(json_array_size(list) + 1, sizeof *out);
    for (size_t i = 0; i < json_array_size(list); i++)
        out[i] = json_integer_value(json_array_get(list, i));
    return out;
}

/* Each case of the kind; at least one, so that a renamed kind does not pass in silence. */
static void each(const char *kind, void (*check)(const json_t *c))
{
    size_t i;
    int n = 0;
    json_t *c;
    json_array_foreach(json_object_get(golden, "cases"), i, c)
    {
        if (strcmp(json_string_value(member(c, "kind")), kind) != 0)
            continue;
        check(c);
        n++;
    }
    ck_assert_int_gt(n, 0);
}

/* ---- bits per spike ---- */

static void check_bits(const json_t *c)
{
    struct loom_nlb_array rates = array(c, "rates"), spikes = array(c, "spikes");
    struct loom_nlb_bits all = {0}, halves = {0};
    ck_ok(loom_nlb_bits_add(&all, rates, spikes, &error), &error);
    ck_near(loom_nlb_bits(&all), number(c, "value"), tolerance);
    /* Unit by unit, as held-in and held-out units come. */
    int64_t rows = rates.trials * rates.bins;
    for (int64_t u = 0; u < rates.units; u++) {
        double *one = calloc((size_t)(2 * rows), sizeof *one);
        for (int64_t i = 0; i < rows; i++) {
            one[i] = rates.at[i * rates.units + u];
            one[rows + i] = spikes.at[i * rates.units + u];
        }
        ck_ok(loom_nlb_bits_add(&halves, (struct loom_nlb_array){one, rates.trials, rates.bins, 1},
                                (struct loom_nlb_array){one + rows, rates.trials, rates.bins, 1}, &error),
              &error);
        free(one);
    }
    ck_near(loom_nlb_bits(&halves), number(c, "value"), tolerance);
    release(rates);
    release(spikes);
}

START_TEST(bits_per_spike)
{
    each("bits", check_bits);
}
END_TEST

/* What upstream refuses is refused with the place. */
START_TEST(bad_rates)
{
    double rates[8] = {1, 1, 1, 1, 1, 1, 1, 1}, spikes[8] = {0, 1, 2, 0, 1, 0, 0, 1};
    struct loom_nlb_array r = {rates, 2, 2, 2}, s = {spikes, 2, 2, 2};
    struct loom_nlb_bits b = {0};
    rates[5] = -1e-12;
    ck_fails(loom_nlb_bits_add(&b, r, s, &error), LOOM_EDATA, &error, "unit 1 in bin 0 of trial 1");
    rates[5] = NAN;
    ck_fails(loom_nlb_bits_add(&b, r, s, &error), LOOM_EDATA, &error, "unit 1 in bin 0 of trial 1");
    ck_assert(b.spikes == 0.0 && b.model == 0.0 && b.null == 0.0);
    s.units = 1;
    ck_fails(loom_nlb_bits_add(&b, r, s, &error), LOOM_ESHAPE, &error, "[2, 2, 2]");
    ck_assert(isnan(loom_nlb_bits(&b)));
}
END_TEST

START_TEST(units_beside_each_other)
{
    static const double a[4] = {1, 2, 3, 4}, b[2] = {5, 6};
    double out[6];
    ck_ok(loom_nlb_beside((struct loom_nlb_array){a, 1, 2, 2}, (struct loom_nlb_array){b, 1, 2, 1}, out, &error),
          &error);
    static const double due[6] = {1, 2, 5, 3, 4, 6};
    for (int i = 0; i < 6; i++)
        ck_near(out[i], due[i], 0);
    ck_fails(loom_nlb_beside((struct loom_nlb_array){a, 1, 2, 2}, (struct loom_nlb_array){b, 2, 1, 1}, out, &error),
             LOOM_ESHAPE, &error, "same trials and bins");
}
END_TEST

/* ---- velocity ---- */

static uint8_t *mask_of(const json_t *c, const char *name, int32_t *masks)
{
    struct loom_nlb_array a = array(c, name);
    uint8_t *mask = calloc((size_t)(a.trials * a.units) + 1, 1);
    for (int64_t i = 0; i < a.trials * a.units; i++)
        mask[i] = a.at[i] != 0.0;
    *masks = (int32_t)a.units;
    release(a);
    return mask;
}

static void check_velocity(const json_t *c)
{
    struct loom_nlb_decoding d = {.train_rates = array(c, "train_rates"),
                                  .eval_rates = array(c, "eval_rates"),
                                  .train_behavior = array(c, "train_behavior"),
                                  .eval_behavior = array(c, "eval_behavior")};
    double r2, chosen[4];
    uint8_t *train = mask_of(c, "train_mask", &d.masks), *eval = mask_of(c, "eval_mask", &d.masks);
    d.train_mask = train;
    d.eval_mask = eval;
    ck_ok(loom_nlb_velocity(&d, &r2, chosen, &error), &error);
    ck_near(r2, number(c, "value"), tolerance);
    for (int i = 0; i < d.masks; i++)
        ck_assert(chosen[i] >= 0.99e-4 && chosen[i] <= 1.01);
    d.alpha = 1e-2;
    ck_ok(loom_nlb_velocity(&d, &r2, NULL, &error), &error);
    ck_near(r2, number(c, "monitor"), tolerance);
    if (d.masks == 1) {
        double same;
        d.masks = 0;
        d.train_mask = d.eval_mask = NULL;
        ck_ok(loom_nlb_velocity(&d, &same, NULL, &error), &error);
        ck_near(same, r2, 0);
    }
    free(train);
    free(eval);
    release(d.train_rates);
    release(d.eval_rates);
    release(d.train_behavior);
    release(d.eval_behavior);
}

START_TEST(velocity)
{
    each("velocity", check_velocity);
}
END_TEST

START_TEST(velocity_refuses)
{
    double x[24], y[24], r2;
    struct loom_nlb_array rates = {x, 12, 1, 2}, behavior = {y, 12, 1, 2};
    struct loom_nlb_decoding d = {rates, behavior, rates, behavior, NULL, NULL, 0, 0.0, NULL};
    for (int i = 0; i < 24; i++) {
        x[i] = (i * 7) % 5;
        y[i] = (i * 3) % 7;
    }
    ck_ok(loom_nlb_velocity(&d, &r2, NULL, &error), &error);
    x[6] = NAN;
    ck_fails(loom_nlb_velocity(&d, &r2, NULL, &error), LOOM_EDATA, &error, "unit 0 in bin 0 of trial 3");
    y[6] = NAN;
    ck_ok(loom_nlb_velocity(&d, &r2, NULL, &error), &error);
    y[9] = NAN;
    ck_fails(loom_nlb_velocity(&d, &r2, NULL, &error), LOOM_EDATA, &error, "column 1");
    d.train_behavior.trials = 11;
    ck_fails(loom_nlb_velocity(&d, &r2, NULL, &error), LOOM_ESHAPE, &error, "train rates are [12, 1, 2]");
}
END_TEST

/* ---- histograms ---- */

static double *smooth_and_rebin(const json_t *c, int64_t *bins, int64_t *units)
{
    struct loom_nlb_array raw = array(c, "spikes");
    double *x = (double *)(uintptr_t)raw.at;
    int64_t width = (int64_t)number(c, "width"), n = (raw.trials + width - 1) / width;
    double *out = calloc((size_t)(n * raw.units), sizeof *out);
    for (int64_t u = 0; u < raw.units; u++)
        ck_ok(loom_nlb_smooth(x + u, raw.trials, raw.units, number(c, "sd"), &error), &error);
    loom_nlb_rebin(x, raw.trials, raw.units, width, out);
    *bins = n;
    *units = raw.units;
    release(raw);
    return out;
}

static void same_numbers(const double *got, struct loom_nlb_array due)
{
    for (int64_t i = 0; i < due.trials * due.bins * due.units; i++)
        if (isnan(due.at[i]))
            ck_assert_msg(isnan(got[i]), "number %d is %g and should be missing", (int)i, got[i]);
        else
            ck_near(got[i], due.at[i], 1e-9);
}

/* The eval trials of each condition, as ragged lists. */
static void ragged(const json_t *lists, int64_t **first, int64_t **trial)
{
    size_t n = json_array_size(lists), total = 0;
    *first = calloc(n + 1, sizeof **first);
    for (size_t i = 0; i < n; i++)
        (*first)[i + 1] = (int64_t)(total += json_array_size(json_array_get(lists, i)));
    *trial = calloc(total + 1, sizeof **trial);
    for (size_t i = 0, k = 0; i < n; i++)
        for (size_t j = 0; j < json_array_size(json_array_get(lists, i)); j++)
            (*trial)[k++] = json_integer_value(json_array_get(json_array_get(lists, i), j));
}

/* psth_r2 of the case's own histogram. */
static void check_score(const json_t *c)
{
    struct loom_nlb_array psth = array(c, "psth"), rates = array(c, "rates");
    const json_t *shift = json_object_get(c, "jitter");
    int64_t *first, *trial, *jitter = shift != NULL ? integers(shift) : NULL;
    double r2;
    ragged(member(c, "trial"), &first, &trial);
    ck_ok(loom_nlb_psth_r2(psth, rates, first, trial, jitter, &r2, &error), &error);
    ck_near(r2, number(c, "value"), tolerance);
    free(first);
    free(trial);
    free(jitter);
    release(psth);
    release(rates);
}

static void check_psth(const json_t *c)
{
    int64_t n, units, trials = (int64_t)json_array_size(member(c, "starts")), bins = (int64_t)number(c, "bins");
    int64_t *start = integers(member(c, "starts")), *length = integers(member(c, "lengths")),
            *condition = integers(member(c, "condition")), width = (int64_t)number(c, "width");
    struct loom_nlb_array smoothed = array(c, "smoothed"), psth = array(c, "psth");
    double *x = smooth_and_rebin(c, &n, &units), *cut = calloc((size_t)(trials * bins * units), sizeof *cut);
    double *got = calloc((size_t)(psth.trials * bins * units), sizeof *got);
    uint8_t *kept = calloc((size_t)trials + 1, 1);
    int at_end = json_is_true(member(c, "at_end"));
    same_numbers(x, smoothed);
    for (int64_t i = 0; i < trials; i++) {
        length[i] /= width;
        int64_t to = at_end ? bins - length[i] : 0;
        memcpy(cut + (i * bins + to) * units, x + start[i] / width * units, (size_t)(length[i] * units) * sizeof *x);
    }
    struct loom_nlb_trials t = {.smoothed = {cut, trials, bins, units},
                                .length = length,
                                .at_end = at_end,
                                .condition = condition,
                                .conditions = psth.trials};
    ck_ok(loom_nlb_psth(&t, got, kept, &error), &error);
    for (int64_t i = 0; i < psth.trials * bins && at_end; i++)
        for (int64_t u = 0; u < units && (i % bins < 4 || i % bins >= bins - 2); u++)
            got[i * units + u] = NAN; /* as the case has it: a jitter would read beyond the window */
    same_numbers(got, psth);
    /* Whose trials count: the same ones as upstream's. */
    int64_t *eval = integers(member(c, "eval")), used = 0, listed = 0;
    for (size_t i = 0; i < json_array_size(member(c, "eval")); i++)
        used += kept[eval[i]];
    for (size_t i = 0; i < json_array_size(member(c, "trial")); i++)
        listed += (int64_t)json_array_size(json_array_get(member(c, "trial"), i));
    ck_assert_int_eq(used, listed);
    check_score(c);
    release(smoothed);
    release(psth);
    void *all[] = {start, length, condition, x, cut, got, kept, eval};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

START_TEST(histograms)
{
    each("psth", check_psth);
    each("psth_r2", check_score);
}
END_TEST

START_TEST(histograms_refuse)
{
    double psth[4] = {1, 2, 3, 4}, rates[4] = {1, 2, NAN, 4}, r2, x[3] = {1, 0, 0};
    int64_t first[3] = {0, 1, 2}, trial[2] = {0, 1}, jitter[2] = {0, 1};
    struct loom_nlb_array p = {psth, 2, 2, 1}, r = {rates, 2, 2, 1};
    ck_fails(loom_nlb_psth_r2(p, r, first, trial, NULL, &r2, &error), LOOM_EDATA, &error,
             "trial 1 has no rate in bin 0");
    rates[2] = 3;
    ck_ok(loom_nlb_psth_r2(p, r, first, trial, NULL, &r2, &error), &error);
    ck_near(r2, 1, 0);
    ck_fails(loom_nlb_psth_r2(p, r, first, trial, jitter, &r2, &error), LOOM_EDATA, &error, "in bin 0");
    trial[1] = 2;
    ck_fails(loom_nlb_psth_r2(p, r, first, trial, NULL, &r2, &error), LOOM_ESHAPE, &error, "names trial 2 of 2");
    ck_fails(loom_nlb_smooth(x, 3, 1, 0.1, &error), LOOM_EINVAL, &error, "has no taps");
}
END_TEST

/* ---- the rest ---- */

static void check_tp(const json_t *c)
{
    struct loom_nlb_array spikes = array(c, "spikes"), rates = array(c, "rates"), behavior = array(c, "behavior");
    double r, *y = (double *)(uintptr_t)behavior.at;
    ck_ok(loom_nlb_tp(spikes, rates, behavior, &r, &error), &error);
    ck_near(r, number(c, "value"), tolerance);
    y[0] = 7; /* a group of its own */
    ck_fails(loom_nlb_tp(spikes, rates, behavior, &r, &error), LOOM_EDATA, &error, "alone in its group");
    release(spikes);
    release(rates);
    release(behavior);
}

START_TEST(produced_interval)
{
    each("tp", check_tp);
}
END_TEST

static void check_r2(const json_t *c)
{
    struct loom_nlb_array y = array(c, "y"), predicted = array(c, "predicted");
    ck_near(loom_nlb_r2(y.at, predicted.at, y.trials, y.units), number(c, "value"), tolerance);
    release(y);
    release(predicted);
}

START_TEST(r2_of_scikit)
{
    double one = 1;
    each("r2", check_r2);
    ck_assert(isnan(loom_nlb_r2(&one, &one, 1, 1)));
}
END_TEST

/* ---- classes ---- */

/* NaN on both sides, or near. */
static void same_value(const json_t *c, const char *name, double got)
{
    const json_t *due = member(member(c, "value"), name);
    if (json_is_null(due))
        ck_assert_msg(isnan(got), "%s is %g and should not be known", name, got);
    else
        ck_near(got, json_number_value(due), tolerance);
}

static void check_classes(const json_t *c)
{
    struct loom_nlb_array score = array(c, "score");
    int64_t *label = integers(member(c, "label")), *guess = integers(member(c, "guess"));
    struct loom_classes x = {.n = score.trials, .classes = (int)number(c, "classes"), .score = score.at};
    int32_t *l = calloc((size_t)x.n, sizeof *l), *g = calloc((size_t)x.n, sizeof *g),
            *order = calloc((size_t)(x.n * x.classes), sizeof *order);
    double confusion[16], *times = calloc((size_t)x.n, sizeof *times);
    for (int64_t i = 0; i < x.n; i++) {
        l[i] = (int32_t)label[i];
        g[i] = (int32_t)guess[i];
    }
    x.label = l;
    x.guess = g;
    ck_ok(loom_classes_order(&x, order, &error), &error);
    x.order = order;
    loom_classes_confusion(&x, confusion);
    same_value(c, "accuracy", loom_class_accuracy(confusion, x.classes));
    same_value(c, "balanced_accuracy", loom_class_balanced_accuracy(confusion, x.classes));
    same_value(c, "kappa", loom_class_kappa(confusion, x.classes));
    same_value(c, "weighted_f1", loom_class_weighted_f1(confusion, x.classes));
    same_value(c, "auroc", loom_class_auroc(&x));
    same_value(c, "auprc", loom_class_auprc(&x));
    flatten(member(c, "times"), times);
    x.times = times;
    loom_classes_confusion(&x, confusion);
    same_value(c, "kappa_again", loom_class_kappa(confusion, x.classes));
    same_value(c, "auprc_again", loom_class_auprc(&x));
    void *all[] = {label, guess, l, g, order, times};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    release(score);
}

START_TEST(classes_of_scikit)
{
    each("classes", check_classes);
}
END_TEST

/* LOOM_NLB_CASES: a file of other cases (tests/peers/nlb.py --check). */
int main(void)
{
    const char *other = getenv("LOOM_NLB_CASES"), *path = other != NULL ? other : in_sources("tests/golden/nlb.json");
    golden = json_load_file(path, 0, NULL);
    if (golden == NULL) {
        printf("Bail out! %s cannot be read\n", path);
        return EXIT_FAILURE;
    }
    const TTest *const tests[] = {bits_per_spike,   bad_rates,        units_beside_each_other, velocity,
                                  velocity_refuses, histograms,       histograms_refuse,       produced_interval,
                                  r2_of_scikit,     classes_of_scikit};
    int status = run_suite("nlb", sizeof tests / sizeof *tests, tests, 60);
    json_decref(golden);
    return status;
}
