/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the source `mat` share while they read one file. */
#ifndef LOOM_MAT_JOB_H
#define LOOM_MAT_JOB_H

#include "binned.h"
#include "mat_file.h"

/* A stretch of counts as it lies in the file: one matrix, one cell, one field of a struct array, one slab of a cube. */
struct mat_piece {
    size_t value;  /* in the list of counts; also the trial's number in the file */
    size_t offset; /* of the slab, in elements */
    size_t bins, first_bin;
};

struct mat_job {
    struct mat_file m;
    struct loom_sink *sink;
    const struct loom_options *o;
    struct loom_error *e;
    const char *file, *path; /* path of the counts or spike times */

    struct mat_list counts;
    size_t unit_stride_rows; /* 1: units are rows (elements of a bin are neighbours), 0: units are columns */
    size_t units_all, units;
    size_t *keep; /* [units] numbers in the file */
    struct mat_piece *piece;
    size_t pieces, values; /* values: elements of the list or slabs, empty ones included */

    struct binned b;
};

/* Whether the user named this path, or its default is there. 0: absent. */
int mat_wants(struct mat_job *j, const char *option);
int mat_starved(struct mat_job *j);
int mat_take_series(struct mat_job *j);  /* series of the bins */
int mat_take_columns(struct mat_job *j); /* columns of the table begun last */

#endif
