/* SPDX-License-Identifier: Apache-2.0 */
/* Series of an NWB file at another, slower step. */
#include "nwb.h"

#include <math.h>
#include <stdlib.h>

static double time_of(const struct nwb_regular *in, int64_t i)
{
    return in->time != NULL ? in->time[i] : in->start_s + (double)i / in->rate_hz;
}

/* The smallest distance of neighbours, to the microsecond. */
static double step_of(const struct nwb_regular *in)
{
    double step = in->time == NULL ? 1 / in->rate_hz : INFINITY;
    for (int64_t i = 1; in->time != NULL && i < in->samples; i++)
        step = in->time[i] > in->time[i - 1] && in->time[i] - in->time[i - 1] < step ? in->time[i] - in->time[i - 1]
                                                                                     : step;
    return rint(step * 1e6) * 1e-6;
}

/* Numbers of the samples on a grid of that step from the clock's 0; 0: some sample stands beside it. */
static int place(const struct nwb_regular *in, double step, int64_t grid, int64_t *at)
{
    for (int64_t i = 0; i < in->samples; i++) {
        const double k = time_of(in, i) / step;
        at[i] = (int64_t)rint(k);
        if (!(fabs(k - rint(k)) < 1e-3) || at[i] < 0 || at[i] >= grid)
            return 0;
    }
    return 1;
}

/* The grid reaches from the clock's 0 to the end of what was observed, as the benchmark lays it: its end is where the
 * filter finds nothing any more. */
static int64_t grid_of(const struct nwb *w, const struct nwb_regular *in, double step)
{
    const double end = isnan(w->last_observed_s) ? w->last_trial_s : w->last_observed_s;
    const double most = fmax(end, time_of(in, in->samples - 1) + step);
    return most / step < 1e10 ? (int64_t)rint(most / step) : 0;
}

static int decimate_all(struct nwb *w, const struct nwb_regular *in, const int64_t *at, int64_t grid, int64_t q,
                        float **out)
{
    const int64_t n = (grid + q - 1) / q;
    double *x = malloc((size_t)grid * sizeof *x), *y = malloc((size_t)n * sizeof *y);
    int status = x != NULL && y != NULL ? LOOM_OK : h5_starved(&w->h);
    *out = status == LOOM_OK ? malloc((size_t)(n * in->dims) * sizeof **out) : NULL;
    if (status == LOOM_OK && *out == NULL)
        status = h5_starved(&w->h);
    for (int64_t d = 0; d < in->dims && status == LOOM_OK; d++) {
        for (int64_t i = 0; i < grid; i++)
            x[i] = NAN;
        for (int64_t i = 0; i < in->samples; i++)
            x[at[i]] = in->value[i * in->dims + d];
        if (loom_decimate(x, grid, q, y) != LOOM_OK)
            status = h5_starved(&w->h);
        for (int64_t i = 0; i < n && status == LOOM_OK; i++)
            (*out)[i * in->dims + d] = (float)y[i];
    }
    free(x);
    free(y);
    return status;
}

int nwb_resample(struct nwb *w, const struct nwb_regular *in, float **out, int64_t *n)
{
    const double wanted = 1e-3 * loom_opt_real(w->o, "resample_ms"), step = in->samples > 1 ? step_of(in) : 0;
    const int64_t q = step > 0 && wanted / step < 1e6 ? (int64_t)rint(wanted / step) : 0;
    const int64_t grid = q >= 2 ? grid_of(w, in, step) : 0;
    *out = NULL;
    if (q < 2 || fabs(wanted / step - (double)q) > 1e-6 || grid < 1)
        return 1;
    int64_t *at = malloc(((size_t)in->samples + 1) * sizeof *at);
    int status = at != NULL ? LOOM_OK : h5_starved(&w->h);
    if (status == LOOM_OK && !place(in, step, grid, at))
        status = 1;
    if (status == LOOM_OK)
        status = decimate_all(w, in, at, grid, q, out);
    *n = (grid + q - 1) / q;
    free(at);
    if (status != LOOM_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}
