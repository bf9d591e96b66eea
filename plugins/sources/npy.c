/* SPDX-License-Identifier: Apache-2.0 */
#include "npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_HEADER = 1 << 20, PIECE = 1 << 16, MOST_TEXT = 1 << 16 };
#define MOST_BYTES ((uint64_t)1 << 33) /* of an array that has to be in memory at once */

static int spoiled(struct zip *z, const struct npy *a, const char *what)
{
    return loom_fail(z->e, LOOM_EDATA, z->file, 0, "%s %s; save it again with numpy.savez", a->name, what);
}

static int starved(struct zip *z)
{
    return loom_fail(z->e, LOOM_ENOMEM, z->file, 0, "out of memory; raise the limit on memory");
}

/* ---- header: a Python dictionary with three entries ---- */

static const char *skip(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* "'word'" → word; NULL where there is none. */
static const char *quoted(const char *p, char *out, size_t size)
{
    char mark = *p;
    const char *end = mark == '\'' || mark == '"' ? strchr(p + 1, mark) : NULL;
    if (end == NULL || (size_t)(end - p) > size)
        return NULL;
    memcpy(out, p + 1, (size_t)(end - p - 1));
    out[end - p - 1] = '\0';
    return end + 1;
}

static const char *take_shape(struct npy *a, const char *p)
{
    if (*p++ != '(')
        return NULL;
    for (p = skip(p); *p != ')'; p = skip(p)) {
        char *end;
        if (*p < '0' || *p > '9' || a->rank == NPY_RANK)
            return NULL;
        a->dims[a->rank++] = strtoull(p, &end, 10);
        p = skip(end);
        if (*p == 'L')
            p = skip(p + 1);
        if (*p == ',')
            p++;
        else if (*p != ')')
            return NULL;
    }
    return p + 1;
}

/* What follows "descr": a word, or a list, which no plain array has. */
static const char *take_descr(struct npy *a, const char *p)
{
    int depth = 0;
    if (*p != '[')
        return quoted(p, a->descr, sizeof a->descr);
    snprintf(a->descr, sizeof a->descr, "fields");
    do {
        depth += (*p == '[' || *p == '(') - (*p == ']' || *p == ')');
        p++;
    } while (*p != '\0' && depth > 0);
    return depth == 0 ? p : NULL;
}

static const char *take_entry(struct npy *a, const char *p, int *seen)
{
    char key[32];
    if ((p = quoted(p, key, sizeof key)) == NULL || *(p = skip(p)) != ':')
        return NULL;
    p = skip(p + 1);
    if (strcmp(key, "descr") == 0) {
        *seen |= 1;
        return take_descr(a, p);
    }
    if (strcmp(key, "fortran_order") == 0) {
        *seen |= 2;
        a->fortran = strncmp(p, "True", 4) == 0;
        return a->fortran ? p + 4 : strncmp(p, "False", 5) == 0 ? p + 5 : NULL;
    }
    *seen |= 4;
    return strcmp(key, "shape") == 0 ? take_shape(a, p) : NULL;
}

static int take_header(struct npy *a, const char *p)
{
    int seen = 0;
    p = skip(p);
    if (*p++ != '{')
        return 0;
    for (p = skip(p); *p != '}'; p = skip(p)) {
        if ((p = take_entry(a, p, &seen)) == NULL)
            return 0;
        if (*(p = skip(p)) == ',')
            p++;
        else if (*p != '}')
            return 0;
    }
    return seen == 7;
}

/* "<f8", "|b1", "<U12": order, kind, size. Kinds that cannot be read keep 'O' or '?'. */
static void take_type(struct npy *a)
{
    const char *d = a->descr + (strchr("<>|=", a->descr[0]) != NULL && a->descr[0] != '\0');
    char *end;
    long n = strtol(d[0] != '\0' ? d + 1 : d, &end, 10);
    a->kind = '?';
    a->swapped = a->descr[0] == '>';
    if (strcmp(a->descr, "fields") == 0)
        return;
    if (d[0] == 'O')
        a->kind = 'O';
    else if (*end == '\0' && n >= 0 && n <= MOST_TEXT &&
             ((d[0] == 'b' && n == 1) || (strchr("iu", d[0]) != NULL && (n == 1 || n == 2 || n == 4 || n == 8)) ||
              (d[0] == 'f' && (n == 2 || n == 4 || n == 8)) || d[0] == 'S' || d[0] == 'U'))
        a->kind = d[0];
    a->size = (int)n * (a->kind == 'U' ? 4 : 1);
}

static int measure(struct zip *z, struct npy *a)
{
    uint64_t all;
    a->rows = a->rank > 0 ? a->dims[0] : 1;
    a->row = 1;
    int over = 0;
    for (int i = 1; i < a->rank; i++)
        over |= __builtin_mul_overflow(a->row, a->dims[i], &a->row);
    over |= __builtin_mul_overflow(a->rows, a->row, &all);
    if (a->kind == '?' || a->kind == 'O')
        return LOOM_OK;
    if (over || __builtin_mul_overflow(all, (uint64_t)a->size, &all) || all != a->member->size - a->header)
        return spoiled(z, a, "does not hold as many values as its shape says");
    return LOOM_OK;
}

int npy_open(struct npy *a, struct zip *z, const struct zip_member *m)
{
    unsigned char start[12];
    struct zip_stream *s = malloc(sizeof *s);
    char *text = NULL;
    *a = (struct npy){.member = m};
    snprintf(a->name, sizeof a->name, "%.*s", (int)(strlen(m->name) - 4), m->name);
    if (s == NULL)
        return starved(z);
    int status = zip_begin(s, z, m);
    if (status == LOOM_OK)
        status = zip_read(s, start, 10);
    if (status == LOOM_OK && (memcmp(start, "\x93NUMPY", 6) != 0 || start[6] < 1 || start[6] > 3))
        status = spoiled(z, a, "is no NumPy array of version 1 to 3");
    if (status == LOOM_OK && start[6] > 1)
        status = zip_read(s, start + 10, 2);
    size_t n = start[8] | (size_t)start[9] << 8;
    if (status == LOOM_OK && start[6] > 1)
        n |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    if (status == LOOM_OK && n > MOST_HEADER)
        status = spoiled(z, a, "has a header of more than a megabyte");
    if (status == LOOM_OK && (text = calloc(n + 1, 1)) == NULL)
        status = starved(z);
    if (status == LOOM_OK)
        status = zip_read(s, text, n);
    a->header = (start[6] > 1 ? 12 : 10) + n;
    if (status == LOOM_OK && !take_header(a, text))
        status = spoiled(z, a, "has a header that cannot be understood");
    if (status == LOOM_OK) {
        take_type(a);
        status = measure(z, a);
    }
    free(text);
    zip_end(s);
    free(s);
    return status;
}

int npy_is_number(const struct npy *a)
{
    return a->kind != '\0' && strchr("biuf", a->kind) != NULL;
}

int npy_is_text(const struct npy *a)
{
    return a->kind == 'S' || a->kind == 'U';
}

/* ---- values ---- */

static double half(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double x = exponent == 0    ? ldexp(mantissa, -24)
               : exponent == 31 ? (mantissa != 0 ? NAN : INFINITY)
                                : ldexp(mantissa + 1024, exponent - 25);
    return h >> 15 ? -x : x;
}

static double value(const struct npy *a, const unsigned char *at)
{
    uint64_t bits = 0;
    for (int i = 0; i < a->size; i++)
        bits |= (uint64_t)at[a->swapped ? a->size - 1 - i : i] << 8 * i;
    if (a->kind == 'b')
        return bits != 0;
    if (a->kind == 'u')
        return (double)bits;
    if (a->kind == 'i') {
        int unused = 64 - 8 * a->size;
        return (double)((int64_t)(bits << unused) >> unused);
    }
    if (a->size == 2)
        return half((uint16_t)bits);
    float single;
    double wide;
    memcpy(&single, &(uint32_t){(uint32_t)bits}, sizeof single);
    memcpy(&wide, &bits, sizeof wide);
    return a->size == 4 ? (double)single : wide;
}

static int take_stream(struct npy_reader *r, size_t n, double *out)
{
    const struct npy *a = r->a;
    size_t most = PIECE / (size_t)a->size;
    for (size_t done = 0; done < n;) {
        size_t piece = n - done < most ? n - done : most;
        int status = zip_read(&r->s, r->piece, piece * (size_t)a->size);
        if (status != LOOM_OK)
            return status;
        for (size_t i = 0; i < piece; i++)
            out[done + i] = value(a, r->piece + i * (size_t)a->size);
        done += piece;
    }
    return LOOM_OK;
}

/* Where the first axis runs fastest: element f of the file has the coordinates f % d0, f / d0 % d1, … */
static int turn(struct npy_reader *r, struct zip *z)
{
    const struct npy *a = r->a;
    uint64_t all = a->rows * a->row, stride[NPY_RANK], at[NPY_RANK] = {0}, to = 0;
    if (all > MOST_BYTES / sizeof *r->turned)
        return spoiled(z, a, "is in Fortran order and too large to be turned in memory");
    double piece[512];
    r->turned = malloc((size_t)all * sizeof *r->turned + 1);
    int status = r->turned != NULL ? LOOM_OK : starved(z);
    for (int i = a->rank - 1; i >= 0; i--)
        stride[i] = i == a->rank - 1 ? 1 : stride[i + 1] * a->dims[i + 1];
    for (uint64_t f = 0; f < all && status == LOOM_OK;) {
        size_t n = all - f < 512 ? (size_t)(all - f) : 512;
        status = take_stream(r, n, piece);
        for (size_t i = 0; i < n && status == LOOM_OK; i++, f++) {
            r->turned[to] = piece[i];
            for (int k = 0; k < a->rank; k++) {
                to += stride[k];
                if (++at[k] < a->dims[k])
                    break;
                to -= stride[k] * a->dims[k];
                at[k] = 0;
            }
        }
    }
    return status;
}

int npy_refuse(struct zip *z, const struct npy *a, const char *due)
{
    if (a->kind == 'O')
        return loom_fail(
            z->e, LOOM_EDATA, z->file, 0,
            "%s holds Python objects, that is a pickle, which runs code when it is loaded and is never "
            "read; save plain arrays: one of numbers for each variable, and for a list of lists one of all "
            "values and one with the ends",
            a->name);
    return loom_fail(z->e, LOOM_EDATA, z->file, 0,
                     "%s has elements of type \"%s\" where %s are due; convert it (astype) or name another array",
                     a->name, a->descr, due);
}

int npy_begin(struct npy_reader *r, struct zip *z, const struct npy *a)
{
    r->a = a;
    r->turned = NULL;
    r->next = 0;
    r->piece = NULL;
    r->s.inflating = 0;
    if (!npy_is_number(a))
        return npy_refuse(z, a, "numbers");
    int status = zip_begin(&r->s, z, a->member);
    if (status == LOOM_OK && (r->piece = malloc(PIECE > a->header ? PIECE : (size_t)a->header)) == NULL)
        status = starved(z);
    if (status == LOOM_OK)
        status = zip_read(&r->s, r->piece, (size_t)a->header);
    int wide = 0;
    for (int i = 0; i < a->rank; i++)
        wide += a->dims[i] != 1;
    if (status == LOOM_OK && a->fortran && wide > 1)
        status = turn(r, z);
    return status;
}

int npy_read(struct npy_reader *r, size_t n, double *out)
{
    if (r->turned == NULL)
        return take_stream(r, n, out);
    memcpy(out, r->turned + r->next, n * sizeof *out);
    r->next += n;
    return LOOM_OK;
}

void npy_end(struct npy_reader *r)
{
    zip_end(&r->s);
    free(r->piece);
    free(r->turned);
    r->piece = NULL;
    r->turned = NULL;
}

int npy_all(struct zip *z, const struct npy *a, double **out)
{
    struct npy_reader *r = malloc(sizeof *r);
    uint64_t all = a->rows * a->row;
    *out = NULL;
    if (r == NULL)
        return starved(z);
    int status = npy_begin(r, z, a);
    if (status == LOOM_OK && all > MOST_BYTES / sizeof **out)
        status = spoiled(z, a, "has more than the 8 GiB that may be in memory at once");
    if (status == LOOM_OK && (*out = malloc((size_t)all * sizeof **out + 1)) == NULL)
        status = starved(z);
    if (status == LOOM_OK)
        status = npy_read(r, (size_t)all, *out);
    npy_end(r);
    free(r);
    if (status != LOOM_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- texts ---- */

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | (c >> 18 & 7));
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    return to;
}

/* 'S': bytes, 'U': code points of 32 bits; both padded with zeros. */
static void decode(const struct npy *a, const unsigned char *at, char *out)
{
    int width = a->kind == 'U' ? 4 : 1;
    for (int i = 0; i < a->size; i += width) {
        uint32_t c = 0;
        for (int k = 0; k < width; k++)
            c |= (uint32_t)at[i + (a->swapped ? width - 1 - k : k)] << 8 * k;
        if (c == 0)
            break;
        if (width == 1)
            *out++ = (char)c;
        else
            out = put_utf8(out, c);
    }
    *out = '\0';
}

int npy_texts(struct zip *z, const struct npy *a, char ***out)
{
    struct zip_stream *s = malloc(sizeof *s);
    uint64_t all = a->rows * a->row;
    unsigned char *raw = NULL;
    char **text = NULL, *plain = NULL;
    *out = NULL;
    if (!npy_is_text(a)) {
        free(s);
        return npy_refuse(z, a, "texts");
    }
    int status = s != NULL ? zip_begin(s, z, a->member) : starved(z);
    if (status == LOOM_OK && a->size == 0 && all > MOST_BYTES / sizeof *text)
        status = spoiled(z, a, "has more texts than may be in memory at once");
    if (status == LOOM_OK) {
        raw = malloc((size_t)(a->header > (uint64_t)a->size ? a->header : (uint64_t)a->size) + 1);
        plain = malloc((size_t)a->size + 1);
        text = calloc((size_t)all + 1, sizeof *text);
        status = raw != NULL && plain != NULL && text != NULL ? zip_read(s, raw, (size_t)a->header) : starved(z);
    }
    for (uint64_t i = 0; i < all && status == LOOM_OK; i++) {
        status = zip_read(s, raw, (size_t)a->size);
        if (status == LOOM_OK) {
            decode(a, raw, plain);
            if ((text[i] = strdup(plain)) == NULL)
                status = starved(z);
        }
    }
    if (s != NULL)
        zip_end(s);
    free(s);
    free(raw);
    free(plain);
    if (status == LOOM_OK)
        *out = text;
    else
        npy_free_texts(text);
    return status;
}

void npy_free_texts(char **text)
{
    for (char **t = text; t != NULL && *t != NULL; t++)
        free(*t);
    free(text);
}
