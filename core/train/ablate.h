/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of an ablation share. */
#ifndef LOOM_TRAIN_ABLATE_H
#define LOOM_TRAIN_ABLATE_H

#include "base/json.h"
#include "train/run.h"

#include <loom/ablate.h>

enum { LOOM_AXES = 8, LOOM_AXIS_VALUES = 64, LOOM_CELLS = 256, LOOM_LABEL = 96, LOOM_ABLATE_SEEDS = 64 };

struct loom_axis {
    struct loom_options *options;
    const char *name;
    int varies_data, varies_test, values;
    struct loom_options *value[LOOM_AXIS_VALUES];
};

/* One seed of one cell: a run in its own folder. */
struct loom_try {
    int done;
    char *failed; /* why; NULL: it did not */
};

struct loom_cell {
    int at[LOOM_AXES]; /* number of its value on each axis */
    char label[LOOM_LABEL * 2];
    char folder[LOOM_PATH]; /* "" until it is made */
    char *origin, *resolved;
    json_t *identity; /* key → value of what must not differ; "data.…" may where an axis says so */
    char sha256[65];  /* of the identity */
    int64_t parameters;
    struct loom_try attempt[LOOM_ABLATE_SEEDS];
};

struct loom_ablation {
    const struct loom_ablate_spec *spec;
    struct loom_config *config;
    struct loom_options *options;
    char *origin; /* the ablation's file */
    const char *name;
    int axes, cells, seeds, reference;
    struct loom_axis axis[LOOM_AXES];
    struct loom_cell *cell; /* [cells], the last axis fastest */
    int64_t seed[LOOM_ABLATE_SEEDS];
    int metrics; /* asked for; 0: all there are */
    struct loom_rundir dir;
};

void loom_ablation_say(const struct loom_ablation *a, int moving, const char *fmt, ...) LOOM_PRINTF(3, 4);

/* ---- ablate_config.c ---- */
/* Read the file (of the folder that is resumed) and lay out the cells. LOOM_ECONFIG with file, line, nearest word. */
int loom_ablation_open(struct loom_ablation *a, const struct loom_ablate_spec *spec, struct loom_error *e);
void loom_ablation_release(struct loom_ablation *a);
/* The overrides of a cell, borrowed from the options, into `out` [capacity]; *pipeline: its file. Returns their number,
 * or LOOM_ECONFIG. */
int loom_cell_overrides(const struct loom_ablation *a, const struct loom_cell *c, const char **out, int capacity,
                        char pipeline[LOOM_PATH], struct loom_error *e);

/* The cell that cell k is compared with: the reference among those that are the same test. */
int loom_cell_reference(const struct loom_ablation *a, int k);
/* Whether two cells stand at the same value of every axis that varies the data or (tests 1: of these alone) the test.
 */
int loom_cells_alike(const struct loom_ablation *a, const struct loom_cell *x, const struct loom_cell *y, int tests);

/* ---- ablate_check.c ---- */
/* Build every cell without running it, and hold the cells to the same data, splits and evaluation. */
int loom_ablation_check(struct loom_ablation *a, struct loom_error *e);

/* Names its folder: cells/NN-LABELS below the ablation's. */
void loom_cell_folder(const struct loom_ablation *a, struct loom_cell *c);

/* ---- ablate_jobs.c ---- */
/* Make folders and run what is not done yet, `jobs` at a time. *failed: how many tries failed. LOOM_ESTOP. */
int loom_ablation_run(struct loom_ablation *a, int *failed, struct loom_error *e);

/* ---- ablate_results.c ---- */
/* Statistics over what is done, as results.json has them; NULL on failure. The caller decrefs. */
json_t *loom_ablation_results(const struct loom_ablation *a, struct loom_error *e);

/* ---- ablate_table.c ---- */
char *loom_ablation_table(const json_t *results); /* for a terminal; malloc'ed, NULL without memory */
/* table.csv, seeds.csv and compute.csv. */
int loom_ablation_csv(const struct loom_ablation *a, const json_t *results, struct loom_error *e);

#endif
