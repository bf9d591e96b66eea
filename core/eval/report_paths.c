/* SPDX-License-Identifier: Apache-2.0 */
/* Paths in a plane: a behaviour's first two dimensions over some trials, recorded and decoded. A velocity is added up
 * from the trial's begin. */
#include "eval/report_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EACH = 5, MOST_PATHS = EACH * LOOM_WHEEL_COLOURS };

struct path {
    int32_t trial;
    int condition;
    int64_t n, room;
    double *x[4]; /* recorded x, y, decoded x, y */
};
struct paths {
    struct loom_report_conditions conditions;
    int n, velocity;
    struct path path[MOST_PATHS];
    char unit[32];
};

static const struct loom_predicted *scored(const struct loom_predicted *row)
{
    return row->weight != 0.0 && isfinite(row->target) && isfinite(row->predicted) ? row : NULL;
}

/* Rows of a trial: first … last, 0 when values are missing in it. */
static int rows_of(const struct loom_predictions *p, int32_t trial, int64_t *first, int64_t *last)
{
    int64_t n[2] = {0, 0};
    loom_report_trial_rows(p, trial, first, last);
    for (int64_t i = *first; i < *last; i++) {
        if (loom_predictions_trial_of(p, &p->row[i]) != trial)
            continue;
        if (scored(&p->row[i]) == NULL)
            return 0;
        if (p->row[i].element < 2)
            n[p->row[i].element]++;
    }
    return n[0] > 1 && n[0] == n[1];
}

static int fill(struct path *t, const struct loom_predictions *p, int velocity, int64_t first, int64_t last)
{
    double at[4] = {0, 0, 0, 0}, before = p->trial[t->trial].start_s, now = before;
    int64_t n[2] = {0, 0};
    for (int k = 0; k < 4; k++)
        if ((t->x[k] = calloc((size_t)(last - first) + 1, sizeof *t->x[k])) == NULL)
            return 0;
    for (int64_t i = first; i < last; i++) {
        const struct loom_predicted *row = &p->row[i];
        double time = 1e-9 * (double)row->time_ns;
        if (row->element > 1 || loom_predictions_trial_of(p, row) != t->trial)
            continue;
        before = time > now ? now : before;
        now = time;
        const double value[2] = {row->target, row->predicted};
        for (int k = 0; k < 2; k++) {
            double *sum = &at[2 * k + row->element];
            *sum = velocity ? *sum + (time - before) * value[k] : value[k];
            t->x[2 * k + row->element][n[row->element]] = *sum;
        }
        n[row->element]++;
    }
    t->n = n[0];
    return 1;
}

static int by_condition(const void *a, const void *b)
{
    const struct path *x = a, *y = b;
    if (x->condition != y->condition)
        return x->condition < y->condition ? -1 : 1;
    return (x->trial > y->trial) - (x->trial < y->trial);
}

/* Of each condition the first trials of the busiest recording without a missing value. 0: no memory. */
static int choose(struct paths *a, const struct loom_predictions *p)
{
    int32_t recording = loom_report_busiest(p);
    int taken[LOOM_WHEEL_COLOURS] = {0};
    int64_t first, last;
    for (int32_t k = 0; k < p->trials; k++) {
        int at = p->trial[k].recording == recording ? loom_report_condition(&a->conditions, p, k) : -1;
        if (at < 0 || taken[at] == EACH || !rows_of(p, k, &first, &last))
            continue;
        taken[at]++;
        struct path *t = &a->path[a->n++];
        *t = (struct path){.trial = k, .condition = at};
        if (!fill(t, p, a->velocity, first, last))
            return 0;
    }
    qsort(a->path, (size_t)a->n, sizeof *a->path, by_condition);
    return 1;
}

static void frame_of(const struct paths *a, double frame[4])
{
    frame[0] = frame[2] = INFINITY;
    frame[1] = frame[3] = -INFINITY;
    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < 4; k++)
            for (int64_t j = 0; j < a->path[i].n; j++) {
                frame[2 * (k % 2)] = fmin(frame[2 * (k % 2)], a->path[i].x[k][j]);
                frame[2 * (k % 2) + 1] = fmax(frame[2 * (k % 2) + 1], a->path[i].x[k][j]);
            }
}

