/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"
#include "page.h"

#include "base/io.h"
#include "base/str.h"
#include "eval/figure.h"
#include "eval/predictions.h"

#include <loom/report.h>
#include <loom/rng.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char metrics[] =
    "{\"evaluate\": {\"test\": {\"r2\": {\"mean\": 0.8125, \"x\": 0.85, \"y\": 0.775, \"variance_weighted\": 0.81,"
    " \"n\": 3107}, \"bits_per_spike\": {\"mean\": 0.31, \"null\": \"train\", \"mean_split_null\": 0.28, \"n\": 81234},"
    " \"baselines\": {\"wiener\": {\"r2\": {\"mean\": 0.783, \"x\": 0.837, \"y\": 0.729, \"n\": 3107}},"
    " \"<smooth>\": {\"r2\": {\"mean\": null, \"x\": 0.72, \"y\": 0.54, \"n\": 3107}}}}}}";

static void logs(const char *name, double shift)
{
    struct loom_str s = LOOM_STR_INIT;
    if (shift > 0)
        loom_str_add(&s, "{\"event\":\"done\",\"stage\":\"pretrain\",\"step\":900,\"seconds\":150,\"flops\":1,"
                         "\"parameters\":4321}\n");
    for (int i = 1; i <= 900; i++) {
        double loss = 0.4 + 2.0 * exp(-i / 80.0) + 0.05 * sin(i * 1.7) + shift;
        loom_str_printf(&s,
                        "{\"event\":\"step\",\"stage\":\"pretrain\",\"step\":%d,\"loss\":%g,\"lr\":1e-3,"
                        "\"terms\":{\"mae\":%g,\"decode.handVel\":%g}}\n",
                        i, loss, loss * 0.7, loss * 0.3);
        if (i % 50 == 0)
            loom_str_printf(&s,
                            "{\"event\":\"valid\",\"stage\":\"pretrain\",\"step\":%d,\"loss\":%g,\"best\":1,"
                            "\"best_step\":%d,\"seconds\":%d}\n",
                            i, loss + 0.08, i, i);
    }
    loom_str_add(&s, "{\"event\":\"step\",\"stage\":\"pretr"); /* cut by a kill */
    put(name, s.text);
    loom_str_release(&s);
}

static void predictions(void)
{
    char x[] = "x", y[] = "y", id[] = "m1", *dims[] = {x, y}, *ids[] = {id};
    struct loom_predictions v, c;
    struct loom_rng g;
    double *wiener = calloc(1600, sizeof *wiener);
    loom_rng_init(&g, 1, "test", 0, 0);
    loom_predictions_init(&v);
    loom_predictions_init(&c);
    for (int t = 0; t < 800; t++)
        for (int d = 0; d < 2; d++) {
            double truth = 20 * sin(t * 0.07 + d) * sin(t * 0.013);
            struct loom_predicted row = {.element = d,
                                         .time_ns = 620000000000 + 50000000ll * t,
                                         .weight = 1,
                                         .target = t % 97 == 0 ? NAN : truth,
                                         .predicted = 0.9 * truth + 2 * loom_rng_normal(&g)};
            ck_ok(loom_predictions_add(&v, &row, NULL, &error), &error);
            wiener[2 * t + d] = 0.8 * truth + 3 * loom_rng_normal(&g);
        }
    for (int t = 0; t < 300; t++)
        for (int u = 0; u < 60; u++) {
            double rate = 0.4 * (1 + sin(t * 0.1 + u * 0.2));
            struct loom_predicted row = {.element = u,
                                         .time_ns = 620025000000 + 50000000ll * t,
                                         .weight = 1,
                                         .target = (double)loom_rng_poisson(&g, rate),
                                         .predicted = rate};
            if ((t / 7 + u) % 3 != 0)
                ck_ok(loom_predictions_add(&c, &row, NULL, &error), &error);
        }
    snprintf(v.modality, sizeof v.modality, "handVel");
    snprintf(v.likelihood, sizeof v.likelihood, "gaussian");
    snprintf(v.unit, sizeof v.unit, "cm/s");
    snprintf(c.modality, sizeof c.modality, "spikes");
    snprintf(c.likelihood, sizeof c.likelihood, "poisson");
    v.bin_s = c.bin_s = 0.05;
    v.recordings = c.recordings = 1;
    v.recording = c.recording = ids;
    v.elements = 2;
    v.element = dims;
    struct loom_predictions_baseline b = {"wiener", wiener};
    ck_ok(loom_predictions_write(&v, in_folder("predictions.h5"), "evaluate", "test", &b, 1, &error), &error);
    ck_ok(loom_predictions_write(&c, in_folder("predictions.h5"), "evaluate", "test", NULL, 0, &error), &error);
    v.recordings = c.recordings = v.elements = 0;
    v.recording = c.recording = v.element = NULL;
    loom_predictions_release(&v);
    loom_predictions_release(&c);
    free(wiener);
}

