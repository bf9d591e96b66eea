/* SPDX-License-Identifier: Apache-2.0 */
/* HDF5 files of unknown origin, for the sources that read them.
 *
 * Every object is announced to the sink before it is touched. External links, external storage and virtual datasets are
 * refused (a file must not pull in others), filters that would need a plug-in are named, and sizes are checked before
 * anything is allocated. */
#ifndef LOOM_SOURCES_H5_H
#define LOOM_SOURCES_H5_H

#include <loom/plugin.h>

#include <hdf5.h>

enum h5_kind { H5_NONE, H5_GROUP, H5_DATASET };
enum h5_content { H5_NUMBER, H5_BOOL, H5_TEXT, H5_OBJECT_REF, H5_OTHER };

enum h5_layout { H5_UNASKED, H5_TOGETHER, H5_CHUNKS, H5_ELSEWHERE };

enum { H5_PATH = 512, H5_RANK = 8 };

struct h5_file {
    hid_t id, access; /* access: link access that follows no external link */
    int external;     /* set when one was met */
    const char *name;
    struct loom_sink *sink;
    struct loom_error *e;
};

struct h5_data {
    hid_t id, type;
    enum h5_content content;
    int rank;
    hsize_t dims[H5_RANK];
    hsize_t rows, row; /* first axis (1 for a scalar), elements of the others together */
    char path[H5_PATH];
    enum h5_layout layout; /* found when h5_place first asks */
    hsize_t stretch;       /* rows that stand together, all or those of a chunk */
    hsize_t placed_row;    /* first row of the stretch found last, and where it is */
    haddr_t placed_at;
};

int h5_open(struct h5_file *f, const char *name, struct loom_sink *sink, struct loom_error *e);
void h5_close(struct h5_file *f);

enum h5_kind h5_kind(struct h5_file *f, const char *path); /* NONE as well where a link is broken or refused */
/* "father/child" into `out`; -1 when it does not fit. */
int h5_join(char out[H5_PATH], const char *father, const char *child);
/* Names in a group in byte order, NULL-ended, malloc'ed like each name; an empty list where there is no group. */
char **h5_children(struct h5_file *f, const char *path);
void h5_free_names(char **names);

/* LOOM_EDATA with the path when it is missing, a group, or may not be read. */
int h5_data_open(struct h5_file *f, const char *path, struct h5_data *d);
void h5_data_close(struct h5_data *d);
/* Rows [from, from + n) into out [n, row]. */
int h5_read(struct h5_file *f, const struct h5_data *d, hsize_t from, hsize_t n, double *out);
int h5_read_floats(struct h5_file *f, const struct h5_data *d, hsize_t from, hsize_t n, float *out);
int h5_read_integers(struct h5_file *f, const struct h5_data *d, hsize_t from, hsize_t n, int64_t *out);
/* Where row `from` and those behind it stand in the file as doubles (floats: as floats) of this machine: *n rows one
 * after the other from byte *at on, as loom_sink_spikes_at and loom_sink_samples_at want them. 0: the next *n rows have
 * to be read. */
int h5_place(struct h5_file *f, struct h5_data *d, int floats, hsize_t from, uint64_t *at, hsize_t *n);
/* All of it: malloc'ed [rows, row] and the number of elements. A whole dataset opened, read and closed. */
int h5_all(struct h5_file *f, const char *path, double **out, hsize_t *n);
int h5_all_integers(struct h5_file *f, const char *path, int64_t **out, hsize_t *n);
/* Texts [rows] of a one-dimensional dataset, malloc'ed like each text; release with h5_free_names (NULL-ended). */
int h5_texts(struct h5_file *f, const struct h5_data *d, char ***out);
/* Names of the objects that references [rows] point to, "" where they point nowhere. As h5_texts. */
int h5_referred(struct h5_file *f, const struct h5_data *d, char ***out);
/* 1 if found. Text of a scalar dataset; number and text of an attribute, the number widened from float so that 0.1f is
 * 0.1. */
int h5_text(struct h5_file *f, const char *path, char *out, size_t size);
int h5_attr_number(struct h5_file *f, const char *path, const char *attr, double *out);
int h5_attr_text(struct h5_file *f, const char *path, const char *attr, char *out, size_t size);

/* "has no /a/b; there are: …" */
int h5_missing(struct h5_file *f, const char *path);
int h5_starved(struct h5_file *f);

#endif
