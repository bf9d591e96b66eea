/* SPDX-License-Identifier: Apache-2.0 */
/* The page of an ablation: a table as a paper has it, the paired comparisons behind it, a figure for each metric. */
#include "base/io.h"
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 64, ABREAST = 2, ABREAST_ALONE = 5 };

/* Metrics first … first + n - 1 stand in one table. */
struct part {
    size_t first, n;
};
/* 1: cells are compared in pairs of seeds, and differences stand beside their means. */
static int paired(const json_t *results)
{
    return json_array_size(json_object_get(results, "comparisons")) > 0;
}

static const json_t *part_metric(const json_t *results, const struct part *p, size_t i)
{
    return json_array_get(json_object_get(results, "metrics"), p->first + i);
}

static void value(struct loom_str *s, double x, int sign)
{
    if (isnan(x))
        loom_str_add(s, "–");
    else
        loom_str_printf(s, sign ? (x < 0 ? "−%.3f" : "+%.3f") : (x < 0 ? "−%.3f" : "%.3f"), fabs(x));
}

static void interval(struct loom_str *s, const json_t *j, int sign)
{
    if (isnan(loom_json_real_at(j, "low")))
        return;
    loom_str_add(s, "<small>[");
    value(s, loom_json_real_at(j, "low"), sign);
    loom_str_add(s, ", ");
    value(s, loom_json_real_at(j, "high"), sign);
    loom_str_add(s, "]</small>");
}

static void probability(struct loom_str *s, double p)
{
    if (isnan(p))
        loom_str_add(s, "–");
    else
        loom_str_printf(s, p < 0.001 ? "%.1e" : "%.3f", p);
}

static json_t *list(const json_t *results, const char *name)
{
    return json_object_get(results, name);
}

static const json_t *cell_at(const json_t *results, json_int_t k)
{
    return json_array_get(list(results, "cells"), (size_t)k);
}

/* The cell that cell k is compared with: one for each test. */
static json_int_t reference(const json_t *results, json_int_t k)
{
    return json_integer_value(json_object_get(cell_at(results, k), "reference"));
}

static int single_test(const json_t *results)
{
    size_t k;
    json_t *cell;
    json_array_foreach(list(results, "cells"), k, cell)
    {
        if (reference(results, (json_int_t)k) != reference(results, 0))
            return 0;
    }
    return 1;
}

/* Of cell `a` against its reference; NULL: none. */
static const json_t *comparison(const json_t *results, const char *key, json_int_t a)
{
    size_t i;
    json_t *c;
    json_array_foreach(list(results, "comparisons"), i, c)
    {
        if (strcmp(loom_json_text_at(c, "metric"), key) == 0 && json_integer_value(json_object_get(c, "a")) == a &&
            json_integer_value(json_object_get(c, "b")) == reference(results, a))
            return c;
    }
    return NULL;
}

/* "R² (finetuned, test)" */
static void metric_title(struct loom_str *s, const json_t *metric)
{
    loom_report_metric_name(s, loom_json_text_at(metric, "metric"));
    loom_str_add(s, json_is_true(json_object_get(metric, "rises")) ? " ↑" : " ↓");
    loom_str_add(s, " <small>");
    loom_str_html(s, loom_json_text_at(metric, "stage"));
    loom_str_add(s, ", ");
    loom_str_html(s, loom_json_text_at(metric, "split"));
    loom_str_add(s, "</small>");
}

/* ---- the table ---- */

/* Among the cells of cell k's test. */
static double best_mean(const json_t *results, const json_t *metric, json_int_t of)
{
    size_t k;
    json_t *cell;
    double best = NAN, sign = json_is_true(json_object_get(metric, "rises")) ? 1 : -1;
    json_array_foreach(list(results, "cells"), k, cell)
    {
        double x = loom_json_real_at(
            json_object_get(json_object_get(cell, "metrics"), loom_json_text_at(metric, "key")), "mean");
        if (reference(results, (json_int_t)k) == reference(results, of))
            best = !isnan(x) && !(sign * x <= sign * best) ? x : best;
    }
    return best;
}

static void axis_heads(struct loom_str *s, const json_t *results)
{
    size_t i;
    json_t *axis;
    json_array_foreach(list(results, "axes"), i, axis)
    {
        loom_str_add(s, "<th class=text>");
        loom_str_html(s, loom_json_text_at(axis, "name"));
        loom_str_add(s, "</th>");
    }
}

