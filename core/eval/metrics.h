/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of settled predictions: one object for each, as it stands in metrics.json. docs/metrics.md defines them.
 *
 * An element counts where its weight is not 0 and its target is a number. Recordings are scored by themselves and then
 * averaged, each with the same weight; dimensions likewise ("mean"). Sums are in double, in the order of the rows.
 *
 *   r2                 1 - Σ(y-ŷ)²/Σ(y-ȳ)² with the split's own mean ȳ; a dimension that does not vary is left out.
 *                      "variance_weighted" pools the sums over dimensions
 *   mse, correlation   mean squared error; Pearson's r
 *   bits_per_spike     (NLL_null - NLL_model) / (ln 2 · spikes), Poisson (Pei et al. 2021, Neural Latents Benchmark);
 *                      its null and its parts: below
 *   co_bps, fp_bps     the benchmark's co-smoothing and forward prediction: the same over held-out units inside
 *                      windows, over all units in forward bins; the null is the split's own
 *   poisson_nll        mean over elements of rate - y ln rate + ln y!
 *   psth_r2            of mean responses to conditions: eval/psth_metric.h
 *   vel_r2             r2 of a behaviour that is decoded from rates, which takes the train split too: train/velocity.h
 *   accuracy, balanced_accuracy, kappa, weighted_f1, auroc, auprc, cross_entropy   of a categorical likelihood
 *
 * Bits per spike: the null is each unit's mean count. "mean" takes it from the training split, "mean_split_null" from
 * the split that is scored, which is the benchmark's. "null" says which "mean" used: "train", or "split" where training
 * rates are not known. "held_out": the same over held-out elements alone.
 *
 * "chance" is what a model that knows the split's means or class frequencies and nothing else scores. */
#ifndef LOOM_EVAL_METRICS_H
#define LOOM_EVAL_METRICS_H

#include "base/json.h"
#include "eval/predictions.h"

#include <loom/data.h>

/* Mean counts per bin of the training split, by recording and unit. */
struct loom_rates {
    int32_t recordings;
    const int32_t *first; /* [recordings+1] */
    const double *rate;   /* [units of all recordings]; NaN where nothing was observed */
};
/* Reads every training window once. LOOM_EDATA, LOOM_ENOMEM. The caller calls loom_rates_release. */
int loom_rates_init(struct loom_rates *r, const struct loom_catalog *c, struct loom_error *e);
void loom_rates_release(struct loom_rates *r);

const char *const *loom_metric_names(void); /* NULL-ended */
/* What a metric is made of, one of four: sums over elements, which a struct loom_tally holds; classes; mean responses
 * to conditions (eval/psth_metric.h); what a decoder of the rates says (train/velocity.h), which loom_metric refuses.
 */
int loom_metric_has_sums(const char *metric);
int loom_metric_of_classes(const char *metric);
int loom_metric_of_responses(const char *metric);
int loom_metric_of_decoder(const char *metric);
/* Can it be computed for elements of this likelihood? 0 as well for a name that is no metric. */
int loom_metric_fits(const char *metric, const char *likelihood);
/* Is a larger value better? `key`: a metric, or METRIC.MODALITY as metrics.json may have it. */
int loom_metric_rises(const char *key);
/* `predicted` [p->n] stands in for the predictions of `p` (a baseline's, NaN = no answer, not scored); NULL = its own.
 * `train` may be NULL. *out is the caller's (json_decref). LOOM_ECONFIG: no such metric, with the nearest name, or one
 * that does not fit the likelihood. */
int loom_metric(const char *metric, const struct loom_predictions *p, const double *predicted,
                const struct loom_rates *train, json_t **out, struct loom_error *e);
/* "mean" of what the sums `total` [recordings, elements] of a tally amount to; NaN where there is none. null
 * [recordings, elements]: sums whose means are the null model of bits per spike, NULL = total. A bootstrap gives those
 * of all groups: a null fitted to each resample anew knows its few trials too well, and intervals would lie too low. */
struct loom_scored;
struct loom_tally;
struct loom_cell;
double loom_metric_of_sums(const char *metric, const struct loom_scored *s, const struct loom_tally *t,
                           const struct loom_cell *total, const struct loom_cell *null);
/* Rows of the metric: enum loom_held or one of LOOM_HELD_ALL, LOOM_HELD_ANY. */
int loom_metric_rows(const char *metric);
/* The number "mean" of such an object; NaN for null or absent. */
double loom_metric_mean(const json_t *metric);

/* The metrics of a split as lines of a table for a terminal: this model, its baselines, chance and shuffles. */
void loom_metrics_tell(json_t *split, void (*line)(void *payload, const char *text), void *payload);

/* ---- regression sums, shifted by y0 and p0 (any values near the data) so that an offset costs no digits ---- */
struct loom_regression {
    int64_t n;
    double y0, p0, y, yy, p, pp, yp, error; /* sums of y-y0, its square, …; of (y-ŷ)² */
};
void loom_regression_add(struct loom_regression *r, double target, double predicted);
double loom_regression_r2(const struct loom_regression *r);          /* NaN when y does not vary */
double loom_regression_variation(const struct loom_regression *r);   /* Σ(y-ȳ)² */
double loom_regression_correlation(const struct loom_regression *r); /* NaN when either does not vary */

#endif
