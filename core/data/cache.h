/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of one file's recordings: written once by the ingest parent, mapped read-only by everything that trains.
 *
 *     header, 256 bytes with its own checksum: version, origin of the data, place of the table
 *     sections, each padded to 64 bytes and checksummed with its padding
 *     table of sections {at, bytes, crc}
 *
 * The last section describes the recordings (loom_wire) and names the sections of its arrays by number:
 *     bytes of all texts; recordings × { id, subject, session, task, date; span; units × {…}; spikes | counts; series;
 * intervals; observed } Every byte of the file is under a checksum, so any change on disk is found when it is opened.
 */
#ifndef LOOM_DATA_CACHE_H
#define LOOM_DATA_CACHE_H

#include <loom/data.h>

#include "base/io.h"
#include "data/wire.h"

/* What the cache was made of; it is stale when any of it differs. */
struct loom_origin {
    int64_t bytes, modified_ns; /* of the source's file; 0 where there is none */
    char key[65];               /* SHA-256 over source, its version, file name and options */
};

struct loom_section {
    uint64_t at, bytes;
    uint32_t crc, zero;
};

struct loom_cache_writer {
    struct loom_atomic file;
    uint64_t at;
    struct loom_section *section;
    int32_t sections, room;
};

int loom_cache_create(struct loom_cache_writer *w, const char *path, struct loom_error *e);
/* Goes on in a file without a name (loom_atomic_adopt) that holds room for the header and arrays behind it. LOOM_EIO
 * where the system gives it none: then they have to be copied. */
int loom_cache_adopt(struct loom_cache_writer *w, int nameless, const char *path, struct loom_error *e);
/* A section that stands in the adopted file already, behind all before it; zeros pad it. What lies between is covered
 * by a section that nothing names. bytes = 0: up to `at`, where writing goes on. */
int loom_cache_keep(struct loom_cache_writer *w, uint64_t at, uint64_t bytes, uint32_t crc, int32_t *number,
                    struct loom_error *e);
int loom_cache_begin(struct loom_cache_writer *w, struct loom_error *e); /* starts a section */
int loom_cache_add(struct loom_cache_writer *w, const void *bytes, size_t n, struct loom_error *e);
int loom_cache_end(struct loom_cache_writer *w, int32_t *number, struct loom_error *e); /* its number */
/* Writes the description, table and header, and puts the file in its place. Releases `w`, on failure too. *sealed: the
 * file that was written, whoever may put another in its place; the caller closes it. -1 on failure. */
int loom_cache_commit(struct loom_cache_writer *w, const struct loom_wire *description,
                      const struct loom_origin *origin, int *sealed, struct loom_error *e);
void loom_cache_abort(struct loom_cache_writer *w);

/* Maps and verifies the whole file. `origin` NULL: any. `file` is what recordings say of themselves. LOOM_EIO: there is
 * none. LOOM_EDATA: stale or damaged, with the reason; whoever can makes it anew. */
int loom_cache_open(struct loom_recordings **out, const char *path, const struct loom_origin *origin, const char *file,
                    struct loom_error *e);
/* Maps what loom_cache_commit has sealed in this very process a moment ago. The sums of its sections were made from the
 * bytes as they were written, and are not made again; all else is as in loom_cache_open. `sealed` stays the caller's,
 * and may be closed. */
int loom_cache_open_sealed(struct loom_recordings **out, int sealed, const char *path, const char *file,
                           struct loom_error *e);

#endif
