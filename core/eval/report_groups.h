/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of one group of predictions.h5: a stage, a split, a modality. Each draws what its data are there for, and
 * nothing where they are not. */
#ifndef LOOM_EVAL_REPORT_GROUPS_H
#define LOOM_EVAL_REPORT_GROUPS_H

#include "eval/predictions.h"
#include "eval/report.h"

enum { LOOM_REPORT_BASELINES = 4 };

struct loom_report_group {
    char stage[64], split[16], modality[64];
    const struct loom_predictions *p;
    int baselines;
    const char *baseline[LOOM_REPORT_BASELINES];
    double *column[LOOM_REPORT_BASELINES]; /* [p->n] */
};

/* Conditions that figures show: those with the most trials, no more than there are colours, in their own order. Without
 * conditions there is one, number -1, of all trials. */
struct loom_report_conditions {
    int n, of; /* shown, of so many that have trials */
    int32_t at[LOOM_WHEEL_COLOURS];
    char name[LOOM_WHEEL_COLOURS][96];
};
void loom_report_conditions(struct loom_report_conditions *c, const struct loom_predictions *p);
/* Which of them the trial belongs to; -1: none of them, or trial < 0. */
int loom_report_condition(const struct loom_report_conditions *c, const struct loom_predictions *p, int32_t trial);
/* "test split, seed-1": where the numbers of a figure come from. */
void loom_report_origin(struct loom_str *s, const struct loom_page *page, const struct loom_report_group *g);
/* The recording with most trials, the first of several; -1: none has any. */
int32_t loom_report_busiest(const struct loom_predictions *p);

int loom_report_psth(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e);  /* counts */
int loom_report_paths(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e); /* behaviour */
int loom_report_latents(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e);
int loom_report_days(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e); /* behaviour */
int loom_report_calibration(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e);
/* First two principal components of x [n, width], centred: score [n, 2], and their shares of the variance. 1, or 0 when
 * memory runs out. */
int loom_report_components(const float *x, int64_t n, int width, double *score, double share[2]);

#endif
