/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/npz.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* NumPy archives: a ZIP file (PKWARE APPNOTE 6.3) of stored members, each an array in the NPY format 1.0. Every member
 * and the end bear the 64-bit records, which all readers of the last twenty years take, so that there is one layout for
 * all sizes. Compression is left to whoever wants it: rates compress badly, and readers map stored members. A member's
 * checksum is put into its header when its last byte is known. */
enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50, END = 0x06054b50 };
enum { CRC_AT = 14, PIECE = 1 << 16 };

struct loom_npz {
    struct loom_atomic file;
    struct loom_error why; /* the first failure */
    struct loom_str name, head, directory;
    size_t waiting;                 /* bytes in `piece` */
    uint64_t members, at;           /* at: bytes taken, those that wait as well */
    uint64_t begun_at, bytes, left; /* the member now written: its place, its bytes, those that are still due */
    uint32_t crc;
    char piece[PIECE];
};

static void put(struct loom_str *s, uint64_t x, int bytes)
{
    char c[8];
    for (int i = 0; i < bytes; i++)
        c[i] = (char)(x >> (8 * i));
    loom_str_addn(s, c, (size_t)bytes);
}

/* What a member's local header and its entry in the directory share. Date: 1980-01-01, so that the same arrays give the
 * same bytes. */
static void put_common(const struct loom_npz *z, struct loom_str *s, int extra)
{
    put(s, 45, 2);     /* version that is needed: 64-bit records */
    put(s, 0x0800, 2); /* names are UTF-8 */
    put(s, 0, 2);      /* stored */
    put(s, 0x00210000, 4);
    put(s, z->crc, 4);
    put(s, 0xffffffff, 4);
    put(s, 0xffffffff, 4);
    put(s, z->name.length, 2);
    put(s, (uint64_t)extra, 2);
}

static void put_local(const struct loom_npz *z, struct loom_str *s)
{
    put(s, LOCAL, 4);
    put_common(z, s, 20);
    loom_str_addn(s, z->name.text, z->name.length);
    put(s, 1, 2);
    put(s, 16, 2);
    put(s, z->bytes, 8);
    put(s, z->bytes, 8);
}

static void put_central(const struct loom_npz *z, struct loom_str *s)
{
    put(s, CENTRAL, 4);
    put(s, 45, 2);
    put_common(z, s, 28);
    put(s, 0, 2);
    put(s, 0, 2);
    put(s, 0, 2);
    put(s, 0, 4);
    put(s, 0xffffffff, 4);
    loom_str_addn(s, z->name.text, z->name.length);
    put(s, 1, 2);
    put(s, 24, 2);
    put(s, z->bytes, 8);
    put(s, z->bytes, 8);
    put(s, z->begun_at, 8);
}

static void put_end(struct loom_str *s, uint64_t members, uint64_t at, uint64_t bytes)
{
    put(s, END64, 4);
    put(s, 44, 8);
    put(s, 45, 2);
    put(s, 45, 2);
    put(s, 0, 4);
    put(s, 0, 4);
    put(s, members, 8);
    put(s, members, 8);
    put(s, bytes, 8);
    put(s, at, 8);
    put(s, LOCATOR64, 4);
    put(s, 0, 4);
    put(s, at + bytes, 8);
    put(s, 1, 4);
    put(s, END, 4);
    put(s, 0, 4);
    put(s, 0xffff, 2);
    put(s, 0xffff, 2);
    put(s, 0xffffffff, 4);
    put(s, 0xffffffff, 4);
    put(s, 0, 2);
}

