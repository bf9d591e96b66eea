/* SPDX-License-Identifier: Apache-2.0 */
#include "train/safetensors.h"

#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define SUM_KEY "loom.sha256"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
static const uint64_t LIMIT_HEADER = 100u << 20;
static const size_t LIMIT_FILE = (size_t)1 << 40;
enum { LIMIT_NAME = 512, LIMIT_TENSORS = 1 << 20, SUM_DIGITS = 64 };

static size_t dtype_size(const char *dtype)
{
    static const struct {
        const char *name;
        size_t size;
    } known[] = {{"F32", 4}, {"F64", 8}, {"F16", 2}, {"BF16", 2}, {"I32", 4},
                 {"I64", 8}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, dtype) == 0)
            return known[i].size;
    return 0;
}

/* ---- writing ---- */

static void write_header(struct loom_str *s, const struct loom_tensor *tensor, int tensors,
                         const struct loom_meta *meta, int metas)
{
    size_t at = 0;
    loom_str_add(s, "{\"__metadata__\":{\"" SUM_KEY "\":\"" ZEROS "\"");
    for (int i = 0; i < metas; i++) {
        loom_str_add(s, ",");
        loom_json_string(s, meta[i].key);
        loom_str_add(s, ":");
        loom_json_string(s, meta[i].value);
    }
    loom_str_add(s, "}");
    for (int i = 0; i < tensors; i++) {
        const struct loom_tensor *t = &tensor[i];
        loom_str_add(s, ",");
        loom_json_string(s, t->name);
        loom_str_printf(s, ":{\"dtype\":\"%s\",\"shape\":[", t->dtype);
        for (int k = 0; k < t->rank; k++)
            loom_str_printf(s, "%s%lld", k ? "," : "", (long long)t->dim[k]);
        loom_str_printf(s, "],\"data_offsets\":[%zu,%zu]}", at, at + t->bytes);
        at += t->bytes;
    }
    loom_str_add(s, "}");
    while (s->length % 8)
        loom_str_add(s, " ");
}

static int name_order(const void *a, const void *b)
{
    const struct loom_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int check_names(const struct loom_tensor *tensor, int tensors, struct loom_error *e)
{
    int code = LOOM_OK;
    const struct loom_tensor **order = calloc((size_t)tensors + 1, sizeof *order);
    if (!order)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to sort %d tensors: free some", tensors);
    for (int i = 0; i < tensors; i++)
        order[i] = &tensor[i];
    qsort(order, (size_t)tensors, sizeof *order, name_order);
    for (int i = 0; i < tensors && code == LOOM_OK; i++) {
        if (strlen(order[i]->name) > LIMIT_NAME)
            code = loom_fail(e, LOOM_EINVAL, NULL, 0, "tensor name '%.60s…' is longer than %d bytes: shorten it",
                             order[i]->name, LIMIT_NAME);
        else if (i && strcmp(order[i - 1]->name, order[i]->name) == 0)
            code = loom_fail(e, LOOM_EINVAL, NULL, 0, "two tensors are called '%s': rename one", order[i]->name);
    }
    free(order);
    return code;
}

int loom_tensors_write(const char *path, const struct loom_tensor *tensor, int tensors, const struct loom_meta *meta,
                       int metas, struct loom_error *e)
{
    struct loom_str header = LOOM_STR_INIT;
    struct loom_atomic file = {.fd = -1};
    struct loom_sha256 sum;
    unsigned char length[8];
    char hex[SUM_DIGITS + 1];
    int code = check_names(tensor, tensors, e);
    if (code != LOOM_OK)
        return code;
    write_header(&header, tensor, tensors, meta, metas);
    if (header.failed) {
        code = loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for the checkpoint's header: free some");
        goto out;
    }
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)header.length >> (8 * i));
    loom_sha256_init(&sum);
    loom_sha256_add(&sum, length, 8);
    loom_sha256_add(&sum, header.text, header.length);
    for (int i = 0; i < tensors; i++)
        loom_sha256_add(&sum, tensor[i].data, tensor[i].bytes);
    loom_sha256_hex(&sum, hex);
    memcpy(strstr(header.text, ZEROS), hex, SUM_DIGITS);

    code = loom_atomic_open(&file, path, e);
    if (code == LOOM_OK)
        code = loom_atomic_write(&file, length, 8, e);
    if (code == LOOM_OK)
        code = loom_atomic_write(&file, header.text, header.length, e);
    for (int i = 0; i < tensors && code == LOOM_OK; i++)
        code = loom_atomic_write(&file, tensor[i].data, tensor[i].bytes, e);
    if (code == LOOM_OK)
        code = loom_atomic_commit(&file, e);
    else
        loom_atomic_abort(&file);
