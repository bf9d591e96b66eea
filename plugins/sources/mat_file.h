/* SPDX-License-Identifier: Apache-2.0 */
/* Values in a MATLAB file by path.
 *
 * "spikes", "trialData.binCounts", "a.b(3).c", "cells{2}": a path through struct and cell arrays gives a list of
 * values; a struct or cell array without an index stands for all its elements, so "trialData.binCounts" is one value a
 * trial. */
#ifndef LOOM_MAT_FILE_H
#define LOOM_MAT_FILE_H

#include <loom/plugin.h>

#include <matio.h>

struct mat_file {
    mat_t *mat;
    const char *file;
    struct loom_sink *sink;
    char **name; /* [names] variables of the file, NULL-ended, borrowed from matio */
    size_t names;
    matvar_t **root; /* [names] those read so far */
};

/* A list of values, borrowed from the file. Elements may be NULL or empty. */
struct mat_list {
    matvar_t **v;
    size_t n, room;
};

int mat_open(struct mat_file *m, const char *file, struct loom_sink *sink, struct loom_error *e);
void mat_close(struct mat_file *m);
/* 1 if the first name of `path` is a variable of the file. */
int mat_has(const struct mat_file *m, const char *path);
/* LOOM_EDATA names what there is when `path` leads nowhere. Release with mat_list_release. */
int mat_find(struct mat_file *m, const char *path, struct mat_list *out, struct loom_error *e);
void mat_list_release(struct mat_list *l);
/* Names beside `path`, which has as many fathers: fields of the same struct, or variables of the file. The list ends
 * with NULL and is malloc'ed; each name is. `prefix` receives what stands before them ("a.b."). */
char **mat_beside(struct mat_file *m, const char *path, char *prefix, size_t size);
void mat_names_free(char **names);
/* Dimensions of a variable of the file without reading it; 0 when it is no numeric matrix. */
int mat_shape(struct mat_file *m, const char *name, size_t *rows, size_t *columns);

size_t mat_count(const matvar_t *v);   /* elements; 0 for NULL */
int mat_is_numeric(const matvar_t *v); /* full or sparse, real numbers or logicals */
int mat_is_text(const matvar_t *v);
double mat_number(const matvar_t *v, size_t i);           /* element i in column-major order of a numeric value */
void mat_text(const matvar_t *v, char *out, size_t size); /* UTF-8, first row */
/* All elements, column-major; sparse ones filled up. malloc'ed, NULL when out of memory. */
double *mat_numbers(const matvar_t *v);

#endif
