/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/nlb.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* y [n] = x convolved with the window [taps], of which the middle n values of all n + taps - 1 are kept. */
static void convolve(const double *x, int64_t n, const double *window, int64_t taps, double *y)
{
    int64_t back = (taps - 1) / 2;
    memset(y, 0, (size_t)n * sizeof *y);
    for (int64_t i = 0; i < n; i++) {
        if (x[i] == 0.0)
            continue;
        int64_t from = i - back > 0 ? i - back : 0, end = i - back + taps < n ? i - back + taps : n;
        for (int64_t k = from; k < end; k++)
            y[k] += x[i] * window[k - i + back];
    }
}

int loom_nlb_smooth(double *x, int64_t n, int64_t stride, double sd, struct loom_error *e)
{
    int64_t taps = sd > 0.0 && sd < 1e6 ? (int64_t)(6.0 * sd) : 0;
    double total = 0.0;
    if (taps < 1)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "a Gaussian of %g bins has no taps: give at least 0.2 bins", sd);
    double *window = malloc((size_t)(taps + 2 * n + 1) * sizeof *window);
    if (window == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to smooth %lld bins; free some", (long long)n);
    double *in = window + taps, *out = in + n;
    for (int64_t k = 0; k < taps; k++) {
        double z = ((double)k - 0.5 * (double)(taps - 1)) / sd;
        total += window[k] = exp(-0.5 * z * z);
    }
    for (int64_t k = 0; k < taps; k++)
        window[k] /= total;
    for (int64_t from = 0, end; from < n; from = end + 1) {
        for (end = from; end < n && !isnan(x[end * stride]); end++)
            in[end] = x[end * stride];
        convolve(in + from, end - from, window, taps, out + from);
        for (int64_t i = from; i < end; i++)
            x[i * stride] = out[i];
    }
    free(window);
    return LOOM_OK;
}

void loom_nlb_rebin(const double *x, int64_t n, int64_t units, int64_t factor, double *out)
{
    for (int64_t k = 0; k * factor < n; k++)
        for (int64_t u = 0; u < units; u++) {
            double sum = 0.0;
            for (int64_t i = k * factor; i < n && i < (k + 1) * factor; i++)
                sum += isnan(x[i * units + u]) ? 0.0 : x[i * units + u];
            out[k * units + u] = isnan(x[k * factor * units + u]) ? NAN : sum;
        }
}

/* ---- histograms ---- */

static int64_t length_of(const struct loom_nlb_trials *t, int64_t i)
{
    return t->length != NULL ? t->length[i] : t->smoothed.bins;
}

/* Is the trial of the condition and not less than 0.8 of its mean length? Returns the shortest of those; 0 = none. */
static int64_t select_trials(const struct loom_nlb_trials *t, int64_t condition, uint8_t *use)
{
    double sum = 0.0, n = 0.0;
    int64_t shortest = 0;
    for (int64_t i = 0; i < t->smoothed.trials; i++)
        if (t->condition[i] == condition) {
            sum += (double)length_of(t, i);
            n += 1.0;
        }
    for (int64_t i = 0; i < t->smoothed.trials; i++) {
        int64_t length = length_of(t, i);
        use[i] = t->condition[i] == condition && (double)length >= 0.8 * (sum / n);
        if (use[i] && (shortest == 0 || length < shortest))
            shortest = length;
    }
    return shortest;
}

static void average(const struct loom_nlb_trials *t, const uint8_t *use, int64_t length, double *psth)
{
    int64_t bins = t->smoothed.bins, units = t->smoothed.units, from = t->at_end ? bins - length : 0;
    for (int64_t at = 0; at < bins * units; at++) {
        double sum = 0.0, n = 0.0;
        int64_t bin = at / units;
        for (int64_t i = 0; bin >= from && bin < from + length && i < t->smoothed.trials; i++) {
            double x = t->smoothed.at[i * bins * units + at];
            if (use[i] && !isnan(x)) {
                sum += x;
                n += 1.0;
            }
        }
        psth[at] = n > 0.0 ? sum / n : NAN;
    }
}

