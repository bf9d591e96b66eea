/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/arrays.h"

#include "base/hash.h"
#include "base/io.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* NumPy archives: a ZIP file (PKWARE APPNOTE 6.3) of stored members, each an array in the NPY format 1.0. Every member
 * and the end bear the 64-bit records, which all readers of the last twenty years take, so that there is one layout for
 * all sizes. Compression is left to whoever wants it: rates compress badly, and readers map stored members. */
enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50, END = 0x06054b50 };

struct member {
    struct loom_str name, head; /* "x.npy"; the NPY header */
    uint32_t crc;
    uint64_t bytes, at;
    const void *data;
    size_t data_bytes;
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
static void put_common(struct loom_str *s, const struct member *m, int extra)
{
    put(s, 45, 2); /* version that is needed: 64-bit records */
    put(s, 0, 2);
    put(s, 0, 2); /* stored */
    put(s, 0x00210000, 4);
    put(s, m->crc, 4);
    put(s, 0xffffffff, 4);
    put(s, 0xffffffff, 4);
    put(s, m->name.length, 2);
    put(s, (uint64_t)extra, 2);
}

static void put_local(struct loom_str *s, const struct member *m)
{
    put(s, LOCAL, 4);
    put_common(s, m, 20);
    loom_str_addn(s, m->name.text, m->name.length);
    put(s, 1, 2);
    put(s, 16, 2);
    put(s, m->bytes, 8);
    put(s, m->bytes, 8);
}

static void put_central(struct loom_str *s, const struct member *m)
{
    put(s, CENTRAL, 4);
    put(s, 45, 2);
    put_common(s, m, 28);
    put(s, 0, 2);
    put(s, 0, 2);
    put(s, 0, 2);
    put(s, 0, 4);
    put(s, 0xffffffff, 4);
    loom_str_addn(s, m->name.text, m->name.length);
    put(s, 1, 2);
    put(s, 24, 2);
    put(s, m->bytes, 8);
    put(s, m->bytes, 8);
    put(s, m->at, 8);
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
static void put_npy(struct loom_str *s, const struct loom_array *a)
{
    static const char *const descr[] = {"<f4", "<f8", "<i4", "<i8", "|u1", "|b1"};
    struct loom_str d = LOOM_STR_INIT;
    loom_str_printf(&d, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr[a->type]);
    for (int i = 0; i < a->rank; i++)
        loom_str_printf(&d, "%s%lld%s", i > 0 ? ", " : "", (long long)a->dim[i], a->rank == 1 ? "," : "");
    loom_str_add(&d, "), }");
    while ((10 + d.length + 1) % 64 != 0)
        loom_str_add(&d, " ");
    loom_str_add(&d, "\n");
    loom_str_addn(s, "\x93NUMPY\x01\x00", 8);
    put(s, d.length, 2);
    loom_str_addn(s, d.text, d.length);
    s->failed |= d.failed;
    loom_str_release(&d);
}

static void member_of(struct member *m, const struct loom_array *a)
{
    loom_str_printf(&m->name, "%s.npy", a->name);
    put_npy(&m->head, a);
    m->data = a->data;
    m->data_bytes = (size_t)loom_array_count(a) * loom_array_width(a->type);
    m->bytes = m->head.length + m->data_bytes;
    m->crc = loom_crc32(loom_crc32(0, m->head.text, m->head.length), m->data, m->data_bytes);
}

static int write_members(struct member *m, int n, const char *path, struct loom_error *e)
{
    struct loom_str text = LOOM_STR_INIT, directory = LOOM_STR_INIT;
    struct loom_atomic file = {.fd = -1};
    uint64_t at = 0;
    int code = loom_atomic_open(&file, path, e);
    for (int i = 0; i < n && code == LOOM_OK; i++) {
        m[i].at = at;
        loom_str_reset(&text);
        put_local(&text, &m[i]);
        put_central(&directory, &m[i]);
        loom_str_addn(&text, m[i].head.text, m[i].head.length);
        if (text.failed || directory.failed || m[i].name.failed || m[i].head.failed)
            code = loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for the archive's directory: free some");
        if (code == LOOM_OK)
            code = loom_atomic_write(&file, text.text, text.length, e);
        if (code == LOOM_OK)
            code = loom_atomic_write(&file, m[i].data, m[i].data_bytes, e);
        at += text.length + m[i].data_bytes;
    }
    const uint64_t bytes = directory.length;
    put_end(&directory, (uint64_t)n, at, bytes);
    if (code == LOOM_OK)
        code = directory.failed ? loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for the archive's directory: free some")
                                : loom_atomic_write(&file, directory.text, directory.length, e);
    if (code == LOOM_OK)
        code = loom_atomic_commit(&file, e);
    else
        loom_atomic_abort(&file);
    loom_str_release(&text);
    loom_str_release(&directory);
    return code;
}

int loom_arrays_write_npz(const struct loom_arrays *a, const char *path, struct loom_error *e)
{
    const int64_t length = a->metadata != NULL ? (int64_t)strlen(a->metadata) : 0;
    const struct loom_array about = {
        .name = "metadata", .type = LOOM_ARRAY_U8, .rank = 1, .dim = {length}, .data = a->metadata};
    struct member *m = calloc((size_t)a->n + 1, sizeof *m);
    int n = 0, code = m != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for an archive: free some");
    for (int i = 0; i < a->n && code == LOOM_OK; i++)
        if (a->at[i].first != NULL)
            code = loom_fail(e, LOOM_EINVAL, path, 0, "%s is ragged, which NumPy archives cannot hold: write HDF5",
                             a->at[i].name);
        else
            member_of(&m[n++], &a->at[i]);
    if (code == LOOM_OK && length > 0)
        member_of(&m[n++], &about);
    if (code == LOOM_OK)
        code = write_members(m, n, path, e);
    for (int i = 0; i < n; i++) {
        loom_str_release(&m[i].name);
        loom_str_release(&m[i].head);
    }
    free(m);
    return code;
}
