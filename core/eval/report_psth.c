/* SPDX-License-Identifier: Apache-2.0 */
/* Peristimulus time histograms: counts beside rates of the units with most spikes, averaged over the trials of each
 * condition by time in the trial. */
#include "eval/report_groups.h"

#include "base/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UNITS = 6, HELD_UNITS = 3, MOST_COLUMNS = 60, FEW = 3 };
static const double least_step_s = 0.02; /* shorter bins are joined */
static const double kernel_s = 0.05;     /* what is recorded is smoothed as psth_r2 smooths it */
static const double between = 0.06;      /* room between the panels, as a share of one */

struct psth {
    struct loom_report_conditions conditions;
    int32_t recording, unit[UNITS];
    int32_t trials[LOOM_WHEEL_COLOURS];
    int drawn[LOOM_WHEEL_COLOURS]; /* 0: so few trials that their mean is noise beside the others' */
    int held[UNITS];
    int units, columns;
    double from_s, step_s, unseen_s;                         /* time in the trial; unseen NaN: nothing is forecast */
    double mean[UNITS][LOOM_WHEEL_COLOURS][2][MOST_COLUMNS]; /* recorded, modelled: spikes a second */
    double error[UNITS][LOOM_WHEEL_COLOURS][MOST_COLUMNS];   /* standard error of what is recorded */
};

static int counts(const struct loom_predicted *row)
{
    return row->weight != 0.0 && isfinite(row->target) && isfinite(row->predicted);
}

static double in_trial(const struct loom_predictions *p, int64_t row, int32_t trial)
{
    return 1e-9 * (double)p->row[row].time_ns - p->trial[trial].zero_s;
}

/* ---- what is shown ---- */

/* The units with most spikes among those that are held out, or among all, until there are `most`. */
static void take_units(struct psth *h, double *spikes, const uint8_t *held, int only_held, int32_t elements, int most)
{
    while (h->units < most) {
        int32_t best = -1;
        for (int32_t u = 0; u < elements; u++)
            if (spikes[u] > 0.0 && (held[u] || !only_held) && (best < 0 || spikes[u] > spikes[best]))
                best = u;
        if (best < 0)
            return;
        h->held[h->units] = held[best];
        h->unit[h->units++] = best;
        spikes[best] = -1.0;
    }
}

/* Half of the places are for held-out units where there are any: what a model says of them it has not seen. */
static int choose_units(struct psth *h, const struct loom_predictions *p)
{
    int32_t elements = 1;
    for (int64_t i = 0; i < p->n; i++)
        elements = p->row[i].element >= elements ? p->row[i].element + 1 : elements;
    double *spikes = calloc((size_t)elements, sizeof *spikes);
    uint8_t *held = calloc((size_t)elements, 1);
    int made = spikes != NULL && held != NULL;
    for (int64_t i = 0; i < p->n && made; i++)
        if (p->row[i].recording == h->recording && counts(&p->row[i])) {
            spikes[p->row[i].element] += p->row[i].target;
            held[p->row[i].element] |= p->row[i].held == LOOM_HELD_UNIT;
        }
    if (made) {
        take_units(h, spikes, held, 1, elements, HELD_UNITS);
        take_units(h, spikes, held, 0, elements, UNITS);
    }
    free(spikes);
    free(held);
    return made;
}

