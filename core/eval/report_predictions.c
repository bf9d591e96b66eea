/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/report_groups.h"

#include "base/io.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRACE_DIMS = 4, TRACE_LINES = 6, MOST_GROUPS = 24, RASTER_COLUMNS = 160, GAP = 5 };
static const double trace_s = 10.0;
static const char time_cut[] = "s of the split, gaps cut";

struct groups {
    struct loom_report_group at[MOST_GROUPS];
    int n;
};

static int note_group(void *payload, const char *stage, const char *split, const char *modality)
{
    struct groups *g = payload;
    if (g->n < MOST_GROUPS) {
        struct loom_report_group *to = &g->at[g->n++];
        snprintf(to->stage, sizeof to->stage, "%s", stage);
        snprintf(to->split, sizeof to->split, "%s", split);
        snprintf(to->modality, sizeof to->modality, "%s", modality);
        to->baselines = 0;
    }
    return LOOM_OK;
}

/* From one row's time to the next one's as figures show it: what was not asked about, between trials say, is cut to GAP
 * of the rows' own steps. */
static int64_t shown_ns(const struct loom_predictions *p, int64_t row, int64_t step_ns)
{
    int64_t past = p->row[row].time_ns - p->row[row - 1].time_ns, most = GAP * step_ns;
    return past > most ? most : past;
}

/* Rows that show `seconds`, and the step from one time to the next. They begin in the middle of the recording in the
 * middle: neither the best nor the worst was looked for. */
static int64_t stretch(const struct loom_predictions *p, double seconds, int64_t *first, int64_t *last)
{
    int64_t begin = p->n / 2, end = p->n / 2, step_ns = 0, left = llround(seconds * 1e9);
    while (begin > 0 && p->row[begin - 1].recording == p->row[begin].recording)
        begin--;
    while (end < p->n && p->row[end].recording == p->row[begin].recording)
        end++;
    *first = begin + (end - begin) / 2;
    while (*first > begin && p->row[*first - 1].time_ns == p->row[*first].time_ns)
        --*first;
    for (int64_t i = *first + 1; i < end && step_ns == 0; i++)
        step_ns = p->row[i].time_ns - p->row[i - 1].time_ns;
    for (*last = *first + 1; *last < end && (left -= shown_ns(p, *last, step_ns)) > 0;)
        ++*last;
    return step_ns;
}

/* ---- traces ---- */

/* "sim1_day1", and how many trials the rows first … last - 1 are of. */
static void note_stretch(struct loom_str *s, const struct loom_predictions *p, int64_t first, int64_t last)
{
    int32_t before = -1, trials = 0;
    for (int64_t i = first; i < last; i++) {
        int32_t trial = loom_predictions_trial_of(p, &p->row[i]);
        trials += trial >= 0 && trial != before;
        before = trial >= 0 ? trial : before;
    }
    loom_str_add(s, p->recording[p->row[first].recording]);
    if (trials > 0)
        loom_str_printf(s, ", %d trial%s", (int)trials, trials == 1 ? "" : "s");
}

struct trace {
    int64_t first, last;                   /* rows of the predictions */
    double *time, *shown, *y[TRACE_LINES]; /* s, without the time that was cut; true, decoded, baselines */
    int64_t n;
    int cut;
};

static void trace_gap(struct trace *t, int lines, double time, double shown)
{
    for (int k = 0; k < lines; k++)
        t->y[k][t->n] = NAN;
    t->time[t->n] = time;
    t->shown[t->n++] = shown;
    t->cut = 1;
}

