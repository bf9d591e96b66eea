/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/nlb.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int loom_nlb_beside(struct loom_nlb_array a, struct loom_nlb_array b, double *out, struct loom_error *e)
{
    if (a.trials != b.trials || a.bins != b.bins)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0,
                         "%lld trials of %lld bins beside %lld of %lld: both must have the same trials and bins",
                         (long long)a.trials, (long long)a.bins, (long long)b.trials, (long long)b.bins);
    for (int64_t i = 0; i < a.trials * a.bins; i++) {
        double *row = out + i * (a.units + b.units);
        memcpy(row, a.at + i * a.units, (size_t)a.units * sizeof *row);
        memcpy(row + a.units, b.at + i * b.units, (size_t)b.units * sizeof *row);
    }
    return LOOM_OK;
}

/* ---- bits per spike ---- */

static const double least_rate = 1e-9; /* in place of 0 */

static double log_loss(double rate, double count)
{
    double r = rate == 0.0 ? least_rate : rate;
    return r - count * log(r);
}

static int bad_rate(struct loom_nlb_array a, int64_t i, struct loom_error *e)
{
    return loom_fail(
        e, LOOM_EDATA, NULL, 0,
        "the rate of unit %lld in bin %lld of trial %lld is %g: rates are expected counts a bin, 0 or more",
        (long long)(i % a.units), (long long)(i / a.units % a.bins), (long long)(i / a.units / a.bins), a.at[i]);
}

static int same_shape(struct loom_nlb_array a, struct loom_nlb_array b, const char *what, struct loom_error *e)
{
    if (a.trials == b.trials && a.bins == b.bins && a.units == b.units)
        return LOOM_OK;
    return loom_fail(e, LOOM_ESHAPE, NULL, 0,
                     "%s are [%lld, %lld, %lld], what they are scored on [%lld, %lld, %lld]: they must be for the same "
                     "trials, bins and units",
                     what, (long long)a.trials, (long long)a.bins, (long long)a.units, (long long)b.trials,
                     (long long)b.bins, (long long)b.units);
}

int loom_nlb_bits_add(struct loom_nlb_bits *b, struct loom_nlb_array rates, struct loom_nlb_array spikes,
                      struct loom_error *e)
{
    int code = same_shape(rates, spikes, "rates", e);
    int64_t rows = rates.trials * rates.bins, units = rates.units;
    struct loom_nlb_bits sum = *b;
    for (int64_t u = 0; u < units && code == LOOM_OK; u++) {
        double counts = 0.0, n = 0.0;
        for (int64_t i = u; i < rows * units && code == LOOM_OK; i += units) {
            if (isnan(spikes.at[i]))
                continue;
            if (!(rates.at[i] >= 0.0))
                code = bad_rate(rates, i, e);
            sum.model += log_loss(rates.at[i], spikes.at[i]);
            counts += spikes.at[i];
            n += 1.0;
        }
        if (n > 0.0)
            sum.null += n * log_loss(counts / n, counts / n);
        sum.spikes += counts;
    }
    if (code == LOOM_OK)
        *b = sum;
    return code;
}

double loom_nlb_bits(const struct loom_nlb_bits *b)
{
    return b->spikes > 0.0 ? (b->null - b->model) / (b->spikes * log(2.0)) : NAN;
}

/* ---- R² ---- */

double loom_nlb_r2(const double *y, const double *predicted, int64_t n, int64_t dims)
{
    double uniform = 0.0;
    for (int64_t d = 0; d < dims; d++) {
        double mean = 0.0, error = 0.0, variation = 0.0;
        int varies = 0;
        for (int64_t i = d; i < n * dims; i += dims) {
            mean += y[i] / (double)n;
            varies |= y[i] != y[d];
        }
        for (int64_t i = d; i < n * dims; i += dims) {
            variation += (y[i] - mean) * (y[i] - mean);
            error += (y[i] - predicted[i]) * (y[i] - predicted[i]);
        }
        uniform += (error == 0.0 ? 1.0 : varies ? 1.0 - error / variation : 0.0) / (double)dims;
    }
    return n < 2 ? NAN : uniform;
}

