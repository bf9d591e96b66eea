/* SPDX-License-Identifier: Apache-2.0 */
/* The truth beside a model: simulated recordings come with the rates that their spikes were drawn from, as a series in
 * Hz with a dimension for each unit. What these rates score is the best that an honest model can do. */
#ifndef LOOM_TRAIN_TRUTH_H
#define LOOM_TRAIN_TRUTH_H

#include "eval/predictions.h"
#include <loom/data.h>

/* Every recording has the series, with a dimension for each of its units. LOOM_EDATA. */
int loom_truth_check(const struct loom_catalog *c, const char *series, struct loom_error *e);
/* out [p->n]: the count that the true rate of each row's unit makes expect in its bin; NaN where there is no sample. */
void loom_truth_column(const struct loom_catalog *c, const char *series, const struct loom_predictions *p, double *out);
/* What a loss of counts is for these expectations: the weighed mean of λ − y ln λ. */
double loom_truth_loss(const struct loom_predictions *p, const double *expected);

#endif
