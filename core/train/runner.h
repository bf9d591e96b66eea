/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of core/train share about the run that is going on. */
#ifndef LOOM_TRAIN_RUNNER_H
#define LOOM_TRAIN_RUNNER_H

#include "base/json.h"
#include "base/threads.h"
#include "eval/predictions.h"
#include "model/model.h"
#include "train/checkpoint.h"
#include "train/pipeline.h"
#include "train/rundir.h"
#include "train/step.h"
#include "train/weights.h"

#include <loom/run.h>

struct loom_runner {
    const struct loom_run_spec *spec;
    struct loom_pipeline *pipeline;
    struct loom_registry *registry;
    struct loom_catalog *catalog;
    struct loom_pool *pool;
    struct loom_rundir *dir;      /* NULL: nothing is written (check) */
    char *resolved;               /* the pipeline's resolved text */
    int resuming;                 /* stages look for checkpoints before they begin */
    struct loom_weights *weights; /* an evaluation takes these, over the checkpoints; NULL: none */
};

/* Tell the caller a line. */
void loom_runner_say(const struct loom_runner *r, int kind, const char *stage, const char *fmt, ...) LOOM_PRINTF(4, 5);
int loom_runner_stopped(const struct loom_runner *r);
/* "checkpoints/STAGE/FILE.safetensors" of the run. */
int loom_runner_checkpoint(const struct loom_runner *r, char out[LOOM_PATH], const char *stage, const char *file,
                           struct loom_error *e);

/* A stage's model with nothing but its fresh values. `asks`: the stage whose objectives it has. */
int loom_runner_model(const struct loom_runner *r, const struct loom_stage *asks, int with_shadow,
                      struct loom_model **out, struct loom_error *e);
/* Fill a model from stage `from`'s checkpoint (best or last as `take` says), by name; says what did not match.
 * *states_fresh: states that the checkpoint did not have. */
int loom_runner_inherit(const struct loom_runner *r, const struct loom_stage *from, const char *take,
                        const struct loom_stage *to, struct loom_model *m, int *states_fresh, struct loom_error *e);

/* ---- train.c: one training stage, from its checkpoint if there is one ---- */
/* LOOM_ESTOP: stopped and saved. dry: set everything up, take one step, change nothing on disk; text gets its figures.
 */
int loom_train(struct loom_runner *r, const struct loom_stage *s, struct loom_str *dry, struct loom_error *e);

/* ---- fit.c: fitting passes ---- */
/* Passes of {forward, sums, update} over `w` until no part wants another, or `most`. *passes: how many. */
int loom_fit(struct loom_stepper *stepper, struct loom_model *m, const struct loom_windows *w, int batch, int most,
             const struct loom_runner *r, int *passes, struct loom_error *e);

/* ---- evaluate.c ---- */
/* Windows through LOOM_EVALUATE, `batch` at a time, draw number `draw`. *loss (may be NULL): mean over windows of their
 * batches' losses. out (may be NULL): [modalities] predictions, appended to. */
int loom_evaluate(struct loom_stepper *stepper, const struct loom_sample *sample, int n, int arity, int batch, int draw,
                  double *loss, struct loom_predictions *out, struct loom_error *e);
/* An array of predictions, one for each modality of the model. The caller calls loom_predictions_free_all. */
int loom_predictions_of(struct loom_predictions **out, const struct loom_model *m, const struct loom_catalog *c,
                        struct loom_error *e);
/* Names of the modality, of all recordings, and, of a series, its dimensions and unit; widths. LOOM_ENOMEM. */
int loom_predictions_name(struct loom_predictions *p, const char *modality, const struct loom_catalog *c,
                          struct loom_error *e);
void loom_predictions_free_all(struct loom_predictions *p, int n);
/* The first of n modalities that has this likelihood and was asked; NULL: none. */
const struct loom_predictions *loom_predictions_first(const struct loom_predictions *p, int n, const char *likelihood);
/* Modality i of n was asked and the metric is for it: where a metric fits several, as r2 does, behaviour goes before
 * spikes. */
int loom_predictions_suit(const struct loom_predictions *p, int n, int i, const char *metric);

/* ---- trials.c: what figures sort predictions by ---- */
/* The column that stage options `condition` name is there. LOOM_ECONFIG. */
int loom_trials_check(const struct loom_catalog *c, const struct loom_options *o, struct loom_error *e);
/* Of settled predictions of that catalogue: trials that were asked about, their conditions after `column` of their
 * table ("auto": a usual one; "": none), dates of the recordings. LOOM_ENOMEM. */
int loom_predictions_sort_trials(struct loom_predictions *p, const struct loom_catalog *c, const char *column,
                                 struct loom_error *e);

/* ---- assess.c, examine.c: one evaluation stage ---- */
/* Baseline `id` of evaluation stage s, asked what stage `asks` asks of behaviour. */
int loom_runner_baseline(const struct loom_runner *r, const struct loom_stage *s, const struct loom_stage *asks,
                         const char *id, struct loom_model **out, struct loom_error *e);
/* Its metrics are known, and the behaviour that a decoder of rates reads is there. LOOM_ECONFIG, LOOM_EDATA. */
int loom_assess_check(const struct loom_catalog *c, const struct loom_stage *s, struct loom_error *e);
/* Calls `each` for the split of that name, or, where it is NULL, for those of the evaluation stage's list.
 * LOOM_ECONFIG: there is none of that name. */
int loom_stage_splits(const struct loom_stage *s, const char *split,
                      int (*each)(void *payload, enum loom_split split, struct loom_error *e), void *payload,
                      struct loom_error *e);
/* What the model that evaluation stage s takes answers to what it asks, on one split, settled: *modalities of them,
 * with the latents of every bin where `latents` is 1. The caller calls loom_predictions_free_all. */
int loom_assess_predict(struct loom_runner *r, const struct loom_stage *s, enum loom_split split, int latents,
                        struct loom_predictions **out, int *modalities, struct loom_error *e);
/* Adds object STAGE to `metrics`; writes predictions.h5 when the runner has a folder and `write` is set. split NULL:
 * the stage's own list. */
int loom_assess(struct loom_runner *r, const struct loom_stage *s, const char *split, int write, json_t *metrics,
                struct loom_error *e);

#endif