int loom_nlb_psth(const struct loom_nlb_trials *t, double *psth, uint8_t *kept, struct loom_error *e)
{
    int64_t trials = t->smoothed.trials;
    for (int64_t i = 0; i < trials; i++)
        if (t->condition[i] >= t->conditions || length_of(t, i) < 0 || length_of(t, i) > t->smoothed.bins)
            return loom_fail(e, LOOM_ESHAPE, NULL, 0,
                             "trial %lld has condition %lld of %lld and %lld of %lld bins: both must be less",
                             (long long)i, (long long)t->condition[i], (long long)t->conditions,
                             (long long)length_of(t, i), (long long)t->smoothed.bins);
    uint8_t *use = calloc((size_t)trials + 1, sizeof *use);
    if (use == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %lld trials; free some", (long long)trials);
    if (kept != NULL)
        memset(kept, 0, (size_t)trials);
    for (int64_t c = 0; c < t->conditions; c++) {
        int64_t length = select_trials(t, c, use);
        average(t, use, length, psth + c * t->smoothed.bins * t->smoothed.units);
        for (int64_t i = 0; i < trials && kept != NULL; i++)
            kept[i] |= use[i];
    }
    free(use);
    return LOOM_OK;
}

/* ---- their score ---- */

/* Mean rates of a condition in bin `bin` into out [units]. */
static int mean_rates(struct loom_nlb_array rates, const int64_t *trial, int64_t n, const int64_t *jitter, int64_t bin,
                      double *out, struct loom_error *e)
{
    memset(out, 0, (size_t)rates.units * sizeof *out);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = bin - (jitter != NULL ? jitter[trial[i]] : 0);
        const double *row = rates.at + (trial[i] * rates.bins + from) * rates.units;
        for (int64_t u = 0; u < rates.units; u++) {
            if (from < 0 || from >= rates.bins || isnan(row[u]))
                return loom_fail(
                    e, LOOM_EDATA, NULL, 0,
                    "unit %lld of trial %lld has no rate in bin %lld (shifted by its jitter), where there is "
                    "a histogram: every such bin needs one",
                    (long long)u, (long long)trial[i], (long long)bin);
            out[u] += row[u] / (double)n;
        }
    }
    return LOOM_OK;
}

int loom_nlb_psth_r2(struct loom_nlb_array psth, struct loom_nlb_array rates, const int64_t *first,
                     const int64_t *trial, const int64_t *jitter, double *r2, struct loom_error *e)
{
    int64_t units = psth.units, rows = 0;
    if (psth.bins != rates.bins || units != rates.units || units < 1)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0,
                         "histograms of %lld bins and %lld units, rates of %lld and %lld: they must be the same",
                         (long long)psth.bins, (long long)units, (long long)rates.bins, (long long)rates.units);
    for (int64_t i = 0; i < first[psth.trials]; i++)
        if (trial[i] < 0 || trial[i] >= rates.trials)
            return loom_fail(e, LOOM_ESHAPE, NULL, 0, "a condition names trial %lld of %lld: there is none",
                             (long long)trial[i], (long long)rates.trials);
    size_t size = (size_t)(psth.trials * psth.bins * units);
    double *y = malloc((2 * size + 1) * sizeof *y), *predicted = y != NULL ? y + size : NULL;
    int code = y != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for histograms; free some");
    for (int64_t c = 0; c < psth.trials && code == LOOM_OK; c++)
        for (int64_t k = 0; k < psth.bins && first[c + 1] > first[c] && code == LOOM_OK; k++) {
            const double *row = psth.at + (c * psth.bins + k) * units;
            if (isnan(row[0]))
                continue;
            memcpy(y + rows * units, row, (size_t)units * sizeof *y);
            code = mean_rates(rates, trial + first[c], first[c + 1] - first[c], jitter, k, predicted + rows * units, e);
            rows++;
        }
    *r2 = code == LOOM_OK ? loom_nlb_r2(y, predicted, rows, units) : NAN;
    free(y);
    return code;
}
