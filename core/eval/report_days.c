/* SPDX-License-Identifier: Apache-2.0 */
/* How well a behaviour is decoded from recording to recording, in the order of their dates. */
#include "eval/metrics.h"
#include "eval/report_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_DIMS = 64, NAMED = 12, LINES = LOOM_REPORT_BASELINES + 1 };

struct day {
    int32_t recording;
    int64_t first, last; /* its rows */
    double day;          /* since 1970; NaN unknown */
    double r2[LINES];
};

/* Mean over the dimensions, as metrics.json has it; column NULL: the model's own. */
static void score(struct day *day, const struct loom_predictions *p, const double *column, int line)
{
    struct loom_regression r[MOST_DIMS] = {{0}};
    double sum = 0.0;
    int n = 0;
    for (int64_t i = day->first; i < day->last; i++) {
        const struct loom_predicted *row = &p->row[i];
        double predicted = column != NULL ? column[i] : row->predicted;
        if (row->element < MOST_DIMS && row->weight != 0.0 && isfinite(row->target) && isfinite(predicted))
            loom_regression_add(&r[row->element], row->target, predicted);
    }
    for (int d = 0; d < MOST_DIMS; d++)
        if (loom_regression_variation(&r[d]) > 0.0) {
            sum += loom_regression_r2(&r[d]);
            n++;
        }
    day->r2[line] = n > 0 ? sum / n : NAN;
}

static double day_of(const char *date)
{
    struct tm t = {0};
    if (date == NULL || sscanf(date, "%4d-%2d-%2d", &t.tm_year, &t.tm_mon, &t.tm_mday) != 3)
        return NAN;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    return floor((double)timegm(&t) / 86400.0);
}

static int in_order(const void *a, const void *b)
{
    const struct day *x = a, *y = b;
    if (isfinite(x->day) && isfinite(y->day) && x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return (x->recording > y->recording) - (x->recording < y->recording);
}

/* 1: all have dates, and not all the same. */
static int dated(const struct day *day, int n)
{
    int differ = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(day[i].day))
            return 0;
        differ |= day[i].day != day[0].day;
    }
    return differ;
}

static int figure(struct loom_page *page, const struct loom_report_group *g, const struct day *day, int n,
                  double *const *column, struct loom_error *e)
{
    struct loom_line line[LINES];
    struct loom_str csv = LOOM_STR_INIT, note = LOOM_STR_INIT;
    char title[160], file[320], href[256], x[96];
    int by_date = dated(day, n);
    for (int i = 0; i < n; i++)
        column[LINES][i] = by_date ? day[i].day - day[0].day : i + 1;
    for (int k = 0; k <= g->baselines; k++) {
        for (int i = 0; i < n; i++)
            column[k][i] = day[i].r2[k];
        line[k] = (struct loom_line){.name = k == 0 ? "this model" : g->baseline[k - 1],
                                     .x = column[LINES],
                                     .y = column[k],
                                     .n = n,
                                     .colour = k,
                                     .stroke = LOOM_STROKE_MARKED};
    }
    loom_str_add(&csv, "line,recording,date,x,r2\n");
    for (int k = 0; k <= g->baselines; k++)
        for (int i = 0; i < n; i++) {
            loom_str_csv(&csv, line[k].name);
            loom_str_add(&csv, ",");
            loom_str_csv(&csv, g->p->recording[day[i].recording]);
            loom_str_printf(&csv, ",%.10s,%.9g,%.9g\n", g->p->date != NULL ? g->p->date[day[i].recording] : "",
                            line[k].x[i], line[k].y[i]);
        }
    snprintf(title, sizeof title, "R² of %s, recording by recording", g->modality);
    snprintf(file, sizeof file, "days-%s-%s-%s", g->stage, g->split, g->modality);
    if (by_date)
        snprintf(x, sizeof x, "days since %.10s", g->p->date[day[0].recording]);
    else
        snprintf(x, sizeof x, "recording, in the order of their names");
    loom_str_printf(&note, "%s, ", g->stage);
    loom_report_origin(&note, page, g);
    loom_str_add(&note, ", mean over dimensions");
    for (int i = 0; i < n && !by_date && n <= NAMED; i++)
        loom_str_printf(&note, "; %d: %s", i + 1, g->p->recording[day[i].recording]);
    int rc = loom_report_csv(page, file, &csv, href, e);
    if (rc == LOOM_OK)
        loom_figure_lines(
            &page->html,
            &(struct loom_figure){
                .title = title, .note = note.text, .x_label = x, .y_label = "R²", .csv = href, .whole = !by_date},
            line, g->baselines + 1);
    loom_str_release(&csv);
    loom_str_release(&note);
    return rc;
}

int loom_report_days(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    const struct loom_predictions *p = g->p;
    size_t recordings = (size_t)p->recordings;
    struct day *day = calloc(recordings + 1, sizeof *day);
    double *room = calloc((recordings + 1) * (LINES + 1), sizeof *room), *column[LINES + 1];
    int n = 0, rc = LOOM_OK;
    if (day == NULL || room == NULL) {
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a figure; free some");
        goto out;
    }
    for (int k = 0; k <= LINES; k++)
        column[k] = room + (recordings + 1) * (size_t)k;
    int64_t last = 0;
    for (int32_t r = 0; r < p->recordings; r++) {
        int64_t first = last;
        while (last < p->n && p->row[last].recording == r)
            last++;
        day[n] = (struct day){r, first, last, day_of(p->date != NULL ? p->date[r] : NULL), {0}};
        for (int k = 0; k <= g->baselines; k++)
            score(&day[n], p, k == 0 ? NULL : g->column[k - 1], k);
        n += isfinite(day[n].r2[0]);
    }
    if (dated(day, n))
        qsort(day, (size_t)n, sizeof *day, in_order);
    if (n > 1)
        rc = figure(page, g, day, n, column, e);
out:
    free(day);
    free(room);
    return rc;
}
