/* SPDX-License-Identifier: Apache-2.0 */
/* Files of named tensors in the safetensors layout, version of 2023: u64 little-endian length of a JSON header, header,
 * tensor bytes without gaps. Any Python user reads one in one line (safetensors.numpy.load_file).
 *
 * The reader trusts nothing: the header's length, every product and every offset are checked against the file's real
 * size before use, tensors must be contiguous and cover the file, dtypes come from a short list, names are unique and
 * short. A file that libloom wrote carries in its metadata the SHA-256 of the whole file (taken with the 64 digits of
 * the sum themselves as '0'), so that a changed bit anywhere is refused. */
#ifndef LOOM_TRAIN_SAFETENSORS_H
#define LOOM_TRAIN_SAFETENSORS_H

#include <loom/types.h>

struct loom_tensor {
    const char *name;
    const char *dtype; /* "F32", "F64", "F16", "BF16", "I32", "I64", "I16", "I8", "U8", "BOOL" */
    int rank;          /* 0..4 */
    int64_t dim[4];    /* each >= 1 */
    const void *data;  /* little-endian, not aligned when read */
    size_t bytes;
};

struct loom_meta {
    const char *key, *value; /* UTF-8 text */
};

/* What a file holds. Tensors in the order of their bytes. Everything belongs to the struct. */
struct loom_tensors {
    int tensors, metas;
    struct loom_tensor *tensor;
    struct loom_meta *meta;
    char sha256[65]; /* of a file that libloom wrote; "" else */
    char *bytes;
    size_t size;
    void *header; /* json_t */
};

/* Write atomically; the sum is added to the metadata. LOOM_EIO, LOOM_ENOMEM; LOOM_EINVAL for a name given twice. */
int loom_tensors_write(const char *path, const struct loom_tensor *tensor, int tensors, const struct loom_meta *meta,
                       int metas, struct loom_error *e);
/* LOOM_EDATA names the file and what is wrong with it; LOOM_EIO if it cannot be read. `own`: only a file that libloom
 * wrote, whole. */
int loom_tensors_read(struct loom_tensors *out, const char *path, int own, struct loom_error *e);
void loom_tensors_release(struct loom_tensors *t);
const struct loom_tensor *loom_tensors_find(const struct loom_tensors *t, const char *name); /* NULL: not there */
const char *loom_tensors_meta(const struct loom_tensors *t, const char *key);                /* NULL: not there */
int loom_tensor_is_real(const struct loom_tensor *t);                                        /* F64, F32, F16 or BF16 */
/* Elements first … first + n - 1 of a real tensor, converted; what float cannot hold is rounded to nearest. */
void loom_tensor_reals(loom_real *to, const struct loom_tensor *t, int64_t first, int64_t n);

#endif