out:
    loom_str_release(&header);
    return code;
}

/* ---- reading ---- */

static int damaged(const char *path, struct loom_error *e, const char *what, const char *which)
{
    return loom_fail(e, LOOM_EDATA, path, 0, "not a sound tensor file: %s%s%s: use another checkpoint", what,
                     *which ? ": " : "", which);
}

/* The value of a JSON integer in 0..limit; -1 otherwise. */
static int64_t bounded(const json_t *j, uint64_t limit)
{
    json_int_t v = json_is_integer(j) ? json_integer_value(j) : -1;
    return v >= 0 && (uint64_t)v <= limit ? (int64_t)v : -1;
}

static const char *read_shape(struct loom_tensor *t, const json_t *shape, uint64_t limit)
{
    uint64_t elements = 1, size = dtype_size(t->dtype);
    if (!json_is_array(shape) || json_array_size(shape) > 4)
        return "the shape has more than four axes or is none";
    t->rank = (int)json_array_size(shape);
    for (int k = 0; k < t->rank; k++) {
        int64_t dim = bounded(json_array_get(shape, (size_t)k), limit);
        if (dim < 1)
            return "an axis of the shape is not in the file's size";
        t->dim[k] = dim;
        if (elements > limit / (uint64_t)dim)
            return "the shape is larger than the file";
        elements *= (uint64_t)dim;
    }
    if (elements > limit / size || elements * size != t->bytes)
        return "shape and offsets disagree";
    return NULL;
}

static const char *read_tensor(struct loom_tensor *t, const char *name, const json_t *j, const char *data,
                               uint64_t limit)
{
    const json_t *offsets = json_object_get(j, "data_offsets");
    const char *dtype = json_string_value(json_object_get(j, "dtype"));
    if (strlen(name) > LIMIT_NAME)
        return "a name is too long";
    if (!json_is_object(j) || json_object_size(j) != 3 || !dtype || json_array_size(offsets) != 2)
        return "an entry needs dtype, shape and data_offsets alone";
    if (!dtype_size(dtype))
        return "unknown dtype";
    int64_t begin = bounded(json_array_get(offsets, 0), limit), end = bounded(json_array_get(offsets, 1), limit);
    if (begin < 0 || end < begin)
        return "offsets lie outside the file";
    *t = (struct loom_tensor){.name = name, .dtype = dtype, .data = data + begin, .bytes = (size_t)(end - begin)};
    return read_shape(t, json_object_get(j, "shape"), limit);
}

static int place_order(const void *a, const void *b)
{
    const struct loom_tensor *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    return p < q ? -1 : p > q;
}

static int read_meta(struct loom_tensors *f, const json_t *meta, const char *path, struct loom_error *e)
{
    const char *key;
    json_t *value;
    if (meta && !json_is_object(meta))
        return damaged(path, e, "the metadata is no object", "");
    f->meta = calloc(json_object_size(meta) + 1, sizeof *f->meta);
    if (!f->meta)
        return loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for the metadata: free some");
    json_object_foreach((json_t *)(uintptr_t)meta, key, value)
    {
        if (!json_is_string(value))
            return damaged(path, e, "metadata that is no text", key);
        f->meta[f->metas++] = (struct loom_meta){key, json_string_value(value)};
    }
    return LOOM_OK;
}

static int read_table(struct loom_tensors *f, const char *data, size_t limit, const char *path, struct loom_error *e)
{
    const char *key;
    json_t *value, *header = f->header;
    size_t entries = json_object_size(header);
    if (entries > LIMIT_TENSORS)
        return damaged(path, e, "too many tensors", "");
    f->tensor = calloc(entries + 1, sizeof *f->tensor);
    if (!f->tensor)
        return loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for the table of tensors: free some");
    json_object_foreach(header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0)
            continue;
        const char *wrong = read_tensor(&f->tensor[f->tensors], key, value, data, limit);
        if (wrong)
            return damaged(path, e, wrong, key);
        f->tensors++;
    }
    qsort(f->tensor, (size_t)f->tensors, sizeof *f->tensor, place_order);
    const char *at = data;
    for (int i = 0; i < f->tensors; i++) {
        if (f->tensor[i].data != at)
            return damaged(path, e, "tensors overlap or leave gaps", f->tensor[i].name);
        at += f->tensor[i].bytes;
    }
    return at == data + limit ? LOOM_OK : damaged(path, e, "bytes behind the last tensor, or too few", "");
}

