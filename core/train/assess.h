/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of an evaluation share: examine.c puts models and baselines to the question, measure.c takes metrics
 * of their answers, assess.c does so for the stages of a chain. */
#ifndef LOOM_TRAIN_ASSESS_H
#define LOOM_TRAIN_ASSESS_H

#include "eval/metrics.h"
#include "train/runner.h"

enum { LOOM_ASSESS_METRICS = 64, LOOM_ASSESS_BASELINES = 32 };

/* One stage on one split. */
struct loom_assessment {
    struct loom_runner *r;
    const struct loom_stage *s;
    enum loom_split split;
    int write;
    int rates_known, behavior_known;
    struct loom_rates rates;
    struct loom_predictions behavior,
        train;                     /* what decoders of rates are scored on, and fitted to on the train split */
    int done[LOOM_ASSESS_METRICS]; /* of the stage's metrics */
    json_t *into;                  /* of this split */
};
void loom_assessment_release(struct loom_assessment *a);
/* The first of the stage's metrics that is not done; their number if all are. */
size_t loom_assessment_left(const struct loom_assessment *a);

/* ---- examine.c ---- */
/* A model put to the question: a stage's own, or a baseline. */
struct loom_examinee {
    struct loom_model *model;
    struct loom_stepper *stepper;
    struct loom_predictions *predictions; /* [modalities] */
    struct loom_predictions *train;       /* [modalities] on the train split, where a decoder is fitted on them */
    int64_t latents;                      /* points in time whose answers are kept; < 0: all */
    double length_s;                      /* of windows, as in loom_tiling */
};
void loom_examinee_dismiss(struct loom_examinee *x);
/* The model of stage `of` with its weights, ready to be asked what stage `asks` asks. */
int loom_examinee_open(const struct loom_assessment *a, const struct loom_stage *of, const struct loom_stage *asks,
                       struct loom_examinee *x, struct loom_error *e);
/* A baseline, fitted on the training split. */
int loom_examinee_baseline(const struct loom_assessment *a, const struct loom_stage *asks, const char *id,
                           struct loom_examinee *x, struct loom_error *e);
/* Its predictions of all windows of the split, `draws` times, averaged, settled, trials sorted; and of the train split.
 */
int loom_examine(const struct loom_assessment *a, struct loom_examinee *x, struct loom_error *e);
int loom_examine_train(const struct loom_assessment *a, struct loom_examinee *x, struct loom_error *e);
/* A split of the recordings that stage `of` sees. */
int loom_assessment_select(const struct loom_assessment *a, const struct loom_stage *of, enum loom_split split,
                           struct loom_selection *out, struct loom_error *e);

/* ---- measure.c ---- */
/* What baselines said to the questions that the model answered, by modality; NULL: nothing. chance [n, classes]: of
 * classes, how likely each was said to be. */
struct loom_column_set {
    const char *name;
    double *column[LOOM_MODALITIES], *train[LOOM_MODALITIES], *chance[LOOM_MODALITIES];
};
/* The metrics that are left and that the model's answers suit, into the split's object. */
int loom_measure_model(struct loom_assessment *a, const struct loom_examinee *x, const struct loom_stage *of,
                       struct loom_error *e);
/* The metrics that the columns suit, into an object of their own. x: the model. */
int loom_measure_columns(struct loom_assessment *a, const struct loom_examinee *x, const struct loom_column_set *set,
                         json_t *into, struct loom_error *e);

#endif