/* From the median trial's first bin to its last: beyond there are ever fewer, and other, trials. 0: no memory. */
static int choose_columns(struct psth *h, const struct loom_predictions *p)
{
    double *first = malloc(((size_t)p->trials + 1) * sizeof *first),
           *last = malloc(((size_t)p->trials + 1) * sizeof *last);
    int32_t n = 0;
    int made = first != NULL && last != NULL;
    for (int32_t k = 0; k < p->trials && made; k++) {
        first[k] = INFINITY;
        last[k] = -INFINITY;
    }
    for (int64_t i = 0; i < p->n && made; i++) {
        int32_t k = p->row[i].recording == h->recording ? loom_predictions_trial_of(p, &p->row[i]) : -1;
        if (k < 0)
            continue;
        double time = in_trial(p, i, k);
        first[k] = fmin(first[k], time);
        last[k] = fmax(last[k], time);
        if (p->row[i].held == LOOM_HELD_FORWARD)
            h->unseen_s = fmin(h->unseen_s, time - 0.5 * p->bin_s);
    }
    for (int32_t k = 0; k < p->trials && made; k++)
        if (isfinite(first[k])) {
            first[n] = first[k];
            last[n++] = last[k];
        }
    if (n > 0) {
        qsort(first, (size_t)n, sizeof *first, loom_ascending);
        qsort(last, (size_t)n, sizeof *last, loom_ascending);
        double length = last[n / 2] - first[n / 2] + p->bin_s;
        double join = fmax(ceil(least_step_s / p->bin_s - 1e-9), ceil(length / p->bin_s / MOST_COLUMNS - 1e-9));
        h->step_s = join * p->bin_s;
        h->from_s = first[n / 2] - 0.5 * p->bin_s;
        h->columns = (int)fmin(floor(length / h->step_s + 1e-6), MOST_COLUMNS);
    }
    free(first);
    free(last);
    return made;
}

/* ---- means over trials ---- */

/* What a unit did in one trial, bins of a column joined: sums, and how many bins. */
struct response {
    double sum[2];
    int n;
};

/* Recorded counts of one trial, smoothed by a Gaussian whose weights sum to 1 over what was asked: without it the
 * means of a few trials are noise beside rates. */
static void smooth(struct response *of, int columns, double step_s)
{
    double rate[MOST_COLUMNS];
    for (int c = 0; c < columns; c++)
        rate[c] = of[c].n > 0 ? of[c].sum[0] / of[c].n : 0.0;
    for (int c = 0; c < columns; c++) {
        double sum = 0.0, weights = 0.0;
        for (int d = 0; d < columns; d++) {
            double away = (d - c) * step_s / kernel_s, w = of[d].n > 0 ? exp(-0.5 * away * away) : 0.0;
            sum += w * rate[d];
            weights += w;
        }
        of[c].sum[0] = weights > 0.0 ? of[c].n * sum / weights : 0.0;
    }
}

/* Where fewer than half of a condition's trials were asked, as under masks that evaluation draws, there is no mean: it
 * would be of other trials from bin to bin. */
static void average(struct psth *h, const struct loom_predictions *p, int u, const struct response *response)
{
    double sum[LOOM_WHEEL_COLOURS][2], squares[LOOM_WHEEL_COLOURS];
    for (int c = 0; c < h->columns; c++) {
        int32_t n[LOOM_WHEEL_COLOURS] = {0};
        memset(sum, 0, sizeof sum);
        memset(squares, 0, sizeof squares);
        for (int32_t k = 0; k < p->trials; k++) {
            const struct response *r = &response[(int64_t)k * h->columns + c];
            int at = r->n > 0 ? loom_report_condition(&h->conditions, p, k) : -1;
            if (at < 0)
                continue;
            double recorded = r->sum[0] / (r->n * p->bin_s), modelled = r->sum[1] / (r->n * p->bin_s);
            n[at]++;
            double before = recorded - sum[at][0] / fmax(n[at] - 1, 1.0); /* Welford's update of the squares */
            sum[at][0] += recorded;
            sum[at][1] += modelled;
            squares[at] += n[at] > 1 ? before * (recorded - sum[at][0] / n[at]) : 0.0;
        }
        for (int at = 0; at < h->conditions.n; at++) {
            int enough = n[at] > 0 && 2 * n[at] >= h->trials[at];
            for (int k = 0; k < 2; k++)
                h->mean[u][at][k][c] = enough ? sum[at][k] / n[at] : NAN;
            h->error[u][at][c] = enough && n[at] > 1 ? sqrt(squares[at] / (n[at] - 1.0) / n[at]) : NAN;
        }
    }
}

