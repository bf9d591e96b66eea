/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of an HDF5 file as temporaldata writes it. The first failure sticks: later calls do nothing. */
#ifndef LOOM_BRAINSET_OUT_H
#define LOOM_BRAINSET_OUT_H

#include <loom/plugin.h>

#include <hdf5.h>

struct out {
    hid_t file;
    const char *name;
    int failed;
    hsize_t observed; /* domain of the recording, which every "Data" on the way to a group gets as its own */
    const double *observed_s;
};

/* A group, with those above it, and its attribute `object`; a nested "Data" gets its absolute_start. What holds things
 * of time has a domain, or temporaldata does not open the file. */
void out_group(struct out *o, const char *path, const char *object);
int out_exists(struct out *o, const char *path);
void out_attr_text(struct out *o, const char *path, const char *key, const char *text);
void out_attr_real(struct out *o, const char *path, const char *key, double x);
/* List of words in ASCII, as `timekeys` and `_unicode_keys` are; n may be 0. */
void out_attr_keys(struct out *o, const char *path, const char *key, size_t n, const char *const *words);

/* A dataset [rows, row] (row 0: one axis) to be written piece by piece, then closed. */
hid_t out_begin(struct out *o, const char *path, hid_t disk, hsize_t rows, hsize_t row);
void out_rows(struct out *o, hid_t set, hid_t memory, hsize_t from, hsize_t n, hsize_t row, const void *x);
void out_end(struct out *o, hid_t set);
void out_reals(struct out *o, const char *path, hsize_t n, const double *x);
void out_integers(struct out *o, const char *path, hsize_t n, const int64_t *x);
/* Fixed length where all is ASCII (1 is returned: the key belongs into _unicode_keys), else UTF-8 of variable length.
 */
int out_texts(struct out *o, const char *path, hsize_t n, const char *const *text);
/* start and end of n intervals, an Interval without columns. */
void out_interval(struct out *o, const char *path, hsize_t n, const double *pairs);

#endif
