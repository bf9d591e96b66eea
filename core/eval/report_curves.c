/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/report.h"
#include "eval/report_log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- figures ---- */

enum { MOST_LINES = 3 * LOOM_REPORT_SEEDS, MOST_AXES = 4 };
static const double FLOOR = 0.1; /* below this share of an axis's largest a line of its own height cannot be read */
enum what { LOSS, TERMS, MONITOR };

/* What the true rates score, where a validation says so. */
static int is_truth(const struct loom_curve *c)
{
    return c->valid && strcmp(c->name, "truth") == 0;
}

/* 1: the stage's validations are of its loss, and so is the truth beside them. */
static int monitors_loss(const struct loom_report_log *all, const char *stage)
{
    for (int i = 0; i < all->n; i++)
        if (all->at[i].valid && strcmp(all->at[i].stage, stage) == 0 && strcmp(all->at[i].name, "loss") == 0)
            return 1;
    return 0;
}

static int wanted(const struct loom_report_log *all, const struct loom_curve *c, const char *stage, enum what what)
{
    int loss = strcmp(c->name, "loss") == 0 || (is_truth(c) && monitors_loss(all, stage));
    if (strcmp(c->stage, stage) != 0)
        return 0;
    return what == LOSS ? loss : what == TERMS ? !loss && !c->valid : !loss && c->valid;
}