static int trace_fill(struct trace *t, const struct loom_predictions *p, int32_t dimension, int64_t first, int64_t last,
                      int64_t step_ns, double *const *baseline, int baselines)
{
    size_t most = (size_t)(2 * (last - first)) + 1;
    int64_t shown = 0;
    t->time = calloc(most, sizeof *t->time);
    t->shown = calloc(most, sizeof *t->shown);
    for (int k = 0; k < 2 + baselines; k++)
        t->y[k] = calloc(most, sizeof *t->y[k]);
    for (int k = 0; k < 2 + baselines; k++)
        if (t->time == NULL || t->shown == NULL || t->y[k] == NULL)
            return 0;
    for (int64_t i = first; i < last; i++) {
        const struct loom_predicted *row = &p->row[i];
        int64_t past = i > first ? shown_ns(p, i, step_ns) : 0;
        double time = (double)row->time_ns * 1e-9;
        if (i > first && past < row->time_ns - row[-1].time_ns)
            trace_gap(t, 2 + baselines, time, (double)shown * 1e-9);
        shown += past;
        if (row->element != dimension)
            continue;
        t->time[t->n] = time;
        t->shown[t->n] = (double)shown * 1e-9;
        t->y[0][t->n] = row->target;
        t->y[1][t->n] = row->predicted;
        for (int k = 0; k < baselines; k++)
            t->y[2 + k][t->n] = baseline[k][i];
        t->n++;
    }
    return 1;
}

static void trace_release(struct trace *t)
{
    free(t->time);
    free(t->shown);
    for (int k = 0; k < TRACE_LINES; k++)
        free(t->y[k]);
}

static int trace_figure(struct loom_page *page, const struct loom_report_group *g, const struct trace *t, int32_t d,
                        struct loom_error *e)
{
    const struct loom_predictions *p = g->p;
    int names = g->baselines;
    struct loom_line line[TRACE_LINES] = {
        {.name = "recorded", .x = t->time, .y = t->y[0], .n = t->n, .stroke = LOOM_STROKE_TRUTH},
        {.name = "decoded", .x = t->time, .y = t->y[1], .n = t->n}};
    char title[320], y[96], file[320], href[256], buffer[24];
    const char *dimension = loom_predictions_element(p, d, buffer);
    struct loom_str note = LOOM_STR_INIT, csv = LOOM_STR_INIT;
    for (int k = 0; k < names; k++)
        line[2 + k] = (struct loom_line){.name = g->baseline[k],
                                         .x = t->time,
                                         .y = t->y[2 + k],
                                         .n = t->n,
                                         .colour = 1 + k,
                                         .stroke = LOOM_STROKE_DASHED};
    snprintf(title, sizeof title, "%s %s, %s, %s split", g->modality, dimension, g->stage, g->split);
    snprintf(y, sizeof y, "%s%s%s", dimension, p->unit[0] != '\0' ? ", " : "", p->unit);
    snprintf(file, sizeof file, "trace-%s-%s-%s-%s", g->stage, g->split, g->modality, dimension);
    loom_report_lines_csv(&csv, "time_s", "value", line, 2 + names);
    int rc = loom_report_csv(page, file, &csv, href, e);
    loom_str_release(&csv);
    note_stretch(&note, p, t->first, t->last);
    struct loom_figure f = {title, note.text != NULL ? note.text : "", t->cut ? time_cut : "time, s", y, href, 0.0};
    for (int k = 0; k < 2 + names && t->cut; k++)
        line[k].x = t->shown;
    if (rc == LOOM_OK)
        loom_figure_lines(&page->html, &f, line, 2 + names);
    loom_str_release(&note);
    return rc;
}

static int traces(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    const struct loom_predictions *p = g->p;
    int64_t first, last, step_ns = stretch(p, trace_s, &first, &last);
    int32_t dims = 0;
    int rc = LOOM_OK;
    for (int64_t i = first; i < last; i++)
        dims = p->row[i].element >= dims ? p->row[i].element + 1 : dims;
    for (int32_t d = 0; d < dims && d < TRACE_DIMS && rc == LOOM_OK; d++) {
        struct trace t = {.first = first, .last = last};
        if (!trace_fill(&t, p, d, first, last, step_ns, g->column, g->baselines))
            rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a figure; free some");
        else if (t.n > 0)
            rc = trace_figure(page, g, &t, d, e);
        trace_release(&t);
    }
    return rc;
}

/* ---- rasters ---- */

struct raster {
    double *count, *rate; /* [units, columns] */
    double *time;         /* [columns] s, the middle of the bin */
    int units, columns, cut;
    double bin_s, most_count, most_rate;
};

