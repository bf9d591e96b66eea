/* SPDX-License-Identifier: Apache-2.0 */
/* A page that compares runs: whether they can be compared, one table of metrics, curves over each other, what differs
 * in their pipelines, what they took. It is told as an ablation's results are (report_ablation.c), one cell a run. */
#include "base/io.h"
#include "eval/metrics.h"
#include "eval/report.h"
#include "eval/report_log.h"
#include "eval/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 2000, SHOWN = 90, TOLD = 6 };
static const double confidence = 0.95;

/* One of the runs. */
struct contender {
    const char *folder;
    char name[64];
    json_t *metrics, *identity, *keys; /* NULL: it has none; keys: path → value of its pipeline */
    struct loom_report_log log;        /* of all its seeds */
    char sha256[65];
};

/* ---- reading ---- */

static int read_contender(struct contender *c, struct loom_page *page, const char *folder, struct loom_error *e)
{
    char path[LOOM_REPORT_PATH];
    c->folder = folder;
    loom_report_name(folder, c->name);
    int code = loom_report_open(page, folder, e);
    c->metrics = code == LOOM_OK ? json_incref(page->metrics) : NULL;
    for (int k = 0; code == LOOM_OK && k < (page->seeds > 0 ? page->seeds : 1); k++)
        code = loom_report_log_read(&c->log, page->seeds > 0 ? page->seed[k] : folder, k, e);
    loom_report_close(page);
    if (code == LOOM_OK && loom_report_path(path, folder, "pipeline.cfg"))
        code = loom_report_keys(&c->keys, path, e);
    if (code == LOOM_OK && loom_report_path(path, folder, "identity.json") && loom_file_exists(path)) {
        c->identity = loom_json_load(path, (size_t)1 << 26, e);
        code = c->identity == NULL ? LOOM_EDATA : loom_json_sum(c->identity, c->sha256, e);
    }
    return code;
}

static void forget(struct contender *c)
{
    json_decref(c->metrics);
    json_decref(c->identity);
    json_decref(c->keys);
    loom_report_log_release(&c->log);
}

/* ---- warnings ---- */

