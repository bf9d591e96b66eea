/* SPDX-License-Identifier: Apache-2.0 */
/* Counts and rates of all units over time, recorded above modelled. */
#include "eval/report_groups.h"

#include "base/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COLUMNS = 600 };
static const double most_s = 10.0;
static const double bright = 0.98; /* share of the cells that are no lighter than the lightest colour */

struct raster {
    double *count, *rate; /* [units, columns] */
    double *time;         /* [columns] s, the middle of the bin on the recording's clock */
    int32_t *trial;       /* [columns] */
    uint8_t *held;        /* [units] */
    int units, columns, any_held;
};

/* Column of a row, -1: it is not shown. */
static int64_t column_of(const struct loom_report_spans *s, const struct loom_predictions *p, int64_t row, int *span)
{
    int64_t column = 0;
    *span = loom_report_span_of(s, p, row);
    for (int k = 0; k < *span; k++)
        column += s->panel[k].columns;
    if (*span < 0)
        return -1;
    int64_t within = (int64_t)floor((1e-9 * (double)p->row[row].time_ns - s->at[*span].from_s) / s->step_s);
    return within >= 0 && within < s->panel[*span].columns ? column + within : -1;
}

static int raster_open(struct raster *r, const struct loom_predictions *p, const struct loom_report_spans *s)
{
    for (int k = 0; k < s->n; k++) {
        r->columns += s->panel[k].columns;
        for (int64_t i = s->at[k].first; i < s->at[k].last; i++)
            r->units = p->row[i].element >= r->units ? p->row[i].element + 1 : r->units;
    }
    size_t n = (size_t)r->units * (size_t)r->columns;
    r->count = malloc((n + 1) * sizeof *r->count);
    r->rate = malloc((n + 1) * sizeof *r->rate);
    r->time = calloc((size_t)r->columns + 1, sizeof *r->time);
    r->trial = calloc((size_t)r->columns + 1, sizeof *r->trial);
    r->held = calloc((size_t)r->units + 1, 1);
    for (size_t i = 0; r->count != NULL && r->rate != NULL && i < n; i++)
        r->count[i] = r->rate[i] = NAN;
    return r->count != NULL && r->rate != NULL && r->time != NULL && r->trial != NULL && r->held != NULL;
}

static void raster_close(struct raster *r)
{
    void *all[] = {r->count, r->rate, r->time, r->trial, r->held};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void raster_fill(struct raster *r, const struct loom_predictions *p, const struct loom_report_spans *s)
{
    for (int k = 0, span; k < s->n; k++)
        for (int64_t i = s->at[k].first; i < s->at[k].last; i++) {
            const struct loom_predicted *row = &p->row[i];
            int64_t column = column_of(s, p, i, &span);
            if (column < 0 || span != k)
                continue;
            r->time[column] = 1e-9 * (double)row->time_ns;
            r->trial[column] = s->at[k].trial;
            r->count[row->element * r->columns + column] = row->target;
            r->rate[row->element * r->columns + column] = row->predicted;
            r->held[row->element] |= row->held == LOOM_HELD_UNIT;
            r->any_held |= row->held == LOOM_HELD_UNIT;
        }
}

static void csv_of(struct loom_str *s, const struct raster *r, const struct loom_predictions *p)
{
    loom_str_add(s, "time_s,trial_time_s,unit,held_out,count,predicted\n");
    for (int c = 0; c < r->columns; c++)
        for (int u = 0; u < r->units; u++) {
            size_t at = (size_t)u * (size_t)r->columns + (size_t)c;
            if (isnan(r->rate[at]))
                continue;
            loom_str_printf(s, "%.9g,", r->time[c]);
            if (r->trial[c] >= 0)
                loom_str_printf(s, "%.9g", r->time[c] - p->trial[r->trial[c]].zero_s);
            loom_str_printf(s, ",%d,%d,%g,%.6g\n", u, r->held[u], r->count[at], r->rate[at]);
        }
}

/* Nearly all cells are below; NaN: no memory. */
static double lightest(const double *value, size_t n)
{
    double *sorted = malloc((n + 1) * sizeof *sorted), out;
    size_t m = 0;
    if (sorted == NULL)
        return NAN;
    for (size_t i = 0; i < n; i++)
        if (isfinite(value[i]))
            sorted[m++] = value[i];
    qsort(sorted, m, sizeof *sorted, loom_ascending);
    out = m > 0 ? sorted[(size_t)(bright * (double)(m - 1))] : 0.0;
    free(sorted);
    return out;
}

static void picture(struct loom_page *page, const struct loom_report_group *g, const struct raster *r,
                    const struct loom_report_spans *s, int modelled, const char *href)
{
    const size_t n = (size_t)r->units * (size_t)r->columns;
    struct loom_str note = LOOM_STR_INIT;
    char title[320], x[96], unit[64];
    double high = lightest(modelled ? r->rate : r->count, n);
    struct loom_cells cells = {.value = modelled ? r->rate : r->count,
                               .rows = r->units,
                               .columns = r->columns,
                               .high = modelled ? high / g->p->bin_s : fmax(high, 1.0),
                               .unit = modelled ? "spikes/s" : unit,
                               .mark = r->any_held ? r->held : NULL,
                               .marked = "held-out unit"};
    double *rate = modelled ? malloc((n + 1) * sizeof *rate) : NULL;
    if (isnan(high) || (modelled && rate == NULL)) {
        page->html.failed = 1;
        free(rate);
        return;
    }
    for (size_t i = 0; rate != NULL && i < n; i++)
        rate[i] = r->rate[i] / g->p->bin_s;
    cells.value = rate != NULL ? rate : cells.value;
    snprintf(unit, sizeof unit, "spikes in %g ms", g->p->bin_s * 1e3);
    snprintf(title, sizeof title, "%s %s, %s", g->modality, modelled ? "modelled" : "counted", g->stage);
    loom_report_spans_label(x, s, g->p);
    loom_report_origin(&note, page, g);
    loom_str_add(&note, "; ");
    loom_report_spans_note(&note, s, g->p);
    loom_str_add(&note, modelled ? "" : "; blank: not asked");
    const struct loom_figure f = {.title = title,
                                  .note = note.text,
                                  .x_label = x,
                                  .y_label = "unit",
                                  .csv = href,
                                  .panel = s->panel,
                                  .panels = s->n};
    loom_figure_cells(&page->html, &f, &cells);
    loom_str_release(&note);
    free(rate);
}

int loom_report_rasters(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    struct loom_report_spans s;
    struct raster r = {.units = 0};
    struct loom_str csv = LOOM_STR_INIT;
    char file[320], href[256];
    int rc = LOOM_OK;
    if (!(g->p->bin_s > 0.0))
        return LOOM_OK;
    loom_report_spans(&s, g->p, fmin(most_s, MOST_COLUMNS * g->p->bin_s));
    if (!raster_open(&r, g->p, &s))
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a raster; free some");
    if (rc == LOOM_OK && r.units > 1 && r.columns > 0) {
        raster_fill(&r, g->p, &s);
        csv_of(&csv, &r, g->p);
        snprintf(file, sizeof file, "raster-%s-%s-%s", g->stage, g->split, g->modality);
        rc = loom_report_csv(page, file, &csv, href, e);
        for (int modelled = 0; modelled < 2 && rc == LOOM_OK; modelled++)
            picture(page, g, &r, &s, modelled, href);
    }
    loom_str_release(&csv);
    raster_close(&r);
    return rc;
}