static void setup(void)
{
    folder_make();
    put("pipeline.cfg", "name = \"a <b> & c\"; # default\nseed = 1L;\n");
    put("status", "done\n");
}

static int report(void)
{
    const char *run[] = {folder};
    return loom_report_write(&(struct loom_report_spec){.size = sizeof(struct loom_report_spec), .runs = 1, .run = run},
                             &error);
}

START_TEST(whole_run)
{
    put("metrics.json", metrics);
    logs("log.jsonl", 0);
    if (loom_predictions_supported())
        predictions();
    ck_ok(report(), &error);
    char *html = get("report.html");
    page_sound(html);
    ck_assert_int_eq(page_count(html, "<figure>"), loom_predictions_supported() ? 7 : 2);
    ck_assert_ptr_nonnull(strstr(html, "0.812"));
    ck_assert_ptr_nonnull(strstr(html, "0.783"));
    ck_assert_ptr_null(strstr(html, "steps of training")); /* of a stage that is not done nothing is known */
    ck_assert_ptr_nonnull(strstr(html, "&lt;smooth&gt;"));
    ck_assert_ptr_nonnull(strstr(html, "a &lt;b&gt; &amp; c"));
    free(html);
    char *csv = get("report/loss-pretrain.csv");
    ck_assert_int_eq(page_count(csv, "\n"), 1 + 900 + 18);
    free(csv);
    if (loom_predictions_supported()) {
        csv = get("report/trace-evaluate-test-handVel-x.csv");
        ck_assert_int_eq(page_count(csv, "\n"), 1 + 3 * 200 - 2); /* two recorded values are missing */
        ck_assert_ptr_nonnull(strstr(csv, "wiener"));
        free(csv);
        free(get("report/raster-evaluate-test-spikes.csv"));
    }
}
END_TEST

START_TEST(seeds_and_comparisons)
{
    put("metrics.json",
        "{\"evaluate\": {\"test\": {\"r2\": {\"mean\": 0.8, \"sd\": 0.01, \"interval\": [0.79, 0.81],"
        " \"seeds\": [0.79, 0.81], \"n\": 2}, \"baselines\": {\"wiener\": {\"r2\": {\"mean\": 0.78, \"sd\": 0,"
        " \"interval\": [0.78, 0.78], \"seeds\": [0.78, 0.78], \"n\": 2}}}}}, \"compare\": [{\"mean\": 0.0205,"
        " \"interval\": [0.0107, 0.0311], \"seeds\": [0.01, 0.03], \"n\": 2, \"a\": \"evaluate\", \"b\": \"wiener\","
        " \"metric\": \"r2\", \"split\": \"test\"}]}");
    mkdir(in_folder("seed-1"), 0700);
    mkdir(in_folder("seed-2"), 0700);
    logs("seed-1/log.jsonl", 0.01);
    logs("seed-2/log.jsonl", 0.05);
    ck_ok(report(), &error);
    char *html = get("report.html");
    page_sound(html);
    ck_assert_ptr_nonnull(strstr(html, "seed-2"));
    ck_assert_ptr_nonnull(strstr(html, "evaluate − wiener"));
    ck_assert_ptr_nonnull(strstr(html, "4321 parameters, 900 steps of training in 2.5 min each"));
    ck_assert_ptr_nonnull(strstr(html, "[0.011, 0.031]"));
    free(html);
}
END_TEST

/* Of one run the interval is over trials, and below the models stand chance and what targets of others give. */
START_TEST(what_metrics_are_worth)
{
    put("metrics.json",
        "{\"evaluate\": {\"test\": {\"r2\": {\"mean\": 0.8, \"chance\": 0.125, \"n\": 900, \"interval\": [0.7, 0.9],"
        " \"resampled\": {\"of\": \"trials\", \"groups\": 37, \"draws\": 1000},"
        " \"shuffle\": {\"mean\": -0.25, \"interval\": [-0.5, 0.1], \"p\": 0.01, \"n\": 100}},"
        " \"baselines\": {\"wiener\": {\"r2\": {\"mean\": 0.5, \"chance\": 0.125, \"n\": 900}}}}}}");
    ck_ok(report(), &error);
    char *html = get("report.html");
    page_sound(html);
    ck_assert_ptr_nonnull(strstr(html, "95 % interval [0.700, 0.900], 37 trials"));
    ck_assert_ptr_nonnull(strstr(html, "<td>chance</td><td>0.125</td>"));
    ck_assert_ptr_nonnull(strstr(html, "<td>targets of others</td><td>−0.250 <small>[−0.500, 0.100]</small></td>"));
    ck_assert_ptr_nonnull(strstr(html, "95 % over 37 resampled trials"));
    ck_assert_ptr_null(strstr(html, "900 seeds"));
    free(html);
}
END_TEST