/* Columns that row i stands behind the row before it. */
static int columns_past(struct raster *r, const struct loom_predictions *p, int64_t i, int64_t bin_ns)
{
    int64_t past = shown_ns(p, i, bin_ns);
    r->cut |= past < p->row[i].time_ns - p->row[i - 1].time_ns;
    return (int)((past + bin_ns / 2) / bin_ns);
}

static int raster_fill(struct raster *r, const struct loom_predictions *p, int64_t first, int64_t last)
{
    int64_t bin = llround(p->bin_s * 1e9);
    r->columns = 1;
    for (int64_t i = first; i < last; i++) {
        r->columns += i > first ? columns_past(r, p, i, bin) : 0;
        r->units = p->row[i].element >= r->units ? p->row[i].element + 1 : r->units;
    }
    size_t n = (size_t)r->units * (size_t)r->columns;
    r->count = malloc((n + 1) * sizeof *r->count);
    r->rate = malloc((n + 1) * sizeof *r->rate);
    r->time = calloc((size_t)r->columns, sizeof *r->time);
    if (r->count == NULL || r->rate == NULL || r->time == NULL)
        return 0;
    for (size_t i = 0; i < n; i++)
        r->count[i] = r->rate[i] = NAN;
    size_t column = 0;
    for (int64_t i = first; i < last; i++) {
        const struct loom_predicted *row = &p->row[i];
        column += i > first ? (size_t)columns_past(r, p, i, bin) : 0;
        size_t at = (size_t)row->element * (size_t)r->columns + column;
        r->time[column] = (double)row->time_ns * 1e-9;
        r->count[at] = row->target;
        r->rate[at] = row->predicted;
        r->most_count = fmax(r->most_count, row->target);
        r->most_rate = fmax(r->most_rate, row->predicted);
    }
    r->bin_s = p->bin_s;
    return 1;
}

static void raster_csv(struct loom_str *s, const struct raster *r)
{
    loom_str_add(s, "time_s,unit,count,predicted\n");
    for (int c = 0; c < r->columns; c++)
        for (int u = 0; u < r->units; u++) {
            size_t at = (size_t)u * (size_t)r->columns + (size_t)c;
            if (!isnan(r->rate[at]))
                loom_str_printf(s, "%.6f,%d,%g,%.6g\n", r->time[c], u, r->count[at], r->rate[at]);
        }
}

static int raster_figures(struct loom_page *page, const struct loom_report_group *g, const struct raster *r,
                          const char *of, struct loom_error *e)
{
    char title[320], note[320], file[320], href[256];
    const char *time = r->cut ? time_cut : "time, s";
    struct loom_str csv = LOOM_STR_INIT;
    struct loom_cells cells = {.value = r->count,
                               .rows = r->units,
                               .columns = r->columns,
                               .high = fmin(r->most_count, 4.0),
                               .x_from = r->cut ? 0.0 : r->time[0] - r->bin_s / 2};
    cells.x_to = cells.x_from + r->columns * r->bin_s;
    snprintf(file, sizeof file, "raster-%s-%s-%s", g->stage, g->split, g->modality);
    raster_csv(&csv, r);
    int rc = loom_report_csv(page, file, &csv, href, e);
    loom_str_release(&csv);
    if (rc != LOOM_OK)
        return rc;
    snprintf(title, sizeof title, "%s counted, %s, %s split", g->modality, g->stage, g->split);
    snprintf(note, sizeof note, "%.100s. Counts in %g ms, dark 0, light %g and more; blank: not asked.", of,
             r->bin_s * 1e3, cells.high);
    loom_figure_cells(&page->html, &(struct loom_figure){title, note, time, "unit", href, 0.0}, &cells);
    cells.value = r->rate;
    cells.high = fmax(fmin(r->most_rate, 2.0), 1e-6);
    snprintf(title, sizeof title, "%s predicted, %s, %s split", g->modality, g->stage, g->split);
    snprintf(note, sizeof note, "%.100s. Expected counts in %g ms, dark 0, light %.2g and more.", of, r->bin_s * 1e3,
             cells.high);
    loom_figure_cells(&page->html, &(struct loom_figure){title, note, time, "unit", href, 0.0}, &cells);
    return LOOM_OK;
}

