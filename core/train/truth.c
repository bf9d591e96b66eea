/* SPDX-License-Identifier: Apache-2.0 */
#include "train/truth.h"

#include <math.h>

int loom_truth_check(const struct loom_catalog *c, const char *series, struct loom_error *e)
{
    for (int i = 0; i < loom_catalog_count(c); i++) {
        const struct loom_recording *r = loom_catalog_recording(c, i);
        const struct loom_series *s = loom_recording_series(r, series);
        if (s == NULL)
            return loom_fail(e, LOOM_EDATA, NULL, 0,
                             "recording %s has no series '%s' of true rates: leave `truth` out, or, of a simulation, "
                             "set data.truth = true",
                             r->id, series);
        if (s->dims != r->units)
            return loom_fail(e, LOOM_EDATA, NULL, 0,
                             "series '%s' of recording %s has %d dimensions for %d units: name one of rates", series,
                             r->id, s->dims, r->units);
    }
    return LOOM_OK;
}

static double time_of(const struct loom_series *s, int64_t i)
{
    return s->time_s != NULL ? s->time_s[i] : s->start_s + (double)i / s->rate_hz;
}

/* The first sample at or after t. */
static int64_t first_from(const struct loom_series *s, double t)
{
    int64_t low = 0, high = s->samples;
    while (low < high) {
        int64_t k = low + (high - low) / 2;
        if (time_of(s, k) < t)
            low = k + 1;
        else
            high = k;
    }
    return low;
}

/* The mean of the samples inside the bin, which stand at the beginnings of steps. */
void loom_truth_column(const struct loom_catalog *c, const char *series, const struct loom_predictions *p, double *out)
{
    for (int64_t i = 0; i < p->n; i++) {
        const struct loom_predicted *row = &p->row[i];
        const struct loom_series *s = loom_recording_series(loom_catalog_recording(c, row->recording), series);
        double from = 1e-9 * (double)row->time_ns - 0.5 * p->bin_s - 1e-6, sum = 0.0;
        int64_t n = 0;
        for (int64_t k = first_from(s, from); k < s->samples && time_of(s, k) < from + p->bin_s; k++, n++)
            sum += (double)s->value[k * s->dims + row->element];
        out[i] = n > 0 ? sum / (double)n * p->bin_s : NAN;
    }
}

double loom_truth_loss(const struct loom_predictions *p, const double *expected)
{
    double sum = 0.0, mass = 0.0;
    for (int64_t i = 0; i < p->n; i++) {
        const struct loom_predicted *row = &p->row[i];
        if (row->weight == 0.0 || isnan(row->target) || isnan(expected[i]))
            continue;
        sum += row->weight * (expected[i] - row->target * log(fmax(expected[i], 1e-9)));
        mass += row->weight;
    }
    return mass > 0.0 ? sum / mass : NAN;
}
