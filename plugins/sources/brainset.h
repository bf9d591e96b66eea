/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the source `brainset`: HDF5 as temporaldata lays it out, for torch_brain and brainsets. Every group says
 * what it is by its attribute `object`. */
#ifndef LOOM_BRAINSET_H
#define LOOM_BRAINSET_H

#include "h5.h"

enum brainset_object {
    BRAINSET_NONE,
    BRAINSET_DATA,
    BRAINSET_DICT,
    BRAINSET_IRREGULAR,
    BRAINSET_REGULAR,
    BRAINSET_INTERVAL
};

struct brainset {
    struct h5_file h;
    const struct loom_options *o;
    size_t units, groups;
    int has_spikes;
    double domain_s; /* start of the root's domain */
};

enum brainset_object brainset_object(struct brainset *w, const char *path);
/* "/a/b/c" → "a.b.c". */
void brainset_name(char out[H5_PATH], const char *path);
/* 1 if an option of patterns takes `name`, whole or its last word. *named: by its name, not by "*" alone. */
int brainset_wants(const struct brainset *w, const char *option, const char *name, int *named);

int brainset_units(struct brainset *w);
int brainset_spikes(struct brainset *w);
int brainset_counts(struct brainset *w);
int brainset_series(struct brainset *w, const char *group, enum brainset_object object);
int brainset_table(struct brainset *w, const char *group);
int brainset_splits(struct brainset *w);
/* start and end [n] of the intervals of a group, malloc'ed, NULL on failure too where nothing was read. LOOM_EDATA
 * where they do not go together. */
int brainset_ends(struct brainset *w, const char *group, double **start, double **end, hsize_t *n);

/* What `loom data convert` calls: the whole recording as a new file. */
int brainset_write(const struct loom_recording *r, const char *file, struct loom_error *e);

#endif