/* What a curve's values are about: their root mean square after the run-in. */
static double scale_of(const struct loom_curve *c)
{
    double sum = 0.0;
    int64_t first = (int64_t)(LOOM_REPORT_RUN_IN * (double)c->n), n = 0;
    for (int64_t i = first; i < c->n; i++)
        if (isfinite(c->y[i])) {
            sum += c->y[i] * c->y[i];
            n++;
        }
    return n > 0 ? sqrt(sum / (double)n) : 0.0;
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Terms of a stage share an axis as long as none would be pressed to the floor: a term whose scale is below a share of
 * the axis's largest begins the next axis. Which are parted goes by the first seed, so that seeds stay together. */
struct axes {
    double least[MOST_AXES]; /* scale from which on a term is on this axis or one before */
    int n;
};

static struct axes axes_of(const struct loom_report_log *all, const char *stage)
{
    struct axes a = {.n = 1};
    double *scale = calloc((size_t)all->n + 1, sizeof *scale), most;
    int n = 0;
    for (int i = 0; scale != NULL && i < all->n; i++)
        if (wanted(all, &all->at[i], stage, TERMS))
            scale[n++] = scale_of(&all->at[i]);
    if (n > 0)
        qsort(scale, (size_t)n, sizeof *scale, descending);
    most = n > 0 ? scale[0] : 0.0;
    for (int i = 0; i < n && a.n < MOST_AXES && scale[i] > 0.0; i++) {
        if (scale[i] < FLOOR * most) {
            most = scale[i];
            a.n++;
        }
        a.least[a.n - 1] = scale[i];
    }
    a.least[a.n - 1] = 0.0;
    free(scale);
    return a;
}

static int axis_of(const struct axes *a, const struct loom_report_log *first, const struct loom_curve *c)
{
    int axis = 0;
    for (int i = 0; i < first->n; i++)
        if (strcmp(first->at[i].name, c->name) == 0 && strcmp(first->at[i].stage, c->stage) == 0 &&
            first->at[i].valid == c->valid)
            while (axis < a->n - 1 && scale_of(&first->at[i]) < a->least[axis])
                axis++;
    return axis;
}

/* Lines of one figure over all seeds; the first seed's are the ones in the legend. axes NULL: there is one. */
static int gather(const struct loom_report_log *seed, int seeds, const char *stage, enum what what,
                  const struct axes *axes, int axis, struct loom_line *line, char names[MOST_LINES][128])
{
    int n = 0;
    for (int k = 0; k < seeds; k++)
        for (int i = 0, colour = 0; i < seed[k].n && n < MOST_LINES; i++) {
            const struct loom_curve *c = &seed[k].at[i];
            if (!wanted(&seed[k], c, stage, what) || (axes != NULL && axis_of(axes, seed, c) != axis))
                continue;
            snprintf(names[n], sizeof names[n], "%s%s%s", is_truth(c) ? "true rates" : c->name,
                     what == LOSS && !c->valid ? ", training" : "", c->valid ? ", validation" : "");
            line[n] = (struct loom_line){.name = k == 0 ? names[n] : NULL,
                                         .x = c->x,
                                         .y = c->y,
                                         .n = c->n,
                                         .colour = colour++ % 6,
                                         .stroke = is_truth(c) ? LOOM_STROKE_TRUTH
                                                   : seeds > 1 ? LOOM_STROKE_THIN
                                                               : LOOM_STROKE_PLAIN};
            n++;
        }
    return n;
}

/* 1: all lines are of one number, one a seed at most. */
static int of_one(const struct loom_line *line, int n, int seeds)
{
    int named = 0;
    for (int i = 0; i < n; i++)
        named += line[i].name != NULL;
    return named == 1 && n <= seeds;
}

/* What the curve with these values is called. */
static const char *name_of(const struct loom_report_log *log, const double *y)
{
    for (int i = 0; i < log->n; i++)
        if (log->at[i].y == y)
            return log->at[i].name;
    return "value";
}

/* "terms of the loss", or the one term that an axis is for. */
static void title_of(char out[160], const char *stage, enum what what, const struct axes *axes, int n, int seeds,
                     const char *name)
{
    static const char *const titles[] = {"loss", "terms of the loss", "validation"};
    const int alone = what == TERMS && axes->n > 1 && n <= seeds;
    snprintf(out, 160, "%s: %s", stage, alone ? name : titles[what]);
}

static int figure(struct loom_page *p, const struct loom_report_log *seed, int seeds, const char *stage, enum what what,
                  const struct axes *axes, int axis, struct loom_error *e)
{
    static const char *const files[] = {"loss", "terms", "monitor"};
    struct loom_line line[MOST_LINES];
    char names[MOST_LINES][128], title[160], file[160], href[256], number[16] = "";
    struct loom_str csv = LOOM_STR_INIT, metric = LOOM_STR_INIT;
    int n = gather(seed, seeds, stage, what, what == TERMS ? axes : NULL, axis, line, names);
    if (n == 0 || (what == TERMS && axes->n == 1 && n <= seeds))
        return LOOM_OK;
    title_of(title, stage, what, axes, n, seeds, names[0]);
    if (axis > 0)
        snprintf(number, sizeof number, "-%d", axis + 1);
    snprintf(file, sizeof file, "%s-%s%s", files[what], stage, number);
    loom_report_lines_csv(&csv, "step", "value", line, n);
    int rc = loom_report_csv(p, file, &csv, href, e);
    loom_str_release(&csv);
    if (rc != LOOM_OK)
        return rc;
    loom_report_metric_name(&metric, name_of(&seed[0], line[0].y));
    struct loom_figure f = {.title = title,
                            .note = seeds > 1 ? "One line a seed." : NULL,
                            .x_label = "step",
                            .y_label = what == LOSS             ? "loss"
                                       : of_one(line, n, seeds) ? metric.text
                                                                : "value",
                            .csv = href,
                            .run_in = what == LOSS ? LOOM_REPORT_RUN_IN : 0.0};
    loom_figure_lines(&p->html, &f, line, n);
    loom_str_release(&metric);
    return LOOM_OK;
}

static int stage_figures(struct loom_page *p, const struct loom_report_log *seed, int seeds, const char *stage,
                         struct loom_error *e)
{
    const struct axes axes = axes_of(&seed[0], stage);
    int rc = figure(p, seed, seeds, stage, LOSS, &axes, 0, e);
    for (int k = 0; k < axes.n && rc == LOOM_OK; k++)
        rc = figure(p, seed, seeds, stage, TERMS, &axes, k, e);
    return rc == LOOM_OK ? figure(p, seed, seeds, stage, MONITOR, &axes, 0, e) : rc;
}

static int first_of_stage(const struct loom_report_log *c, int i)
{
    for (int k = 0; k < i; k++)
        if (strcmp(c->at[k].stage, c->at[i].stage) == 0)
            return 0;
    return 1;
}

int loom_report_curves(struct loom_page *p, struct loom_error *e)
{
    struct loom_report_log seed[LOOM_REPORT_SEEDS] = {{.n = 0}};
    int seeds = p->seeds > 0 ? p->seeds : 1, rc = LOOM_OK;
    for (int k = 0; k < seeds && rc == LOOM_OK; k++)
        rc = loom_report_log_read(&seed[k], p->seeds > 0 ? p->seed[k] : p->run, 0, e);
    if (rc == LOOM_OK && seed[0].n > 0)
        loom_str_add(&p->html, "<h2>Training</h2>\n<div class=grid>\n");
    for (int i = 0; i < seed[0].n && rc == LOOM_OK; i++)
        if (first_of_stage(&seed[0], i))
            rc = stage_figures(p, seed, seeds, seed[0].at[i].stage, e);
    if (rc == LOOM_OK && seed[0].n > 0)
        loom_str_add(&p->html, "</div>\n");
    for (int k = 0; k < seeds; k++)
        loom_report_log_release(&seed[k]);
    return rc;
}
