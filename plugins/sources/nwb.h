/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the source `nwb`. Objects are addressed by path, not by type: laboratories and schema versions disagree on
 * types, hardly ever on paths. */
#ifndef LOOM_NWB_H
#define LOOM_NWB_H

#include "h5.h"

struct nwb {
    struct h5_file h;
    const struct loom_options *o;
    double last_trial_s; /* end of the last interval; NaN = no table */
};

int nwb_units(struct nwb *w);
int nwb_tables(struct nwb *w);
int nwb_series(struct nwb *w);
/* "father/child" into `out`; -1 when it does not fit. */
int nwb_join(char out[H5_PATH], const char *father, const char *child);
/* "1.5" after "a_"; names of the columns of a value of several numbers are name_0, name_1 … */
enum { NWB_MOST_WIDE = 8 };

#endif
