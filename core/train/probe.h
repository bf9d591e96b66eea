/* SPDX-License-Identifier: Apache-2.0 */
/* A model asked about itself: passes over a few windows whose answers are kept, and the same model on other data. */
#ifndef LOOM_TRAIN_PROBE_H
#define LOOM_TRAIN_PROBE_H

#include "train/altered.h"
#include "train/runner.h"

/* What one pass said: every parameter of every likelihood that was read, and the gradients. */
struct loom_said {
    double loss; /* Σ of terms that have a gradient */
    int64_t n, room;
    loom_real *value;                  /* [n] */
    int32_t *read, *segment, *element; /* [n] */
    int32_t *unit;                     /* [n] the layout's index of the element */
    double *time;                      /* [n] of the question, s from the window's origin */
    loom_real *target, *weight;        /* [n] */
    uint8_t *shown;                    /* [n] asked though the view shows it */
    int modality[32];                  /* by number of the reading */
    int view[32];                      /* that it asked */
    int reads;
    loom_real *grad; /* [size[PARAM]] in STEP, borrowed from the probe's block until its next pass */
};
void loom_said_release(struct loom_said *s);

enum {
    LOOM_PROBE_WINDOWS = 4,
    LOOM_PROBE_FIT_WINDOWS = 64, /* the first of the training windows: what is fitted is fitted to them */
};
struct loom_probe {
    struct loom_runner runner; /* a copy, with the catalogue of this probe */
    const struct loom_stage *stage, *evaluates;
    const char *baseline; /* NULL: the stage's own model */
    struct loom_altered *altered;
    struct loom_model *model;
    struct loom_shard *shard;
    struct loom_block block;
    struct loom_sample sample[LOOM_PROBE_WINDOWS]; /* training windows that do not overlap, of several recordings */
    int n;
};
/* The model of `stage` (with `baseline` of stage `evaluates`, when not NULL), fitted on the first training windows when
 * a part fits something. */
int loom_probe_open(struct loom_probe *p, const struct loom_runner *r, const struct loom_stage *stage,
                    const struct loom_stage *evaluates, const char *baseline, struct loom_error *e);
/* The same model on altered data. fit 0: with the parameters and states of `like`, as far as names have the same place;
 * 1: fitted anew. */
int loom_probe_like(struct loom_probe *p, const struct loom_probe *like, const struct loom_alteration *how, int fit,
                    struct loom_error *e);
void loom_probe_release(struct loom_probe *p);
/* Plan, build and run the first n of `sample`; *said is filled anew. alter: see loom_shard_plan_altered, may be NULL.
 */
int loom_probe_pass(struct loom_probe *p, const struct loom_sample *sample, int n, enum loom_mode mode, uint64_t step,
                    void (*alter)(void *payload, struct loom_rows *full), void *payload, struct loom_said *said,
                    struct loom_error *e);
/* Where reading i of `said` stands, in words: "spikes of window 2 at 0.31 s, element 4". */
const char *loom_said_place(const struct loom_probe *p, const struct loom_said *said, int64_t i, char out[160]);

#endif
