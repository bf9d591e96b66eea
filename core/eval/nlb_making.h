/* SPDX-License-Identifier: Apache-2.0 */
/* What nlb_target.c and nlb_histograms.c, which together make targets, know of them. */
#ifndef LOOM_EVAL_NLB_MAKING_H
#define LOOM_EVAL_NLB_MAKING_H

#include "eval/nlb_target.h"

/* All times are whole bins, or milliseconds, of the recording's clock: the benchmark's grid begins at 0. */
enum { TRAIN, EVAL, SPLITS };

struct trial {
    int32_t row;
    int64_t first;    /* bin that the window begins with, jitter included */
    int64_t from, to; /* bins that are scored where the set has `from` */
    int64_t lagged;   /* first bin of the behaviour */
    int64_t jitter;   /* bins */
    int64_t shift;    /* bins that its first one lies behind the condition's first */
    int64_t event_ns;
    int64_t histogram; /* bin before which it ends there */
    int64_t condition; /* -1 = none */
    uint8_t outlier;
};

struct making {
    const struct loom_nlb_making *how;
    const struct loom_recording *r;
    const struct loom_nlb_set *set;
    const struct loom_intervals *table;
    char group[LOOM_NLB_GROUP];
    int64_t bin_ns, ms, bins, window, forward; /* ms, bins: of the recording */
    struct trial *trial[SPLITS];
    int64_t trials[SPLITS];
    int64_t units[2]; /* held-in, held-out */
    int64_t conditions;
    double *x, *y; /* [ms], [bins] of one unit or dimension */
    struct loom_arrays *out;
    struct loom_error *e;
};

int loom_making_starved(const struct making *m); /* LOOM_ENOMEM, said */
/* A numeric column of the table of trials. LOOM_EDATA names it where there is none. */
int loom_making_column(const struct making *m, const char *name, const double **out);
/* Data of a new array of the set's group; NULL: no memory, said. */
void *loom_making_add(struct making *m, const char *name, int type, int rank, const int64_t *dim, const char *axes,
                      const char *unit);
/* The bin before which a trial ends, if the next one of its list (NULL: none) begins within its window, which lies
 * lag_ms later than the spikes' (upstream make_trial_data without allow_overlap): the next window's begin, or the start
 * of the row behind it if that is sooner. INT64_MAX: nowhere. */
int64_t loom_making_cut(const struct making *m, const struct trial *t, const struct trial *next, int64_t lag_ms);

/* ---- nlb_histograms.c ---- */

/* Gives trials their conditions, and where they end and begin in the histograms. */
int loom_histograms_plan(struct making *m);
/* The counts of one unit in m->x, smoothed, into column `place` of smoothed [trials, window, units]. */
int loom_histograms_put(const struct making *m, double *smoothed, int64_t place);
/* psth, {train,eval}_cond_idx. */
int loom_histograms_add(struct making *m, double *smoothed);

#endif
