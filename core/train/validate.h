/* SPDX-License-Identifier: Apache-2.0 */
/* Validation while training: the loss, or a metric, on windows of the validation split that stay the same. */
#ifndef LOOM_TRAIN_VALIDATE_H
#define LOOM_TRAIN_VALIDATE_H

#include "eval/metrics.h"
#include "train/runner.h"

struct loom_validation {
    struct loom_stepper *stepper; /* borrowed */
    struct loom_model *model;     /* borrowed */
    const struct loom_catalog *catalog;
    int windows, arity, batch; /* windows 0: the split is empty */
    struct loom_sample *sample;
    const char *metric; /* NULL: the loss */
    const char *series; /* of true rates; NULL: none */
    double truth;       /* what they score on these windows; NaN: not known */
};

/* `monitor` of a stage is loss or a metric. LOOM_ECONFIG. */
int loom_validation_check(const struct loom_stage *s, struct loom_error *e);
int loom_validation_init(struct loom_validation *v, const struct loom_runner *r, const struct loom_stage *s,
                         struct loom_model *m, struct loom_stepper *stepper, int arity, int batch,
                         struct loom_error *e);
void loom_validation_release(struct loom_validation *v);
/* *value: smaller is better (a metric where larger is better comes negated). */
int loom_validation_run(struct loom_validation *v, double *value, struct loom_error *e);
double loom_validation_shown(const struct loom_validation *v, double value); /* with the sign people know */

#endif
