/* SPDX-License-Identifier: Apache-2.0 */
/* What a model answers with before it is read, on its first two principal components. */
#include "eval/report_groups.h"

#include <loom/linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 6, ROUNDS = 60, MOST_STEPS = 200 };

/* ---- principal components ---- */

/* Rows of v [BLOCK, width] made orthonormal (Gram and Schmidt, twice is enough); what vanishes becomes 0. */
static void orthonormal(double *v, int width)
{
    for (int i = 0; i < BLOCK; i++) {
        double before = 0.0, norm = 0.0;
        for (int k = 0; k < width; k++)
            before += v[i * width + k] * v[i * width + k];
        for (int again = 0; again < 2; again++)
            for (int j = 0; j < i; j++) {
                double dot = 0.0;
                for (int k = 0; k < width; k++)
                    dot += v[i * width + k] * v[j * width + k];
                for (int k = 0; k < width; k++)
                    v[i * width + k] -= dot * v[j * width + k];
            }
        for (int k = 0; k < width; k++)
            norm += v[i * width + k] * v[i * width + k];
        for (int k = 0; k < width; k++)
            v[i * width + k] = norm > 1e-24 * before && norm > 0.0 ? v[i * width + k] / sqrt(norm) : 0.0;
    }
}

/* The largest eigenvectors of c [width, width] by subspace iteration (Golub & Van Loan, 8.2.4) and a small problem at
 * the end. v [BLOCK, width] comes with a beginning; u [BLOCK, width] is work. */
static void subspace(const double *c, int width, double *v, double *u, double value[BLOCK])
{
    double small[BLOCK * BLOCK], turn[BLOCK * BLOCK];
    for (int round = 0; round < ROUNDS; round++) {
        orthonormal(v, width);
        loom_product(u, v, c, BLOCK, width, width);
        memcpy(v, u, (size_t)BLOCK * (size_t)width * sizeof *v);
    }
    orthonormal(v, width);
    loom_product(u, v, c, BLOCK, width, width);
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++) {
            small[i * BLOCK + j] = 0.0;
            for (int k = 0; k < width; k++)
                small[i * BLOCK + j] += u[i * width + k] * v[j * width + k];
        }
    loom_eigen(small, BLOCK, value, turn);
    loom_product(u, turn, v, BLOCK, BLOCK, width);
    memcpy(v, u, (size_t)BLOCK * (size_t)width * sizeof *v);
}

/* Either sign is a component: take the one in which the largest weight is positive. */
static double sign_of(const double *v, int width)
{
    int best = 0;
    for (int k = 1; k < width; k++)
        best = fabs(v[k]) > fabs(v[best]) ? k : best;
    return v[best] < 0.0 ? -1.0 : 1.0;
}

int loom_report_components(const float *x, int64_t n, int width, double *score, double share[2])
{
    size_t w = (size_t)width, rows = (size_t)n;
    double *y = calloc(rows * w + 1, sizeof *y), *c = calloc(w * w + 1, sizeof *c);
    double *v = calloc(2 * BLOCK * w + 1, sizeof *v), *mean = calloc(w + 1, sizeof *mean), value[BLOCK], trace = 0.0;
    int ok = y != NULL && c != NULL && v != NULL && mean != NULL;
    for (int64_t i = 0; ok && i < n * width; i++)
        mean[i % width] += (double)x[i] / (double)n;
    for (int64_t i = 0; ok && i < n * width; i++)
        y[i] = (double)x[i] - mean[i % width];
    if (ok) {
        loom_gram_add(c, width, y, n);
        for (size_t i = 0; i < w; i++) {
            trace += c[i * w + i];
            for (size_t k = 0; k < i; k++)
                c[i * w + k] = c[k * w + i];
        }
        for (size_t i = 0; i < BLOCK * w; i++)
            v[i] = sin(1.0 + 12.9898 * (double)i + 0.37 * (double)(i % 7)); /* any beginning will do */
        subspace(c, width, v, v + BLOCK * w, value);
    }
    for (int k = 0; ok && k < 2; k++) {
        double sign = sign_of(v + k * width, width);
        share[k] = trace > 0.0 ? fmax(value[k], 0.0) / trace : 0.0;
        for (int64_t i = 0; i < n; i++) {
            double sum = 0.0;
            for (int j = 0; j < width; j++)
                sum += y[i * width + j] * v[k * width + j];
            score[2 * i + k] = sign * sum;
        }
    }
    free(y);
    free(c);
    free(v);
    free(mean);
    return ok;
}

