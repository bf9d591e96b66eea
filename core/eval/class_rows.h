/* SPDX-License-Identifier: Apache-2.0 */
/* Scored rows of a categorical likelihood as labels, guesses and probabilities. */
#ifndef LOOM_EVAL_CLASS_ROWS_H
#define LOOM_EVAL_CLASS_ROWS_H

#include "eval/classes.h"
#include "eval/tally.h"

struct loom_class_rows {
    struct loom_classes c; /* its arrays are owned here; times may be set by the caller */
    int64_t *row;          /* [c.n] number among the predictions */
};
/* A baseline answers with classes, not with probabilities, so its scores are not known. LOOM_ENOMEM. */
int loom_class_rows_init(struct loom_class_rows *r, const struct loom_scored *s, struct loom_error *e);
void loom_class_rows_release(struct loom_class_rows *r);
/* By name; confusion [classes, classes] is room to work in. NaN where it cannot be had. */
double loom_class_rows_value(const struct loom_class_rows *r, const char *metric, double *confusion);
/* "mean", "chance", "n" into out. LOOM_ENOMEM. */
int loom_class_metric(const char *metric, const struct loom_scored *s, json_t *out, struct loom_error *e);

#endif
