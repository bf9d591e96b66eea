/* SPDX-License-Identifier: Apache-2.0 */
/* What evaluation leaves beside predictions for figures: trials, their conditions, dates, latents. */
#include "suite.h"

#include "data/catalog.h"
#include "eval/predictions.h"
#include "train/runner.h"

#include <loom/run.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 60, BINS = ROWS * 10, RECORDINGS = 2 };
static struct loom_error error;

/* Trials of half a second, one after the other; the columns each in its own way. */
static struct {
    struct loom_recording r[RECORDINGS];
    struct loom_unit unit;
    struct loom_counts counts;
    struct loom_intervals table;
    struct loom_column column[4];
    double start_s[ROWS], stop_s[ROWS], target[ROWS], angle[ROWS], zero, observed[2];
    const char *kind[ROWS];
    int64_t first[2];
    uint16_t count[BINS];
    struct loom_catalog *catalog;
} w;

static void setup_around(const char *event)
{
    const struct loom_recording *all[RECORDINGS];
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    loom_error_clear(&error);
    for (int k = 0; k < ROWS; k++) {
        w.start_s[k] = 0.5 * k;
        w.stop_s[k] = 0.5 * (k + 1);
        w.target[k] = k % 3 == 2 ? NAN : 45.0 * (k % 3);
        w.angle[k] = k; /* more than are told apart one by one */
        w.kind[k] = k % 4 == 0 ? "" : k % 2 ? "go" : "no\ngo";
    }
    w.column[0] = (struct loom_column){"angle", w.angle, NULL};
    w.column[1] = (struct loom_column){"target", w.target, NULL};
    w.column[2] = (struct loom_column){"type", NULL, w.kind};
    w.table = (struct loom_intervals){"trials", ROWS, 3, w.start_s, w.stop_s, w.column};
    w.first[1] = BINS;
    w.observed[1] = 0.5 * ROWS;
    w.unit = (struct loom_unit){.name = "unit0", .group = "", .region = "", .electrode = -1};
    w.counts = (struct loom_counts){0.05, 1, &w.zero, w.first, w.count};
    for (int i = 0; i < RECORDINGS; i++) {
        w.r[i] = (struct loom_recording){.id = i == 0 ? "a" : "b",
                                         .subject = "",
                                         .session = "",
                                         .task = "",
                                         .date = i == 0 ? "" : "2013-12-19",
                                         .file = "",
                                         .stop_s = 0.5 * ROWS,
                                         .units = 1,
                                         .unit = &w.unit,
                                         .counts = &w.counts,
                                         .intervals_count = 1,
                                         .intervals = &w.table,
                                         .observed_count = 1,
                                         .observed_s = w.observed};
        all[i] = &w.r[i];
    }
    spec.bin_s = 0.05;
    if (event != NULL) {
        spec.window = LOOM_WINDOW_TRIAL;
        spec.align = event;
        spec.post_s = 0.2;
    }
    ck_ok(loom_catalog_new(&w.catalog, all, RECORDINGS, &spec, &error), &error);
}

static void setup(void)
{
    setup_around(NULL);
}

static void teardown(void)
{
    loom_catalog_free(w.catalog);
}

/* One answer in the middle of every second trial of recording b. */
static void ask(struct loom_predictions *p)
{
    loom_predictions_init(p);
    p->recording = calloc(RECORDINGS, sizeof *p->recording);
    for (int i = 0; i < RECORDINGS; i++)
        p->recording[p->recordings++] = strdup(w.r[i].id);
    for (int k = 0; k < ROWS; k += 2) {
        const struct loom_predicted row = {
            .recording = 1, .time_ns = llround(1e9 * (0.5 * k + 0.25)), .weight = 1, .trial = -1};
        ck_ok(loom_predictions_add(p, &row, NULL, &error), &error);
    }
}

static void sort(struct loom_predictions *p, const char *column)
{
    ask(p);
    ck_ok(loom_predictions_sort_trials(p, w.catalog, column, &error), &error);
    ck_assert_int_eq(p->trials, ROWS / 2);
    for (int k = 0; k < p->trials; k++) {
        ck_assert_int_eq(p->trial[k].recording, 1);
        ck_assert_int_eq(p->trial[k].row, 2 * k);
        ck_near(p->trial[k].start_s, k, 0);
        ck_near(p->trial[k].zero_s, k, 0);
    }
    ck_assert_str_eq(p->zero_name, "");
}

START_TEST(numbers)
{
    struct loom_predictions p;
    sort(&p, "auto");
    ck_assert_str_eq(p.condition_name, "target");
    ck_assert_int_eq(p.conditions, 2);
    ck_assert_str_eq(p.condition[0], "0");
    ck_assert_str_eq(p.condition[1], "45");
    for (int k = 0; k < p.trials; k++)
        ck_assert_int_eq(p.trial[k].condition, 2 * k % 3 == 2 ? -1 : 2 * k % 3);
    ck_assert_str_eq(p.date[0], "");
    ck_assert_str_eq(p.date[1], "2013-12-19");
    loom_predictions_release(&p);
}
END_TEST