static void heads(struct loom_str *s, const json_t *results, const struct part *p)
{
    size_t i;
    loom_str_add(s, paired(results) ? "<thead><tr class=head>" : "<thead><tr>");
    if (paired(results))
        loom_str_printf(s, "<th colspan=%zu></th>", json_array_size(list(results, "axes")));
    else
        axis_heads(s, results);
    for (i = 0; i < p->n; i++) {
        loom_str_add(s, paired(results) ? "<th colspan=2>" : "<th>");
        metric_title(s, part_metric(results, p, i));
        loom_str_add(s, "</th>");
    }
    if (paired(results)) {
        loom_str_add(s, "</tr><tr>");
        axis_heads(s, results);
        for (i = 0; i < p->n; i++)
            loom_str_add(s, "<th>mean</th><th>Δ</th>");
    }
    loom_str_add(s, "</tr></thead>");
}

static void labels(struct loom_str *s, const json_t *results, json_int_t k)
{
    size_t i;
    json_t *label;
    const json_t *cell = cell_at(results, k);
    json_array_foreach(json_object_get(cell, "labels"), i, label)
    {
        loom_str_add(s, "<td class=text>");
        if (i == 0) {
            loom_str_add(s, "<a href=\"");
            loom_str_html(s, loom_json_text_at(cell, "folder"));
            loom_str_add(s, "/report.html\">");
        }
        loom_str_html(s, json_string_value(label));
        loom_str_add(s, i == 0 ? "</a>" : "");
        loom_str_add(s, i == 0 && paired(results) && k == reference(results, k) ? " <small>(reference)</small></td>"
                                                                                : "</td>");
    }
}

static void row(struct loom_str *s, const json_t *results, const struct part *p, json_int_t k)
{
    loom_str_add(s, "<tr>");
    labels(s, results, k);
    for (size_t i = 0; i < p->n; i++) {
        const json_t *metric = part_metric(results, p, i);
        const char *key = loom_json_text_at(metric, "key");
        const json_t *m = json_object_get(json_object_get(cell_at(results, k), "metrics"), key);
        const json_t *c = comparison(results, key, k);
        int best = loom_json_real_at(m, "mean") == best_mean(results, metric, k);
        loom_str_add(s, best ? "<td><b>" : "<td>");
        value(s, loom_json_real_at(m, "mean"), 0);
        loom_str_add(s, best ? "</b>" : "");
        interval(s, m, 0);
        loom_str_add(s, paired(results) ? "</td><td>" : "");
        if (c) {
            value(s, loom_json_real_at(c, "difference"), 1);
            interval(s, c, 1);
        }
        loom_str_add(s, "</td>");
    }
    loom_str_add(s, "</tr>\n");
}

/* Baselines once for each kind of data: they are the same for all cells that are tested on it. */
static void baseline_rows(struct loom_str *s, const json_t *results, const struct part *p)
{
    size_t k;
    int n = 0, kinds = 0;
    json_t *cell, *of;
    const char *name;
    json_array_foreach(list(results, "cells"), k, cell) kinds +=
        json_integer_value(json_object_get(cell, "group")) == (json_int_t)k;
    json_array_foreach(list(results, "cells"), k, cell)
    {
        json_t *baselines = json_object_get(cell, "baselines");
        if (json_integer_value(json_object_get(cell, "group")) != (json_int_t)k)
            continue;
        json_object_foreach(baselines, name, of)
        {
            loom_str_printf(s, "<tr%s><td class=text colspan=%zu>", n++ ? "" : " class=rule",
                            json_array_size(list(results, "axes")));
            loom_str_html(s, name);
            loom_str_add(s, " <small>baseline");
            if (kinds > 1) {
                loom_str_add(s, ", data of ");
                loom_str_html(s, loom_json_text_at(cell, "label"));
            }
            loom_str_add(s, "</small></td>");
            for (size_t i = 0; i < p->n; i++) {
                loom_str_add(s, "<td>");
                const json_t *x = json_object_get(of, loom_json_text_at(part_metric(results, p, i), "key"));
                value(s, json_is_object(x) ? loom_json_real_at(x, "mean") : loom_json_to_real(x), 0);
                interval(s, x, 0);
                loom_str_add(s, paired(results) ? "</td><td></td>" : "</td>");
            }
            loom_str_add(s, "</tr>\n");
        }
    }
}

