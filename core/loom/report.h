/* SPDX-License-Identifier: Apache-2.0 */
/* Reports: one page that needs nothing else, to read on a phone or a desk, by day or by night. */
#ifndef LOOM_REPORT_H
#define LOOM_REPORT_H

#include <loom/types.h>

struct loom_report_spec {
    uint32_t size;          /* sizeof(struct loom_report_spec) */
    int runs;               /* 1 = report on one run, or ablation; more = runs are compared */
    const char *const *run; /* [runs] folders of runs */
    const char *out; /* the page; NULL = report.html in the run's folder, of several comparison.html in the first's */
};

/* Write the page, and every figure's numbers as CSV into the folder `report` beside it. What a run does not have (it
 * has not finished, it was never evaluated, the build cannot read HDF5) is left out. Both are made anew each time.
 * LOOM_ECONFIG: a folder is none of a run; LOOM_EDATA: a file of a run is damaged; LOOM_EIO, LOOM_ENOMEM. */
LOOM_API int loom_report_write(const struct loom_report_spec *spec, struct loom_error *e);

#endif