static int rasters(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    const struct loom_predictions *p = g->p;
    struct raster r = {0};
    struct loom_str of = LOOM_STR_INIT;
    int64_t first, last;
    int rc = LOOM_OK;
    if (!(p->bin_s > 0.0))
        return LOOM_OK;
    stretch(p, RASTER_COLUMNS * p->bin_s, &first, &last);
    if (!raster_fill(&r, p, first, last))
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a raster; free some");
    note_stretch(&of, p, first, last);
    if (rc == LOOM_OK && r.units > 1)
        rc = raster_figures(page, g, &r, of.text != NULL ? of.text : "", e);
    loom_str_release(&of);
    free(r.count);
    free(r.rate);
    free(r.time);
    return rc;
}

/* ---- all groups of the file ---- */

/* Baselines in metrics.json whose answers the file has. */
static void open_baselines(const struct loom_page *page, struct loom_report_group *g, const char *path)
{
    json_t *split = json_object_get(json_object_get(page->metrics, g->stage), g->split);
    json_t *list = json_object_get(split, "baselines"), *of;
    const char *key;
    json_object_foreach(list, key, of)
    {
        double *values = g->baselines < LOOM_REPORT_BASELINES
                             ? loom_predictions_read_baseline(g->p, path, g->stage, g->split, key)
                             : NULL;
        if (values == NULL)
            continue;
        g->baseline[g->baselines] = key;
        g->column[g->baselines++] = values;
    }
}

static int figures(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    int spikes = strcmp(g->p->likelihood, "poisson") == 0, moves = strcmp(g->p->likelihood, "gaussian") == 0;
    int rc = spikes ? rasters(page, g, e) : moves ? traces(page, g, e) : LOOM_OK;
    if (rc == LOOM_OK && moves)
        rc = loom_report_paths(page, g, e);
    if (rc == LOOM_OK && moves)
        rc = loom_report_days(page, g, e);
    if (rc == LOOM_OK && !moves)
        rc = loom_report_calibration(page, g, e);
    return rc == LOOM_OK ? loom_report_latents(page, g, e) : rc;
}

static int one_group(struct loom_page *page, struct loom_report_group *g, const char *path, struct loom_error *e)
{
    struct loom_predictions p;
    loom_predictions_init(&p);
    int rc = loom_predictions_read(&p, path, g->stage, g->split, g->modality, e);
    if (rc == LOOM_OK && p.n > 0) {
        g->p = &p;
        open_baselines(page, g, path);
        loom_str_add(&page->html, "<div class=\"grid two\">\n");
        rc = figures(page, g, e);
        loom_str_add(&page->html, "</div>\n");
        if (rc == LOOM_OK && strcmp(p.likelihood, "poisson") == 0)
            rc = loom_report_psth(page, g, e);
    }
    for (int k = 0; k < g->baselines; k++)
        free(g->column[k]);
    g->baselines = 0;
    loom_predictions_release(&p);
    return rc;
}

int loom_report_predictions(struct loom_page *page, struct loom_error *e)
{
    char path[LOOM_REPORT_PATH];
    struct groups g = {.n = 0};
    const char *run = page->seeds > 0 ? page->seed[0] : page->run;
    if (!loom_predictions_supported() || !loom_report_path(path, run, "predictions.h5") || !loom_file_exists(path))
        return LOOM_OK;
    int rc = loom_predictions_walk(path, note_group, &g, e);
    if (rc == LOOM_OK && g.n > 0)
        loom_str_add(&page->html, "<h2>Predictions</h2>\n<p class=soft><small>Stretches from the middle of each split "
                                  "and its first trials: nothing was chosen by how well it went.</small></p>\n");
    for (int i = 0; i < g.n && rc == LOOM_OK; i++)
        rc = one_group(page, &g.at[i], path, e);
    return rc;
}