static void main_table(struct loom_str *s, const json_t *results, int *tables)
{
    size_t k, metrics = json_array_size(list(results, "metrics"));
    json_t *cell;
    int seeds = (int)json_array_size(list(results, "seeds"));
    size_t abreast = paired(results) ? ABREAST : ABREAST_ALONE;
    for (struct part p = {0}; p.first < metrics; p.first += abreast) {
        p.n = metrics - p.first < abreast ? metrics - p.first : abreast;
        loom_str_printf(s, "<p class=caption><b>Table %d.</b> ", ++*tables);
        if (p.first == 0 && !paired(results))
            loom_str_add(s, "Of each run, in brackets its interval where it has one, with baselines below. Bold: the "
                            "best mean.");
        else if (p.first == 0)
            loom_str_printf(s,
                            "Means over %d seed%s; in brackets %g %% intervals %s. Δ: paired "
                            "difference from the reference, seed by seed. Bold: the best mean.",
                            seeds, seeds == 1 ? "" : "s", 100 * loom_json_real_at(results, "confidence"),
                            json_is_true(json_object_get(results, "student"))
                                ? "of means by Student's t over seeds, of differences by bootstrap"
                                : "by bootstrap over seeds");
        else
            loom_str_add(s, "As before.");
        loom_str_add(s, "</p>\n<div class=scroll><table class=paper>");
        heads(s, results, &p);
        loom_str_add(s, "<tbody>\n");
        json_array_foreach(list(results, "cells"), k, cell) row(s, results, &p, (json_int_t)k);
        baseline_rows(s, results, &p);
        loom_str_add(s, "</tbody></table></div>\n");
    }
}

/* ---- comparisons ---- */

static void comparison_table(struct loom_str *s, const json_t *results, int *tables)
{
    size_t i;
    json_t *c, *metrics = list(results, "metrics"), *metric;
    int seeds = (int)json_array_size(list(results, "seeds"));
    if (json_array_size(list(results, "comparisons")) == 0)
        return;
    loom_str_printf(
        s,
        "<h2>Paired comparisons</h2>\n<p class=caption><b>Table %d.</b> The same seed "
        "under two cells is a pair. Sign test: exact, two-sided. Holm: its p adjusted for all comparisons of "
        "one metric.</p>\n<div class=scroll><table class=paper><thead><tr><th class=text>metric</th><th "
        "class=text>comparison</th>"
        "<th>difference</th><th>better / worse</th><th>p, sign</th><th>p, Holm</th></tr></thead><tbody>\n",
        ++*tables);
    json_array_foreach(list(results, "comparisons"), i, c)
    {
        size_t m;
        loom_str_add(s, "<tr><td class=text>");
        int rises = 1;
        json_array_foreach(metrics, m, metric)
        {
            if (strcmp(loom_json_text_at(metric, "key"), loom_json_text_at(c, "metric")) == 0) {
                metric_title(s, metric);
                rises = json_is_true(json_object_get(metric, "rises"));
            }
        }
        loom_str_add(s, "</td><td class=text>");
        loom_str_html(s, loom_json_text_at(cell_at(results, json_integer_value(json_object_get(c, "a"))), "label"));
        loom_str_add(s, " − ");
        loom_str_html(s, loom_json_text_at(cell_at(results, json_integer_value(json_object_get(c, "b"))), "label"));
        loom_str_add(s, "</td><td>");
        value(s, loom_json_real_at(c, "difference"), 1);
        interval(s, c, 1);
        loom_str_printf(s, "</td><td>%d / %d</td><td>", (int)loom_json_real_at(c, rises ? "wins" : "losses"),
                        (int)loom_json_real_at(c, rises ? "losses" : "wins"));
        probability(s, loom_json_real_at(c, "p_sign"));
        loom_str_add(s, "</td><td>");
        probability(s, loom_json_real_at(c, "p_holm"));
        loom_str_add(s, "</td></tr>\n");
    }
    loom_str_printf(
        s,
        "</tbody></table></div>\n<p class=\"note soft\"><small>With %d pairs no sign test can give a p below "
        "%.3g, and a bootstrap over so few is narrower than it says: read the intervals together with the "
        "seeds in the figures.</small></p>\n",
        seeds, fmin(1, pow(2, 1 - seeds)));
}

/* ---- figures ---- */

struct rows {
    struct loom_figure_row row[MOST_ROWS];
    double point[MOST_ROWS][LOOM_REPORT_SEEDS];
    int n;
};

static void fill_points(struct rows *r, const json_t *each)
{
    struct loom_figure_row *row = &r->row[r->n];
    size_t i;
    json_t *x;
    row->point = r->point[r->n];
    json_array_foreach(each, i, x)
    {
        if (i < LOOM_REPORT_SEEDS)
            r->point[r->n][row->points++] = loom_json_to_real(x);
    }
}

