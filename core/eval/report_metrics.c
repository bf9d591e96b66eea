/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* metrics.json: STAGE → SPLIT → METRIC → {"mean", DIMENSION…, "n", and of eval/trust.h}, "baselines" → NAME → METRIC →
 * …; over several seeds each metric is {"mean", "sd", "interval", "seeds", "n"} with the chance level, what targets of
 * others score, and of what is the same for all seeds the interval over trials; "compare" is a list of paired
 * differences. */

static int is_metric(const json_t *j)
{
    return json_is_object(j) && json_object_get(j, "mean") != NULL;
}

/* As many places as `like` has: an interval's ends are told as its mean is. */
static void number_like(struct loom_str *s, const json_t *x, const json_t *like)
{
    double size = fabs(json_number_value(json_is_number(like) ? like : x)), v = json_number_value(x);
    char text[32];
    if (!json_is_number(x)) {
        loom_str_add(s, "–");
        return;
    }
    if (size >= 1e5 || (size < 1e-3 && size != 0.0))
        snprintf(text, sizeof text, "%.3g", fabs(v));
    else
        snprintf(text, sizeof text, "%.*f", size >= 100.0 ? 1 : 3, fabs(v));
    loom_str_add(s, v < 0.0 && strpbrk(text, "123456789") != NULL ? "−" : "");
    loom_str_add(s, text);
}

static void number(struct loom_str *s, const json_t *x)
{
    number_like(s, x, x);
}

/* A baseline without draws is the same for every seed: its interval says nothing. */
static int spreads(const json_t *interval)
{
    return json_array_size(interval) == 2 &&
           json_number_value(json_array_get(interval, 0)) < json_number_value(json_array_get(interval, 1));
}

static void with_interval(struct loom_str *s, const json_t *metric)
{
    const json_t *interval = json_object_get(metric, "interval"), *mean = json_object_get(metric, "mean");
    number(s, mean);
    if (!spreads(interval))
        return;
    loom_str_add(s, " <small>[");
    number_like(s, json_array_get(interval, 0), mean);
    loom_str_add(s, ", ");
    number_like(s, json_array_get(interval, 1), mean);
    loom_str_add(s, "]</small>");
}

/* Metric names as people write them; a key METRIC.MODALITY keeps its modality. */
void loom_report_metric_name(struct loom_str *s, const char *key)
{
    static const char *const names[][2] = {{"r2", "R²"},
                                           {"bits_per_spike", "bits/spike"},
                                           {"mse", "MSE"},
                                           {"poisson_nll", "Poisson NLL"},
                                           {"balanced_accuracy", "balanced accuracy"},
                                           {"cross_entropy", "cross-entropy"},
                                           {"co_bps", "co-smoothing bits/spike"},
                                           {"fp_bps", "forward bits/spike"},
                                           {"vel_r2", "R² decoded from rates"},
                                           {"psth_r2", "R² of PSTHs"},
                                           {"kappa", "Cohen's κ"},
                                           {"weighted_f1", "weighted F1"},
                                           {"auroc", "AUROC"},
                                           {"auprc", "AUPRC"}};
    size_t n = strcspn(key, ".");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i][0]) == n && strncmp(key, names[i][0], n) == 0) {
            loom_str_add(s, names[i][1]);
            if (key[n] == '.') {
                loom_str_add(s, " ");
                loom_str_html(s, key + n + 1);
            }
            return;
        }
    loom_str_html(s, key);
}

/* ---- tiles ---- */

static void baseline_words(struct loom_str *s, json_t *baselines, const char *metric, int follows)
{
    const char *name;
    json_t *of;
    json_object_foreach(baselines, name, of)
    {
        const json_t *value = json_object_get(of, metric);
        if (!is_metric(value))
            continue;
        loom_str_add(s, follows++ ? "<br>" : "");
        loom_str_html(s, name);
        loom_str_add(s, " ");
        with_interval(s, value);
    }
}

