/* SPDX-License-Identifier: Apache-2.0 */
/* Estimators: what is fitted by passes of sums and updates, in five functions and without bookkeeping.
 *
 * A part that fits (a baseline, above all) fills struct loom_estimator and calls loom_estimator_answer from its answer
 * (or loom_estimator_encode from its encode) and loom_estimator_update from its update. The core then names memory,
 * runs `add` over all training sequences in each fitting pass, joins what they add, hands it to `solve`, and afterwards
 * runs `predict`. State is kept in double precision: as two numbers of the working precision, high and low.
 *
 * Sequences are the segments of a view whose rows are bins of counts without gaps (needs LOOM_STEPS | LOOM_UNITS |
 * LOOM_KEEPS_ROWS), and the questions put to them. */
#ifndef LOOM_ESTIMATOR_H
#define LOOM_ESTIMATOR_H

#include <loom/model.h>

struct loom_sequence {
    const struct loom_rows *in, *ask; /* ask NULL: asked of every bin itself (loom_estimator_encode) */
    const struct loom_recording *of;
    int32_t segment, recording, fold;
    int32_t first, bins;     /* bin k is row first + k of `in` */
    int32_t first_ask, asks; /* question q is row first_ask + q of `ask` */
    int32_t dims;            /* numbers an answer: dimensions of a behaviour; all units of the recording for counts */
    double bin_s;
    const loom_real *x; /* [bins, width] of the node that the estimator was given; NULL = none */
    int32_t width;
};
/* The bin that question q's time falls in; it may lie outside 0 … bins - 1. */
LOOM_API int64_t loom_sequence_bin(const struct loom_sequence *s, int32_t q);
/* 1 when the bin is there and something in it was recorded and may be seen. */
LOOM_API int loom_sequence_seen(const struct loom_sequence *s, int64_t bin);
/* x [units of the recording] += weight × counts of a bin that is there. */
LOOM_API void loom_sequence_add(const struct loom_sequence *s, int64_t bin, double weight, double *x);
/* seen [units of the recording] = 1 where the bin's count may be seen; 0 everywhere for a bin that is not there. */
LOOM_API void loom_sequence_units(const struct loom_sequence *s, int64_t bin, uint8_t *seen);
/* y [dims] = targets of question q, NaN where nothing is scored. Returns how many are. */
LOOM_API int32_t loom_sequence_target(const struct loom_sequence *s, int32_t q, double *y);

/* What solve is given: sums of one pass and the state that they were added up with. */
struct loom_estimate {
    const char *asked; /* modality; NULL for loom_estimator_encode */
    const struct loom_catalog *catalog;
    const struct loom_recording *of; /* NULL for a shared estimator */
    int32_t recording, dims, folds;
    int pass;
    double *state;             /* [states] in and out */
    const double *const *sums; /* [folds][sums] of each part of the split; one for a shared estimator */
};

/* Functions get the part's instance as `self`. recording is -1 and `of` NULL where one state serves all recordings. */
struct loom_estimator {
    const char *name; /* of its memory: NAME.RECORDING, or NAME where shared */
    int shared;       /* 1: one state and one set of sums for all recordings */
    int counts;       /* 1: it is asked for counts too, and answers with log-rates; 0: for behaviours alone */
    int64_t (*states)(const void *self, const struct loom_recording *of,
                      int32_t dims); /* numbers of state, ascending in dims */
    int64_t (*sums)(const void *self, const struct loom_recording *of, int32_t dims);
    /* Numbers of scratch that add and predict get, for sequences of at most `bins` bins. It is theirs from the first
     * sequence of a node to the last, all with one state; only its first number is set to 0 before them. */
    int64_t (*scratch)(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins);
    /* [step] sums += what one sequence has to say, given the state that the last pass left (zeros before the first). */
    void (*add)(const void *self, const struct loom_sequence *s, const double *state, double *sums, double *scratch);
    /* [step] out [asks, dims], or [bins, width] in loom_estimator_encode. */
    void (*predict)(const void *self, const struct loom_sequence *s, const double *state, double *out, double *scratch);
    /* [update] New state from sums. 0 = fitted, 1 = one more pass, or a negative status. */
    int (*solve)(const void *self, const struct loom_estimate *x, struct loom_error *e);
};

/* [build] Answers to `ask`, every element in data units (log-rates for counts). x [in rows, width] is handed to
 * sequences, NULL = none. Recordings are fitted apart, in `folds` contiguous parts each (1 … 64). What the estimator is
 * not asked for (counts) is not answered. While fitting answers are 0. `e` must outlive the graph. */
LOOM_API struct loom_answer loom_estimator_answer(const struct loom_estimator *e, const void *self, int32_t folds,
                                                  struct loom_build *b, const struct loom_view *v, struct loom_node *x,
                                                  const struct loom_rows *ask);
/* [build] The same for a label: loom_sequence.dims is the number of its classes, predict gives one log-probability (but
 * for a constant) a class, loom_sequence_target the number of the class in y[0]. Anything else is not answered.
 * Sequences are of whatever rows the view shows, of one modality: bins of counts, or samples of a signal, whose values
 * stand in in->value.
 */
LOOM_API struct loom_answer loom_estimator_classes(const struct loom_estimator *e, const void *self, int32_t folds,
                                                   struct loom_build *b, const struct loom_view *v,
                                                   const struct loom_rows *ask);
/* [build] One row of `width` numbers for every row of the view's input: latents. Here predict runs while fitting, too:
 * another estimator may be fitted to them. */
LOOM_API struct loom_node *loom_estimator_encode(const struct loom_estimator *e, const void *self, struct loom_build *b,
                                                 const struct loom_view *v, int32_t width);
/* [update] Solve all that was asked for (`asked` 1, as loom_estimator_answer summed it) or encoded (0). Returns 1 where
 * any solve wants one more pass. Outside of fitting passes it does nothing. */
LOOM_API int loom_estimator_update(const struct loom_estimator *e, const void *self, int32_t folds, int asked,
                                   struct loom_update *u, struct loom_error *error);

#endif
