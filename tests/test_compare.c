/* SPDX-License-Identifier: Apache-2.0 */
/* A page that compares runs: it warns where they were not tested alike, and says what differs. */
#include "folder.h"
#include "page.h"

#include "base/io.h"
#include "base/str.h"

#include <loom/report.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A run: its width, what it hides, the seed of its split, its score. */
static void make(const char *name, int width, double hide, int split_seed, double r2, int identity)
{
    struct loom_str s = LOOM_STR_INIT;
    char file[64];
    mkdir(in_folder(name), 0700);
    loom_str_printf(
        &s,
        "name = \"%s\";\ndata: { source = \"sim\"; split: { by = \"trial\"; seed = %d; }; };\nbackbone: { plugin "
        "= \"vit\"; width = %d; };\nstages: ( { name = \"pretrain\"; steps = 100; objectives: ( { plugin = "
        "\"mae\"; hide = %g; } ); optimizer: { lr = 0.5; }; }, { name = \"evaluate\"; metrics = ( \"r2\" ); } "
        ");\n",
        name, split_seed, width, hide);
    snprintf(file, sizeof file, "%s/pipeline.cfg", name);
    put(file, s.text);
    loom_str_reset(&s);
    loom_str_printf(
        &s,
        "{\"evaluate\": {\"test\": {\"r2\": {\"mean\": %g, \"n\": 100}, \"baselines\": {\"wiener\": {\"r2\": "
        "{\"mean\": 0.625}}}}}}",
        r2);
    snprintf(file, sizeof file, "%s/metrics.json", name);
    put(file, s.text);
    loom_str_reset(&s);
    for (int i = 1; i <= 20; i++)
        loom_str_printf(&s,
                        "{\"event\":\"step\",\"stage\":\"pretrain\",\"step\":%d,\"loss\":%s,\"terms\":{\"mae\":1}}\n",
                        i, i == 7 ? "null" : "1.5");
    loom_str_add(&s,
                 "{\"event\":\"done\",\"stage\":\"pretrain\",\"step\":20,\"windows\":40,\"seconds\":3.5,\"flops\":2e9,"
                 "\"parameters\":4321}\n");
    snprintf(file, sizeof file, "%s/log.jsonl", name);
    put(file, s.text);
    loom_str_reset(&s);
    loom_str_printf(&s, "{\"data.source\": \"sim\", \"data.split.seed\": \"%d\", \"stages.evaluate.metrics\": \"r2\"}",
                    split_seed);
    snprintf(file, sizeof file, "%s/identity.json", name);
    if (identity)
        put(file, s.text);
    loom_str_release(&s);
}

static char *page(const char *const *name, int runs)
{
    char path[4][256], *text;
    const char *run[4];
    size_t size;
    for (int i = 0; i < runs; i++) {
        snprintf(path[i], sizeof path[i], "%s", in_folder(name[i]));
        run[i] = path[i];
    }
    const char *out = in_folder("both.html");
    ck_ok(loom_report_write(
              &(struct loom_report_spec){.size = sizeof(struct loom_report_spec), .runs = runs, .run = run, .out = out},
              &error),
          &error);
    ck_ok(loom_file_read(&text, &size, out, 1 << 24, &error), &error);
    page_sound(text);
    return text;
}

START_TEST(alike)
{
    const char *const name[] = {"small", "la<r>ge", "other"};
    make("small", 16, 0.5, 1, 0.7, 1);
    make("la<r>ge", 32, 0.25, 1, 0.8, 1);
    make("other", 16, 0.5, 1, 0.6, 1);
    put("small/report.html", "x");
    char *html = page(name, 3);
    ck_assert_ptr_null(strstr(html, "Not tested alike"));
    ck_assert_ptr_nonnull(strstr(html, "the same splits"));
    ck_assert_ptr_nonnull(strstr(html, "href=\"small/report.html\""));
    ck_assert_ptr_nonnull(strstr(html, "<b>0.800</b>")); /* the best */
    ck_assert_ptr_null(strstr(html, "<b>0.700</b>"));
    ck_assert_int_eq(page_count(html, "<small>baseline"), 1);
    ck_assert_ptr_nonnull(strstr(html, "0.625"));
    ck_assert_ptr_nonnull(strstr(html, "backbone.width</td><td class=text>16</td><td class=text>32</td>"));
    ck_assert_ptr_nonnull(strstr(html, "stages.pretrain.mae.hide"));
    ck_assert_ptr_null(strstr(html, "stages.pretrain.optimizer.lr")); /* the same in all */
    ck_assert_ptr_null(strstr(html, "data.split.seed"));
    ck_assert_ptr_nonnull(strstr(html, "4321"));
    ck_assert_ptr_nonnull(strstr(html, "la&lt;r&gt;ge"));
    free(html);
    char *csv;
    size_t size;
    ck_ok(loom_file_read(&csv, &size, in_folder("report/runs-pretrain-loss-train.csv"), 1 << 20, &error), &error);
    ck_assert_int_eq(page_count(csv, "\n"), 1 + 3 * 19); /* a loss that is no number is left out */
    ck_assert_int_eq(page_count(csv, "\"small\""), 19);
    free(csv);
    ck_ok(loom_file_read(&csv, &size, in_folder("report/runs-metrics.csv"), 1 << 20, &error), &error);
    ck_assert_ptr_nonnull(strstr(csv, "\"la<r>ge\",evaluate.test.r2,1,0.8,,\n"));
    free(csv);
}
END_TEST