/* Thirty values are still told apart, so the ranges want more of them: of all trials. */
START_TEST(ranges)
{
    struct loom_predictions p;
    ask(&p);
    for (int k = 1; k < ROWS; k += 2) {
        const struct loom_predicted row = {
            .recording = 1, .time_ns = llround(1e9 * (0.5 * k + 0.25)), .weight = 1, .trial = -1};
        ck_ok(loom_predictions_add(&p, &row, NULL, &error), &error);
    }
    ck_ok(loom_predictions_sort_trials(&p, w.catalog, "angle", &error), &error);
    ck_assert_int_eq(p.trials, ROWS);
    ck_assert_int_eq(p.conditions, 8);
    ck_assert_str_eq(p.condition[0], "0 to 7.38");
    for (int k = 0; k < ROWS; k++)
        ck_assert_int_eq(p.trial[k].condition, k == ROWS - 1 ? 7 : (int)(k / (59.0 / 8)));
    loom_predictions_release(&p);
}
END_TEST

/* Windows around an event: time in a trial is told from it. */
START_TEST(zero_is_the_event)
{
    struct loom_predictions p;
    teardown();
    setup_around("angle");
    ask(&p);
    ck_ok(loom_predictions_sort_trials(&p, w.catalog, "auto", &error), &error);
    ck_assert_str_eq(p.zero_name, "angle");
    ck_assert_int_eq(p.trials, ROWS / 2);
    for (int k = 0; k < p.trials; k++)
        ck_near(p.trial[k].zero_s, w.angle[2 * k], 0);
    loom_predictions_release(&p);
}
END_TEST

START_TEST(texts_and_none)
{
    struct loom_predictions p;
    sort(&p, "type");
    ck_assert_int_eq(p.conditions, 1);
    ck_assert_str_eq(p.condition[0], "no go");
    for (int k = 0; k < p.trials; k++)
        ck_assert_int_eq(p.trial[k].condition, k % 2 == 0 ? -1 : 0);
    loom_predictions_release(&p);
    sort(&p, "");
    ck_assert_int_eq(p.conditions, 0);
    ck_assert_str_eq(p.condition_name, "");
    ck_assert_int_eq(p.trial[3].condition, -1);
    loom_predictions_release(&p);
}
END_TEST

/* A run of the simulation: its targets, and latents that do not depend on the number of workers. */
START_TEST(of_a_run)
{
    static char folder[] = "/tmp/loom-conditions-XXXXXX";
    static const char *const override[] = {"stages.pretrain.steps=1", "stages.decode.steps=1",
                                           "stages.evaluate.latents=40", "stages.evaluate.splits=(\"valid\")",
                                           "stages.evaluate.against=()"};
    struct loom_predictions p[2];
    char out[64], file[96], command[128];
    if (!loom_predictions_supported())
        return;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    for (int i = 0; i < 2; i++) {
        snprintf(out, sizeof out, "%s/%d", folder, i);
        const struct loom_run_spec spec = {.size = sizeof spec,
                                           .pipeline = in_sources("tests/tiny.cfg"),
                                           .out = out,
                                           .threads = 1 + i,
                                           .overrides = 5,
                                           .override = override};
        ck_ok(loom_run(&spec, &error), &error);
        snprintf(file, sizeof file, "%s/predictions.h5", out);
        ck_ok(loom_predictions_read(&p[i], file, "evaluate", "valid", "handVel", &error), &error);
    }
    ck_assert_str_eq(p[0].condition_name, "target");
    ck_assert_int_gt(p[0].conditions, 0);
    ck_assert_int_gt(p[0].trials, 0);
    ck_assert_int_eq(p[0].latents.width, 16);
    ck_assert_int_gt(p[0].latents.n, 10);
    ck_assert_int_le(p[0].latents.n, 40);
    ck_assert_int_eq(p[0].latents.n, p[1].latents.n);
    for (int64_t i = 0; i < p[0].latents.n * 16; i++) {
        ck_assert(isfinite(p[0].latents.value[i]));
        ck_assert(p[0].latents.value[i] == p[1].latents.value[i]);
    }
    loom_predictions_release(&p[0]);
    loom_predictions_release(&p[1]);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* A column that is not there is an error before anything is trained. */
START_TEST(unknown_column)
{
    static const char *const override[] = {"stages.evaluate.condition=\"nothing\""};
    const struct loom_run_spec spec = {.size = sizeof spec,
                                       .pipeline = in_sources("tests/tiny.cfg"),
                                       .out = "/tmp/loom-conditions-never",
                                       .threads = 1,
                                       .overrides = 1,
                                       .override = override};
    ck_fails(loom_run(&spec, &error), LOOM_ECONFIG, &error, "nothing");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {numbers, ranges, zero_is_the_event, texts_and_none, of_a_run, unknown_column};
    return run_between("conditions", (int)(sizeof tests / sizeof *tests), tests, 240, setup, teardown);
}
