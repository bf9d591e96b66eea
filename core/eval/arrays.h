/* SPDX-License-Identifier: Apache-2.0 */
/* Named arrays with axes: what is exported of a run, and what files of other programs bring to be scored.
 *
 * Files: HDF5 (a name with '/' stands in groups; attributes `axes` and `unit` at each array, `metadata` at the file),
 * NumPy archives (.npz; the metadata are an array of bytes called `metadata`), safetensors (axes, units and metadata in
 * its header's metadata). */
#ifndef LOOM_EVAL_ARRAYS_H
#define LOOM_EVAL_ARRAYS_H

#include <loom/types.h>

enum loom_array_type { LOOM_ARRAY_F32, LOOM_ARRAY_F64, LOOM_ARRAY_I32, LOOM_ARRAY_I64, LOOM_ARRAY_U8, LOOM_ARRAY_BOOL };
enum { LOOM_ARRAY_RANK = 4 };

struct loom_array {
    char name[128]; /* "mc_maze/eval_rates_heldin" */
    char axes[64];  /* "trial,bin,unit"; "" = unknown */
    char unit[32];  /* "spikes/bin"; "" = none */
    int type;       /* enum loom_array_type */
    int rank;
    int64_t dim[LOOM_ARRAY_RANK];
    void *data; /* row-major */
    /* Of a ragged array: row i is data[first[i]] … data[first[i+1]-1], rank 1, dim the elements of all rows. */
    int64_t rows, *first; /* NULL = not ragged */
};

/* Begin with zeros. The arrays and the metadata belong to the struct. */
struct loom_arrays {
    int n;
    struct loom_array *at;
    char *metadata; /* JSON about all of them, malloc'ed; NULL = none */
};

size_t loom_array_width(int type); /* bytes of one element */
int64_t loom_array_count(const struct loom_array *a);
void loom_arrays_release(struct loom_arrays *a);
/* A new array filled with zeros, or a copy of `data`; valid until the next one is added. NULL with LOOM_ENOMEM or, for
 * a size that makes no sense, LOOM_EDATA in *e. */
struct loom_array *loom_arrays_add(struct loom_arrays *a, const char *name, int type, int rank, const int64_t *dim,
                                   const void *data, struct loom_error *e);
void loom_array_describe(struct loom_array *a, const char *axes, const char *unit);
const struct loom_array *loom_arrays_find(const struct loom_arrays *a, const char *name); /* NULL: not there */

/* The file is whole or not there. LOOM_EIO; LOOM_ECONFIG for HDF5 in a build without it. Ragged arrays are for HDF5
 * alone: LOOM_EINVAL. */
int loom_arrays_write_npz(const struct loom_arrays *a, const char *path, struct loom_error *e);
int loom_arrays_write_h5(const struct loom_arrays *a, const char *path, struct loom_error *e);
/* Every array of numbers in an HDF5 file, at any depth, floating-point as F64, bool as BOOL, whole as I64; lists of
 * varying length are ragged. Arrays of other things, and names, ranks and sizes beyond this header's, are left out.
 * LOOM_EIO, LOOM_EDATA, LOOM_ENOMEM; LOOM_ECONFIG in a build without HDF5. A damaged file can take the process down:
 * read files of strangers in one that may die. */
int loom_arrays_read_h5(struct loom_arrays *a, const char *path, struct loom_error *e);
/* What the HDF5 file `path` holds outside of group `but`, in 32 bits a number; nothing where there is no such file. */
int loom_arrays_keep(struct loom_arrays *a, const char *path, const char *but, struct loom_error *e);

#endif
