/* SPDX-License-Identifier: Apache-2.0 */
/* Behaviour decoded from rates: the ridge regression of the Neural Latents Benchmark (eval/nlb.h) over what a run's
 * models answered. */
#ifndef LOOM_TRAIN_VELOCITY_H
#define LOOM_TRAIN_VELOCITY_H

#include "eval/predictions.h"

/* Settled answers of one split. */
struct loom_velocity_part {
    const struct loom_predictions *rates, *behavior; /* of counts; of the behaviour, whose targets alone are read */
    const double *predicted; /* [rates->n] in place of the rates (a baseline's, NaN = no answer); NULL = its own */
};
/* One decoder for each recording, fitted on `train`: from the rates of all units that were asked in every bin of both
 * splits, bins to come left out, to the mean of the behaviour's samples inside the bin. Bins without a sample, or with
 * one that is missing or not scored, are left out. *out: what the decoders say of the bins of `eval`, as settled
 * predictions of the behaviour, released by the caller; without a row where no recording has a unit or enough bins.
 * *units: how many were read, of all recordings. LOOM_EDATA, LOOM_ENOMEM. */
int loom_velocity(const struct loom_velocity_part *train, const struct loom_velocity_part *eval,
                  struct loom_predictions *out, int64_t *units, struct loom_error *e);

#endif