/* What an interval is of. */
static void over_what(struct loom_str *s, const json_t *value)
{
    const json_t *resampled = json_object_get(value, "resampled");
    if (resampled == NULL)
        loom_str_printf(s, "], %d seeds", (int)json_integer_value(json_object_get(value, "n")));
    else
        loom_str_printf(s, "], %d %s", (int)json_integer_value(json_object_get(resampled, "groups")),
                        json_string_value(json_object_get(resampled, "of")));
}

static void tile(struct loom_str *s, const char *stage, const char *split, const char *metric, const json_t *value,
                 json_t *baselines)
{
    loom_str_add(s, "<div class=tile><span>");
    loom_report_metric_name(s, metric);
    loom_str_add(s, ", ");
    loom_str_html(s, stage);
    loom_str_add(s, ", ");
    loom_str_html(s, split);
    loom_str_add(s, "</span><b>");
    number(s, json_object_get(value, "mean"));
    loom_str_add(s, "</b><span>");
    const json_t *interval = json_object_get(value, "interval");
    int summary = spreads(interval);
    if (summary) {
        loom_str_add(s, "95 % interval [");
        number_like(s, json_array_get(interval, 0), json_object_get(value, "mean"));
        loom_str_add(s, ", ");
        number_like(s, json_array_get(interval, 1), json_object_get(value, "mean"));
        over_what(s, value);
    }
    baseline_words(s, baselines, metric, summary);
    loom_str_add(s, "</span></div>\n");
}

void loom_report_tiles(struct loom_page *p)
{
    const char *stage, *metric;
    json_t *splits, *value;
    int any = 0;
    json_object_foreach(p->metrics, stage, splits)
    {
        const char *split = json_object_get(splits, "test") != NULL ? "test" : "valid";
        json_t *of = json_object_get(splits, split);
        json_object_foreach(of, metric, value)
        {
            if (!is_metric(value))
                continue;
            loom_str_add(&p->html, any++ ? "" : "<div class=tiles>\n");
            tile(&p->html, stage, split, metric, value, json_object_get(of, "baselines"));
        }
    }
    loom_str_add(&p->html, any ? "</div>\n" : "");
}

/* ---- tables ---- */

enum { MOST_COLUMNS = 24 };
struct column {
    const char *metric, *entry; /* entry NULL: the mean */
};

static int is_dimension(const char *key, const json_t *value)
{
    static const char *const others[] = {"mean", "n", "sd", "chance", "mean_split_null", "units"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(key, others[i]) == 0)
            return 0;
    return json_is_number(value);
}

static int columns_of(json_t *split, struct column *out)
{
    const char *metric, *entry;
    json_t *value, *x;
    int n = 0;
    json_object_foreach(split, metric, value)
    {
        if (!is_metric(value))
            continue;
        if (n < MOST_COLUMNS)
            out[n++] = (struct column){metric, NULL};
        json_object_foreach(value, entry, x)
        {
            if (n < MOST_COLUMNS && is_dimension(entry, x))
                out[n++] = (struct column){metric, entry};
        }
    }
    return n;
}

static void row(struct loom_str *s, const char *name, int own, json_t *metrics, const struct column *column,
                int columns)
{
    loom_str_printf(s, "<tr%s><td>", own ? " class=own" : "");
    loom_str_html(s, name);
    loom_str_add(s, "</td>");
    for (int i = 0; i < columns; i++) {
        const json_t *metric = json_object_get(metrics, column[i].metric);
        loom_str_add(s, "<td>");
        if (column[i].entry == NULL)
            with_interval(s, metric);
        else
            number(s, json_object_get(metric, column[i].entry));
        loom_str_add(s, "</td>");
    }
    loom_str_add(s, "</tr>\n");
}

/* What each metric holds under `key` (a number, or an object with a mean) as one more row, where any has it. */
static void control_row(struct loom_str *s, const char *name, const char *key, json_t *metrics,
                        const struct column *column, int columns)
{
    json_t *of = json_object();
    for (int i = 0; i < columns; i++) {
        json_t *x = json_object_get(json_object_get(metrics, column[i].metric), key);
        if (column[i].entry == NULL && json_is_object(x))
            json_object_set(of, column[i].metric, x);
        else if (column[i].entry == NULL && json_is_number(x))
            json_object_set_new(of, column[i].metric, json_pack("{s:O}", "mean", x));
    }
    if (json_object_size(of) > 0)
        row(s, name, 0, of, column, columns);
    json_decref(of);
}

