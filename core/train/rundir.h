/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a run: made once, never overwritten, every file in it whole or not there. */
#ifndef LOOM_TRAIN_RUNDIR_H
#define LOOM_TRAIN_RUNDIR_H

#include "base/str.h"

enum { LOOM_PATH = 4096 };

struct loom_rundir {
    char path[LOOM_PATH];
    int log;    /* log.jsonl, open for appending; -1: none */
    int lock;   /* the folder itself, locked while a process runs in it; -1: not */
    int events; /* 1: what the log says goes to TensorBoard's file too (train/events.h) */
};
#define LOOM_RUNDIR                                                                                                    \
    {                                                                                                                  \
        .log = -1, .lock = -1                                                                                          \
    }

/* Make folder `out`, or runs/NAME-YYYYMMDD-N with the first free N when out is NULL. LOOM_ECONFIG when `out` is there
 * and not empty. */
int loom_rundir_create(struct loom_rundir *d, const char *out, const char *name, struct loom_error *e);
/* What a run is made of. */
struct loom_rundir_made {
    const char *name, *origin, *resolved; /* origin: file of the pipeline; resolved: its text */
    const char *const *stage;             /* NULL-ended: those with checkpoints */
    int threads;
};
/* loom_rundir_create, locked, with origin.json, env.json, folders for checkpoints, and pipeline.cfg last: with it the
 * folder is a run. */
int loom_rundir_begin(struct loom_rundir *d, const char *out, const struct loom_rundir_made *made,
                      struct loom_error *e);
/* A run's folder that is there. LOOM_ECONFIG when it is none. */
int loom_rundir_open(struct loom_rundir *d, const char *path, struct loom_error *e);
/* Keep other processes from running in it. LOOM_ECONFIG when one does. */
int loom_rundir_lock(struct loom_rundir *d, struct loom_error *e);
void loom_rundir_release(struct loom_rundir *d);
/* "FOLDER/…" into out. LOOM_EIO when it is too long. */
int loom_rundir_path(const struct loom_rundir *d, char out[LOOM_PATH], struct loom_error *e, const char *fmt, ...)
    LOOM_PRINTF(4, 5);
int loom_rundir_log(struct loom_rundir *d, const struct loom_str *line, struct loom_error *e); /* adds the newline */
/* Drop from the log, and from the events, what stage `stage` said of steps after `step`, and a line that was cut. */
int loom_rundir_log_rewind(struct loom_rundir *d, const char *stage, int64_t step, struct loom_error *e);
int loom_rundir_status(const struct loom_rundir *d, const char *text, struct loom_error *e);
/* origin.json: the file that the pipeline came from, to whose folder names in it are relative. */
int loom_rundir_set_origin(const struct loom_rundir *d, const char *origin, struct loom_error *e);
char *loom_rundir_origin(const struct loom_rundir *d, struct loom_error *e); /* malloc'ed; NULL on failure */
/* env.json: version, build, machine, threads, processor, command line. */
int loom_rundir_environment(const struct loom_rundir *d, int threads, struct loom_error *e);

#endif