START_TEST(other_splits_warn)
{
    const char *const name[] = {"a", "b"};
    make("a", 16, 0.5, 1, 0.7, 1);
    make("b", 16, 0.5, 2, 0.8, 1);
    char *html = page(name, 2);
    char *warning = strstr(html, "Not tested alike");
    ck_assert_ptr_nonnull(warning);
    ck_assert_ptr_null(strstr(html, "the same splits"));
    *strstr(warning, "</p>") = '\0';
    ck_assert_ptr_nonnull(strstr(warning, "data.split.seed is 2, not 1"));
    free(html);
}
END_TEST

/* A run that does not say what it was tested on is not taken to be tested alike. */
START_TEST(unknown_is_not_alike)
{
    const char *const name[] = {"a", "b"};
    make("a", 16, 0.5, 1, 0.7, 1);
    make("b", 16, 0.5, 1, 0.8, 0);
    char *html = page(name, 2);
    ck_assert_ptr_nonnull(strstr(html, "identity.json"));
    ck_assert_ptr_nonnull(strstr(html, "Not tested alike"));
    ck_assert_ptr_nonnull(strstr(html, "what b was tested on it does not say"));
    ck_assert_ptr_null(strstr(html, "the same splits"));
    ck_assert_ptr_nonnull(strstr(html, "Nothing: all"));
    free(html);
    const char *const turned[] = {"b", "a"};
    html = page(turned, 2);
    ck_assert_int_eq(page_count(html, "Not tested alike"), 1);
    ck_assert_ptr_null(strstr(html, "b and b"));
    free(html);
}
END_TEST

/* A stage that one run has not is one row, a metric that one run alone has no figure, and what is not known no nought.
 */
START_TEST(parts_and_metrics_of_one_alone)
{
    const char *const name[] = {"a", "b", "c"};
    make("a", 16, 0.5, 1, 0.7, 1);
    make("b", 16, 0.25, 1, 0.8, 1);
    make("c", 16, 0.5, 1, 0.6, 1);
    put("c/pipeline.cfg",
        "data: { source = \"sim\"; split: { by = \"trial\"; seed = 1; }; };\nbackbone: { plugin = \"vit\"; width = "
        "16; };\nstages: ( { name = \"evaluate\"; metrics = ( \"mse\" ); } );\n");
    put("c/metrics.json",
        "{\"evaluate\": {\"test\": {\"mse\": {\"mean\": 2.5}, \"baselines\": {\"wiener\": {\"mse\": {\"mean\": 3.5,"
        " \"interval\": [3.25, 3.75]}}}}}}");
    put("c/log.jsonl", "");
    put("c/identity.json", "{\"data.source\": \"sim\", \"stages.evaluate.metrics\": \"mse\"}");
    char *html = page(name, 3);
    ck_assert_int_eq(page_count(html, "<td class=text>stages.pretrain</td>"), 1);
    ck_assert_ptr_null(strstr(html, "stages.pretrain.steps"));
    ck_assert_ptr_nonnull(strstr(html, "stages.pretrain.mae.hide</td>")); /* differs among those that have it */
    ck_assert_ptr_nonnull(strstr(html, "stages.evaluate.metrics</td>"));
    ck_assert_ptr_nonnull(strstr(html, "R², evaluate, test split"));
    ck_assert_ptr_null(strstr(html, "MSE, evaluate, test split"));
    ck_assert_ptr_nonnull(strstr(html, "3.500<small>[3.250, 3.750]</small>"));
    char *compute = strstr(html, "<h2>Compute");
    ck_assert_ptr_nonnull(compute);
    ck_assert_int_eq(page_count(compute, "<td>–</td>"), 4);
    free(html);
}
END_TEST

/* The same seeds in both: the difference is paired. */
START_TEST(seeds_are_paired)
{
    const char *const name[] = {"a", "b"};
    make("a", 16, 0.5, 1, 0.7, 1);
    make("b", 32, 0.5, 1, 0.8, 1);
    for (int i = 0; i < 2; i++) {
        char file[32], text[512];
        snprintf(file, sizeof file, "%s/pipeline.cfg", name[i]);
        put(file, i == 0 ? "seeds = ( 1, 2, 3 );\n" : "seeds = ( 1, 2, 3 );\nbackbone: { width = 3; };\n");
        snprintf(file, sizeof file, "%s/metrics.json", name[i]);
        snprintf(
            text, sizeof text,
            "{\"evaluate\": {\"test\": {\"r2\": {\"mean\": 0.%d, \"interval\": [0.5, 0.75], \"seeds\": [0.%d, 0.6, "
            "0.%d], \"n\": 3}}}}",
            6 + i, 5 + i, 7 + i);
        put(file, text);
    }
    char *html = page(name, 2);
    ck_assert_ptr_nonnull(strstr(html, "Δ"));
    ck_assert_ptr_nonnull(strstr(html, "+0.067"));
    ck_assert_ptr_nonnull(strstr(html, "of means by Student's t over seeds, of differences by bootstrap"));
    ck_assert_ptr_nonnull(strstr(html, "[0.500, 0.750]"));
    free(html);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {alike, other_splits_warn, unknown_is_not_alike, parts_and_metrics_of_one_alone,
                                  seeds_are_paired};
    return run_between("compare", (int)(sizeof tests / sizeof *tests), tests, 60, folder_make, folder_remove);
}
