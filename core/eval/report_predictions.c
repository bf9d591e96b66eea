/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/report_groups.h"

#include "base/io.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_GROUPS = 24 };

struct groups {
    struct loom_report_group at[MOST_GROUPS];
    int n;
};

static int note_group(void *payload, const char *stage, const char *split, const char *modality)
{
    struct groups *g = payload;
    if (g->n < MOST_GROUPS) {
        struct loom_report_group *to = &g->at[g->n++];
        snprintf(to->stage, sizeof to->stage, "%s", stage);
        snprintf(to->split, sizeof to->split, "%s", split);
        snprintf(to->modality, sizeof to->modality, "%s", modality);
        to->baselines = 0;
    }
    return LOOM_OK;
}

/* Baselines in metrics.json whose answers the file has. */
static void open_baselines(const struct loom_page *page, struct loom_report_group *g, const char *path)
{
    json_t *split = json_object_get(json_object_get(page->metrics, g->stage), g->split);
    json_t *list = json_object_get(split, "baselines"), *of;
    const char *key;
    json_object_foreach(list, key, of)
    {
        double *values = g->baselines < LOOM_REPORT_BASELINES
                             ? loom_predictions_read_baseline(g->p, path, g->stage, g->split, key)
                             : NULL;
        if (values == NULL)
            continue;
        g->baseline[g->baselines] = key;
        g->column[g->baselines++] = values;
    }
}

static int figures(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    int spikes = strcmp(g->p->likelihood, "poisson") == 0, moves = strcmp(g->p->likelihood, "gaussian") == 0;
    int rc = spikes ? loom_report_rasters(page, g, e) : moves ? loom_report_traces(page, g, e) : LOOM_OK;
    if (rc == LOOM_OK && moves)
        rc = loom_report_paths(page, g, e);
    if (rc == LOOM_OK && moves)
        rc = loom_report_days(page, g, e);
    if (rc == LOOM_OK && strcmp(g->p->likelihood, "categorical") == 0)
        rc = loom_report_confusion(page, g, e);
    if (rc == LOOM_OK && !moves)
        rc = loom_report_calibration(page, g, e);
    return rc == LOOM_OK ? loom_report_latents(page, g, e) : rc;
}

/* What the seeds that are not shown predict, as far as they were asked the same: one that is not done yet may lack the
 * group. What is damaged is found where its own figures are made. */
static int open_others(const struct loom_page *page, struct loom_report_group *g, struct loom_error *e)
{
    char path[LOOM_REPORT_PATH];
    for (int k = 0; k < page->seeds && g->others < LOOM_REPORT_OTHERS; k++) {
        struct loom_predictions q;
        if (k == page->shown || !loom_report_path(path, page->seed[k], "predictions.h5") || !loom_file_exists(path))
            continue;
        double *column = calloc((size_t)g->p->n + 1, sizeof *column);
        struct loom_error none = {0};
        if (column == NULL)
            return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a report; free some");
        int has = loom_predictions_read(&q, path, g->stage, g->split, g->modality, &none) == LOOM_OK;
        loom_error_clear(&none);
        if (has) {
            loom_predictions_align(g->p, &q, column, NULL);
            loom_predictions_release(&q);
            g->other_seed[g->others] = k;
            g->other[g->others++] = column;
        } else {
            free(column);
        }
    }
    return LOOM_OK;
}

static void close_group(struct loom_report_group *g)
{
    for (int k = 0; k < g->baselines; k++)
        free(g->column[k]);
    for (int k = 0; k < g->others; k++)
        free(g->other[k]);
    g->baselines = g->others = 0;
}

static int one_group(struct loom_page *page, struct loom_report_group *g, const char *path, struct loom_error *e)
{
    struct loom_predictions p;
    loom_predictions_init(&p);
    int rc = loom_predictions_read(&p, path, g->stage, g->split, g->modality, e);
    if (rc == LOOM_OK && p.n > 0) {
        g->p = &p;
        open_baselines(page, g, path);
        if (strcmp(p.likelihood, "gaussian") == 0)
            rc = open_others(page, g, e);
        loom_str_add(&page->html, "<div class=\"grid two\">\n");
        rc = rc == LOOM_OK ? figures(page, g, e) : rc;
        loom_str_add(&page->html, "</div>\n");
        if (rc == LOOM_OK && strcmp(p.likelihood, "poisson") == 0)
            rc = loom_report_psth(page, g, e);
    }
    close_group(g);
    loom_predictions_release(&p);
    return rc;
}

/* All groups of the file of the seed that is shown. */
static int one_seed(struct loom_page *page, const char *path, struct loom_error *e)
{
    struct groups g = {.n = 0};
    int rc = loom_predictions_walk(path, note_group, &g, e);
    for (int i = 0; i < g.n && rc == LOOM_OK; i++)
        rc = one_group(page, &g.at[i], path, e);
    return rc;
}

/* The first seed's figures, and at a touch those of others, drawn by the same rules. */
int loom_report_predictions(struct loom_page *page, struct loom_error *e)
{
    char path[LOOM_REPORT_PATH];
    int seeds = page->seeds > 0 ? page->seeds : 1, shown = 0, rc = LOOM_OK;
    if (!loom_predictions_supported())
        return LOOM_OK;
    for (int k = 0; k < seeds && shown <= LOOM_REPORT_OTHERS && rc == LOOM_OK; k++) {
        const char *run = page->seeds > 0 ? page->seed[k] : page->run;
        if (!loom_report_path(path, run, "predictions.h5") || !loom_file_exists(path))
            continue;
        page->shown = page->seeds > 0 ? k : 0;
        if (shown == 0) {
            loom_str_add(&page->html,
                         "<h2>Predictions</h2>\n<p class=soft><small>Trials, or a stretch of time, from the "
                         "middle of each split, and its first trials");
            if (seeds > 1)
                loom_str_printf(&page->html, ", of %s; other seeds open below", strrchr(run, '/') + 1);
            loom_str_add(&page->html, ": nothing was chosen by how well it went.</small></p>\n");
        } else {
            loom_str_printf(&page->html, "<details><summary>The same of %s</summary>\n", strrchr(run, '/') + 1);
        }
        rc = one_seed(page, path, e);
        loom_str_add(&page->html, shown > 0 ? "</details>\n" : "");
        shown++;
    }
    page->shown = 0;
    return rc;
}