static void value_figure(struct loom_str *s, const json_t *results, const json_t *metric, struct rows *r)
{
    const char *key = loom_json_text_at(metric, "key");
    struct loom_str title = LOOM_STR_INIT;
    size_t k;
    json_t *cell;
    r->n = 0;
    json_array_foreach(list(results, "cells"), k, cell)
    {
        const json_t *m = json_object_get(json_object_get(cell, "metrics"), key);
        if (r->n == MOST_ROWS || isnan(loom_json_real_at(m, "mean")))
            continue;
        r->row[r->n] = (struct loom_figure_row){.name = loom_json_text_at(cell, "label"),
                                                .mean = loom_json_real_at(m, "mean"),
                                                .low = loom_json_real_at(m, "low"),
                                                .high = loom_json_real_at(m, "high"),
                                                .colour = (int)(k % 6),
                                                .strong = (json_int_t)k == reference(results, (json_int_t)k)};
        fill_points(r, json_object_get(m, "seeds"));
        r->n++;
    }
    if (r->n < 2 && json_array_size(list(results, "cells")) > 1)
        return; /* nothing to compare */
    loom_report_metric_name(&title, loom_json_text_at(metric, "metric"));
    loom_str_printf(&title, ", %s, %s split", loom_json_text_at(metric, "stage"), loom_json_text_at(metric, "split"));
    const struct loom_figure f = {
        .title = title.text ? title.text : "",
        .note = !paired(results)       ? "mean, and its interval where it has one"
                : single_test(results) ? "mean and interval, seeds as faint dots; the line is the reference"
                                       : "mean and interval, seeds as faint dots; references are drawn strong",
        .x_label = "",
        .csv = *loom_json_text_at(results, "csv") ? loom_json_text_at(results, "csv") : "seeds.csv"};
    const json_t *line = json_object_get(json_object_get(cell_at(results, reference(results, 0)), "metrics"), key);
    loom_figure_rows(s, &f, r->row, r->n, single_test(results) ? loom_json_real_at(line, "mean") : NAN);
    loom_str_release(&title);
}

static void difference_figure(struct loom_str *s, const json_t *results, const json_t *metric, struct rows *r)
{
    const char *key = loom_json_text_at(metric, "key");
    struct loom_str title = LOOM_STR_INIT;
    size_t k;
    json_t *cell;
    r->n = 0;
    json_array_foreach(list(results, "cells"), k, cell)
    {
        const json_t *c = comparison(results, key, (json_int_t)k);
        const json_t *m = json_object_get(json_object_get(cell, "metrics"), key);
        const json_t *other =
            json_object_get(json_object_get(cell_at(results, reference(results, (json_int_t)k)), "metrics"), key);
        if (!c || r->n == MOST_ROWS)
            continue;
        r->row[r->n] = (struct loom_figure_row){.name = loom_json_text_at(cell, "label"),
                                                .mean = loom_json_real_at(c, "difference"),
                                                .low = loom_json_real_at(c, "low"),
                                                .high = loom_json_real_at(c, "high"),
                                                .colour = (int)(k % 6)};
        fill_points(r, json_object_get(m, "seeds"));
        for (int i = 0; i < r->row[r->n].points; i++) {
            const json_t *x = json_array_get(json_object_get(other, "seeds"), (size_t)i);
            r->point[r->n][i] -= loom_json_to_real(x);
        }
        r->n++;
    }
    loom_str_add(&title, "minus ");
    loom_str_add(&title, single_test(results) ? loom_json_text_at(cell_at(results, reference(results, 0)), "label")
                                              : "the reference of the same test");
    const struct loom_figure f = {.title = title.text ? title.text : "",
                                  .note = "paired differences, seed by seed",
                                  .x_label = "",
                                  .csv = *loom_json_text_at(results, "csv") ? loom_json_text_at(results, "csv")
                                                                            : "table.csv"};
    if (r->n > 0)
        loom_figure_rows(s, &f, r->row, r->n, 0.0);
    loom_str_release(&title);
}

static void figures(struct loom_str *s, const json_t *results)
{
    size_t i;
    json_t *metric;
    struct rows *r = calloc(1, sizeof *r);
    if (!r) {
        s->failed = 1;
        return;
    }
    struct loom_str drawn = LOOM_STR_INIT;
    json_array_foreach(list(results, "metrics"), i, metric)
    {
        value_figure(&drawn, results, metric, r);
        difference_figure(&drawn, results, metric, r);
    }
    if (drawn.text != NULL) {
        loom_str_add(s, "<h2>Figures</h2>\n<div class=\"grid two\">\n");
        loom_str_add(s, drawn.text);
        loom_str_add(s, "</div>\n");
    }
    s->failed |= drawn.failed;
    loom_str_release(&drawn);
    free(r);
}

