/* SPDX-License-Identifier: Apache-2.0 */
/* How far a metric can be trusted: its interval over trials, and what it is when targets belong to other trials.
 *
 * Bins of a trial hang together, so trials are what is drawn, never bins: an interval over bins is far too narrow. */
#ifndef LOOM_EVAL_TRUST_H
#define LOOM_EVAL_TRUST_H

#include "eval/metrics.h"

struct loom_trust {
    int32_t bootstrap, shuffles; /* how many of each; 0 = none */
    uint64_t seed;
    const int32_t *group; /* [p->n] each row's group within its recording, as loom_trust_groups made it */
    int trials;           /* 1: groups are trials; 0: stretches of time */
};
/* Groups of the rows of `p`: trials of the recordings' table `table`, each to the next one's start, or, where a
 * recording has no such table, stretches of block_s. recording [p's recordings]. group [p->n]; *trials as above.
 * LOOM_ENOMEM. */
int loom_trust_groups(const struct loom_predictions *p, const struct loom_recording *const *recording,
                      const char *table, double block_s, int32_t *group, int *trials, struct loom_error *e);

/* Adds to the metric's object `out`:
 *   "interval" [low, high]   95 % percentiles of the metric over resampled groups, drawn within each recording (Efron &
 *                            Tibshirani 1993); absent with fewer than two groups
 *   "resampled"              {"of": "trials" or "stretches", "groups", "draws"}
 *   "shuffle"                {"mean", "interval", "p", "n"} of the metric with targets of other trials, or, where there
 * are none, shifted around in time by 10 to 90 % of the recording; p is the chance of a shuffle as good as the model,
 * (1 + as good) / (1 + n)
 *
 * psth_r2 is of conditions: trials are drawn within each, for both sides alike (eval/psth_metric.h), and percentiles
 * are shifted by "resampled".shift, own value - mean of the draws, for drawing adds noise to mean responses; absent
 * where a recording has no condition of two trials. Its shuffles deal the trials of the model's side to conditions
 * anew. It reads no group.
 *
 * Nothing is fitted again. Work is bounded: draws beyond 2e8 sums, and shuffles beyond 5e7 rows (of psth_r2 2e8 sums),
 * are left out, which "draws" and "n" tell; 20 are always made. Functions of the seed alone. LOOM_ENOMEM. */
int loom_trust_add(const char *metric, const struct loom_predictions *p, const double *predicted,
                   const struct loom_rates *train, const struct loom_trust *how, json_t *out, struct loom_error *e);

#endif
