/* SPDX-License-Identifier: Apache-2.0 */
/* R² of mean responses: how well a model's rates, averaged over the trials of a condition, follow the counts that are
 * averaged alike. The benchmark's definition (eval/nlb.h) over what a run's predictions hold: trials of the scored
 * split alone, counts smoothed in bins, by 50 ms. */
#ifndef LOOM_EVAL_PSTH_METRIC_H
#define LOOM_EVAL_PSTH_METRIC_H

#include "eval/tally.h"

#include <loom/rng.h>

/* "mean", "chance" and "n" (trials that are averaged) into out; mean null where no trial has a condition, or no unit
 * was asked in all bins. Bins to come are left out. The predictions know their trials (p->trial). LOOM_ENOMEM. */
int loom_psth_metric(const struct loom_scored *s, json_t *out, struct loom_error *e);

/* The same, to be scored over other draws of the trials. Which trials count, and how far a condition's mean response
 * reaches, stays as for all of them. */
struct loom_psth;
enum loom_psth_draw {
    LOOM_PSTH_AS_IT_IS,
    LOOM_PSTH_RESAMPLED, /* each condition's trials drawn from among them with replacement, for both sides alike, their
                          * deviation widened by √(n/(n - 1)); a condition of one trial has that of another */
    LOOM_PSTH_SHUFFLED,  /* the model's trials dealt to the conditions anew: its mean responses are of others */
};
/* LOOM_ENOMEM. The caller calls loom_psth_free. */
int loom_psth_new(struct loom_psth **out, const struct loom_scored *s, struct loom_error *e);
void loom_psth_free(struct loom_psth *x);
/* "mean" of a draw, which takes from `rng` (NULL as it is). NaN where there is none. */
double loom_psth_score(struct loom_psth *x, enum loom_psth_draw draw, struct loom_rng *rng);
/* Trials that are averaged; 1 if every recording has a condition of two or more; numbers that one score adds up. */
void loom_psth_size(const struct loom_psth *x, int64_t *trials, int *drawn, double *work);

#endif
