/* SPDX-License-Identifier: Apache-2.0 */
/* Ablations: a grid of pipelines × seeds, run side by side, compared in pairs. What `loom ablate` calls.
 *
 * The folder of an ablation holds ablation.cfg (resolved), results.json, table.csv, seeds.csv, compute.csv,
 * report.html, status, and cells/NN-LABELS, each of which is the folder of a run over seeds: `loom report`, `loom eval`
 * and `loom run --resume` take it and the folders seed-N in it. */
#ifndef LOOM_ABLATE_H
#define LOOM_ABLATE_H

#include <loom/types.h>

#include <signal.h>

struct loom_ablate_note {
    const char *text; /* one line */
    int moving;       /* 1: how things stand; the next one takes its place */
};

struct loom_ablate_spec {
    uint32_t size;               /* sizeof(struct loom_ablate_spec) */
    int overrides;               /* "path.to.key=value" of the ablation's file */
    const char *const *override; /* [overrides] */
    const char *ablation;        /* file; not read when resuming */
    const char *out;             /* folder to make; NULL: runs/NAME-DATE-N */
    const char *resume;          /* folder of an ablation that stopped; NULL: a new one */
    const char *plugin_path;     /* folders, ':'-separated; NULL: the usual ones alone */
    const char *program;         /* `loom`, which runs the cells */
    int jobs, threads;           /* > 0: cells at a time; processors to share among them */
    int dry;                     /* 1: check every cell, run nothing, write nothing */
    const volatile sig_atomic_t
        *stop; /* not NULL: when it becomes non-zero, have the cells save and return LOOM_ESTOP */
    void (*note)(void *payload, const struct loom_ablate_note *n); /* may be NULL */
    void *payload;
    char *folder; /* not NULL: receives the ablation's folder */
    size_t folder_size;
    char **table; /* not NULL: receives the table as text, malloc'ed; NULL in it when there is none */
};

/* LOOM_OK; LOOM_ESTOP (resume goes on); LOOM_ECONFIG when a pipeline is wrong, or cells differ in what they are tested
 * on: names the cell and the key. A cell that fails does not stop the others: then LOOM_EIO at the
 * end, with the table of those that did not. */
LOOM_API int loom_ablate(const struct loom_ablate_spec *spec, struct loom_error *e);

/* Every key of an ablation's file in Markdown. *out is malloc'ed, the caller frees it. LOOM_ENOMEM. */
LOOM_API int loom_ablate_keys(char **out, struct loom_error *e);

#endif
