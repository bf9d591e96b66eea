/* SPDX-License-Identifier: Apache-2.0 */
/* Training curves of several runs over each other: one figure for each number that a stage of two or more of them has.
 */
#include "eval/report.h"
#include "eval/report_log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FIGURES = 12, MOST_LINES = 256 };

static int same(const struct loom_curve *a, const struct loom_curve *b)
{
    return a->valid == b->valid && strcmp(a->stage, b->stage) == 0 && strcmp(a->name, b->name) == 0;
}

/* Runs that have it. */
static int runs_with(const struct loom_report_log *const *log, int runs, const struct loom_curve *c)
{
    int n = 0;
    for (int i = 0; i < runs; i++) {
        int has = 0;
        for (int k = 0; k < log[i]->n; k++)
            has |= same(&log[i]->at[k], c);
        n += has;
    }
    return n;
}

/* Losses, and what is validated; terms of a loss stay in each run's own report. */
static int shown(const struct loom_curve *c)
{
    return (c->valid || strcmp(c->name, "loss") == 0) && !(c->valid && strcmp(c->name, "truth") == 0);
}

static int first_sight(const struct loom_report_log *const *log, int run, int curve)
{
    for (int i = 0; i <= run; i++)
        for (int k = 0; k < (i < run ? log[i]->n : curve); k++)
            if (same(&log[i]->at[k], &log[run]->at[curve]))
                return 0;
    return 1;
}

static int figure(struct loom_page *p, const struct loom_report_log *const *log, const char *const *name, int runs,
                  const struct loom_curve *c, struct loom_error *e)
{
    struct loom_line line[MOST_LINES];
    struct loom_str csv = LOOM_STR_INIT, metric = LOOM_STR_INIT;
    char title[256], file[256], href[256];
    int n = 0, seeds = 0;
    for (int i = 0; i < runs; i++)
        for (int k = 0, first = 1; k < log[i]->n && n < MOST_LINES; k++) {
            const struct loom_curve *x = &log[i]->at[k];
            if (!same(x, c))
                continue;
            seeds |= log[i]->logs > 1;
            line[n++] = (struct loom_line){.name = first ? name[i] : NULL,
                                           .x = x->x,
                                           .y = x->y,
                                           .n = x->n,
                                           .colour = runs <= 6 ? i : LOOM_WHEEL + i % LOOM_WHEEL_COLOURS,
                                           .stroke = log[i]->logs > 1 ? LOOM_STROKE_THIN : LOOM_STROKE_PLAIN};
            first = 0;
        }
    loom_report_metric_name(&metric, c->name);
    snprintf(title, sizeof title, "%s: %.120s, %s", c->stage, metric.text != NULL ? metric.text : c->name,
             c->valid ? "validation" : "training");
    snprintf(file, sizeof file, "runs-%s-%s-%s", c->stage, c->name, c->valid ? "valid" : "train");
    loom_report_lines_csv(&csv, "step", "value", line, n);
    int rc = loom_report_csv(p, file, &csv, href, e);
    loom_str_release(&csv);
    if (rc == LOOM_OK)
        loom_figure_lines(
            &p->html,
            &(struct loom_figure){.title = title,
                                  .note = seeds ? "One line a seed." : NULL,
                                  .x_label = "step",
                                  .y_label = metric.text != NULL ? metric.text : c->name,
                                  .csv = href,
                                  .run_in = strcmp(c->name, "loss") == 0 && !c->valid ? LOOM_REPORT_RUN_IN : 0.0},
            line, n);
    loom_str_release(&metric);
    return rc;
}

int loom_report_overlay(struct loom_page *p, const struct loom_report_log *const *log, const char *const *name,
                        int runs, struct loom_error *e)
{
    int figures = 0, rc = LOOM_OK;
    for (int i = 0; i < runs; i++)
        for (int k = 0; k < log[i]->n && rc == LOOM_OK && figures < MOST_FIGURES; k++) {
            const struct loom_curve *c = &log[i]->at[k];
            if (!shown(c) || !first_sight(log, i, k) || runs_with(log, runs, c) < 2)
                continue;
            loom_str_add(&p->html, figures++ == 0 ? "<h2>Training</h2>\n<div class=grid>\n" : "");
            rc = figure(p, log, name, runs, c, e);
        }
    loom_str_add(&p->html, figures > 0 ? "</div>\n" : "");
    return rc;
}
