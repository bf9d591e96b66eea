/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a zip archive (PKWARE APPNOTE 6.3.9: stored and deflated, zip64), one after another as streams, so that an
 * archive larger than memory works. Nothing the archive says is believed before it is held against the file's size, and
 * what was read to its end against its checksum. */
#ifndef LOOM_SOURCES_ZIP_H
#define LOOM_SOURCES_ZIP_H

#include <loom/types.h>

#include <zlib.h>

struct zip_member {
    char *name;
    uint64_t at, packed, size; /* at: of the local header; bytes in the file, and unpacked */
    uint32_t crc;
    uint16_t method, flags;
};

struct zip {
    int fd;
    const char *file;
    uint64_t bytes;
    struct zip_member *member;
    size_t members;
    struct loom_error *e;
};

/* LOOM_EDATA where it is no archive, or a damaged one. zip_close after failure too. */
int zip_open(struct zip *z, const char *file, struct loom_error *e);
void zip_close(struct zip *z);

enum { ZIP_PIECE = 1 << 16 };

struct zip_stream {
    struct zip *z;
    const struct zip_member *m;
    uint64_t at, packed_left, left; /* left: bytes not yet handed out */
    uint32_t crc;
    int inflating;
    z_stream inflater;
    unsigned char piece[ZIP_PIECE];
};

int zip_begin(struct zip_stream *s, struct zip *z, const struct zip_member *m);
/* Exactly the next n bytes. The last of them all verifies the checksum. */
int zip_read(struct zip_stream *s, void *out, size_t n);
void zip_end(struct zip_stream *s);

#endif
