/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions, which are a list of answers, as tables of numbers. */
#ifndef LOOM_TRAIN_EXPORT_H
#define LOOM_TRAIN_EXPORT_H

#include "eval/arrays.h"
#include "eval/predictions.h"

/* One modality of one recording on one split. Rows are places in time, by trial and then time. */
struct loom_grid {
    int64_t rows, elements;     /* elements: highest number + 1 */
    int64_t trials;             /* where all trials have as many bins: how many; else 0 */
    double *time_s;             /* [rows] on the recording's clock */
    int32_t *trial;             /* [rows] */
    double *predicted, *target; /* [rows, elements], NaN = nobody asked */
    uint8_t *held;              /* [rows, elements] as in the predictions */
    int classes;                /* of a categorical modality; else 0 */
    double *chance;             /* [rows, elements, classes] probabilities, NaN = nobody asked; NULL without classes */
};

/* p is settled. A recording that was not asked anything gives no rows. LOOM_ENOMEM. */
int loom_grid_init(struct loom_grid *g, const struct loom_predictions *p, int recording, struct loom_error *e);
void loom_grid_release(struct loom_grid *g);

/* Rates of one split as a submission has them: PREFIX_rates_{heldin,heldout} and, where there are bins to come,
 * PREFIX_rates_{heldin,heldout}_forward, into group `group`. LOOM_EDATA where an element of what is seen was not asked;
 * bins to come are left out with a warning where some were not. */
int loom_export_submission(struct loom_arrays *into, const struct loom_grid *g, double bin_s, const char *group,
                           const char *prefix, struct loom_error *e);

#endif
