/* SPDX-License-Identifier: Apache-2.0 */
/* Peristimulus time histograms: counts and rates of the units with most spikes, averaged over the trials of each
 * condition from the trial's begin. */
#include "eval/report_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UNITS = 6, MOST_COLUMNS = 60 };
static const double least_step_s = 0.02; /* shorter bins are joined */

struct psth {
    struct loom_report_conditions conditions;
    int32_t recording, unit[UNITS], trials[LOOM_WHEEL_COLOURS];
    int units, columns;
    double step_s;
    double sum[UNITS][LOOM_WHEEL_COLOURS][2][MOST_COLUMNS]; /* recorded, modelled; then spikes a second */
    int64_t n[UNITS][LOOM_WHEEL_COLOURS][MOST_COLUMNS];
};

static int counts(const struct loom_predicted *row)
{
    return row->weight != 0.0 && isfinite(row->target) && isfinite(row->predicted);
}

static void choose_units(struct psth *h, const struct loom_predictions *p, double *spikes, int32_t elements)
{
    for (int64_t i = 0; i < p->n; i++)
        if (p->row[i].recording == h->recording && counts(&p->row[i]))
            spikes[p->row[i].element] += p->row[i].target;
    for (; h->units < UNITS; h->units++) {
        int32_t best = 0;
        for (int32_t u = 1; u < elements; u++)
            best = spikes[u] > spikes[best] ? u : best;
        if (!(spikes[best] > 0.0))
            return;
        h->unit[h->units] = best;
        spikes[best] = -1.0;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* As long as the median trial: later there are ever fewer, and other, trials. */
static int choose_columns(struct psth *h, const struct loom_predictions *p)
{
    double *length = calloc((size_t)p->trials + 1, sizeof *length);
    int32_t n = 0;
    for (int32_t k = 0; length != NULL && k < p->trials; k++)
        if (p->trial[k].recording == h->recording)
            length[n++] = p->trial[k].stop_s - p->trial[k].start_s;
    if (n == 0) {
        free(length);
        return 0;
    }
    qsort(length, (size_t)n, sizeof *length, by_value);
    double join = fmax(ceil(least_step_s / p->bin_s - 1e-9), ceil(length[n / 2] / p->bin_s / MOST_COLUMNS - 1e-9));
    h->step_s = join * p->bin_s;
    h->columns = (int)fmin(floor(length[n / 2] / h->step_s + 1e-6), MOST_COLUMNS);
    free(length);
    return h->columns > 1;
}

static void fill(struct psth *h, const struct loom_predictions *p)
{
    for (int32_t k = 0; k < p->trials; k++) {
        int at = p->trial[k].recording == h->recording ? loom_report_condition(&h->conditions, p, k) : -1;
        h->trials[at < 0 ? 0 : at] += at >= 0;
    }
    for (int64_t i = 0; i < p->n; i++) {
        const struct loom_predicted *row = &p->row[i];
        int u = 0;
        while (u < h->units && h->unit[u] != row->element)
            u++;
        int32_t trial =
            u < h->units && row->recording == h->recording && counts(row) ? loom_predictions_trial_of(p, row) : -1;
        int at = loom_report_condition(&h->conditions, p, trial);
        if (at < 0)
            continue;
        int column = (int)floor((1e-9 * (double)row->time_ns - p->trial[trial].start_s) / h->step_s);
        if (column < 0 || column >= h->columns)
            continue;
        h->sum[u][at][0][column] += row->target;
        h->sum[u][at][1][column] += row->predicted;
        h->n[u][at][column]++;
    }
    for (int u = 0; u < h->units; u++)
        for (int at = 0; at < h->conditions.n; at++)
            for (int c = 0; c < h->columns; c++)
                for (int k = 0; k < 2; k++)
                    h->sum[u][at][k][c] /= (double)h->n[u][at][c] * p->bin_s; /* NaN where nothing was asked */
}

static int figure(struct loom_page *page, const struct loom_report_group *g, const struct psth *h, int u,
                  struct loom_error *e)
{
    struct loom_line line[2 * LOOM_WHEEL_COLOURS];
    char name[2 * LOOM_WHEEL_COLOURS][128], title[160], file[320], href[256];
    double x[MOST_COLUMNS];
    struct loom_str csv = LOOM_STR_INIT;
    int n = 0;
    for (int c = 0; c < h->columns; c++)
        x[c] = (c + 0.5) * h->step_s;
    for (int at = 0; at < h->conditions.n; at++)
        for (int k = 0; k < 2; k++, n++) {
            snprintf(name[n], sizeof name[n], "%s, %s", h->conditions.name[at], k == 0 ? "recorded" : "modelled");
            line[n] = (struct loom_line){.name = name[n],
                                         .x = x,
                                         .y = h->sum[u][at][k],
                                         .n = h->columns,
                                         .colour = LOOM_WHEEL + at,
                                         .stroke = k == 0 ? LOOM_STROKE_THIN : LOOM_STROKE_PLAIN};
        }
    snprintf(title, sizeof title, "Unit %d", (int)h->unit[u]);
    snprintf(file, sizeof file, "psth-%s-%s-%s-unit%d", g->stage, g->split, g->modality, (int)h->unit[u]);
    loom_report_lines_csv(&csv, "time_s", "spikes_per_s", line, n);
    int rc = loom_report_csv(page, file, &csv, href, e);
    loom_str_release(&csv);
    for (int i = 0; i < n; i++)
        line[i].name = i % 2 == 1 ? h->conditions.name[i / 2] : NULL;
    if (rc == LOOM_OK)
        loom_figure_lines(&page->html,
                          &(struct loom_figure){title, NULL, "time in the trial, s", "spikes/s", href, 0.0}, line, n);
    return rc;
}

static void heading(struct loom_page *page, const struct loom_report_group *g, const struct psth *h)
{
    struct loom_str *s = &page->html;
    int32_t least = h->trials[0], most = h->trials[0];
    for (int at = 1; at < h->conditions.n; at++) {
        least = h->trials[at] < least ? h->trials[at] : least;
        most = h->trials[at] > most ? h->trials[at] : most;
    }
    loom_str_add(s, "<h3>Mean responses, ");
    loom_str_html(s, g->modality);
    loom_str_add(s, "</h3>\n<p class=soft><small>");
    loom_str_html(s, g->stage);
    loom_str_add(s, ", ");
    loom_report_origin(s, page, g);
    loom_str_add(s, ", recording ");
    loom_str_html(s, g->p->recording[h->recording]);
    loom_str_printf(
        s, ": the %d units with most spikes, in steps of %g ms, without smoothing. Thin lines: recorded; thick: ",
        h->units, 1e3 * h->step_s);
    loom_str_printf(s, "modelled, of the same bins. ");
    if (h->conditions.of > h->conditions.n)
        loom_str_printf(s, "%d of %d conditions, those with most trials; ", h->conditions.n, h->conditions.of);
    loom_str_printf(s, least == most ? "%d trials each.</small></p>\n" : "%d to %d trials each.</small></p>\n",
                    (int)least, (int)most);
}

int loom_report_psth(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    const struct loom_predictions *p = g->p;
    struct psth *h = calloc(1, sizeof *h);
    int32_t elements = 1;
    int rc = LOOM_OK;
    for (int64_t i = 0; i < p->n; i++)
        elements = p->row[i].element >= elements ? p->row[i].element + 1 : elements;
    double *spikes = calloc((size_t)elements, sizeof *spikes);
    if (h == NULL || spikes == NULL) {
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean responses; free some");
        goto out;
    }
    h->recording = loom_report_busiest(p);
    loom_report_conditions(&h->conditions, p);
    if (h->recording < 0 || !(p->bin_s > 0.0) || !choose_columns(h, p))
        goto out;
    choose_units(h, p, spikes, elements);
    fill(h, p);
    if (h->units > 0) {
        heading(page, g, h);
        loom_str_add(&page->html, "<div class=grid>\n");
    }
    for (int u = 0; u < h->units && rc == LOOM_OK; u++)
        rc = figure(page, g, h, u, e);
    loom_str_add(&page->html, h->units > 0 ? "</div>\n" : "");
out:
    free(spikes);
    free(h);
    return rc;
}
