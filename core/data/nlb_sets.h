/* SPDX-License-Identifier: Apache-2.0 */
/* The seven datasets of the Neural Latents Benchmark as rows of one table: what its preparation of data (nlb_tools,
 * Pei et al. 2021) does with each. Nothing else in the library knows a dataset by name. */
#ifndef LOOM_DATA_NLB_SETS_H
#define LOOM_DATA_NLB_SETS_H

#include <loom/types.h>

struct loom_group;

enum { LOOM_NLB_CONDITIONS = 4, LOOM_NLB_SCALARS = 5, LOOM_NLB_FORWARD_MS = 200 };

struct loom_nlb_set {
    const char *name;
    const char *align; /* column of the table of trials that windows are laid around; "" = start_time */
    int pre_ms, post_ms;
    const char *behavior;                     /* series, in the window shifted by lag_ms; NULL: scalars of the trial */
    int lag_ms;                               /* behaviour later than spikes */
    const char *scalar[LOOM_NLB_SCALARS + 1]; /* columns that are the behaviour where there is no series */
    const char *condition[LOOM_NLB_CONDITIONS + 1]; /* columns whose values together are a condition */
    double psth_ms;                                 /* deviation of the histograms' kernel; 0 = no histograms */
    const char *decoder; /* column: trials with 0 and with 1 have decoders of their own; NULL = one decoder */
    const char *outlier; /* column: trials with 1 have no behaviour and no part in histograms; NULL = none */
    const char *from;    /* column: held-out spikes and histograms are scored from here to `align` alone; NULL = all */
    /* Trials may share time in what a submission is scored against, in what a model sees. Elsewhere, and in all
     * histograms, a trial ends where the next one's window begins. */
    int targets_overlap, inputs_overlap;
    /* Windows of train and validation trials move later by a random number of bins, up to most_ms and not beyond
     * until_ms - column. */
    const char *jitter;
    int jitter_until_ms, jitter_most_ms;
    const char *prefix; /* of its scores, which stand beside those of other sizes of the set; NULL = by themselves */
};

/* In the benchmark's order, NULL-ended by name. */
extern const struct loom_nlb_set loom_nlb_sets[];
const struct loom_nlb_set *loom_nlb_set(const char *name); /* NULL: no such dataset */
/* What to write instead of a name that is none: the nearest, else (or for NULL) all of them. */
const char *loom_nlb_set_instead(const char *name);
/* The group of files that has a set's arrays at that width of bins: "mc_maze" at 5 ms, "mc_maze_20" at 20. */
enum { LOOM_NLB_GROUP = 64 };
void loom_nlb_group(char out[LOOM_NLB_GROUP], const struct loom_nlb_set *set, int bin_ms);

/* The key `nlb` of a `data` group: every other key that it stands for and that is not written gets its value, as if it
 * stood in the line of `nlb`. No key, nothing happens. LOOM_ECONFIG for a name that the benchmark does not have. */
int loom_nlb_set_apply(const struct loom_group *data, struct loom_error *e);

#endif
