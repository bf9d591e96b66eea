/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions: what was asked of one modality on one split, what the data say and what the model said. What metrics,
 * reports and exports read, from memory after an evaluation or from a run's predictions.h5.
 *
 * predictions.h5 (HDF5; one group /STAGE/SPLIT/MODALITY for each; row i is one asked element):
 *   attributes  likelihood, unit ("" unknown), bin_s (of count elements), recordings (ids, one a line), elements (names
 *               of the elements where they have any, one a line: dimensions of a behaviour)
 *   recording   i32 [n] line of `recordings`        time_s     f64 [n] seconds on the recording's clock
 *   element     i32 [n] unit number, dimension, …   held       u8  [n] 1 held out by the data (held-out unit, forward
 * bin) target      f64 [n] data units, NaN missing     predicted  f64 [n] data units, mean over draws and overlapping
 * tiles weight      f32 [n] 0 = not scored              params     f64 [n, P] mean parameters; categorical:
 * probabilities baselines/NAME  f64 [n] predicted by that baseline, NaN where it gave no answer
 *   trial       i32 [n] row of the table of trials, -1 = none: where windows of two trials overlap, each has its answer
 * Rows are sorted by recording, time, place, element and trial. */
#ifndef LOOM_EVAL_PREDICTIONS_H
#define LOOM_EVAL_PREDICTIONS_H

#include <loom/types.h>

struct loom_predicted {
    int32_t recording, element;
    int64_t time_ns; /* of the row, on the recording's clock */
    uint64_t place;  /* tells apart rows of one time by their other coordinates: a hash, 0 where there are none */
    int32_t trial;   /* row of the interval table that splits and windows go by; -1 = windows of no trial */
    uint8_t held;
    int32_t times; /* answers averaged */
    double target, predicted, weight;
};

struct loom_predictions {
    char modality[64], likelihood[32], unit[32];
    double bin_s;
    int params; /* columns of `param` */
    int64_t n, capacity;
    struct loom_predicted *row; /* [n] */
    double *param;              /* [n, params] or NULL when params is 1 and the mean says all */
    int recordings;
    char **recording; /* [recordings] ids */
    int elements;
    char **element; /* [elements] names or NULL */
};

void loom_predictions_init(struct loom_predictions *p);
void loom_predictions_release(struct loom_predictions *p);
/* Append one answer; `param` [params] as declared in p->params, NULL when there are none. LOOM_ENOMEM. */
int loom_predictions_add(struct loom_predictions *p, const struct loom_predicted *row, const double *param,
                         struct loom_error *e);
/* Sort, and average answers to the same question (recording, time, place, element, trial) in the order they were added.
 */
int loom_predictions_settle(struct loom_predictions *p, struct loom_error *e);
/* Both settled: out[i] = the other's prediction for row i of p, NaN where it has none; returns how many matched. */
int64_t loom_predictions_align(const struct loom_predictions *p, const struct loom_predictions *other, double *out);

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
