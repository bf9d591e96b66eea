/* SPDX-License-Identifier: Apache-2.0 */
/* Baselines that name classes, beside other programs (tests/golden/classes.py): the same trials, the same
 * probabilities. */
#include "fitting.h"
#include "recorded.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

enum { MOST_TRIALS = 64 };

/* Trials one behind the other, classes "a", "b", "c". */
struct golden_trials {
    struct recorded rec;
    struct loom_intervals table;
    struct loom_column column[2];
    double start[MOST_TRIALS], stop[MOST_TRIALS];
    const char *label[MOST_TRIALS], *split[MOST_TRIALS];
};

static void read_trials(struct golden_trials *x, const json_t *from)
{
    static const char *const words[] = {"a", "b", "c"};
    const json_t *value = json_object_get(from, "value"), *counts = json_object_get(from, "counts");
    const json_t *label = json_object_get(from, "label");
    const int trials = (int)json_array_size(label), bins = (int)json_array_size(counts);
    const int samples = (int)json_integer_value(json_object_get(from, "samples"));
    recorded_init(&x->rec, "golden", bins, 0, 4, "vel", 3);
    for (int t = 0; t < bins; t++) {
        for (int u = 0; u < 4; u++)
            x->rec.count[4 * t + u] =
                (uint16_t)json_integer_value(json_array_get(json_array_get(counts, (size_t)t), (size_t)u));
        for (int d = 0; d < 3; d++)
            x->rec.value[3 * t + d] =
                (float)json_number_value(json_array_get(json_array_get(value, (size_t)t), (size_t)d));
    }
    for (int i = 0; i < trials; i++) {
        x->start[i] = 0.05 * samples * i;
        x->stop[i] = 0.05 * samples * (i + 1);
        x->label[i] = words[json_integer_value(json_array_get(label, (size_t)i))];
        x->split[i] = i < json_integer_value(json_object_get(from, "train")) ? "train" : "test";
    }
    x->column[0] = (struct loom_column){"class", NULL, x->label};
    x->column[1] = (struct loom_column){"split", NULL, x->split};
    x->table = (struct loom_intervals){"trials", trials, 2, x->start, x->stop, x->column};
    x->rec.r.intervals_count = 1;
    x->rec.r.intervals = &x->table;
}

static struct loom_data_spec trial_windows(void)
{
    static const char *const train[] = {"train"}, *const test[] = {"test"};
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    spec.window = LOOM_WINDOW_TRIAL;
    spec.split.by = LOOM_BY_COLUMN;
    spec.split.value[LOOM_TRAIN] = (struct loom_words){1, train};
    spec.split.value[LOOM_TEST] = (struct loom_words){1, test};
    return spec;
}

/* Probabilities of the test trials, one after the other. */
static void compare(const struct fitted *f, const struct loom_catalog *c, const json_t *test, int classes)
{
    struct loom_windows w;
    fit_windows(&w, c, LOOM_TEST, 0);
    ck_assert_uint_eq((size_t)w.n, json_array_size(test));
    for (int i = 0; i < w.n; i++) {
        double sum = 0;
        ck_ok(loom_shard_plan(f->shard, &w.sample[i], 1, LOOM_EVALUATE, 0, &error), &error);
        ck_ok(loom_shard_build(f->shard, loom_shard_masses(f->shard), NULL, 1, &error), &error);
        loom_shard_run(f->shard);
        ck_assert_int_eq(loom_shard_readings(f->shard), 1);
        const struct loom_reading *read = loom_shard_reading(f->shard, 0);
        ck_assert_int_eq(read->params_n, classes);
        ck_assert_int_eq(read->ask->elems, 1);
        for (int k = 0; k < classes; k++)
            sum += exp((double)read->params[k]);
        for (int k = 0; k < classes; k++)
            ck_near(exp((double)read->params[k]) / sum,
                    json_number_value(json_array_get(json_array_get(test, (size_t)i), (size_t)k)), 2e-5);
    }
    loom_windows_release(&w);
}

START_TEST(as_others_say)
{
    static struct golden_trials x;
    const struct loom_recording *one[] = {&x.rec.r};
    const struct loom_data_spec spec = trial_windows();
    json_t *golden = json_load_file(in_sources("tests/golden/classes.json"), 0, NULL), *from, *what;
    struct loom_catalog *c;
    size_t i, k;
    ck_assert_ptr_nonnull(golden);
    json_array_foreach(golden, k, from)
    {
        read_trials(&x, from);
        ck_ok(loom_catalog_new(&c, one, 1, &spec, &error), &error);
        json_array_foreach(json_object_get(from, "cases"), i, what)
        {
            const char *id = json_string_value(json_object_get(what, "baseline"));
            char text[512];
            struct fitted f;
            snprintf(text, sizeof text,
                     "stage: { objectives: ( { plugin = \"decode\"; target = \"class\"; } ); }; %s: { %s };", id,
                     json_string_value(json_object_get(what, "options")));
            fit_all(&f, c, text, id);
            compare(&f, c, json_object_get(what, "test"), (int)json_integer_value(json_object_get(from, "classes")));
            fit_release(&f);
        }
        loom_catalog_free(c);
        recorded_release(&x.rec);
    }
    json_decref(golden);
}
END_TEST

