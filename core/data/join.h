/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings that are one: parts of a session that stand in files of their own, laid behind each other on one clock. */
#ifndef LOOM_DATA_JOIN_H
#define LOOM_DATA_JOIN_H

#include <loom/data.h>

#include "base/arena.h"

enum loom_join_by { LOOM_JOIN_NONE, LOOM_JOIN_SESSION, LOOM_JOIN_ALL };

struct loom_joining {
    enum loom_join_by by; /* SESSION: those that name the same subject and session */
    double bin_s;         /* parts move by whole bins, so that bins on the clock stay where they were; 0 = by seconds */
    const char *align;    /* column of times that moves along, beside those called *_time */
};

/* Of recording [n], those that belong together as one each, into *out [*joined] in the memory of `a`, borrowing from
 * the parts what stays as it is.
 *
 * The part with most units goes first, names the whole and keeps its clock; another (by id) moves behind it, unless it
 * begins later anyway. Units are told by their names; where a part lacks one, the whole says so (`absence`). Tables and
 * series of one name become one, columns that a part lacks are NaN and "" there. LOOM_EDATA, naming both files, where
 * parts have no unit in common, or differ in what cannot be joined; LOOM_ENOMEM. */
int loom_join(const struct loom_recording *const *recording, int32_t n, const struct loom_joining *how,
              struct loom_arena *a, const struct loom_recording ***out, int32_t *joined, struct loom_error *e);

#endif