/* The first metric that says what its interval was resampled over; NULL: none. */
static const json_t *resampled_of(json_t *metrics)
{
    const char *key;
    json_t *value;
    json_object_foreach(metrics, key, value)
    {
        const json_t *r = json_object_get(value, "resampled");
        if (r != NULL && json_object_get(value, "interval") != NULL)
            return r;
    }
    return NULL;
}

/* Below a table: what its intervals are over, and what the last rows are. */
static void resampling_note(struct loom_str *s, json_t *metrics)
{
    const char *key;
    json_t *value, *baselines = json_object_get(metrics, "baselines");
    const json_t *own = resampled_of(metrics), *others = NULL;
    size_t seeds = 0;
    int controls = 0;
    json_object_foreach(metrics, key, value)
    {
        seeds = json_array_size(json_object_get(value, "seeds")) > seeds
                    ? json_array_size(json_object_get(value, "seeds"))
                    : seeds;
        controls |= json_object_get(value, "chance") != NULL || json_object_get(value, "shuffle") != NULL;
    }
    json_object_foreach(baselines, key, value) others = others != NULL ? others : resampled_of(value);
    if (own == NULL && seeds < 2 && !controls)
        return;
    loom_str_add(s, "<p class=soft><small>");
    if (own != NULL)
        loom_str_printf(s, "Intervals: 95 %% over %d resampled %s. ",
                        (int)json_integer_value(json_object_get(own, "groups")),
                        json_string_value(json_object_get(own, "of")));
    else if (seeds > 1)
        loom_str_printf(s, "Intervals: 95 %% of the mean over %d seeds (Student's t)", (int)seeds);
    if (own == NULL && seeds > 1 && others != NULL)
        loom_str_printf(s, "; of what is the same for every seed, as baselines without draws are, over %d resampled %s",
                        (int)json_integer_value(json_object_get(others, "groups")),
                        json_string_value(json_object_get(others, "of")));
    loom_str_add(s, own == NULL && seeds > 1 ? ". " : "");
    if (controls)
        loom_str_add(s, "Chance: what the split's own means or commonest class score. Targets of others: the model's "
                        "answers scored on targets of other trials, or shifted in time where there are none.");
    loom_str_add(s, "</small></p>\n");
}

static void table(struct loom_str *s, const char *stage, const char *split, json_t *metrics)
{
    struct column column[MOST_COLUMNS];
    int columns = columns_of(metrics, column);
    json_t *baselines = json_object_get(metrics, "baselines"), *of;
    const char *name;
    if (columns == 0)
        return;
    loom_str_add(s, "<h3>");
    loom_str_html(s, stage);
    loom_str_add(s, ", ");
    loom_str_html(s, split);
    loom_str_add(s, " split</h3>\n<div class=scroll><table><thead><tr><th></th>");
    for (int i = 0; i < columns; i++) {
        loom_str_add(s, "<th>");
        if (column[i].entry == NULL)
            loom_report_metric_name(s, column[i].metric);
        else
            loom_str_html(s, strcmp(column[i].entry, "variance_weighted") == 0 ? "weighted" : column[i].entry);
        loom_str_add(s, "</th>");
    }
    loom_str_add(s, "</tr></thead><tbody>\n");
    row(s, "this model", 1, metrics, column, columns);
    json_object_foreach(baselines, name, of) row(s, name, 0, of, column, columns);
    control_row(s, "chance", "chance", metrics, column, columns);
    control_row(s, "targets of others", "shuffle", metrics, column, columns);
    loom_str_add(s, "</tbody></table></div>\n");
    resampling_note(s, metrics);
    const json_t *bits = json_object_get(metrics, "bits_per_spike");
    const char *null = json_string_value(json_object_get(bits, "null"));
    if (null != NULL)
        loom_str_printf(
            s, "<p class=soft><small>Bits per spike against each unit's mean rate in the %s split.</small></p>\n",
            strcmp(null, "train") == 0 ? "training" : "scored");
}

