/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of one group of predictions.h5: a stage, a split, a modality. Each draws what its data are there for, and
 * nothing where they are not. */
#ifndef LOOM_EVAL_REPORT_GROUPS_H
#define LOOM_EVAL_REPORT_GROUPS_H

#include "eval/predictions.h"
#include "eval/report.h"

enum { LOOM_REPORT_BASELINES = 4, LOOM_REPORT_OTHERS = 4, LOOM_REPORT_SPANS = 5 };

struct loom_report_group {
    char stage[64], split[16], modality[64];
    const struct loom_predictions *p;
    int baselines;
    const char *baseline[LOOM_REPORT_BASELINES];
    double *column[LOOM_REPORT_BASELINES]; /* [p->n] */
    int others;                            /* seeds beside the one that is shown */
    double *other[LOOM_REPORT_OTHERS];     /* [p->n] what they predict, NaN where they were not asked */
    int other_seed[LOOM_REPORT_OTHERS];    /* their numbers in the page */
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
/* "test split, seed-1 of 3 seeds": where the numbers of a figure come from. */
void loom_report_origin(struct loom_str *s, const struct loom_page *page, const struct loom_report_group *g);
/* The recording with most trials, the first of several; -1: none has any. */
int32_t loom_report_busiest(const struct loom_predictions *p);

/* Rows first … last - 1 are all those within a trial's time; 0: there are none. Trials may overlap, so that rows of
 * others are among them (loom_predictions_trial_of). */
int loom_report_trial_rows(const struct loom_predictions *p, int32_t trial, int64_t *first, int64_t *last);

/* What figures over time show of a recording: some trials one beside the other, each from its own begin, or where there
 * are no trials a stretch of time with the gaps cut out. */
struct loom_report_span {
    int32_t trial;       /* -1: of no trial */
    int64_t first, last; /* rows; those of other trials are among them */
    double from_s, to_s; /* edges of its first and last bin, on the recording's clock */
    double zero_s;       /* what its axis calls 0 */
    double at_s;         /* where it begins in the figure */
    char name[64];       /* the trial's condition, "" none */
};
struct loom_report_spans {
    int n;
    int32_t recording;
    double step_s;
    struct loom_report_span at[LOOM_REPORT_SPANS];
    struct loom_panel panel[LOOM_REPORT_SPANS]; /* the same for a figure */
};
/* Of the recording in the middle, from its middle on: neither the best nor the worst is looked for. No more than so
 * many seconds together; p has rows. */
void loom_report_spans(struct loom_report_spans *s, const struct loom_predictions *p, double most_s);
/* The span that a row is shown in, -1 none. */
int loom_report_span_of(const struct loom_report_spans *s, const struct loom_predictions *p, int64_t row);
/* "sim1_day1, 5 trials": what they are of, and what stands above them. */
void loom_report_spans_note(struct loom_str *note, const struct loom_report_spans *s, const struct loom_predictions *p);
/* What their axes are called. */
void loom_report_spans_label(char out[96], const struct loom_report_spans *s, const struct loom_predictions *p);

int loom_report_traces(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e); /* behaviour */
int loom_report_rasters(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e); /* counts */
int loom_report_psth(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e);    /* counts */
int loom_report_paths(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e); /* behaviour */
int loom_report_latents(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e);
int loom_report_days(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e); /* behaviour */
int loom_report_confusion(struct loom_page *page, const struct loom_report_group *g,
                          struct loom_error *e); /* classes */
int loom_report_calibration(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e);
/* First two principal components of x [n, width], centred: score [n, 2], and their shares of the variance. 1, or 0 when
 * memory runs out. */
int loom_report_components(const float *x, int64_t n, int width, double *score, double share[2]);

#endif
