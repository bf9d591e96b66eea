/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of a NumPy archive (NumPy enhancement proposal 1, versions 1 to 3): any byte order and either order of axes,
 * as numbers or texts. Pickles are never unpickled. */
#ifndef LOOM_SOURCES_NPY_H
#define LOOM_SOURCES_NPY_H

#include "zip.h"

enum { NPY_RANK = 8, NPY_NAME = 256 };

struct npy {
    char name[NPY_NAME]; /* without ".npy" */
    const struct zip_member *member;
    char kind; /* 'b' boolean, 'i', 'u', 'f' numbers, 'S', 'U' texts; anything else cannot be read */
    char descr[64];
    int size, swapped, fortran; /* size: bytes of an element */
    int rank;
    uint64_t dims[NPY_RANK];
    uint64_t rows, row; /* first axis (1 for a scalar), elements of the others together */
    uint64_t header;    /* bytes before the first element */
};

/* The header of member `m`, whose name ends with ".npy". */
int npy_open(struct npy *a, struct zip *z, const struct zip_member *m);
int npy_is_number(const struct npy *a);
int npy_is_text(const struct npy *a);
/* LOOM_EDATA: the elements are not what is `due` ("numbers"); a pickle is told as such. */
int npy_refuse(struct zip *z, const struct npy *a, const char *due);

/* Elements in the order of axes, the last running fastest, whichever way they lie in the file. */
struct npy_reader {
    const struct npy *a;
    struct zip_stream s;
    double *turned; /* all of them, where the file has the first axis running fastest */
    uint64_t next;
    unsigned char *piece;
};

int npy_begin(struct npy_reader *r, struct zip *z, const struct npy *a); /* LOOM_EDATA: no numbers */
int npy_read(struct npy_reader *r, size_t n, double *out);               /* exactly the next n */
void npy_end(struct npy_reader *r);

int npy_all(struct zip *z, const struct npy *a, double **out);  /* malloc'ed [rows, row] */
int npy_texts(struct zip *z, const struct npy *a, char ***out); /* malloc'ed like each text, NULL-ended; UTF-8 */
void npy_free_texts(char **text);

#endif