/* ---- what it took ---- */

static void grouped(struct loom_str *s, double x)
{
    if (isnan(x))
        loom_str_add(s, "–");
    else if (x >= 1e7)
        loom_str_printf(s, "%.2f × 10<sup>%d</sup>", x / pow(10, floor(log10(x))), (int)floor(log10(x)));
    else
        loom_str_printf(s, "%.0f", x);
}

void loom_report_compute(struct loom_str *s, const json_t *results, int *tables)
{
    size_t k;
    json_t *cell;
    loom_str_printf(s,
                    "<h2>Compute</h2>\n<p class=caption><b>Table %d.</b> What training took, "
                    "all stages of one seed together; means over seeds. –: not known.</p>\n<div class=scroll><table "
                    "class=paper><thead><tr><th class=text>%s</th>"
                    "<th>parameters</th><th>steps</th><th>seconds</th><th>FLOPs</th></tr></thead><tbody>\n",
                    ++*tables, paired(results) ? "cell" : "run");
    json_array_foreach(list(results, "cells"), k, cell)
    {
        const json_t *c = json_object_get(cell, "compute");
        loom_str_add(s, "<tr><td class=text>");
        loom_str_html(s, loom_json_text_at(cell, "label"));
        loom_str_add(s, "</td><td>");
        grouped(s, loom_json_real_at(cell, "parameters"));
        loom_str_add(s, "</td><td>");
        grouped(s, loom_json_real_at(c, "steps"));
        loom_str_printf(s, isnan(loom_json_real_at(c, "seconds")) ? "</td><td>–</td><td>" : "</td><td>%.3g</td><td>",
                        loom_json_real_at(c, "seconds"));
        grouped(s, loom_json_real_at(c, "flops"));
        loom_str_add(s, "</td></tr>\n");
    }
    loom_str_add(s, "</tbody></table></div>\n");
}

static void failures(struct loom_str *s, const json_t *results)
{
    size_t k;
    const char *seed;
    json_t *cell, *why;
    int n = 0;
    json_array_foreach(list(results, "cells"), k, cell)
    {
        json_object_foreach(json_object_get(cell, "failed"), seed, why)
        {
            loom_str_add(s, n++ ? "<br>" : "<p><b>Failed:</b> ");
            loom_str_html(s, loom_json_text_at(cell, "label"));
            loom_str_printf(s, ", seed %s: ", seed);
            loom_str_html(s, json_string_value(why) ? json_string_value(why) : "");
        }
    }
    loom_str_add(s, n ? "</p>\n" : "");
}

/* What the cells have in common, in one sentence. */
static void lead(struct loom_str *s, const json_t *results)
{
    size_t i;
    json_t *axis;
    int varies = 0;
    json_array_foreach(list(results, "axes"), i, axis) varies |= json_is_true(json_object_get(axis, "varies_data"));
    loom_str_printf(s,
                    "<p class=soft>%zu cells × %zu seeds, %s%s and the same evaluation "
                    "(SHA-256 of the reference's: %.12s…), neuroloom ",
                    json_array_size(list(results, "cells")), json_array_size(list(results, "seeds")),
                    single_test(results) ? "" : "in each test ",
                    varies ? "the same data and splits but for the axis that varies them"
                           : "the same data, the same splits",
                    loom_json_text_at(cell_at(results, reference(results, 0)), "sha256"));
    loom_str_html(s, loom_json_text_at(results, "version"));
    loom_str_add(s, "</p>\n");
}

void loom_report_results(struct loom_str *s, const json_t *results, int *tables)
{
    main_table(s, results, tables);
    figures(s, results);
    comparison_table(s, results, tables);
}

int loom_report_ablation(const char *folder, const json_t *results, struct loom_error *e)
{
    struct loom_str s = LOOM_STR_INIT;
    char path[LOOM_REPORT_PATH];
    int tables = 0;
    if (!loom_report_path(path, folder, "report.html"))
        return loom_fail(e, LOOM_EIO, folder, 0, "the path of a report is too long; move the ablation");
    loom_report_head(&s, loom_json_text_at(results, "name"));
    loom_str_add(&s, "<h1>");
    loom_str_html(&s, loom_json_text_at(results, "name"));
    loom_str_add(&s, "</h1>\n");
    lead(&s, results);
    failures(&s, results);
    loom_report_results(&s, results, &tables);
    loom_report_compute(&s, results, &tables);
    loom_str_add(&s, "</body></html>\n");
    int code = s.failed ? loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a report; free some")
                        : loom_file_write(path, s.text, s.length, e);
    loom_str_release(&s);
    return code;
}
