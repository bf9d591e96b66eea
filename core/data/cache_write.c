/* SPDX-License-Identifier: Apache-2.0 */
#include "data/cache.h"

#include "base/hash.h"
#include "data/cache_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int put(struct loom_cache_writer *w, const void *bytes, size_t n, struct loom_error *e)
{
    int status = loom_atomic_write(&w->file, bytes, n, e);
    w->at += n;
    return status;
}

int loom_cache_create(struct loom_cache_writer *w, const char *path, struct loom_error *e)
{
    static const struct loom_cache_header blank;
    memset(w, 0, sizeof *w);
    int status = loom_atomic_open(&w->file, path, e);
    return status == LOOM_OK ? put(w, &blank, sizeof blank, e) : status;
}

int loom_cache_adopt(struct loom_cache_writer *w, int nameless, const char *path, struct loom_error *e)
{
    memset(w, 0, sizeof *w);
    w->at = sizeof(struct loom_cache_header);
    return loom_atomic_adopt(&w->file, nameless, path, e);
}

static int crc_between(struct loom_cache_writer *w, uint64_t to, struct loom_error *e)
{
    struct loom_section *s = &w->section[w->sections - 1];
    char piece[4096];
    while (w->at < to) {
        size_t n = to - w->at < sizeof piece ? (size_t)(to - w->at) : sizeof piece;
        ssize_t got = pread(w->file.fd, piece, n, (off_t)w->at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return loom_fail(e, LOOM_EIO, w->file.path, 0, "cannot read back: %s; try again",
                             got < 0 ? strerror(errno) : "it is shorter than what was written");
        s->crc = loom_crc32c(s->crc, piece, (size_t)got);
        s->bytes += (uint64_t)got;
        w->at += (uint64_t)got;
    }
    return LOOM_OK;
}

int loom_cache_keep(struct loom_cache_writer *w, uint64_t at, uint64_t bytes, uint32_t crc, int32_t *number,
                    struct loom_error *e)
{
    static const char zeros[LOOM_CACHE_ALIGN];
    int status = LOOM_OK;
    if (at > w->at && (status = loom_cache_begin(w, e)) == LOOM_OK)
        status = crc_between(w, at, e);
    if (bytes == 0 && status == LOOM_OK && lseek(w->file.fd, (off_t)at, SEEK_SET) != (off_t)at)
        status = loom_fail(e, LOOM_EIO, w->file.path, 0, "cannot write: %s", strerror(errno));
    if (bytes == 0 || status != LOOM_OK || (status = loom_cache_begin(w, e)) != LOOM_OK)
        return status;
    uint64_t padded = loom_cache_padded(bytes);
    w->section[w->sections - 1].bytes = bytes;
    w->section[w->sections - 1].crc = loom_crc32c(crc, zeros, (size_t)(padded - bytes));
    w->at += padded;
    *number = w->sections - 1;
    return LOOM_OK;
}

int loom_cache_begin(struct loom_cache_writer *w, struct loom_error *e)
{
    if (w->sections == w->room) {
        int32_t room = w->room ? w->room * 2 : 64;
        struct loom_section *section = realloc(w->section, (size_t)room * sizeof *section);
        if (section == NULL)
            return loom_fail(e, LOOM_ENOMEM, w->file.path, 0, "out of memory; close other programs");
        w->section = section;
        w->room = room;
    }
    w->section[w->sections++] = (struct loom_section){w->at, 0, 0, 0};
    return LOOM_OK;
}

int loom_cache_add(struct loom_cache_writer *w, const void *bytes, size_t n, struct loom_error *e)
{
    struct loom_section *s = &w->section[w->sections - 1];
    s->crc = loom_crc32c(s->crc, bytes, n);
    s->bytes += n;
    return put(w, bytes, n, e);
}

int loom_cache_end(struct loom_cache_writer *w, int32_t *number, struct loom_error *e)
{
    static const char zeros[LOOM_CACHE_ALIGN];
    struct loom_section *s = &w->section[w->sections - 1];
    uint64_t bytes = s->bytes;
    int status = loom_cache_add(w, zeros, (size_t)(loom_cache_padded(bytes) - bytes), e);
    s->bytes = bytes;
    *number = w->sections - 1;
    return status;
}

static int put_header(struct loom_cache_writer *w, const struct loom_origin *origin, uint64_t table_at,
                      struct loom_error *e)
{
    struct loom_cache_header h = {.version = LOOM_CACHE_VERSION,
                                  .order = LOOM_CACHE_ORDER,
                                  .sections = (uint32_t)w->sections,
                                  .table_at = table_at,
                                  .file_bytes = w->at};
    memcpy(h.magic, LOOM_CACHE_MAGIC, sizeof h.magic);
    h.source_bytes = origin->bytes;
    h.source_modified_ns = origin->modified_ns;
    memcpy(h.key, origin->key, sizeof origin->key);
    h.table_crc = loom_crc32c(0, w->section, (size_t)w->sections * sizeof *w->section);
    h.crc = loom_crc32c(0, &h, offsetof(struct loom_cache_header, crc));
    if (pwrite(w->file.fd, &h, sizeof h, 0) != (ssize_t)sizeof h)
        return loom_fail(e, LOOM_EIO, w->file.path, 0, "cannot write: %s; free some space or set LOOM_CACHE",
                         strerror(errno));
    return LOOM_OK;
}

int loom_cache_commit(struct loom_cache_writer *w, const struct loom_wire *description,
                      const struct loom_origin *origin, int *sealed, struct loom_error *e)
{
    int32_t number;
    *sealed = -1;
    int status = loom_cache_begin(w, e);
    if (status == LOOM_OK)
        status = loom_cache_add(w, description->data, description->size, e);
    if (status == LOOM_OK)
        status = loom_cache_end(w, &number, e);
    uint64_t table_at = w->at;
    if (status == LOOM_OK)
        status = put(w, w->section, (size_t)w->sections * sizeof *w->section, e);
    if (status == LOOM_OK)
        status = put_header(w, origin, table_at, e);
    if (status == LOOM_OK && (*sealed = fcntl(w->file.fd, F_DUPFD_CLOEXEC, 0)) < 0)
        status = loom_fail(e, LOOM_EIO, w->file.path, 0, "cannot keep it open: %s; close some files", strerror(errno));
    /* Every byte is under a sum that whoever opens the file makes again, so nobody has to wait for the disk: what a
     * power cut tears is found, and made anew. */
    if (status == LOOM_OK)
        status = loom_atomic_publish(&w->file, e);
    else
        loom_atomic_abort(&w->file);
    if (status != LOOM_OK && *sealed >= 0) {
        close(*sealed);
        *sealed = -1;
    }
    free(w->section);
    memset(w, 0, sizeof *w);
    w->file.fd = -1;
    return status;
}

void loom_cache_abort(struct loom_cache_writer *w)
{
    if (w->file.path != NULL)
        loom_atomic_abort(&w->file);
    free(w->section);
    memset(w, 0, sizeof *w);
    w->file.fd = -1;
}
