/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's side of the pipe: checks every message of a child that nobody trusts, keeps what it says on disk, and
 * writes it as a cache. Memory grows with the number of objects, not with their length. */
#ifndef LOOM_DATA_RECORDER_H
#define LOOM_DATA_RECORDER_H

#include <loom/data.h>

#include "data/cache.h"
#include "data/sink.h"

struct loom_recorder;

enum loom_recorder_state { LOOM_RECORDER_RUNNING, LOOM_RECORDER_DONE, LOOM_RECORDER_FAILED };

/* Spools into `folder`, `limit` bytes at most. `file` is the name for messages and for recordings without an id;
 * `source` the path of the file that is read, whose values a source may point to; "" = there is none. */
int loom_recorder_new(struct loom_recorder **out, const char *folder, uint64_t limit, const char *file,
                      const char *source, struct loom_error *e);
void loom_recorder_free(struct loom_recorder *r);
/* One message. LOOM_EDATA when it breaks the order, counts or ranges that a sink keeps; LOOM_EIO for the spool. A FAIL
 * message fills `e` and is returned as its code. */
int loom_recorder_take(struct loom_recorder *r, const struct loom_frame *f, const void *payload, struct loom_error *e);
int loom_recorder_state(const struct loom_recorder *r);
const char *loom_recorder_object(const struct loom_recorder *r); /* what was being read last; "" = nothing yet */
const char *loom_recorder_folder(const struct loom_recorder *r);
/* Writes everything as a cache; *sealed as loom_cache_commit says. Only after DONE. */
int loom_recorder_save(struct loom_recorder *r, const char *path, const struct loom_origin *origin, int *sealed,
                       struct loom_error *e);

#endif