/* Over seeds the interval is over seeds; a baseline that is the same for all keeps its own over trials. Ends of an
 * interval are told to the places of its mean, counts of units are no score. */
START_TEST(what_seeds_are_worth)
{
    put("metrics.json", "{\"evaluate\": {\"test\": {\"vel_r2\": {\"mean\": 0.016, \"interval\": [0.000599, 0.034], "
                        "\"units\": 48, \"seeds\":"
                        " [0.01, 0.022], \"n\": 2, \"chance\": 0.0, \"shuffle\": {\"mean\": -0.25}}, \"baselines\": "
                        "{\"wiener\": {\"vel_r2\": "
                        "{\"mean\": 0.5, \"interval\": [0.4, 0.6], \"resampled\": {\"of\": \"trials\", \"groups\": "
                        "37}, \"n\": 2}}}}}}");
    ck_ok(report(), &error);
    char *html = get("report.html");
    page_sound(html);
    ck_assert_ptr_nonnull(strstr(html, "0.016 <small>[0.001, 0.034]</small>"));
    ck_assert_ptr_nonnull(strstr(html, "0.500 <small>[0.400, 0.600]</small>"));
    ck_assert_ptr_nonnull(strstr(html, "over 2 seeds (Student's t); of what is the same for every seed"));
    ck_assert_ptr_nonnull(strstr(html, "over 37 resampled trials"));
    ck_assert_ptr_nonnull(strstr(html, "<td>targets of others</td><td>−0.250</td>"));
    ck_assert_ptr_null(strstr(html, "48.000"));
    free(html);
}
END_TEST

/* A perplexity beside losses: each can be read. */
START_TEST(terms_of_other_size)
{
    struct loom_str s = LOOM_STR_INIT;
    for (int i = 1; i <= 100; i++)
        loom_str_printf(&s,
                        "{\"event\":\"step\",\"stage\":\"codes\",\"step\":%d,\"loss\":1,\"terms\":{\"rebuild\":%g,"
                        "\"vq.perplexity\":%d,\"commitment\":%g,\"nothing\":0}}\n",
                        i, 1.0 + 1.0 / i, 200 + i, 0.3);
    put("metrics.json", "{}");
    put("log.jsonl", s.text);
    loom_str_release(&s);
    ck_ok(report(), &error);
    char *html = get("report.html"), *first = get("report/terms-codes.csv"), *other = get("report/terms-codes-2.csv");
    page_sound(html);
    ck_assert_int_eq(page_count(html, "<figure>"), 3);
    ck_assert_ptr_nonnull(strstr(html, "codes: vq.perplexity"));
    ck_assert(strstr(first, "vq.perplexity") && !strstr(first, "rebuild"));
    ck_assert(strstr(other, "rebuild") && strstr(other, "commitment") && strstr(other, "nothing"));
    free(html);
    free(first);
    free(other);
}
END_TEST

START_TEST(several_runs)
{
    const char *run[] = {folder, folder};
    char out[256];
    put("metrics.json", metrics);
    snprintf(out, sizeof out, "%s", in_folder("both.html"));
    ck_ok(loom_report_write(
              &(struct loom_report_spec){.size = sizeof(struct loom_report_spec), .runs = 2, .run = run, .out = out},
              &error),
          &error);
    char *html = get("both.html");
    page_sound(html);
    ck_assert_ptr_nonnull(strstr(html, "2 runs"));
    free(html);
}
END_TEST

/* A run that has only begun has a report; what is damaged is named. */
START_TEST(what_is_missing_or_damaged)
{
    ck_ok(report(), &error);
    put("metrics.json", "{\"evaluate\": ");
    ck_fails(report(), LOOM_EDATA, &error, "metrics.json");
    put("metrics.json", "{}");
    put("log.jsonl", "{\"event\":\"step\"}\nrubbish\n");
    ck_fails(report(), LOOM_EDATA, &error, "log.jsonl");
    put("log.jsonl", "");
    put("predictions.h5", "this is no HDF5");
    if (loom_predictions_supported())
        ck_assert_int_ne(report(), LOOM_OK);
    loom_error_clear(&error);
    remove(in_folder("pipeline.cfg"));
    ck_fails(report(), LOOM_ECONFIG, &error, "no folder of a run");
}
END_TEST

