/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of the Neural Latents Benchmark (Pei et al. 2021, NeurIPS Datasets and Benchmarks), number for number as its
 * evaluation has them: over plain arrays, whoever made them.
 *
 * Rates are expected counts per bin. Spikes are counts per bin, NaN where nothing is to be scored. Sums are in double.
 * Nothing is changed that the caller hands in. Every function returns LOOM_OK, LOOM_ENOMEM, LOOM_ESHAPE where arrays do
 * not fit each other, or LOOM_EDATA where upstream refuses too (a rate that is negative or NaN, NaN where a decoder
 * needs a number), with the trial, bin and unit in the message. */
#ifndef LOOM_EVAL_NLB_H
#define LOOM_EVAL_NLB_H

#include <loom/types.h>

/* Row-major [trials, bins, units], borrowed; `units` are the dimensions of a behaviour where it holds one. */
struct loom_nlb_array {
    const double *at;
    int64_t trials, bins, units;
};

/* Units of `a`, then those of `b`, of the same trials and bins (held-in beside held-out): out [trials, bins,
 * a.units + b.units]. LOOM_ESHAPE. */
int loom_nlb_beside(struct loom_nlb_array a, struct loom_nlb_array b, double *out, struct loom_error *e);

/* ---- bits per spike ---- */

/* Log-likelihoods pooled over units. Begin with zeros; each addition brings other units. */
struct loom_nlb_bits {
    double model, null; /* Poisson negative log-likelihoods, nats, ln k! left out of both */
    double spikes;
};
/* A rate of 0 counts as 1e-9. The null is each unit's mean count over the spikes that are not NaN: of what is scored,
 * not of the training. Held-out units in the window: co-smoothing; held-in and held-out units (two additions, or one of
 * both beside each other) in the bins behind it: forward prediction. */
int loom_nlb_bits_add(struct loom_nlb_bits *b, struct loom_nlb_array rates, struct loom_nlb_array spikes,
                      struct loom_error *e);
/* (null - model) / (spikes ln 2): bits per spike; NaN without spikes. */
double loom_nlb_bits(const struct loom_nlb_bits *b);

/* ---- velocity ---- */

/* Ridge regression with an intercept from rates of all units at a time to the behaviour at that time, α out of
 * 10^{-4, -3.5, …, 0} by 5-fold cross-validation on contiguous parts (folds' R² averaged; the smaller α of two alike),
 * fitted again on everything. Rows whose first behaviour column is NaN are dropped. */
struct loom_nlb_decoding {
    struct loom_nlb_array train_rates, train_behavior, eval_rates, eval_behavior;
    /* [trials, masks] 1 = this trial belongs to this decoder (area2_bump: active and passive), which has its own fit;
     * NULL with masks = 0: one decoder for all. */
    const uint8_t *train_mask, *eval_mask;
    int32_t masks;
    double alpha; /* 0: by cross-validation; else this one (1e-2 is what training monitors use) */
    /* [as eval_behavior] what the decoders say, NaN where nothing was scored; NULL: not wanted. */
    double *predicted;
};
/* *r2: over the dimensions of the behaviour, then over decoders, all alike. chosen [max(masks, 1)] may be NULL. */
int loom_nlb_velocity(const struct loom_nlb_decoding *d, double *r2, double *chosen, struct loom_error *e);

/* ---- peri-stimulus time histograms ---- */

/* Smooth one unit's counts x [n] in steps of `stride` by a Gaussian of sd bins (1 ms each), in place: int(6 sd) taps
 * that sum to 1, edges without counts. Each stretch between NaNs is smoothed by itself. */
int loom_nlb_smooth(double *x, int64_t n, int64_t stride, double sd, struct loom_error *e);
/* Sums of `factor` bins of x [n, units] into out [ceil(n / factor), units]; NaN where the first of them is NaN, other
 * NaNs count as 0. */
void loom_nlb_rebin(const double *x, int64_t n, int64_t units, int64_t factor, double *out);

struct loom_nlb_trials {
    struct loom_nlb_array smoothed; /* smoothed, rebinned spikes of every trial, train and eval */
    const int64_t *length;          /* [trials] bins that a trial has; NULL = all */
    int at_end;                     /* 1: trials end together, at the last bin, and shorter ones lack bins in front */
    const int64_t *condition;       /* [trials] < 0 = in none */
    int64_t conditions;
};
/* Mean of each condition's trials: psth [conditions, smoothed.bins, units], NaN beyond its shortest trial. Trials
 * shorter than 0.8 of their condition's mean length are left out: kept [trials] (may be NULL) is 0 for them and for
 * those in no condition. */
int loom_nlb_psth(const struct loom_nlb_trials *t, double *psth, uint8_t *kept, struct loom_error *e);
/* psth [conditions, bins, units]; rates [trials, bins, units] of the eval split; the eval trials of condition c are
 * trial[first[c]] … trial[first[c+1]-1], none = the condition is skipped. jitter [trials] (NULL = 0): rates are shifted
 * so many bins to the right. Bins where unit 0 of the histogram is NaN are dropped; conditions × bins are one stack; R²
 * of each unit over it, averaged over units alike. A unit without variation scores 0, 1 if it is met exactly. */
int loom_nlb_psth_r2(struct loom_nlb_array psth, struct loom_nlb_array rates, const int64_t *first,
                     const int64_t *trial, const int64_t *jitter, double *r2, struct loom_error *e);

/* ---- produced interval (dmfc_rsg) ---- */

/* Speed of a trial: mean distance of the rates of neighbouring bins, over bins where unit 0 of the held-out spikes is
 * not NaN. behavior [trials, 1, columns]: the first three name the group (trials with NaN in all of them are in none),
 * the last is the produced interval. *r: Pearson's r of speed and interval in each group, averaged. */
int loom_nlb_tp(struct loom_nlb_array heldout_spikes, struct loom_nlb_array rates, struct loom_nlb_array behavior,
                double *r, struct loom_error *e);

/* ---- R² as scikit-learn defines it ---- */

/* y, predicted [n, dims] without NaN. Uniform mean of R² over dimensions. A dimension that does not vary scores 0, or 1
 * where it is predicted exactly. NaN with fewer than two rows. */
double loom_nlb_r2(const double *y, const double *predicted, int64_t n, int64_t dims);

#endif
