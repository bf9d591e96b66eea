/* SPDX-License-Identifier: Apache-2.0 */
/* What runs must have in common for their metrics to be compared: identity.json in a run's folder. */
#ifndef LOOM_TRAIN_IDENTITY_H
#define LOOM_TRAIN_IDENTITY_H

#include "base/json.h"
#include "train/run.h"

/* A flat object, path → value as text: what the pipeline says of data, splits and evaluation, and checksums of what the
 * recordings hold and of the spans they were cut into. *out is the caller's (json_decref). */
int loom_identity_of(json_t **out, const struct loom_running *x, struct loom_error *e);
/* identity.json in the run's folder, unless it is there: a run stays what it was begun as. */
int loom_identity_write(const struct loom_running *x, struct loom_error *e);

#endif
