/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the source `nwb`. Objects are addressed by path, not by type: laboratories and schema versions disagree on
 * types, hardly ever on paths. */
#ifndef LOOM_NWB_H
#define LOOM_NWB_H

#include "h5.h"

struct nwb {
    struct h5_file h;
    const struct loom_options *o;
    double last_trial_s;    /* end of the last interval; NaN = no table */
    double last_observed_s; /* end of the last observed interval; NaN = none is given */
};

int nwb_units(struct nwb *w);
int nwb_tables(struct nwb *w);
int nwb_series(struct nwb *w);
/* A series at multiples of resample_ms. samples at time[i] (ascending) or start_s + i / rate_hz. 1: its own times are
 * no multiples of one step that fits, so it stays as it is. */
struct nwb_regular {
    int64_t samples, dims;
    const double *time;
    double start_s, rate_hz;
    const float *value; /* [samples, dims] */
};
int nwb_resample(struct nwb *w, const struct nwb_regular *in, float **out, int64_t *n);
/* Most numbers that one value of a column may have: they become columns name_0, name_1 … */
enum { NWB_MOST_WIDE = 8 };

#endif
