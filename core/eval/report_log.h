/* SPDX-License-Identifier: Apache-2.0 */
/* What log.jsonl of a run says, as curves and sums. */
#ifndef LOOM_EVAL_REPORT_LOG_H
#define LOOM_EVAL_REPORT_LOG_H

#include <loom/types.h>

/* Share of a run's steps, its first, whose losses would press all others to the floor of a figure. */
#define LOOM_REPORT_RUN_IN 0.1

/* One number of one stage over its steps. */
struct loom_curve {
    char stage[64], name[96];
    int valid; /* seen on the validation split */
    int seed;  /* number of the log it is from */
    double *x, *y;
    int64_t n, capacity;
};
struct loom_report_log {
    struct loom_curve *at;
    int n, logs;                  /* curves; logs that were read into it */
    double steps, seconds, flops; /* of all stages that are done, means over the logs; NaN: not known */
    double parameters;            /* of the largest stage; NaN: not known */
};

/* Add log.jsonl in folder `run`, as that of seed number `seed`; a folder without one adds nothing. LOOM_EDATA,
 * LOOM_EIO, LOOM_ENOMEM. The caller calls loom_report_log_release. */
int loom_report_log_read(struct loom_report_log *l, const char *run, int seed, struct loom_error *e);
void loom_report_log_release(struct loom_report_log *l);

#endif