/* NPY format 1.0: magic, length, a Python dictionary padded to 64 bytes. */
static void put_npy(struct loom_str *s, const char *type, int rank, const int64_t *dim)
{
    struct loom_str d = LOOM_STR_INIT;
    loom_str_printf(&d, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
    for (int i = 0; i < rank; i++)
        loom_str_printf(&d, "%s%lld%s", i > 0 ? ", " : "", (long long)dim[i], rank == 1 ? "," : "");
    loom_str_add(&d, "), }");
    while ((10 + d.length + 1) % 64 != 0 && !d.failed)
        loom_str_add(&d, " ");
    loom_str_add(&d, "\n");
    loom_str_addn(s, "\x93NUMPY\x01\x00", 8);
    put(s, d.length, 2);
    loom_str_addn(s, d.text, d.length);
    s->failed |= d.failed;
    loom_str_release(&d);
}

static void flush(struct loom_npz *z)
{
    if (z->why.code == LOOM_OK)
        loom_atomic_write(&z->file, z->piece, z->waiting, &z->why);
    z->waiting = 0;
}

/* Small pieces are gathered. */
static void write_bytes(struct loom_npz *z, const void *bytes, size_t n)
{
    if (z->waiting + n > sizeof z->piece)
        flush(z);
    if (n > sizeof z->piece && z->why.code == LOOM_OK) {
        loom_atomic_write(&z->file, bytes, n, &z->why);
    } else if (n > 0 && n <= sizeof z->piece) {
        memcpy(z->piece + z->waiting, bytes, n);
        z->waiting += n;
    }
    z->at += n;
}

static void starve(struct loom_npz *z)
{
    loom_fail(&z->why, LOOM_ENOMEM, z->file.path, 0, "no memory for the archive's directory: free some");
}

/* The checksum of the member that is whole now goes into its header, and the member into the directory. */
static void end_member(struct loom_npz *z)
{
    unsigned char crc[4];
    if (z->name.length == 0 || z->why.code != LOOM_OK)
        return;
    if (z->left > 0) {
        loom_fail(&z->why, LOOM_EINVAL, z->file.path, 0, "%s lacks %llu of its bytes; put all that its shape has",
                  z->name.text, (unsigned long long)z->left);
        return;
    }
    flush(z);
    for (int i = 0; i < 4; i++)
        crc[i] = (unsigned char)(z->crc >> 8 * i);
    if (z->why.code == LOOM_OK && pwrite(z->file.fd, crc, sizeof crc, (off_t)(z->begun_at + CRC_AT)) != sizeof crc)
        loom_fail(&z->why, LOOM_EIO, z->file.path, 0, "cannot write: %s", strerror(errno));
    put_central(z, &z->directory);
    z->members++;
    loom_str_reset(&z->name);
}

int loom_npz_open(struct loom_npz **z, const char *file, struct loom_error *e)
{
    *z = calloc(1, sizeof **z);
    if (*z == NULL)
        return loom_fail(e, LOOM_ENOMEM, file, 0, "no memory for an archive: free some");
    int status = loom_atomic_open(&(*z)->file, file, e);
    if (status != LOOM_OK) {
        free(*z);
        *z = NULL;
    }
    return status;
}

void loom_npz_begin(struct loom_npz *z, const char *name, const char *type, int rank, const int64_t *dim)
{
    uint64_t width = strtoull(type + 2, NULL, 10) * (type[1] == 'U' ? 4 : 1);
    end_member(z);
    loom_str_reset(&z->name);
    loom_str_reset(&z->head);
    loom_str_printf(&z->name, "%s.npy", name);
    put_npy(&z->head, type, rank, dim);
    for (int i = 0; i < rank; i++)
        width *= (uint64_t)dim[i];
    if (z->name.length > UINT16_MAX || z->head.length > UINT16_MAX)
        loom_fail(&z->why, LOOM_EINVAL, z->file.path, 0, "the array %.40s… has too long a name; choose a shorter one",
                  name);
    z->begun_at = z->at;
    z->left = width;
    z->bytes = z->head.length + width;
    z->crc = 0;
    struct loom_str local = LOOM_STR_INIT;
    put_local(z, &local);
    loom_str_addn(&local, z->head.text, z->head.length);
    if (local.failed || z->name.failed || z->head.failed)
        starve(z);
    z->crc = loom_crc32(0, z->head.text, z->head.length);
    write_bytes(z, local.text, local.length);
    loom_str_release(&local);
}

void loom_npz_put(struct loom_npz *z, const void *bytes, size_t n)
{
    if (z->why.code != LOOM_OK)
        return;
    if (n > z->left) {
        loom_fail(&z->why, LOOM_EINVAL, z->file.path, 0, "%s has %llu bytes more than its shape; correct one of them",
                  z->name.length > 0 ? z->name.text : "no array", (unsigned long long)(n - z->left));
        return;
    }
    z->left -= n;
    z->crc = loom_crc32(z->crc, bytes, n);
    write_bytes(z, bytes, n);
}

/* The code point of the character at *s, which *s is moved behind. */
static uint32_t decode(const unsigned char **s)
{
    static const unsigned char first[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t n = loom_utf8_bytes(*s);
    uint32_t c = n > 0 ? **s & first[n] : 0xfffd;
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((*s)[i] & 0x3f);
    *s += n > 0 ? n : 1;
    return c;
}

static uint64_t characters(const char *text)
{
    uint64_t n = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; n++)
        decode(&s);
    return n;
}

void loom_npz_texts(struct loom_npz *z, const char *name, int64_t n, const char *const *text)
{
    uint64_t width = 1;
    int64_t all = n < 0 ? 1 : n;
    char type[32];
    struct loom_str row = LOOM_STR_INIT;
    for (int64_t i = 0; i < all; i++)
        if (text[i] != NULL && characters(text[i]) > width)
            width = characters(text[i]);
    snprintf(type, sizeof type, "<U%llu", (unsigned long long)width);
    loom_npz_begin(z, name, type, n < 0 ? 0 : 1, &n);
    for (int64_t i = 0; i < all && z->why.code == LOOM_OK; i++) {
        const unsigned char *s = (const unsigned char *)(text[i] != NULL ? text[i] : "");
        loom_str_reset(&row);
        while (*s != '\0')
            put(&row, decode(&s), 4);
        while (row.length < 4 * width && !row.failed)
            put(&row, 0, 4);
        if (row.failed)
            starve(z);
        loom_npz_put(z, row.text, row.length);
    }
    loom_str_release(&row);
}

int loom_npz_close(struct loom_npz *z, struct loom_error *e)
{
    end_member(z);
    const uint64_t at = z->at, bytes = z->directory.length;
    put_end(&z->directory, z->members, at, bytes);
    if (z->directory.failed)
        starve(z);
    write_bytes(z, z->directory.text, z->directory.length);
    flush(z);
    if (z->why.code == LOOM_OK)
        loom_atomic_commit(&z->file, &z->why);
    else
        loom_atomic_abort(&z->file);
    int status = z->why.code == LOOM_OK ? LOOM_OK : loom_fail(e, z->why.code, z->why.file, 0, "%s", z->why.message);
    loom_str_release(&z->name);
    loom_str_release(&z->head);
    loom_str_release(&z->directory);
    free(z);
    return status;
}
