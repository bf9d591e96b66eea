/* SPDX-License-Identifier: Apache-2.0 */
/* A behaviour over time: recorded, decoded by the model and its other seeds, and by baselines. */
#include "eval/report_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIMS = 4, MOST_LINES = 2 + LOOM_REPORT_BASELINES + LOOM_REPORT_OTHERS };
static const double trace_s = 10.0;

/* One dimension. Between spans stands a point without values, which breaks the lines. */
struct trace {
    double *time, *shown, *y[MOST_LINES]; /* s on the recording's clock and in the figure; values by line */
    int32_t *trial;
    int64_t n;
    int lines; /* recorded, other seeds, decoded, baselines: later ones are drawn over earlier ones */
};

static int trace_open(struct trace *t, const struct loom_report_group *g, const struct loom_report_spans *s)
{
    size_t most = LOOM_REPORT_SPANS;
    for (int k = 0; k < s->n; k++)
        most += (size_t)(s->at[k].last - s->at[k].first);
    *t = (struct trace){.lines = g->others + 2 + g->baselines};
    t->time = calloc(most, sizeof *t->time);
    t->shown = calloc(most, sizeof *t->shown);
    t->trial = calloc(most, sizeof *t->trial);
    int ok = t->time != NULL && t->shown != NULL && t->trial != NULL;
    for (int k = 0; k < t->lines; k++)
        ok = (t->y[k] = calloc(most, sizeof *t->y[k])) != NULL && ok;
    return ok;
}

static void trace_close(struct trace *t)
{
    free(t->time);
    free(t->shown);
    free(t->trial);
    for (int k = 0; k < MOST_LINES; k++)
        free(t->y[k]);
}

static void trace_fill(struct trace *t, const struct loom_report_group *g, const struct loom_report_spans *s, int32_t d)
{
    const struct loom_predictions *p = g->p;
    t->n = 0;
    for (int k = 0; k < s->n; k++) {
        const struct loom_report_span *span = &s->at[k];
        for (int64_t i = span->first; i < span->last; i++) {
            int line = 0;
            if (p->row[i].element != d || loom_report_span_of(s, p, i) != k)
                continue;
            t->time[t->n] = 1e-9 * (double)p->row[i].time_ns;
            t->shown[t->n] = span->at_s + t->time[t->n] - span->from_s;
            t->trial[t->n] = span->trial;
            t->y[line++][t->n] = p->row[i].target;
            for (int j = 0; j < g->others; j++)
                t->y[line++][t->n] = g->other[j][i];
            t->y[line++][t->n] = p->row[i].predicted;
            for (int j = 0; j < g->baselines; j++)
                t->y[line++][t->n] = g->column[j][i];
            t->n++;
        }
        for (int line = 0; k + 1 < s->n && line < t->lines; line++)
            t->y[line][t->n] = NAN;
        t->time[t->n] = t->shown[t->n] = NAN;
        t->n += k + 1 < s->n;
    }
}

static void csv_of(struct loom_str *csv, const struct trace *t, const struct loom_line *line,
                   const struct loom_predictions *p)
{
    loom_str_add(csv, "line,time_s,trial_time_s,value\n");
    for (int k = 0; k < t->lines; k++)
        for (int64_t i = 0; i < t->n; i++) {
            if (isnan(line[k].y[i]))
                continue;
            loom_str_csv(csv, line[k].name);
            loom_str_printf(csv, ",%.9g,", t->time[i]);
            if (t->trial[i] >= 0)
                loom_str_printf(csv, "%.9g", t->time[i] - p->trial[t->trial[i]].zero_s);
            loom_str_printf(csv, ",%.9g\n", line[k].y[i]);
        }
}

/* Lines by name; the CSV knows each seed, the legend has one entry for those that are not shown. */
static void lines_of(struct loom_line *line, const struct trace *t, const struct loom_page *page,
                     const struct loom_report_group *g)
{
    int n = 0;
    line[n++] = (struct loom_line){.name = "recorded", .stroke = LOOM_STROKE_TRUTH};
    for (int j = 0; j < g->others; j++) {
        const char *seed = strrchr(page->seed[g->other_seed[j]], '/') + 1;
        line[n++] = (struct loom_line){.name = seed, .stroke = LOOM_STROKE_THIN};
    }
    line[n++] = (struct loom_line){.name = "decoded"};
    for (int j = 0; j < g->baselines; j++)
        line[n++] = (struct loom_line){.name = g->baseline[j], .colour = 1 + j, .stroke = LOOM_STROKE_DASHED};
    for (int k = 0; k < n; k++) {
        line[k].x = t->shown;
        line[k].y = t->y[k];
        line[k].n = t->n;
    }
}

static int figure(struct loom_page *page, const struct loom_report_group *g, const struct loom_report_spans *s,
                  const struct trace *t, int32_t d, struct loom_error *e)
{
    const struct loom_predictions *p = g->p;
    struct loom_line line[MOST_LINES];
    char title[320], x[96], y[96], file[320], href[256], buffer[24];
    const char *dimension = loom_predictions_element(p, d, buffer);
    struct loom_str note = LOOM_STR_INIT, csv = LOOM_STR_INIT;
    lines_of(line, t, page, g);
    csv_of(&csv, t, line, p);
    snprintf(file, sizeof file, "trace-%s-%s-%s-%s", g->stage, g->split, g->modality, dimension);
    int rc = loom_report_csv(page, file, &csv, href, e);
    for (int j = 0; j < g->others; j++)
        line[1 + j].name = j == 0 ? g->others + 1 < page->seeds ? "other seeds" : "the other seeds" : NULL;
    snprintf(title, sizeof title, "%s %s, %s", g->modality, dimension, g->stage);
    snprintf(y, sizeof y, "%s, %s", dimension, p->unit[0] != '\0' ? p->unit : "unit of the data");
    loom_report_spans_label(x, s, p);
    loom_report_origin(&note, page, g);
    loom_str_add(&note, "; ");
    loom_report_spans_note(&note, s, p);
    const struct loom_figure f = {
        .title = title, .note = note.text, .x_label = x, .y_label = y, .csv = href, .panel = s->panel, .panels = s->n};
    if (rc == LOOM_OK)
        loom_figure_lines(&page->html, &f, line, t->lines);
    loom_str_release(&note);
    loom_str_release(&csv);
    return rc;
}

int loom_report_traces(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    struct loom_report_spans s;
    struct trace t;
    int rc = LOOM_OK;
    loom_report_spans(&s, g->p, trace_s);
    if (!trace_open(&t, g, &s))
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a figure; free some");
    for (int32_t d = 0; d < MOST_DIMS && rc == LOOM_OK; d++) {
        trace_fill(&t, g, &s, d);
        if (t.n >= s.n)
            rc = figure(page, g, &s, &t, d, e);
    }
    trace_close(&t);
    return rc;
}