/* Probability of class k at test trial i. */
static double chance_of(const struct fitted *f, const struct loom_catalog *c, int i, int k)
{
    struct loom_windows w;
    double sum = 0;
    fit_windows(&w, c, LOOM_TEST, 0);
    ck_ok(loom_shard_plan(f->shard, &w.sample[i], 1, LOOM_EVALUATE, 0, &error), &error);
    loom_windows_release(&w);
    ck_ok(loom_shard_build(f->shard, loom_shard_masses(f->shard), NULL, 1, &error), &error);
    loom_shard_run(f->shard);
    const struct loom_reading *read = loom_shard_reading(f->shard, 0);
    ck_assert_int_eq(loom_shard_readings(f->shard), 1);
    for (int j = 0; j < read->params_n; j++)
        sum += exp((double)read->params[j]);
    return exp((double)read->params[k]) / sum;
}

/* Every unit fires 100 spikes a bin, as many more as its class says, and as many more as one after the other trial
 * says: `spread` or none. */
static void fire(struct golden_trials *x, int trials, int samples, int spread)
{
    for (int t = 0; t < trials * samples; t++)
        for (int u = 0; u < 4; u++) {
            const int trial = t / samples, own = x->label[trial][0] - 'a' == u;
            x->rec.count[4 * t + u] = (uint16_t)(100 + 20 * own + (trial / (u + 1) % 2) * spread);
        }
}

/* Without a single case a class is not named, however far a trial is from all that were; and where trials of a class
 * are all the same, the nearest is named. */
START_TEST(what_training_has_not)
{
    static struct golden_trials x;
    const struct loom_recording *one[] = {&x.rec.r};
    const struct loom_data_spec spec = trial_windows();
    const char *stage = "stage: { objectives: ( { plugin = \"decode\"; target = \"class\"; } ); }; lda: { };";
    json_t *golden = json_load_file(in_sources("tests/golden/classes.json"), 0, NULL);
    const json_t *from = json_array_get(golden, 1);
    const int trials = (int)json_array_size(json_object_get(from, "label")),
              samples = (int)json_integer_value(json_object_get(from, "samples"));
    ck_assert_ptr_nonnull(golden);
    for (int same = 0; same < 2; same++) {
        struct loom_catalog *c;
        struct fitted f;
        read_trials(&x, from);
        for (int i = 0; i < trials; i++) {
            x.label[i] = i == trials - 2 ? "a" : i == trials - 1 ? "c" : i % 2 ? "b" : same && i % 4 ? "c" : "a";
            x.split[i] = i < trials - 2 ? "train" : "test";
        }
        fire(&x, trials, samples, same ? 0 : 1);
        for (int k = 0; k < 4 * samples && !same; k++)
            x.rec.count[4 * samples * (trials - 2) + k] = 0;
        ck_ok(loom_catalog_new(&c, one, 1, &spec, &error), &error);
        fit_all(&f, c, stage, "lda");
        ck_assert(chance_of(&f, c, 0, 2) < 1e-6);
        ck_assert(chance_of(&f, c, 1, 2) < 1e-6 || same);
        ck_assert(chance_of(&f, c, 1, 2) > 0.5 || !same);
        ck_assert(chance_of(&f, c, 0, 0) > 0.5 || !same);
        fit_release(&f);
        loom_catalog_free(c);
        recorded_release(&x.rec);
    }
    json_decref(golden);
}
END_TEST

static int try_baseline(const struct loom_catalog *c, const char *id, const char *target, const char *options)
{
    char text[512];
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_model *m = NULL;
    ck_ok(loom_registry_new(&registry, NULL, &error), &error);
    snprintf(text, sizeof text, "stage: { objectives: ( { plugin = \"decode\"; target = \"%s\"; } ); }; %s: { %s };",
             target, id, options);
    ck_ok(loom_config_parse(&config, text, "test", 0, NULL, &error), &error);
    struct loom_model_spec spec = {.registry = registry,
                                   .catalog = c,
                                   .root = loom_config_root(config),
                                   .stage = loom_config_group(config, "stage"),
                                   .baseline = id,
                                   .baseline_options = loom_config_group(config, id),
                                   .seed = 1};
    int rc = loom_model_new(&m, &spec, &error);
    loom_model_free(m);
    loom_config_free(config);
    loom_registry_free(registry);
    return rc;
}

/* Regressions name no classes, discriminants decode no behaviour; a band that is none is refused. */
START_TEST(what_does_not_go_together_is_refused)
{
    static struct golden_trials x;
    const struct loom_recording *one[] = {&x.rec.r};
    struct loom_data_spec spec = trial_windows();
    json_t *golden = json_load_file(in_sources("tests/golden/classes.json"), 0, NULL);
    struct loom_catalog *c;
    ck_assert_ptr_nonnull(golden);
    read_trials(&x, json_array_get(golden, 0));
    ck_ok(loom_catalog_new(&c, one, 1, &spec, &error), &error);
    ck_fails(try_baseline(c, "smooth", "class", ""), LOOM_ECONFIG, &error, "names no classes of 'class'");
    ck_fails(try_baseline(c, "lda", "vel", ""), LOOM_ECONFIG, &error, "a column of the trials is asked for");
    ck_fails(try_baseline(c, "csp", "class", "high_hz = 12.0;"), LOOM_ECONFIG, &error, "below half");
    ck_fails(try_baseline(c, "csp", "class", "low_hz = 3.0; high_hz = 3.5;"), LOOM_ECONFIG, &error, "cannot be told");
    ck_fails(try_baseline(c, "csp", "class", "signal = \"eeg\";"), LOOM_EDATA, &error, "no series \"eeg\"");
    ck_ok(try_baseline(c, "csp", "class", "low_hz = 3.0; high_hz = 8.0;"), &error);
    loom_catalog_free(c);
    recorded_release(&x.rec);
    json_decref(golden);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {as_others_say, what_training_has_not, what_does_not_go_together_is_refused};
    return run_suite("classes", sizeof tests / sizeof *tests, tests, 60);
}
