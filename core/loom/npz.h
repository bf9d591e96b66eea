/* SPDX-License-Identifier: Apache-2.0 */
/* Writing NumPy archives (.npz), array by array and each in as many pieces as its writer likes, so that what is larger
 * than memory can be written.
 *
 *     struct loom_npz *z;
 *     int status = loom_npz_open(&z, "out.npz", e);
 *     if (status != LOOM_OK)
 *         return status;
 *     loom_npz_begin(z, "spikes", "<u2", 2, (const int64_t[]){bins, units});
 *     loom_npz_put(z, count, bytes);
 *     loom_npz_texts(z, "names", units, name);
 *     return loom_npz_close(z, e);
 *
 * The first failure sticks; what follows does nothing, and loom_npz_close tells it. One thread at a time. */
#ifndef LOOM_NPZ_H
#define LOOM_NPZ_H

#include <loom/types.h>

struct loom_npz;

/* The file appears whole at loom_npz_close, or not at all. LOOM_EIO, LOOM_ENOMEM; *z is NULL then. */
LOOM_API int loom_npz_open(struct loom_npz **z, const char *file, struct loom_error *e);
/* The next array, `name` without ".npy". type: NumPy's word for an element, with its width in bytes or, for "U", in
 * characters: "<f4", "<i8", "|b1", "<U12". dim [rank]; rank 0 is a single value. */
LOOM_API void loom_npz_begin(struct loom_npz *z, const char *name, const char *type, int rank, const int64_t *dim);
/* Its next bytes, the last axis running fastest. All of them are due before the next array begins. */
LOOM_API void loom_npz_put(struct loom_npz *z, const void *bytes, size_t n);
/* A whole array of n texts (UTF-8; NULL is ""), as "<U…" of the longest. n < 0: a single text, rank 0. Bytes that are
 * no UTF-8 become U+FFFD. */
LOOM_API void loom_npz_texts(struct loom_npz *z, const char *name, int64_t n, const char *const *text);
/* Ends the archive and frees `z`. LOOM_EIO, LOOM_ENOMEM, LOOM_EINVAL for an array with another number of bytes than its
 * shape has: there is no file then, or the old one. */
LOOM_API int loom_npz_close(struct loom_npz *z, struct loom_error *e);

#endif
