/* SPDX-License-Identifier: Apache-2.0 */
/* R² of mean responses: how well a model's rates, averaged over the trials of a condition, follow the counts that are
 * averaged alike. The benchmark's definition (eval/nlb.h) over what a run's predictions hold: trials of the scored
 * split alone, counts smoothed in bins, by 50 ms. */
#ifndef LOOM_EVAL_PSTH_METRIC_H
#define LOOM_EVAL_PSTH_METRIC_H

#include "eval/tally.h"

/* "mean", "chance" and "n" (trials) into out; mean null where no trial has a condition, or no unit was asked in all
 * bins. Bins to come are left out. The predictions know their trials (p->trial). LOOM_ENOMEM. */
int loom_psth_metric(const struct loom_scored *s, json_t *out, struct loom_error *e);

#endif
