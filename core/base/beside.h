/* SPDX-License-Identifier: Apache-2.0 */
/* Numbered tasks that a thread of its own does beside other work, one set of them at a time. Whoever needs the set done
 * ends it: the workers of a pool then take what has not begun. So a set takes no longer than it would on the pool
 * alone, and a set whose tasks wait, for a disk say, costs nothing where the other work takes longer. */
#ifndef LOOM_BASE_BESIDE_H
#define LOOM_BASE_BESIDE_H

#include "base/threads.h"

struct loom_beside;

int loom_beside_new(struct loom_beside **out, struct loom_error *e);
void loom_beside_free(struct loom_beside *b); /* drops the set; NULL is allowed */
/* Tasks 0..tasks-1 begin in ascending order, with worker -1 on the thread. The last set must have ended or been
 * dropped; no heap allocation. What the caller wrote before, tasks see. */
void loom_beside_begin(struct loom_beside *b, int tasks, loom_task_fn fn, void *payload);
/* Return when all tasks are done; what they wrote, the caller sees. Without a set: at once. */
void loom_beside_end(struct loom_beside *b, struct loom_pool *pool);
/* Begin no further task; return when none is in hand. */
void loom_beside_drop(struct loom_beside *b);

#endif