void loom_report_metrics(struct loom_page *p)
{
    const char *stage, *split;
    json_t *splits, *metrics;
    loom_str_add(&p->html, json_object_size(p->metrics) > 0 ? "<h2>Metrics</h2>\n" : "");
    json_object_foreach(p->metrics, stage, splits)
    {
        json_object_foreach(splits, split, metrics) table(&p->html, stage, split, metrics);
    }
}

/* ---- seeds ---- */

static void seed_row(struct loom_str *s, const char *who, const char *split, const char *key, const json_t *metric,
                     int seeds)
{
    const json_t *each = json_object_get(metric, "seeds");
    if (!json_is_array(each))
        return;
    loom_str_add(s, "<tr><td>");
    loom_report_metric_name(s, key);
    loom_str_add(s, " <small>");
    loom_str_html(s, who);
    loom_str_add(s, ", ");
    loom_str_html(s, split);
    loom_str_add(s, "</small></td><td>");
    with_interval(s, metric);
    loom_str_add(s, "</td>");
    for (int i = 0; i < seeds; i++) {
        loom_str_add(s, "<td>");
        number_like(s, json_array_get(each, (size_t)i), json_object_get(metric, "mean"));
        loom_str_add(s, "</td>");
    }
    loom_str_add(s, "</tr>\n");
}

static void seeds_of_split(struct loom_str *s, const char *stage, const char *split, json_t *metrics, int seeds)
{
    const char *key, *name;
    json_t *value, *of, *baselines = json_object_get(metrics, "baselines");
    json_object_foreach(metrics, key, value) seed_row(s, stage, split, key, value, seeds);
    json_object_foreach(baselines, name, of)
    {
        json_object_foreach(of, key, value) seed_row(s, name, split, key, value, seeds);
    }
}

static void comparisons(struct loom_str *s, const json_t *list)
{
    size_t i;
    json_t *c;
    if (json_array_size(list) == 0)
        return;
    loom_str_add(s, "<h3>Paired differences</h3>\n<div class=scroll><table><thead><tr><th></th><th>difference"
                    " <small>[95 % interval]</small></th><th>seeds</th></tr></thead><tbody>\n");
    json_array_foreach(list, i, c)
    {
        const char *part[] = {"a", "b", "metric", "split"};
        loom_str_add(s, "<tr><td>");
        for (int k = 0; k < 4; k++) {
            const char *text = json_string_value(json_object_get(c, part[k]));
            loom_str_html(s, text != NULL ? text : "?");
            loom_str_add(s, k == 0 ? " − " : k == 3 ? "" : ", ");
        }
        loom_str_add(s, "</td><td>");
        with_interval(s, c);
        loom_str_printf(s, "</td><td>%d</td></tr>\n", (int)json_integer_value(json_object_get(c, "n")));
    }
    loom_str_add(s, "</tbody></table></div>\n");
}

void loom_report_seeds(struct loom_page *p)
{
    const char *stage, *split;
    json_t *splits, *metrics;
    if (p->seeds < 2 || p->metrics == NULL)
        return;
    loom_str_add(&p->html, "<h2>Seeds</h2>\n<div class=scroll><table><thead><tr><th></th><th>mean <small>[95 %"
                           "]</small></th>");
    for (int k = 0; k < p->seeds; k++) {
        const char *base = strrchr(p->seed[k], '/');
        loom_str_add(&p->html, "<th>");
        loom_str_html(&p->html, base != NULL ? base + 1 : p->seed[k]);
        loom_str_add(&p->html, "</th>");
    }
    loom_str_add(&p->html, "</tr></thead><tbody>\n");
    json_object_foreach(p->metrics, stage, splits)
    {
        json_object_foreach(splits, split, metrics) seeds_of_split(&p->html, stage, split, metrics, p->seeds);
    }
    loom_str_add(&p->html, "</tbody></table></div>\n");
    comparisons(&p->html, json_object_get(p->metrics, "compare"));
}
