/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the source `npz` share. */
#ifndef LOOM_NPZ_JOB_H
#define LOOM_NPZ_JOB_H

#include <loom/plugin.h>

#include "binned.h"
#include "npy.h"

struct npz_job {
    struct zip z;
    struct loom_sink *sink;
    const struct loom_options *o;
    struct loom_error *e;
    struct npy *array;   /* [arrays] in the order of the file */
    unsigned char *used; /* [arrays] 1: is something already: counts, times, a column … */
    size_t arrays;

    size_t units;
    size_t pieces, piece_bins; /* a cube of trials: slabs of so many bins; else 1 and bins */
    struct binned b;
};

int npz_starved(struct npz_job *j);
/* The array of this name, or NULL. `of` as printf: "%s.rate_hz". */
const struct npy *npz_find(struct npz_job *j, const char *fmt, ...) LOOM_PRINTF(2, 3);
/* Marks it as used, so that it is not taken for behaviour as well. */
void npz_use(struct npz_job *j, const struct npy *a);
/* The array that an option names: NULL with LOOM_OK where the option is empty, or its default is not there. LOOM_EDATA
 * with the nearest name where the user named one that is not there. */
int npz_named(struct npz_job *j, const char *option, const struct npy **out);
int npz_missing(struct npz_job *j, const char *name);
/* All values of `a`, which must be `n` (any number where n is 0), times `scale`. */
int npz_values(struct npz_job *j, const struct npy *a, size_t n, double scale, double **out);
int npz_number(struct npz_job *j, const struct npy *a, double *out); /* of an array of one value */
int npz_text(struct npz_job *j, const struct npy *a, char *out, size_t size);

int npz_counts(struct npz_job *j, const struct npy *counts);
int npz_send_units(struct npz_job *j);
int npz_tables(struct npz_job *j);
int npz_series(struct npz_job *j);

/* What `loom data convert` calls: a whole recording as an archive that needs no options. */
int npz_write(const struct loom_recording *r, const char *file, struct loom_error *e);

#endif