/* Units without any mean are forgotten. */
static void keep_shown(struct psth *h)
{
    int kept = 0;
    for (int u = 0; u < h->units; u++) {
        int any = 0;
        for (int at = 0; at < h->conditions.n; at++)
            for (int c = 0; c < h->columns; c++)
                any |= h->drawn[at] && isfinite(h->mean[u][at][0][c]);
        if (!any)
            continue;
        if (kept != u) {
            h->unit[kept] = h->unit[u];
            h->held[kept] = h->held[u];
            memcpy(h->mean[kept], h->mean[u], sizeof h->mean[u]);
            memcpy(h->error[kept], h->error[u], sizeof h->error[u]);
        }
        kept++;
    }
    h->units = kept;
}

static int fill(struct psth *h, const struct loom_predictions *p)
{
    int64_t cells = (int64_t)p->trials * h->columns;
    struct response *response = malloc((size_t)(cells + 1) * sizeof *response);
    for (int u = 0; u < h->units && response != NULL; u++) {
        memset(response, 0, (size_t)cells * sizeof *response);
        for (int64_t i = 0; i < p->n; i++) {
            const struct loom_predicted *row = &p->row[i];
            int32_t k = row->element == h->unit[u] && row->recording == h->recording && counts(row)
                            ? loom_predictions_trial_of(p, row)
                            : -1;
            double column = k >= 0 ? floor((in_trial(p, i, k) - h->from_s) / h->step_s + 1e-6) : -1.0;
            if (!(column >= 0.0) || column >= h->columns)
                continue;
            struct response *r = &response[(int64_t)k * h->columns + (int)column];
            r->sum[0] += row->target;
            r->sum[1] += row->predicted;
            r->n++;
        }
        for (int32_t k = 0; k < p->trials; k++)
            smooth(&response[(int64_t)k * h->columns], h->columns, h->step_s);
        average(h, p, u, response);
    }
    free(response);
    return response != NULL;
}

static void choose_conditions(struct psth *h, const struct loom_predictions *p)
{
    int32_t most = 0;
    loom_report_conditions(&h->conditions, p);
    for (int32_t k = 0; k < p->trials; k++) {
        int at = p->trial[k].recording == h->recording ? loom_report_condition(&h->conditions, p, k) : -1;
        h->trials[at < 0 ? 0 : at] += at >= 0;
    }
    for (int at = 0; at < h->conditions.n; at++)
        most = h->trials[at] > most ? h->trials[at] : most;
    for (int at = 0; at < h->conditions.n; at++)
        h->drawn[at] = h->trials[at] > 0 && (h->trials[at] >= FEW || most < FEW);
}

/* ---- figures ---- */

static int figure(struct loom_page *page, const struct loom_report_group *g, const struct psth *h, int u,
                  struct loom_error *e)
{
    struct loom_line line[2 * LOOM_WHEEL_COLOURS];
    char name[2 * LOOM_WHEEL_COLOURS][128], title[160], file[320], href[256], label[96];
    double x[MOST_COLUMNS], shown[2][MOST_COLUMNS], length = h->columns * h->step_s, beside = length * (1.0 + between);
    const struct loom_panel panel[] = {
        {.from = 0.0, .to = length, .reads = h->from_s, .unseen = h->unseen_s, .name = "recorded"},
        {.from = beside, .to = beside + length, .reads = h->from_s, .unseen = h->unseen_s, .name = "modelled"}};
    struct loom_str csv = LOOM_STR_INIT;
    int n = 0;
    for (int c = 0; c < h->columns; c++) {
        shown[0][c] = (c + 0.5) * h->step_s;
        shown[1][c] = shown[0][c] + beside;
        x[c] = h->from_s + shown[0][c];
    }
    for (int at = 0; at < h->conditions.n; at++)
        for (int k = 0; k < 2 && h->drawn[at]; k++, n++) {
            snprintf(name[n], sizeof name[n], "%s, %s", h->conditions.name[at], k == 0 ? "recorded" : "modelled");
            line[n] = (struct loom_line){.name = name[n],
                                         .x = x,
                                         .y = h->mean[u][at][k],
                                         .spread = k == 0 ? h->error[u][at] : NULL,
                                         .n = h->columns,
                                         .colour = LOOM_WHEEL + at};
        }
    snprintf(title, sizeof title, "Unit %d%s", (int)h->unit[u], h->held[u] ? ", held out" : "");
    snprintf(file, sizeof file, "psth-%s-%s-%s-unit%d", g->stage, g->split, g->modality, (int)h->unit[u]);
    loom_report_lines_csv(&csv, "time_s", "spikes_per_s", line, n);
    int rc = loom_report_csv(page, file, &csv, href, e);
    loom_str_release(&csv);
    for (int i = 0; i < n; i++) {
        line[i].name = i % 2 == 0 ? h->conditions.name[line[i].colour - LOOM_WHEEL] : NULL;
        line[i].x = shown[i % 2];
    }
    snprintf(label, sizeof label, g->p->zero_name[0] != '\0' ? "time from %.80s, s" : "time in the trial, s",
             g->p->zero_name);
    if (rc == LOOM_OK)
        loom_figure_lines(
            &page->html,
            &(struct loom_figure){
                .title = title, .x_label = label, .y_label = "spikes/s", .csv = href, .panel = panel, .panels = 2},
            line, n);
    return rc;
}