static int check_sum(struct loom_tensors *f, size_t header, const char *path, int own, struct loom_error *e)
{
    char hex[SUM_DIGITS + 1];
    struct loom_sha256 sum;
    const char *said = loom_tensors_meta(f, SUM_KEY);
    if (!said)
        return own ? damaged(path, e, "no checksum, so libloom did not write it", "") : LOOM_OK;
    char *digits = strlen(said) == SUM_DIGITS ? memmem(f->bytes + 8, header, said, SUM_DIGITS) : NULL;
    if (!digits)
        return damaged(path, e, "the checksum is no checksum", "");
    loom_sha256_init(&sum);
    loom_sha256_add(&sum, f->bytes, (size_t)(digits - f->bytes));
    loom_sha256_add(&sum, ZEROS, SUM_DIGITS);
    loom_sha256_add(&sum, digits + SUM_DIGITS, f->size - (size_t)(digits - f->bytes) - SUM_DIGITS);
    loom_sha256_hex(&sum, hex);
    if (strcmp(hex, said) != 0)
        return damaged(path, e, "the checksum does not fit the bytes", "");
    memcpy(f->sha256, hex, sizeof hex);
    return LOOM_OK;
}

int loom_tensors_read(struct loom_tensors *out, const char *path, int own, struct loom_error *e)
{
    uint64_t header = 0;
    *out = (struct loom_tensors){0};
    int code = loom_file_read(&out->bytes, &out->size, path, LIMIT_FILE, e);
    if (code != LOOM_OK)
        return code;
    for (int i = 7; i >= 0 && out->size >= 10; i--)
        header = header << 8 | (unsigned char)out->bytes[i];
    if (header < 2 || header > LIMIT_HEADER || header > out->size - 8 || out->bytes[8] != '{')
        code = damaged(path, e, "it has no header", "");
    if (code == LOOM_OK) {
        out->header = loom_json_parse(out->bytes + 8, (size_t)header, path, e);
        if (!out->header)
            code = LOOM_EDATA;
        else if (!json_is_object((json_t *)out->header))
            code = damaged(path, e, "the header is no object", "");
    }
    if (code == LOOM_OK)
        code = read_meta(out, json_object_get(out->header, "__metadata__"), path, e);
    if (code == LOOM_OK)
        code = check_sum(out, (size_t)header, path, own, e);
    if (code == LOOM_OK)
        code = read_table(out, out->bytes + 8 + header, out->size - 8 - (size_t)header, path, e);
    if (code != LOOM_OK)
        loom_tensors_release(out);
    return code;
}

void loom_tensors_release(struct loom_tensors *t)
{
    json_decref(t->header);
    free(t->tensor);
    free(t->meta);
    free(t->bytes);
    *t = (struct loom_tensors){0};
}

const struct loom_tensor *loom_tensors_find(const struct loom_tensors *t, const char *name)
{
    for (int i = 0; i < t->tensors; i++)
        if (strcmp(t->tensor[i].name, name) == 0)
            return &t->tensor[i];
    return NULL;
}

const char *loom_tensors_meta(const struct loom_tensors *t, const char *key)
{
    for (int i = 0; i < t->metas; i++)
        if (strcmp(t->meta[i].key, key) == 0)
            return t->meta[i].value;
    return NULL;
}

/* ---- values ---- */

int loom_tensor_is_real(const struct loom_tensor *t)
{
    return t->dtype[0] == 'F' || strcmp(t->dtype, "BF16") == 0;
}

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE 754 binary16: what is below the smallest normal number is a multiple of 2^-24. */
static float from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, mantissa = h & 1023u;
    if (exponent == 31)
        return from_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) {
        float tiny = (float)mantissa * 0x1p-24f;
        return sign ? -tiny : tiny;
    }
    return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

void loom_tensor_reals(loom_real *to, const struct loom_tensor *t, int64_t first, int64_t n)
{
    size_t size = dtype_size(t->dtype);
    const char *from = (const char *)t->data + (size_t)first * size;
    for (int64_t i = 0; i < n; i++, from += size) {
        double wide;
        float real;
        uint16_t half;
        if (size == 8) {
            memcpy(&wide, from, size);
            to[i] = (loom_real)wide;
        } else if (size == 4) {
            memcpy(&real, from, size);
            to[i] = (loom_real)real;
        } else {
            memcpy(&half, from, size);
            to[i] = t->dtype[0] == 'B' ? from_bits((uint32_t)half << 16) : from_half(half);
        }
    }
}