/* A file whose rows point beyond what there is is refused, whatever is at fault; without a fault it is read. */
START_TEST(rows_that_cannot_be)
{
    static const struct loom_predicted odd[] = {{.weight = 1},
                                                {.weight = 1, .predicted = 2},
                                                {.weight = 1, .predicted = -1},
                                                {.weight = 1, .element = INT32_MAX},
                                                {.weight = 1, .element = -1},
                                                {.weight = 1, .recording = 1},
                                                {.weight = 1, .held = 3},
                                                {.weight = 1, .time_ns = INT64_MAX},
                                                {.weight = 1, .predicted = NAN}};
    char id[] = "m1", *ids[] = {id};
    for (size_t i = 0; i < sizeof odd / sizeof *odd && loom_predictions_supported(); i++) {
        const int sound = i == 0 || isnan(odd[i].predicted);
        struct loom_predictions p, q;
        loom_predictions_init(&p);
        snprintf(p.modality, sizeof p.modality, "choice");
        snprintf(p.likelihood, sizeof p.likelihood, "categorical");
        p.params = 2;
        ck_ok(loom_predictions_add(&p, &odd[i], (const double[]){0.5, 0.5}, &error), &error);
        p.recordings = 1;
        p.recording = ids;
        ck_ok(loom_predictions_write(&p, in_folder("predictions.h5"), "evaluate", "test", NULL, 0, &error), &error);
        int rc = loom_predictions_read(&q, in_folder("predictions.h5"), "evaluate", "test", "choice", &error);
        ck_assert_int_eq(rc, sound ? LOOM_OK : LOOM_EDATA);
        loom_error_clear(&error);
        loom_predictions_release(&q);
        p.recordings = 0;
        p.recording = NULL;
        loom_predictions_release(&p);
    }
}
END_TEST

/* A seed that is not done yet has not been asked all that another was. */
START_TEST(seeds_that_were_asked_less)
{
    char id[] = "m1", *ids[] = {id};
    if (!loom_predictions_supported())
        return;
    mkdir(in_folder("seed-1"), 0700);
    mkdir(in_folder("seed-2"), 0700);
    for (int i = 0; i < 3; i++) {
        struct loom_predictions p;
        loom_predictions_init(&p);
        snprintf(p.modality, sizeof p.modality, "vel");
        snprintf(p.likelihood, sizeof p.likelihood, "gaussian");
        for (int t = 0; t < 20; t++)
            ck_ok(loom_predictions_add(
                      &p, &(struct loom_predicted){.time_ns = 50000000ll * t, .weight = 1, .target = t}, NULL, &error),
                  &error);
        p.recordings = 1;
        p.recording = ids;
        p.bin_s = 0.05;
        ck_ok(loom_predictions_write(&p, in_folder(i < 2 ? "seed-1/predictions.h5" : "seed-2/predictions.h5"),
                                     i == 1 ? "later" : "evaluate", "test", NULL, 0, &error),
              &error);
        p.recordings = 0;
        p.recording = NULL;
        loom_predictions_release(&p);
    }
    ck_ok(report(), &error);
    char *both = get("report/trace-evaluate-test-vel-dim0.csv"), *one = get("report/trace-later-test-vel-dim0.csv");
    ck_assert_ptr_nonnull(strstr(both, "seed-2"));
    ck_assert_ptr_null(strstr(one, "seed-2"));
    free(both);
    free(one);
}
END_TEST

/* Lines that are short, flat, broken or empty still make a figure without NaN. */
START_TEST(odd_lines)
{
    static const double x[] = {0, 1, 2, 3}, flat[] = {5, 5, 5, 5}, broken[] = {NAN, 1, NAN, INFINITY};
    const struct loom_line lines[] = {{.name = "flat", .x = x, .y = flat, .n = 4},
                                      {.name = "broken", .x = x, .y = broken, .n = 4},
                                      {.name = "dot", .x = x, .y = flat, .n = 1},
                                      {.name = "none", .x = x, .y = flat, .n = 0}};
    const struct loom_figure f = {.title = "t<i>tle", .x_label = "x", .y_label = "y"};
    for (int i = 0; i < 4; i++)
        for (int n = 1; i + n <= 4; n++) {
            struct loom_str s = LOOM_STR_INIT;
            loom_figure_lines(&s, &f, lines + i, n);
            ck_assert_int_eq(s.failed, 0);
            ck_assert_ptr_null(strstr(s.text, "nan"));
            ck_assert_ptr_null(strstr(s.text, "inf"));
            ck_assert_ptr_null(strstr(s.text, "<i>"));
            loom_str_release(&s);
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {whole_run,
                                  seeds_and_comparisons,
                                  what_metrics_are_worth,
                                  what_seeds_are_worth,
                                  terms_of_other_size,
                                  several_runs,
                                  what_is_missing_or_damaged,
                                  rows_that_cannot_be,
                                  seeds_that_were_asked_less,
                                  odd_lines};
    return run_between("report", (int)(sizeof tests / sizeof *tests), tests, 60, setup, folder_remove);
}
