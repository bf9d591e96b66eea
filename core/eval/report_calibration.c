/* SPDX-License-Identifier: Apache-2.0 */
/* Is what was predicted what happens? Counts: by tenths of the predicted rate, the mean prediction against the mean
 * count. Classes: by tenths of the probability of the likeliest class, that against how often it was the right one
 * (reliability diagram: DeGroot & Fienberg 1983). */
#include "eval/report_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TENTHS = 10, LINES = LOOM_REPORT_BASELINES + 1 };

struct pair {
    double predicted, seen;
};
struct curve {
    double predicted[TENTHS], seen[TENTHS];
    int64_t of[TENTHS];
    int n;
};

static int by_predicted(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->predicted != y->predicted)
        return x->predicted < y->predicted ? -1 : 1;
    return (x->seen > y->seen) - (x->seen < y->seen);
}

/* Means of pair first … last - 1, in units of `unit`. */
static void take(struct curve *c, const struct pair *pair, int64_t first, int64_t last, double unit)
{
    double predicted = 0.0, seen = 0.0;
    if (first == last)
        return;
    for (int64_t i = first; i < last; i++) {
        predicted += pair[i].predicted;
        seen += pair[i].seen;
    }
    c->predicted[c->n] = predicted / (double)(last - first) / unit;
    c->seen[c->n] = seen / (double)(last - first) / unit;
    c->of[c->n++] = last - first;
}

/* Scored rows of the model or of a baseline (column); their number. */
static int64_t gather(const struct loom_predictions *p, const double *column, struct pair *out)
{
    int classes = strcmp(p->likelihood, "categorical") == 0;
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const struct loom_predicted *row = &p->row[i];
        double predicted = column != NULL ? column[i] : row->predicted;
        if (row->weight == 0.0 || !isfinite(row->target) || !isfinite(predicted))
            continue;
        out[n].predicted = predicted;
        out[n].seen = row->target;
        if (classes) {
            out[n].seen = row->target == predicted;
            out[n].predicted = p->param[i * p->params + (int)predicted];
        }
        n++;
    }
    qsort(out, (size_t)n, sizeof *out, by_predicted);
    return n;
}

static void make_curve(struct curve *c, const struct pair *pair, int64_t n, int classes, double unit)
{
    int64_t first = 0;
    for (int k = 0; k < TENTHS; k++) {
        int64_t last = n * (k + 1) / TENTHS;
        if (classes)
            for (last = first; last < n && (k + 1 == TENTHS || pair[last].predicted < 0.1 * (k + 1));)
                last++;
        take(c, pair, first, last, unit);
        first = last;
    }
}

/* Expected calibration error (Guo et al. 2017) of classes. */
static double gap_of(const struct curve *c, int64_t n)
{
    double sum = 0.0;
    for (int k = 0; k < c->n; k++)
        sum += fabs(c->predicted[k] - c->seen[k]) * (double)c->of[k] / (double)n;
    return sum;
}

static int figure(struct loom_page *page, const struct loom_report_group *g, const struct curve *c, int64_t n,
                  struct loom_error *e)
{
    int classes = strcmp(g->p->likelihood, "categorical") == 0;
    struct loom_line line[LINES];
    struct loom_str csv = LOOM_STR_INIT, note = LOOM_STR_INIT;
    char title[160], file[320], href[256];
    loom_str_add(&csv, "line,predicted,observed,elements\n");
    for (int k = 0; k <= (classes ? 0 : g->baselines); k++) {
        line[k] = (struct loom_line){.name = k == 0 ? "this model" : g->baseline[k - 1],
                                     .x = c[k].predicted,
                                     .y = c[k].seen,
                                     .n = c[k].n,
                                     .colour = k,
                                     .stroke = LOOM_STROKE_MARKED};
        for (int i = 0; i < c[k].n; i++) {
            loom_str_csv(&csv, line[k].name);
            loom_str_printf(&csv, ",%.9g,%.9g,%lld\n", c[k].predicted[i], c[k].seen[i], (long long)c[k].of[i]);
        }
    }
    snprintf(title, sizeof title, "Calibration of %s", g->modality);
    snprintf(file, sizeof file, "calibration-%s-%s-%s", g->stage, g->split, g->modality);
    loom_str_printf(&note, "%s, ", g->stage);
    loom_report_origin(&note, page, g);
    loom_str_printf(&note, ", %lld answers %s; dashed: perfect", (long long)n,
                    classes ? "in tenths of probability" : "in ten equal parts by what was predicted");
    if (classes)
        loom_str_printf(&note, "; expected calibration error %.3f", gap_of(&c[0], n));
    int rc = loom_report_csv(page, file, &csv, href, e);
    const struct loom_figure f = {.title = title,
                                  .note = note.text,
                                  .x_label = classes ? "probability of the likeliest class" : "predicted, spikes/s",
                                  .y_label = classes ? "share that was right" : "observed, spikes/s",
                                  .csv = href};
    if (rc == LOOM_OK)
        loom_figure_plane(&page->html, &f, &(struct loom_plane){.square = 1, .diagonal = 1}, line,
                          classes ? 1 : g->baselines + 1);
    loom_str_release(&csv);
    loom_str_release(&note);
    return rc;
}

int loom_report_calibration(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    const struct loom_predictions *p = g->p;
    int classes = strcmp(p->likelihood, "categorical") == 0, rc = LOOM_OK;
    double unit = classes ? 1.0 : p->bin_s;
    struct curve c[LINES] = {{.n = 0}};
    struct pair *pair;
    int64_t n = 0;
    if ((classes && p->param == NULL) || !(unit > 0.0))
        return LOOM_OK;
    pair = calloc((size_t)p->n + 1, sizeof *pair);
    if (pair == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for calibration; free some");
    for (int k = 0; k <= (classes ? 0 : g->baselines); k++) {
        int64_t here = gather(p, k == 0 ? NULL : g->column[k - 1], pair);
        n = k == 0 ? here : n;
        make_curve(&c[k], pair, here, classes, unit);
    }
    if (c[0].n > 0)
        rc = figure(page, g, c, n, e);
    free(pair);
    return rc;
}
