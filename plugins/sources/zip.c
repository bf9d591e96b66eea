/* SPDX-License-Identifier: Apache-2.0 */
#include "zip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCAL = 30, CENTRAL = 46, END = 22, END64 = 56, LOCATOR = 20, MOST_COMMENT = 65535, MOST_NAME = 4096 };
enum { STORED = 0, DEFLATED = 8, ENCRYPTED = 1 };

static uint64_t little(const unsigned char *at, int bytes)
{
    uint64_t x = 0;
    for (int i = bytes - 1; i >= 0; i--)
        x = x << 8 | at[i];
    return x;
}

static int damaged(struct zip *z, const char *what)
{
    return loom_fail(z->e, LOOM_EDATA, z->file, 0, "%s; the archive is damaged or cut short: fetch it again", what);
}

static int starved(struct zip *z)
{
    return loom_fail(z->e, LOOM_ENOMEM, z->file, 0, "out of memory; raise the limit on memory");
}

static int read_at(struct zip *z, uint64_t at, void *out, size_t n)
{
    if (at > z->bytes || n > z->bytes - at)
        return damaged(z, "something lies beyond its end");
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(z->fd, (char *)out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return loom_fail(z->e, LOOM_EIO, z->file, 0, "cannot read: %s; try again",
                             got < 0 ? strerror(errno) : "it became shorter");
        done += (size_t)got;
    }
    return LOOM_OK;
}

/* ---- the directory ---- */

struct directory {
    uint64_t at, bytes, entries;
};

/* The 64-bit end record, where the locator before the old one names it. */
static int read_end64(struct zip *z, uint64_t end, struct directory *d)
{
    unsigned char locator[LOCATOR], record[END64];
    if (end < LOCATOR)
        return LOOM_OK;
    int status = read_at(z, end - LOCATOR, locator, sizeof locator);
    if (status != LOOM_OK || little(locator, 4) != 0x07064b50)
        return status;
    status = read_at(z, little(locator + 8, 8), record, sizeof record);
    if (status == LOOM_OK && little(record, 4) != 0x06064b50)
        status = damaged(z, "its 64-bit directory is not where it should be");
    if (status == LOOM_OK)
        *d = (struct directory){little(record + 48, 8), little(record + 40, 8), little(record + 32, 8)};
    return status;
}

/* The end record is the last thing in the file but for a comment of unknown length. */
static int find_directory(struct zip *z, struct directory *d)
{
    uint64_t n = z->bytes < END + MOST_COMMENT ? z->bytes : END + MOST_COMMENT;
    unsigned char *tail = malloc((size_t)n + 1), magic[4] = {0};
    int status = tail != NULL ? read_at(z, z->bytes - n, tail, (size_t)n) : starved(z);
    const unsigned char *end = NULL;
    for (int64_t i = (int64_t)n - END; status == LOOM_OK && end == NULL && i >= 0; i--)
        if (little(tail + i, 4) == 0x06054b50 && little(tail + i + 20, 2) <= n - (uint64_t)i - END)
            end = tail + i;
    if (status == LOOM_OK && end == NULL) {
        int begins = n >= 4 && read_at(z, 0, magic, 4) == LOOM_OK && little(magic, 4) == 0x04034b50;
        status = begins ? damaged(z, "it has no directory")
                        : loom_fail(z->e, LOOM_EDATA, z->file, 0,
                                    "is no zip archive (.npz); save the arrays with numpy.savez, or name another "
                                    "source");
    }
    if (status == LOOM_OK) {
        *d = (struct directory){little(end + 16, 4), little(end + 12, 4), little(end + 10, 2)};
        status = read_end64(z, z->bytes - n + (uint64_t)(end - tail), d);
    }
    free(tail);
    return status;
}

/* Sizes that do not fit 32 bits stand in the extra field 1, those alone, in this order. */
static int read_extra(struct zip *z, struct zip_member *m, const unsigned char *extra, size_t n)
{
    uint64_t *wide[] = {&m->size, &m->packed, &m->at};
    for (size_t i = 0; i + 4 <= n;) {
        size_t bytes = little(extra + i + 2, 2), at = i + 4;
        if (bytes > n - at)
            break;
        for (int k = 0; k < 3 && little(extra + i, 2) == 1; k++)
            if (*wide[k] == UINT32_MAX && at + 8 <= i + 4 + bytes) {
                *wide[k] = little(extra + at, 8);
                at += 8;
            }
        i += 4 + bytes;
    }
    if (m->at > z->bytes || m->packed > z->bytes - m->at)
        return damaged(z, "a member lies beyond its end");
    return LOOM_OK;
}

static int read_entry(struct zip *z, const unsigned char *at, const unsigned char *end, size_t *bytes)
{
    if (end - at < CENTRAL || little(at, 4) != 0x02014b50)
        return damaged(z, "its directory breaks off");
    size_t name = little(at + 28, 2), extra = little(at + 30, 2), comment = little(at + 32, 2);
    *bytes = CENTRAL + name + extra + comment;
    if (*bytes > (size_t)(end - at))
        return damaged(z, "its directory breaks off");
    struct zip_member *m = &z->member[z->members];
    *m = (struct zip_member){.at = little(at + 42, 4),
                             .packed = little(at + 20, 4),
                             .size = little(at + 24, 4),
                             .crc = (uint32_t)little(at + 16, 4),
                             .method = (uint16_t)little(at + 10, 2),
                             .flags = (uint16_t)little(at + 8, 2)};
    m->name = strndup((const char *)at + CENTRAL, name < MOST_NAME ? name : MOST_NAME);
    if (m->name == NULL)
        return starved(z);
    z->members++;
    return read_extra(z, m, at + CENTRAL + name, extra);
}

