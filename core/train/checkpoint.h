/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: one safetensors file with everything that training needs to go on as if it had never stopped.
 *
 *   tensors   NAME (parameters), shadow.NAME, state.NAME, adam.m.NAME, adam.v.NAME
 *   metadata  loom.format, loom.version, loom.sha256 (whole file), stage, kernels (those it was computed with),
 *             pipeline (resolved text), progress (JSON;
 *             reals as C hexadecimal text, so that no bit is lost), tables (JSON: entry → vocabulary),
 *             vocabularies (JSON: vocabulary → names of its rows)
 *
 * Read back in two ways: `resume` wants every name, shape and row as they were and gives the same bits; `transfer`
 * takes what matches by name, rows of tables by row name, and leaves the rest fresh. */
#ifndef LOOM_TRAIN_CHECKPOINT_H
#define LOOM_TRAIN_CHECKPOINT_H

#include "base/str.h"
#include "train/optimizer.h"
#include "train/safetensors.h"
#include "train/schedule.h"

/* All scalars of a training stage that change from step to step. */
struct loom_progress {
    int64_t step;    /* steps done */
    int64_t windows; /* windows seen */
    int64_t tokens;  /* rows seen */
    int64_t done;    /* 1: the stage has ended */
    double seconds;  /* of training, over all sessions of the process */
    double valid;    /* last validation value; NaN before the first */
    struct loom_average loss, norm;
    struct loom_schedule_state schedule;
    struct loom_stopping stopping;
};
void loom_progress_start(struct loom_progress *p);

/* What is written. All borrowed. */
struct loom_checkpoint {
    const struct loom_store *store;
    const struct loom_optimizer *optimizer; /* NULL: no moments (a file to evaluate or transfer from) */
    const struct loom_progress *progress;
    const char *stage, *kernels, *pipeline;
};
int loom_checkpoint_write(const char *path, const struct loom_checkpoint *c, struct loom_error *e);

/* Fill store, optimizer (NULL: moments are not wanted) and progress (may be NULL). LOOM_EDATA when the file is of
 * another model: names the first difference; everything that was filled so far is then worthless. */
int loom_checkpoint_resume(const struct loom_tensors *f, struct loom_store *store, struct loom_optimizer *optimizer,
                           struct loom_progress *progress, struct loom_error *e);

struct loom_transfer {
    int matched, fresh, left;         /* entries taken; not in the file; in the file and of no use here */
    int64_t rows_matched, rows_fresh; /* of tables taken by row name */
};
/* Parameters and states by name. The shadow becomes a copy of the parameters. `text` (may be NULL) gets one line for
 * everything that is not a plain match. A name with another shape is left, and said. */
int loom_checkpoint_transfer(const struct loom_tensors *f, struct loom_store *store, struct loom_transfer *report,
                             struct loom_str *text, struct loom_error *e);

#endif
