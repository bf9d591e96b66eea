/* SPDX-License-Identifier: Apache-2.0 */
/* Behaviour decoded from rates: the ridge regression of the Neural Latents Benchmark (eval/nlb.h) over what a run's
 * models answered. */
#ifndef LOOM_TRAIN_VELOCITY_H
#define LOOM_TRAIN_VELOCITY_H

#include "data/catalog.h"
#include "eval/predictions.h"

/* Settled, of one split. */
struct loom_velocity_part {
    const struct loom_predictions *rates; /* what a model answered of counts */
    const double *predicted;              /* [rates->n] in its place (a baseline's, NaN = no answer); NULL = its own */
    const struct loom_predictions *behavior; /* as loom_velocity_behavior gives it */
};
/* What recordings have of the behaviour `series`, lag_s later, in every bin that the windows of a selection ask: means
 * of the samples inside a bin, as targets; a bin without any has no row, one with a missing one a NaN. As everywhere,
 * what lies outside of the split's spans is not read. Every recording of the selection has the series
 * (loom_catalog_need_series). Released by the caller. LOOM_ENOMEM. */
int loom_velocity_behavior(const struct loom_selection *s, const char *series, double lag_s,
                           struct loom_predictions *out, struct loom_error *e);
/* One decoder for each recording, fitted on `train`: from the rates of all units that were asked in every bin of both
 * splits, bins to come left out, to the behaviour of the bin. Bins without one are left out. *out: what the decoders
 * say of the bins of `eval`, as settled predictions of the behaviour, released by the caller; without a row where no
 * recording has a unit or enough bins. *units: how many were read, of all recordings. LOOM_EDATA, LOOM_ENOMEM. */
int loom_velocity(const struct loom_velocity_part *train, const struct loom_velocity_part *eval,
                  struct loom_predictions *out, int64_t *units, struct loom_error *e);

#endif