/* ---- the figure ---- */

/* Points of one colour, and the mean over trials at each time in the trial. */
struct cloud {
    double *x, *y; /* [n] */
    int64_t n;
    double mean_x[MOST_STEPS], mean_y[MOST_STEPS];
    int64_t of[MOST_STEPS];
    int steps;
};
struct clouds {
    struct loom_report_conditions conditions;
    int n;
    struct cloud at[LOOM_WHEEL_COLOURS];
    char name[LOOM_WHEEL_COLOURS][96], mean_name[LOOM_WHEEL_COLOURS][112];
    double from_s, step_s; /* of means: the first time in a trial */
    int even; /* 1: as many rows were asked at every time, so that points differ by what they are about alone */
};

/* Which cloud a point is in: its trial's condition, its recording where there are no trials, or the only one. */
static int cloud_of(const struct clouds *c, const struct loom_predictions *p, int64_t i, int32_t *trial)
{
    int32_t recording = p->latents.recording[i];
    *trial = loom_predictions_trial(p, recording, p->latents.time_ns[i]);
    if (c->conditions.n > 0)
        return loom_report_condition(&c->conditions, p, *trial);
    return recording < c->n ? recording : -1;
}

static void name_clouds(struct clouds *c, const struct loom_predictions *p)
{
    loom_report_conditions(&c->conditions, p);
    c->n = c->conditions.n > 0                                        ? c->conditions.n
           : p->recordings > 0 && p->recordings <= LOOM_WHEEL_COLOURS ? p->recordings
                                                                      : LOOM_WHEEL_COLOURS;
    for (int k = 0; k < c->n; k++) {
        snprintf(c->name[k], sizeof c->name[k], "%.95s",
                 c->conditions.n > 0 ? c->conditions.name[k]
                 : k < p->recordings ? p->recording[k]
                                     : "");
        snprintf(c->mean_name[k], sizeof c->mean_name[k], "%s, mean", c->name[k]);
    }
}

/* The earliest of all points by time in their trials. */
static double first_time(const struct loom_predictions *p)
{
    double first = INFINITY;
    for (int64_t i = 0; i < p->latents.n; i++) {
        int32_t trial = loom_predictions_trial(p, p->latents.recording[i], p->latents.time_ns[i]);
        if (trial >= 0)
            first = fmin(first, 1e-9 * (double)p->latents.time_ns[i] - p->trial[trial].zero_s);
    }
    return first;
}

static int fill(struct clouds *c, const struct loom_predictions *p, const double *score)
{
    int32_t trial;
    for (int k = 0; k < c->n; k++) {
        c->at[k].x = calloc((size_t)p->latents.n + 1, sizeof(double));
        c->at[k].y = calloc((size_t)p->latents.n + 1, sizeof(double));
        if (c->at[k].x == NULL || c->at[k].y == NULL)
            return 0;
    }
    for (int64_t i = 0; i < p->latents.n; i++) {
        int k = cloud_of(c, p, i, &trial);
        if (k < 0 || !isfinite(score[2 * i]) || !isfinite(score[2 * i + 1]))
            continue;
        struct cloud *at = &c->at[k];
        at->x[at->n] = score[2 * i];
        at->y[at->n++] = score[2 * i + 1];
        double time = trial >= 0 ? 1e-9 * (double)p->latents.time_ns[i] - p->trial[trial].zero_s - c->from_s : -1.0;
        int step = (int)fmin(floor(time / c->step_s), MOST_STEPS);
        if (time < 0.0 || step >= MOST_STEPS)
            continue;
        at->mean_x[step] += score[2 * i];
        at->mean_y[step] += score[2 * i + 1];
        at->of[step]++;
        at->steps = step >= at->steps ? step + 1 : at->steps;
    }
    return 1;
}

/* Means of far fewer trials than at the fullest step are left out: they jump. */
static void end_means(struct cloud *at)
{
    int64_t most = 0;
    for (int i = 0; i < at->steps; i++)
        most = at->of[i] > most ? at->of[i] : most;
    for (int i = 0; i < at->steps; i++) {
        int enough = at->of[i] > 0 && 4 * at->of[i] >= 3 * most;
        at->mean_x[i] = enough ? at->mean_x[i] / (double)at->of[i] : NAN;
        at->mean_y[i] = enough ? at->mean_y[i] / (double)at->of[i] : NAN;
    }
}

