/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of loom_run that check and evaluate share. */
#ifndef LOOM_TRAIN_RUN_H
#define LOOM_TRAIN_RUN_H

#include "train/runner.h"

/* Everything a run owns. */
struct loom_running {
    struct loom_runner runner;
    struct loom_pipeline pipeline;
    struct loom_rundir dir;
    struct loom_config *config;
    char *origin; /* the pipeline's file, whole path; of a resolved pipeline the file it came from */
};

/* Read the pipeline, open plugins and recordings, build every stage's model and baseline once, so that whatever is
 * wrong with any of them is said before the first step; refuse keys that nobody reads. spec must outlive it. */
int loom_running_open(struct loom_running *x, const struct loom_run_spec *spec, struct loom_error *e);
void loom_running_release(struct loom_running *x);
/* The models of a run over seeds are in the folders of its seeds: LOOM_ECONFIG that names one, where `x` is such a run.
 */
int loom_running_one(const struct loom_running *x, struct loom_error *e);
/* metrics.json of the run's folder, an empty object when there is none; NULL on failure. The caller decrefs. */
json_t *loom_running_metrics(const struct loom_rundir *d, struct loom_error *e);
int loom_running_metrics_write(const struct loom_rundir *d, const json_t *metrics, struct loom_error *e);

/* seeds.c: run the pipeline once for each seed of `seeds` in folders seed-N, then join their metrics: means over seeds,
 * Student intervals, and paired differences for `compare`. */
int loom_run_seeds(const struct loom_run_spec *spec, struct loom_rundir *d, const struct loom_pipeline *p,
                   struct loom_error *e);
/* The second half of it: join what folders seed-N hold into the run's metrics. */
int loom_join_seeds(struct loom_rundir *d, const struct loom_pipeline *p, struct loom_error *e);
/* Adds `compare` to the metrics of one seed: differences without an interval. */
int loom_compare(const struct loom_pipeline *p, json_t *const *metrics, int seeds, json_t *into, struct loom_error *e);

#endif