static void shorten(struct loom_str *s, const char *text)
{
    char part[SHOWN + 1];
    size_t n = strlen(text);
    if (n > SHOWN)
        for (n = SHOWN; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    snprintf(part, sizeof part, "%.*s", (int)n, text);
    loom_str_html(s, part);
    loom_str_add(s, text[n] != '\0' ? "…" : "");
}

static void one_difference(struct loom_str *s, const struct contender *a, const struct contender *b, const char *key)
{
    const json_t *of_a = json_object_get(a->identity, key), *of_b = json_object_get(b->identity, key);
    loom_str_html(s, key);
    if (of_a == NULL || of_b == NULL) {
        loom_str_add(s, " is known of ");
        loom_str_html(s, of_a == NULL ? b->name : a->name);
        loom_str_add(s, " alone");
        return;
    }
    loom_str_add(s, " is ");
    shorten(s, json_string_value(of_b) != NULL ? json_string_value(of_b) : "?");
    loom_str_add(s, ", not ");
    shorten(s, json_string_value(of_a) != NULL ? json_string_value(of_a) : "?");
}

/* Keys in which b is tested unlike a: how many, and the first few of them, those that both have before others. */
static int differences(struct loom_str *s, const struct contender *a, const struct contender *b)
{
    const struct contender *const of[] = {a, a, b};
    const char *key;
    json_t *x;
    int n = 0;
    for (int turn = 0; turn < 3; turn++)
        json_object_foreach(of[turn]->identity, key, x)
        {
            const json_t *other = json_object_get((turn < 2 ? b : a)->identity, key);
            if (turn == 0 ? other == NULL || json_equal(x, other) : other != NULL)
                continue;
            if (n < TOLD) {
                loom_str_add(s, n > 0 ? "; " : "");
                one_difference(s, a, b, key);
            }
            n++;
        }
    if (n > TOLD)
        loom_str_printf(s, "; and %d more (what differs, below)", n - TOLD);
    return n;
}

/* Are they tested alike? 1, and a line that says so; 0, and what is not. */
static int verdict(struct loom_str *s, const struct contender *c, int n)
{
    int alike = 1;
    for (int i = 0; i < n; i++) {
        struct loom_str what = LOOM_STR_INIT;
        if (c[i].identity == NULL) {
            loom_str_add(s, "<p class=warn><b>Not tested alike,</b> as far as is known: what ");
            loom_str_html(s, c[i].name);
            loom_str_add(s, " was tested on it does not say, for it has no identity.json, which runs of earlier "
                            "versions lack.</p>\n");
            alike = 0;
        } else if (c[0].identity != NULL && differences(&what, &c[0], &c[i]) > 0) {
            loom_str_add(s, "<p class=warn><b>Not tested alike:</b> ");
            loom_str_html(s, c[i].name);
            loom_str_add(s, " and ");
            loom_str_html(s, c[0].name);
            loom_str_add(s, ". In the former ");
            loom_str_add(s, what.text != NULL ? what.text : "");
            loom_str_add(s, ".</p>\n");
            s->failed |= what.failed;
            alike = 0;
        }
        loom_str_release(&what);
    }
    if (alike)
        loom_str_printf(s,
                        "<p class=soft>%d runs with the same data, the same splits and the same evaluation (SHA-256 "
                        "%.12s…), neuroloom %s</p>\n",
                        n, c[0].sha256, loom_version());
    return alike;
}

/* ---- results, as an ablation has them ---- */

static const json_t *metric_of(const struct contender *c, const json_t *m)
{
    const json_t *split = json_object_get(json_object_get(c->metrics, json_string_value(json_object_get(m, "stage"))),
                                          json_string_value(json_object_get(m, "split")));
    return json_object_get(split, json_string_value(json_object_get(m, "metric")));
}

static void add_metric(json_t *list, const char *stage, const char *split, const char *metric)
{
    char key[400];
    size_t i;
    json_t *m;
    snprintf(key, sizeof key, "%s.%s.%s", stage, split, metric);
    json_array_foreach(list, i, m)
    {
        if (strcmp(json_string_value(json_object_get(m, "key")), key) == 0)
            return;
    }
    m = json_object();
    json_object_set_new(m, "key", json_string(key));
    json_object_set_new(m, "stage", json_string(stage));
    json_object_set_new(m, "split", json_string(split));
    json_object_set_new(m, "metric", json_string(metric));
    json_object_set_new(m, "rises", json_boolean(loom_metric_rises(metric)));
    json_array_append_new(list, m);
}

static json_t *metrics_of(const struct contender *c, int n)
{
    json_t *list = json_array(), *splits, *of, *x;
    const char *stage, *split, *metric;
    for (int i = 0; i < n; i++)
        json_object_foreach(c[i].metrics, stage, splits)
        {
            json_object_foreach(splits, split, of)
            {
                json_object_foreach(of, metric, x)
                {
                    if (json_object_get(x, "mean") != NULL)
                        add_metric(list, stage, split, metric);
                }
            }
        }
    return list;
}

/* {"mean", "low", "high", "seeds"} of a metric; the last three where it has them. */
static json_t *value_of(const json_t *metric)
{
    const json_t *interval = json_object_get(metric, "interval");
    json_t *v = json_object(), *low = json_array_get(interval, 0), *high = json_array_get(interval, 1);
    if (json_is_number(low) && json_is_number(high) && json_number_value(low) < json_number_value(high)) {
        json_object_set(v, "low", low);
        json_object_set(v, "high", high);
    }
    json_object_set_new(v, "mean", loom_json_number(loom_json_real_at(metric, "mean")));
    if (json_is_array(json_object_get(metric, "seeds")))
        json_object_set(v, "seeds", json_object_get(metric, "seeds"));
    return v;
}

/* What baselines reached, by name and key. */
static json_t *baselines_of(const struct contender *c, const json_t *metrics)
{
    json_t *out = json_object(), *m, *of;
    const char *name;
    size_t i;
    json_array_foreach(metrics, i, m)
    {
        json_t *split = json_object_get(json_object_get(c->metrics, json_string_value(json_object_get(m, "stage"))),
                                        json_string_value(json_object_get(m, "split")));
        json_object_foreach(json_object_get(split, "baselines"), name, of)
        {
            const json_t *x = json_object_get(of, json_string_value(json_object_get(m, "metric")));
            if (!json_is_number(json_object_get(x, "mean")))
                continue;
            if (json_object_get(out, name) == NULL)
                json_object_set_new(out, name, json_object());
            json_object_set_new(json_object_get(out, name), json_string_value(json_object_get(m, "key")), value_of(x));
        }
    }
    return out;
}

/* The first run with the same data, whose baselines stand for both. */
static int group_of(const struct contender *c, int k)
{
    for (int i = 0; i < k; i++)
        if (c[i].identity != NULL && c[k].identity != NULL && json_equal(c[i].identity, c[k].identity))
            return i;
    return k;
}

static json_t *cell_of(const struct contender *all, int k, const json_t *metrics, const char *from)
{
    const struct contender *c = &all[k];
    json_t *cell = json_object(), *labels = json_array(), *values = json_object(), *m;
    char href[LOOM_REPORT_PATH];
    size_t i;
    json_array_append_new(labels, json_string(c->name));
    loom_report_relative(href, from, c->folder);
    json_object_set_new(cell, "labels", labels);
    json_object_set_new(cell, "label", json_string(c->name));
    json_object_set_new(cell, "folder", json_string(href));
    json_object_set_new(cell, "group", json_integer(group_of(all, k)));
    json_object_set_new(cell, "reference", json_integer(group_of(all, k)));
    json_object_set_new(cell, "sha256", json_string(c->sha256));
    json_object_set_new(cell, "parameters", loom_json_number(c->log.parameters));
    json_array_foreach(metrics, i, m)
    {
        json_object_set_new(values, json_string_value(json_object_get(m, "key")), value_of(metric_of(c, m)));
    }
    double known = c->log.steps > 0.0 ? 1.0 : NAN; /* of a run without a stage that is done nothing is known */
    json_object_set_new(cell, "metrics", values);
    json_object_set_new(cell, "baselines", baselines_of(c, metrics));
    json_object_set_new(cell, "compute",
                        json_pack("{s:o,s:o,s:o}", "steps", loom_json_number(known * c->log.steps), "seconds",
                                  loom_json_number(known * c->log.seconds), "flops",
                                  loom_json_number(known * c->log.flops)));
    return cell;
}

/* ---- paired comparisons, where all runs had the same seeds ---- */

static int same_seeds(const struct contender *c, int n)
{
    const json_t *seeds = json_object_get(c[0].keys, "seeds");
    for (int i = 0; i < n; i++)
        if (seeds == NULL || !json_equal(seeds, json_object_get(c[i].keys, "seeds")))
            return 0;
    return 1;
}

static int values_of(const struct contender *c, const json_t *m, double *out)
{
    const json_t *seeds = json_object_get(metric_of(c, m), "seeds"), *x;
    size_t i;
    json_array_foreach(seeds, i, x)
    {
        if (i < LOOM_REPORT_SEEDS)
            out[i] = loom_json_to_real(x);
    }
    return (int)(json_array_size(seeds) < LOOM_REPORT_SEEDS ? json_array_size(seeds) : LOOM_REPORT_SEEDS);
}

static int compare(json_t *into, const struct contender *c, int n, const json_t *m, struct loom_error *e)
{
    double a[LOOM_REPORT_SEEDS], b[LOOM_REPORT_SEEDS];
    size_t first = json_array_size(into);
    int seeds = values_of(&c[0], m, b), code = LOOM_OK;
    for (int k = 1; k < n && code == LOOM_OK; k++) {
        struct loom_paired x;
        if (values_of(&c[k], m, a) != seeds || seeds < 2)
            continue;
        code = loom_paired_compare(&x, a, b, seeds, confidence, DRAWS, 1, e);
        if (code == LOOM_OK)
            json_array_append_new(into, loom_paired_json(&x, loom_json_text_at(m, "key"), k, 0));
    }
    return code == LOOM_OK ? loom_paired_adjust(into, first, e) : code;
}

static int results_of(json_t **out, const struct contender *c, int n, int alike, const char *from, struct loom_error *e)
{
    json_t *metrics = metrics_of(c, n), *cells = json_array(), *comparisons = json_array(), *m;
    int code = LOOM_OK;
    size_t i;
    for (int k = 0; k < n; k++)
        json_array_append_new(cells, cell_of(c, k, metrics, from));
    json_array_foreach(metrics, i, m)
    {
        if (alike && same_seeds(c, n) && code == LOOM_OK)
            code = compare(comparisons, c, n, m, e);
    }
    *out = json_pack("{s:[{s:s}],s:f,s:o,s:o,s:o,s:[],s:b}", "axes", "name", "run", "confidence", confidence, "metrics",
                     metrics, "cells", cells, "comparisons", comparisons, "seeds", "student", 1);
    if (*out != NULL && code == LOOM_OK && same_seeds(c, n) && json_array_size(metrics) > 0)
        json_object_set(*out, "seeds", json_object_get(metric_of(&c[0], json_array_get(metrics, 0)), "seeds"));
    return *out != NULL ? code : LOOM_ENOMEM;
}

/* Numbers of the figures: each seed's, or the run's only one. */
static int metrics_csv(struct loom_page *page, json_t *results, struct loom_error *e)
{
    struct loom_str csv = LOOM_STR_INIT;
    char href[256];
    json_t *cell, *m;
    size_t k, i;
    loom_str_add(&csv, "run,metric,number,value,low,high\n");
    json_array_foreach(json_object_get(results, "cells"), k, cell)
    {
        json_array_foreach(json_object_get(results, "metrics"), i, m)
        {
            const char *key = json_string_value(json_object_get(m, "key"));
            const json_t *x = json_object_get(json_object_get(cell, "metrics"), key),
                         *seeds = json_object_get(x, "seeds");
            for (size_t n = 0; n < (seeds != NULL ? json_array_size(seeds) : 1); n++) {
                loom_str_csv(&csv, json_string_value(json_object_get(cell, "label")));
                loom_str_printf(&csv, ",%s,%d", key, (int)n + 1);
                const json_t *cells[] = {seeds != NULL ? json_array_get(seeds, n) : json_object_get(x, "mean"),
                                         json_object_get(x, "low"), json_object_get(x, "high")};
                for (int j = 0; j < 3; j++)
                    loom_str_printf(&csv, json_is_number(cells[j]) ? ",%.9g" : ",", json_number_value(cells[j]));
                loom_str_add(&csv, "\n");
            }
        }
    }
    int code = loom_report_csv(page, "runs-metrics", &csv, href, e);
    if (code == LOOM_OK)
        json_object_set_new(results, "csv", json_string(href));
    loom_str_release(&csv);
    return code;
}

/* ---- what differs in their pipelines ---- */

static int has_part(const json_t *keys, const char *part, size_t length)
{
    const char *key;
    json_t *x, *all = (json_t *)(uintptr_t)keys;
    json_object_foreach(all, key, x)
    {
        if (strncmp(key, part, length) == 0 && key[length] == '.')
            return 1;
    }
    return 0;
}

/* Length of the largest part around the key (a stage, an objective, a baseline's options) that these keys lack
 * altogether; 0: they have them all. */
static size_t absent_part(const json_t *keys, const char *key)
{
    for (const char *dot = strchr(key, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
        if (!has_part(keys, key, (size_t)(dot - key)))
            return (size_t)(dot - key);
    return 0;
}

/* Among runs that have its part. */
static int differs(const struct contender *c, int n, const char *key)
{
    const json_t *first = NULL;
    int seen = 0;
    for (int i = 0; i < n; i++) {
        const json_t *x = json_object_get(c[i].keys, key);
        if (absent_part(c[i].keys, key) > 0)
            continue;
        if (seen++ > 0 && ((x == NULL) != (first == NULL) || (x != NULL && !json_equal(x, first))))
            return 1;
        first = seen == 1 ? x : first;
    }
    return 0;
}

static int seen_before(const struct contender *c, int i, const char *key)
{
    for (int k = 0; k < i; k++)
        if (json_object_get(c[k].keys, key) != NULL)
            return 1;
    return 0;
}

static void key_row(struct loom_str *s, const struct contender *c, int n, const char *key)
{
    loom_str_add(s, "<tr><td class=text>");
    loom_str_html(s, key);
    loom_str_add(s, "</td>");
    for (int i = 0; i < n; i++) {
        const char *value = json_string_value(json_object_get(c[i].keys, key));
        loom_str_add(s, "<td class=text>");
        shorten(s, value != NULL ? value : "–");
        loom_str_add(s, "</td>");
    }
    loom_str_add(s, "</tr>\n");
}

/* A part that some have: one row, once. */
static void part_row(struct loom_str *s, const struct contender *c, int n, const char *key, size_t part, json_t *told)
{
    char name[512];
    snprintf(name, sizeof name, "%.*s", (int)part, key);
    if (json_object_get(told, name) != NULL)
        return;
    json_object_set_new(told, name, json_true());
    loom_str_add(s, "<tr><td class=text>");
    loom_str_html(s, name);
    loom_str_add(s, "</td>");
    for (int i = 0; i < n; i++)
        loom_str_add(s, has_part(c[i].keys, key, part) ? "<td class=text><small>has it</small></td>"
                                                       : "<td class=text>–</td>");
    loom_str_add(s, "</tr>\n");
}

static void key_table(struct loom_str *s, const struct contender *c, int n, int *tables)
{
    struct loom_str rows = LOOM_STR_INIT;
    json_t *told = json_object();
    int same = 0, other = 0;
    for (int i = 0; i < n; i++) {
        const char *key;
        json_t *x;
        json_object_foreach(c[i].keys, key, x)
        {
            if (seen_before(c, i, key))
                continue;
            int unlike = differs(c, n, key), parts = 0;
            for (int k = 0; k < n; k++) {
                size_t part = absent_part(c[k].keys, key);
                if (part > 0)
                    part_row(&rows, c, n, key, part, told);
                parts += part > 0;
            }
            same += !unlike && parts == 0;
            other += unlike || parts > 0;
            if (unlike)
                key_row(&rows, c, n, key);
        }
    }
    json_decref(told);
    loom_str_add(s, "<h2>What differs</h2>\n");
    if (other == 0) {
        loom_str_printf(s, "<p>Nothing: all %d keys of their pipelines have the same values.</p>\n", same);
        return;
    }
    loom_str_printf(s,
                    "<p class=caption><b>Table %d.</b> Keys of the pipelines that have "
                    "not the same value in all runs, and parts that some have not; %d other keys are the same. –: "
                    "there is none.</p>\n<div "
                    "class=scroll><table class=paper><thead><tr>"
                    "<th class=text>key</th>",
                    ++*tables, same);
    for (int i = 0; i < n; i++) {
        loom_str_add(s, "<th class=text>");
        loom_str_html(s, c[i].name);
        loom_str_add(s, "</th>");
    }
    loom_str_add(s, "</tr></thead><tbody>\n");
    loom_str_add(s, rows.text != NULL ? rows.text : "");
    loom_str_add(s, "</tbody></table></div>\n");
    s->failed |= rows.failed;
    loom_str_release(&rows);
}

/* ---- the page ---- */

static int write_body(struct loom_page *page, const struct contender *c, int n, struct loom_error *e)
{
    const struct loom_report_log *log[LOOM_REPORT_RUNS];
    const char *name[LOOM_REPORT_RUNS];
    json_t *results = NULL;
    int tables = 0;
    loom_str_printf(&page->html, "<h1>%d runs</h1>\n", n);
    int alike = verdict(&page->html, c, n), code = results_of(&results, c, n, alike, page->folder, e);
    for (int i = 0; i < n; i++) {
        log[i] = &c[i].log;
        name[i] = c[i].name;
    }
    if (code == LOOM_OK)
        code = metrics_csv(page, results, e);
    if (code == LOOM_OK && json_array_size(json_object_get(results, "metrics")) > 0)
        loom_report_results(&page->html, results, &tables);
    if (code == LOOM_OK)
        code = loom_report_overlay(page, log, name, n, e);
    if (code == LOOM_OK) {
        key_table(&page->html, c, n, &tables);
        loom_report_compute(&page->html, results, &tables);
    }
    json_decref(results);
    return code;
}

int loom_report_compare(struct loom_page *page, const char *const *run, int runs, struct loom_error *e)
{
    struct contender *c = calloc((size_t)runs + 1, sizeof *c);
    int code = c != NULL ? LOOM_OK : LOOM_ENOMEM;
    if (runs > LOOM_REPORT_RUNS)
        code = loom_fail(e, LOOM_EINVAL, NULL, 0, "more than %d runs are no comparison; name fewer", LOOM_REPORT_RUNS);
    for (int i = 0; i < runs && code == LOOM_OK; i++)
        code = read_contender(&c[i], page, run[i], e);
    if (code == LOOM_OK)
        code = write_body(page, c, runs, e);
    for (int i = 0; c != NULL && i < runs; i++)
        forget(&c[i]);
    free(c);
    return code == LOOM_ENOMEM ? loom_fail(e, code, NULL, 0, "no memory for a comparison; free some") : code;
}