static const char *dimension(const struct loom_predictions *p, int d)
{
    return d < p->elements && p->element[d] != NULL ? p->element[d] : d == 0 ? "x" : "y";
}

static int figure(struct loom_page *page, const struct loom_report_group *g, const struct paths *a, int decoded,
                  const double *frame, struct loom_error *e)
{
    const char *what = decoded ? "decoded" : "recorded";
    struct loom_line line[MOST_PATHS];
    struct loom_str csv = LOOM_STR_INIT, note = LOOM_STR_INIT;
    char title[160], file[320], href[256], x[96], y[96];
    int seen[LOOM_WHEEL_COLOURS] = {0};
    for (int i = 0; i < a->n; i++) {
        const struct path *t = &a->path[i];
        line[i] = (struct loom_line){.name = a->conditions.name[t->condition],
                                     .x = t->x[2 * decoded],
                                     .y = t->x[2 * decoded + 1],
                                     .n = t->n,
                                     .colour = LOOM_WHEEL + t->condition};
    }
    loom_str_printf(&csv, "condition,trial_start_s,%s,%s\n", decoded ? "decoded_x" : "recorded_x",
                    decoded ? "decoded_y" : "recorded_y");
    for (int i = 0; i < a->n; i++)
        for (int64_t k = 0; k < line[i].n; k++) {
            loom_str_csv(&csv, line[i].name);
            loom_str_printf(&csv, ",%.9g,%.9g,%.9g\n", g->p->trial[a->path[i].trial].start_s, line[i].x[k],
                            line[i].y[k]);
        }
    for (int i = 0; i < a->n; i++)
        line[i].name = seen[a->path[i].condition]++ > 0 ? NULL : line[i].name;
    snprintf(title, sizeof title, "%s, %s", g->modality, what);
    snprintf(file, sizeof file, "paths-%s-%s-%s-%s", g->stage, g->split, g->modality, what);
    const char *unit = a->unit[0] != '\0' ? a->unit : "unit of the data";
    snprintf(x, sizeof x, "%s, %s", dimension(g->p, 0), unit);
    snprintf(y, sizeof y, "%s, %s", dimension(g->p, 1), unit);
    loom_report_origin(&note, page, g);
    loom_str_printf(&note, ", %d trials of %s%s", a->n, g->p->recording[g->p->trial[a->path[0].trial].recording],
                    a->velocity ? "; velocity added up from each trial's begin (dot)" : "");
    int rc = loom_report_csv(page, file, &csv, href, e);
    if (rc == LOOM_OK)
        loom_figure_plane(
            &page->html,
            &(struct loom_figure){.title = title, .note = note.text, .x_label = x, .y_label = y, .csv = href},
            &(struct loom_plane){.square = 1, .frame = frame, .begins = 1}, line, a->n);
    loom_str_release(&csv);
    loom_str_release(&note);
    return rc;
}

int loom_report_paths(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    struct paths *a = calloc(1, sizeof *a);
    const char *per = strrchr(g->p->unit, '/');
    double frame[4];
    int rc = LOOM_OK;
    if (a == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for paths; free some");
    a->velocity = per != NULL && strcmp(per, "/s") == 0;
    snprintf(a->unit, sizeof a->unit, "%.*s", a->velocity ? (int)(per - g->p->unit) : 31, g->p->unit);
    loom_report_conditions(&a->conditions, g->p);
    if (!choose(a, g->p))
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for paths; free some");
    frame_of(a, frame);
    for (int decoded = 0; decoded < 2 && a->n > 0 && rc == LOOM_OK; decoded++)
        rc = figure(page, g, a, decoded, frame, e);
    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < 4; k++)
            free(a->path[i].x[k]);
    free(a);
    return rc;
}