/* ---- produced interval ---- */

static double trial_speed(struct loom_nlb_array spikes, struct loom_nlb_array rates, int64_t trial)
{
    const double *before = NULL;
    double sum = 0.0;
    int64_t steps = 0;
    for (int64_t k = 0; k < rates.bins; k++) {
        const double *now = rates.at + (trial * rates.bins + k) * rates.units;
        double square = 0.0;
        if (isnan(spikes.at[(trial * spikes.bins + k) * spikes.units]))
            continue;
        for (int64_t u = 0; before != NULL && u < rates.units; u++)
            square += (now[u] - before[u]) * (now[u] - before[u]);
        sum += sqrt(square);
        steps += before != NULL;
        before = now;
    }
    return steps > 0 ? sum / (double)steps : NAN;
}

static double correlation(const double *x, const double *y, int64_t n)
{
    double mx = 0.0, my = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
    for (int64_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0.0 && yy > 0.0 ? xy / (sqrt(xx) * sqrt(yy)) : NAN;
}

enum { GROUP_COLUMNS = 3 };

static int same_group(const double *a, const double *b)
{
    for (int k = 0; k < GROUP_COLUMNS; k++)
        if (a[k] != b[k])
            return 0;
    return 1;
}

/* Trials of the group of trial `first` into x, y; 0 when an earlier trial is of it already, -1 when one of its columns
 * alone is NaN, so that it has no group. */
static int64_t gather_group(struct loom_nlb_array behavior, struct loom_nlb_array spikes, struct loom_nlb_array rates,
                            int64_t first, double *x, double *y)
{
    const double *own = behavior.at + first * behavior.units;
    int64_t n = 0;
    int missing = isnan(own[0]) + isnan(own[1]) + isnan(own[2]);
    if (missing > 0)
        return missing < GROUP_COLUMNS ? -1 : 0;
    for (int64_t i = 0; i < first; i++)
        if (same_group(behavior.at + i * behavior.units, own))
            return 0;
    for (int64_t i = first; i < behavior.trials; i++) {
        const double *row = behavior.at + i * behavior.units;
        if (!same_group(row, own))
            continue;
        x[n] = trial_speed(spikes, rates, i);
        y[n++] = row[behavior.units - 1];
    }
    return n;
}

int loom_nlb_tp(struct loom_nlb_array heldout_spikes, struct loom_nlb_array rates, struct loom_nlb_array behavior,
                double *r, struct loom_error *e)
{
    int64_t trials = rates.trials, groups = 0;
    double sum = 0.0;
    if (behavior.units < GROUP_COLUMNS + 1 || behavior.bins != 1 || behavior.trials != trials ||
        heldout_spikes.trials != trials || heldout_spikes.bins != rates.bins || heldout_spikes.units < 1)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0,
                         "rates of %lld trials, held-out spikes of %lld, behaviour [%lld, %lld, %lld]: one row of at "
                         "least %d columns a trial is needed",
                         (long long)trials, (long long)heldout_spikes.trials, (long long)behavior.trials,
                         (long long)behavior.bins, (long long)behavior.units, GROUP_COLUMNS + 1);
    double *x = calloc((size_t)trials + 1, sizeof *x), *y = calloc((size_t)trials + 1, sizeof *y);
    int code = x != NULL && y != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for speeds; free some");
    for (int64_t i = 0; i < trials && code == LOOM_OK; i++) {
        int64_t n = gather_group(behavior, heldout_spikes, rates, i, x, y);
        if (n == 1 || n < 0)
            code = loom_fail(e, LOOM_EDATA, NULL, 0,
                             "trial %lld is %s: no correlation can be had of it; set its behaviour to NaN",
                             (long long)i, n < 0 ? "of a group with NaN in its name" : "alone in its group");
        sum += n > 1 ? correlation(x, y, n) : 0.0;
        groups += n > 1;
    }
    free(x);
    free(y);
    *r = groups > 0 ? sum / (double)groups : NAN;
    return code;
}
