/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions: what was asked of one modality on one split, what the data say and what the model said. What metrics,
 * reports and exports read, from memory after an evaluation or from a run's predictions.h5.
 *
 * predictions.h5 (HDF5; one group /STAGE/SPLIT/MODALITY for each; row i is one asked element, sorted by recording,
 * time, place, element and trial). Attributes:
 *
 *   likelihood, unit ("" unknown), bin_s (of count elements)
 *   recordings   ids, one a line; dates: theirs, one a line, empty where unknown
 *   elements     names of the elements where they have any, one a line: dimensions of a behaviour
 *   classes      names of the classes of a label, one a line
 *   condition    name of the column that sorts trials, "" none; conditions: its values, one a line
 *   zero         name of the column that windows are laid around, "" = trials' starts
 *
 * Rows:
 *
 *   recording    i32 [n] line of `recordings`
 *   time_s       f64 [n] seconds on the recording's clock
 *   element      i32 [n] unit number, dimension, …
 *   trial        i32 [n] row of the table of trials, -1 none: where windows of two trials overlap, each has its answer
 *   held         u8  [n] enum loom_held
 *   target       f64 [n] data units, NaN missing
 *   predicted    f64 [n] data units, mean over draws and overlapping tiles
 *   weight       f32 [n] 0 = not scored
 *   params       f64 [n, P] mean parameters; categorical: probabilities
 *   baselines/NAME  f64 [n] predicted by that baseline, NaN where it gave no answer
 *
 * Trials that were asked about, by recording and start:
 *
 *   trials/recording i32, trials/row i32 of their table, trials/start_s f64, trials/stop_s f64, trials/zero_s f64 the
 *   time of what windows are laid around, trials/condition i32 line of `conditions`, -1 none
 *
 * What the model answered with before it was read, in some windows drawn at random, mean over so many rows of one time:
 *
 *   latents/recording i32 [m], latents/time_s f64 [m], latents/rows i32 [m], latents/value f32 [m, W] */
#ifndef LOOM_EVAL_PREDICTIONS_H
#define LOOM_EVAL_PREDICTIONS_H

#include <loom/types.h>

/* What the data hold out of an element. */
enum loom_held {
    LOOM_HELD_NOT = 0,
    LOOM_HELD_UNIT = 1,    /* held-out unit, inside the window: co-smoothing */
    LOOM_HELD_FORWARD = 2, /* bin behind what is seen, of any unit: forward prediction */
};

struct loom_predicted {
    int32_t recording, element;
    int64_t time_ns; /* of the row, on the recording's clock */
    uint64_t place;  /* tells apart rows of one time by their other coordinates: a hash, 0 where there are none */
    int32_t trial;   /* row of the interval table that splits and windows go by; -1 = windows of no trial */
    uint8_t held;    /* enum loom_held */
    int32_t times;   /* answers averaged */
    double target, predicted, weight;
};

/* A trial that was asked about. */
struct loom_predicted_trial {
    int32_t recording, condition, row; /* condition -1: it has none; row of the interval table */
    double start_s, stop_s;
    double zero_s; /* from here time in the trial is told: what windows are laid around, or its start */
};

/* Answers before they are read, at some points in time. */
struct loom_latents {
    int width;
    int64_t n, most;            /* rows; none beyond `most` is kept */
    double share;               /* of the windows that are kept */
    int32_t *recording, *times; /* [n]; times: rows that were added up */
    int64_t *time_ns;           /* [n] */
    float *value;               /* [n, width] sums until they are settled, then means */
};

struct loom_predictions {
    char modality[64], likelihood[32], unit[32];
    double bin_s, forward_s; /* width of a bin; bins to come at each window's end that were asked for */
    int params;              /* columns of `param` */
    int64_t n, capacity;
    struct loom_predicted *row; /* [n] */
    double *param;              /* [n, params] or NULL when params is 1 and the mean says all */
    int recordings;
    char **recording; /* [recordings] ids */
    int elements;
    char **element; /* [elements] names or NULL */
    int class_names;
    char **class_name; /* [class_names] of a label, or NULL */
    char **date;       /* [recordings] ISO 8601, "" unknown; NULL: none is known */
    char condition_name[64];
    char zero_name[64]; /* column that zero_s is of; "" = the trials' starts */
    int conditions;
    char **condition; /* [conditions] or NULL */
    int32_t trials;
    struct loom_predicted_trial *trial; /* [trials] by recording and start */
    struct loom_latents latents;
};

void loom_predictions_init(struct loom_predictions *p);
void loom_predictions_release(struct loom_predictions *p);
/* What element d is called: its name, or dimD, which `buffer` holds then. */
const char *loom_predictions_element(const struct loom_predictions *p, int32_t d, char buffer[24]);
/* Append one answer; `param` [params] as declared in p->params, NULL when there are none. LOOM_ENOMEM. */
int loom_predictions_add(struct loom_predictions *p, const struct loom_predicted *row, const double *param,
                         struct loom_error *e);
/* One answer before it was read: x [width], which may change from call to call only with an empty table. Rows of one
 * recording and time that follow each other within `from` … n of the table are added up. LOOM_ENOMEM. */
int loom_latents_add(struct loom_latents *l, int64_t from, int32_t recording, int64_t time_ns, const loom_real *x,
                     struct loom_error *e);
/* Number of the trial in which the time lies, the last to begin of several; -1: none. */
int32_t loom_predictions_trial(const struct loom_predictions *p, int32_t recording, int64_t time_ns);
/* The same of a row, which may say itself which of several it is about. */
int32_t loom_predictions_trial_of(const struct loom_predictions *p, const struct loom_predicted *row);
/* Sort, and average answers to the same question (recording, time, place, element, trial) in the order they were added.
 */
int loom_predictions_settle(struct loom_predictions *p, struct loom_error *e);
/* Both settled: out[i] = the other's prediction for row i of p, NaN where it has none; returns how many matched. param
 * [p->n, params]: the other's parameters there, of which it has as many; NULL: not wanted. */
int64_t loom_predictions_align(const struct loom_predictions *p, const struct loom_predictions *other, double *out,
                               double *param);

/* Baselines beside a modality in the file. */
struct loom_predictions_baseline {
    const char *name;
    const double *predicted; /* [n] aligned */
};
/* Write the group /stage/split/modality into the file `path`, which is made if need be. LOOM_EIO; LOOM_ECONFIG in a
 * build without HDF5. */
int loom_predictions_write(const struct loom_predictions *p, const char *path, const char *stage, const char *split,
                           const struct loom_predictions_baseline *baseline, int baselines, struct loom_error *e);
/* Read it back. LOOM_EDATA, LOOM_EIO. */
int loom_predictions_read(struct loom_predictions *p, const char *path, const char *stage, const char *split,
                          const char *modality, struct loom_error *e);
/* Column of one baseline [p->n], malloc'ed; NULL when the group has none of that name. */
double *loom_predictions_read_baseline(const struct loom_predictions *p, const char *path, const char *stage,
                                       const char *split, const char *name);
/* Call `each` for every group of the file, in the order of names. */
int loom_predictions_walk(const char *path,
                          int (*each)(void *payload, const char *stage, const char *split, const char *modality),
                          void *payload, struct loom_error *e);
int loom_predictions_supported(void); /* 1: this build can write and read the file */

#endif