static int read_directory(struct zip *z)
{
    struct directory d;
    unsigned char *bytes = NULL;
    int status = find_directory(z, &d);
    if (status == LOOM_OK && (d.at > z->bytes || d.bytes > z->bytes - d.at || d.entries > d.bytes / CENTRAL))
        status = damaged(z, "its directory lies beyond its end");
    if (status == LOOM_OK) {
        bytes = malloc((size_t)d.bytes + 1);
        z->member = calloc((size_t)d.entries + 1, sizeof *z->member);
        status = bytes != NULL && z->member != NULL ? read_at(z, d.at, bytes, (size_t)d.bytes) : starved(z);
    }
    size_t at = 0, taken = 0;
    for (uint64_t i = 0; i < d.entries && status == LOOM_OK; i++, at += taken)
        status = read_entry(z, bytes + at, bytes + d.bytes, &taken);
    free(bytes);
    return status;
}

int zip_open(struct zip *z, const char *file, struct loom_error *e)
{
    struct stat st;
    *z = (struct zip){.fd = open(file, O_RDONLY | O_CLOEXEC), .file = file, .e = e};
    if (z->fd < 0 || fstat(z->fd, &st) != 0)
        return loom_fail(e, LOOM_EDATA, file, 0, "cannot open: %s; check its name", strerror(errno));
    z->bytes = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    return read_directory(z);
}

void zip_close(struct zip *z)
{
    for (size_t i = 0; i < z->members; i++)
        free(z->member[i].name);
    free(z->member);
    if (z->fd >= 0)
        close(z->fd);
    *z = (struct zip){.fd = -1};
}

/* ---- members ---- */

int zip_begin(struct zip_stream *s, struct zip *z, const struct zip_member *m)
{
    unsigned char local[LOCAL];
    s->z = z;
    s->m = m;
    s->inflating = 0;
    s->crc = 0;
    if (m->flags & ENCRYPTED)
        return loom_fail(z->e, LOOM_EDATA, z->file, 0, "%s is encrypted; save it without a password", m->name);
    if (m->method != STORED && m->method != DEFLATED)
        return loom_fail(z->e, LOOM_EDATA, z->file, 0,
                         "%s is compressed by zip's method %d; stored and deflated members are read, which "
                         "numpy.savez and numpy.savez_compressed write",
                         m->name, m->method);
    int status = read_at(z, m->at, local, sizeof local);
    if (status == LOOM_OK && little(local, 4) != 0x04034b50)
        status = damaged(z, "a member is not where the directory says");
    s->at = m->at + LOCAL + little(local + 26, 2) + little(local + 28, 2);
    s->packed_left = m->packed;
    s->left = m->size;
    if (status == LOOM_OK &&
        (s->at > z->bytes || m->packed > z->bytes - s->at || (m->method == STORED && m->packed != m->size)))
        status = damaged(z, "a member lies beyond its end");
    if (status == LOOM_OK && m->method == DEFLATED) {
        memset(&s->inflater, 0, sizeof s->inflater);
        if (inflateInit2(&s->inflater, -MAX_WBITS) != Z_OK)
            return starved(z);
        s->inflating = 1;
    }
    return status;
}

static int refill(struct zip_stream *s)
{
    size_t n = s->packed_left < ZIP_PIECE ? (size_t)s->packed_left : ZIP_PIECE;
    int status = read_at(s->z, s->at, s->piece, n);
    s->at += n;
    s->packed_left -= n;
    s->inflater.next_in = s->piece;
    s->inflater.avail_in = (uInt)n;
    return status;
}

static int inflate_some(struct zip_stream *s, unsigned char *out, size_t n)
{
    s->inflater.next_out = out;
    s->inflater.avail_out = (uInt)n;
    while (s->inflater.avail_out > 0) {
        if (s->inflater.avail_in == 0 && s->packed_left > 0) {
            int status = refill(s);
            if (status != LOOM_OK)
                return status;
        }
        int code = inflate(&s->inflater, Z_NO_FLUSH);
        if ((code != Z_OK && code != Z_STREAM_END) || (code == Z_STREAM_END && s->inflater.avail_out > 0))
            return loom_fail(s->z->e, LOOM_EDATA, s->z->file, 0,
                             "%s cannot be unpacked: the archive is damaged, fetch it again", s->m->name);
    }
    return LOOM_OK;
}

int zip_read(struct zip_stream *s, void *out, size_t n)
{
    if (n > s->left)
        return loom_fail(s->z->e, LOOM_EDATA, s->z->file, 0, "%s is shorter than it says; the archive is damaged",
                         s->m->name);
    for (size_t done = 0; done < n;) {
        size_t piece = n - done < 1u << 30 ? n - done : 1u << 30;
        unsigned char *at = (unsigned char *)out + done;
        int status = s->inflating ? inflate_some(s, at, piece) : read_at(s->z, s->at, at, piece);
        if (status != LOOM_OK)
            return status;
        if (!s->inflating)
            s->at += piece;
        s->crc = (uint32_t)crc32_z(s->crc, at, piece);
        done += piece;
        s->left -= piece;
    }
    if (s->left == 0 && n > 0 && s->crc != s->m->crc)
        return loom_fail(s->z->e, LOOM_EDATA, s->z->file, 0,
                         "%s does not have its checksum: the archive is damaged, fetch it again", s->m->name);
    return LOOM_OK;
}

void zip_end(struct zip_stream *s)
{
    if (s->inflating)
        inflateEnd(&s->inflater);
    s->inflating = 0;
}