static int figure(struct loom_page *page, const struct loom_report_group *g, struct clouds *c, const double share[2],
                  struct loom_error *e)
{
    struct loom_line line[2 * LOOM_WHEEL_COLOURS];
    struct loom_str csv = LOOM_STR_INIT, note = LOOM_STR_INIT;
    char title[160], file[320], href[256], x[64], y[64];
    int n = 0, means = 0;
    for (int k = 0; k < c->n; k++)
        if (c->at[k].n > 0)
            line[n++] = (struct loom_line){.name = c->name[k],
                                           .x = c->at[k].x,
                                           .y = c->at[k].y,
                                           .n = c->at[k].n,
                                           .colour = LOOM_WHEEL + k,
                                           .stroke = LOOM_STROKE_POINTS};
    for (int k = 0; k < c->n; k++) {
        end_means(&c->at[k]);
        means += c->even && c->at[k].steps > 1;
        if (c->even && c->at[k].steps > 1)
            line[n++] = (struct loom_line){.name = c->mean_name[k],
                                           .x = c->at[k].mean_x,
                                           .y = c->at[k].mean_y,
                                           .n = c->at[k].steps,
                                           .colour = LOOM_WHEEL + k};
    }
    loom_report_lines_csv(&csv, "pc1", "pc2", line, n);
    snprintf(title, sizeof title, "Latents of %s, %s", g->modality, g->stage);
    snprintf(file, sizeof file, "latents-%s-%s-%s", g->stage, g->split, g->modality);
    snprintf(x, sizeof x, "PC 1 (%.0f %% of variance)", 100 * share[0]);
    snprintf(y, sizeof y, "PC 2 (%.0f %%)", 100 * share[1]);
    loom_report_origin(&note, page, g);
    loom_str_printf(&note, ", %lld points in time of windows drawn at random, %d recording%s%s",
                    (long long)g->p->latents.n, g->p->recordings, g->p->recordings == 1 ? "" : "s",
                    !c->even                           ? "; other rows were hidden and asked at every time"
                    : c->conditions.n > 0 && means > 0 ? "; lines: means over trials, from the trial's begin (dot)"
                                                       : "");
    if (c->conditions.of > c->conditions.n)
        loom_str_printf(&note, "; %d of %d conditions", c->conditions.n, c->conditions.of);
    int rc = loom_report_csv(page, file, &csv, href, e);
    for (int i = 0; i < n; i++)
        line[i].name = line[i].stroke == LOOM_STROKE_POINTS ? line[i].name : NULL;
    if (rc == LOOM_OK && n > 0)
        loom_figure_plane(
            &page->html,
            &(struct loom_figure){.title = title, .note = note.text, .x_label = x, .y_label = y, .csv = href},
            &(struct loom_plane){.square = 1, .begins = 1}, line, n);
    loom_str_release(&csv);
    loom_str_release(&note);
    return rc;
}

int loom_report_latents(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    const struct loom_latents *l = &g->p->latents;
    struct clouds *c = calloc(1, sizeof *c);
    double *score = calloc(2 * (size_t)l->n + 1, sizeof *score), share[2] = {0.0, 0.0};
    int rc = LOOM_OK;
    if (l->n > 2 && l->width > 1) {
        if (c == NULL || score == NULL || !loom_report_components(l->value, l->n, l->width, score, share))
            rc = LOOM_ENOMEM;
        if (rc == LOOM_OK) {
            name_clouds(c, g->p);
            c->step_s = g->p->bin_s > 0.0 ? g->p->bin_s : 0.02;
            c->even = 1;
            for (int64_t i = 1; i < l->n; i++)
                c->even &= l->times[i] == l->times[0];
            c->from_s = first_time(g->p) - 0.5 * c->step_s;
            rc = fill(c, g->p, score) ? figure(page, g, c, share, e) : LOOM_ENOMEM;
        }
    }
    for (int k = 0; c != NULL && k < c->n; k++) {
        free(c->at[k].x);
        free(c->at[k].y);
    }
    free(c);
    free(score);
    return rc == LOOM_ENOMEM ? loom_fail(e, rc, NULL, 0, "no memory for latents; free some") : rc;
}