static void heading(struct loom_page *page, const struct loom_report_group *g, const struct psth *h)
{
    struct loom_str *s = &page->html;
    int32_t least = INT32_MAX, most = 0;
    int drawn = 0, held = 0;
    for (int at = 0; at < h->conditions.n; at++)
        if (h->drawn[at]) {
            least = h->trials[at] < least ? h->trials[at] : least;
            most = h->trials[at] > most ? h->trials[at] : most;
            drawn++;
        }
    for (int u = 0; u < h->units; u++)
        held += h->held[u];
    loom_str_add(s, "<h3>Mean responses, ");
    loom_str_html(s, g->modality);
    loom_str_add(s, "</h3>\n<p class=soft><small>");
    loom_str_html(s, g->stage);
    loom_str_add(s, ", ");
    loom_report_origin(s, page, g);
    loom_str_add(s, ", recording ");
    loom_str_html(s, g->p->recording[h->recording]);
    if (held > 0)
        loom_str_printf(s, ": %d held-out units and %d others with most spikes", held, h->units - held);
    else
        loom_str_printf(s, ": the %d units with most spikes", h->units);
    loom_str_printf(
        s,
        ", means in steps of %g ms; counts smoothed by a Gaussian of %g ms, rates not; bands: standard error over "
        "trials. ",
        1e3 * h->step_s, 1e3 * kernel_s);
    if (isfinite(h->unseen_s))
        loom_str_add(s, "From the solid line on: bins to come. ");
    if (h->conditions.of > drawn)
        loom_str_printf(s, "%d of %d conditions, those with most trials; ", drawn, h->conditions.of);
    loom_str_printf(s, least == most ? "%d trials each.</small></p>\n" : "%d to %d trials each.</small></p>\n",
                    (int)least, (int)most);
}

int loom_report_psth(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    const struct loom_predictions *p = g->p;
    struct psth *h = calloc(1, sizeof *h);
    int rc = LOOM_OK;
    if (h == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean responses; free some");
    h->recording = loom_report_busiest(p);
    h->unseen_s = NAN;
    if (h->recording < 0 || !(p->bin_s > 0.0))
        goto out;
    choose_conditions(h, p);
    if (!choose_columns(h, p) || !choose_units(h, p) || (h->columns > 1 && !fill(h, p))) {
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean responses; free some");
        goto out;
    }
    keep_shown(h);
    if (h->columns < 2 || h->units == 0)
        goto out;
    heading(page, g, h);
    loom_str_add(&page->html, "<div class=grid>\n");
    for (int u = 0; u < h->units && rc == LOOM_OK; u++)
        rc = figure(page, g, h, u, e);
    loom_str_add(&page->html, "</div>\n");
out:
    free(h);
    return rc;
}
