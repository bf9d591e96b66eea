/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/arrays.h"

#include <loom/npz.h>

#include <string.h>

int loom_arrays_write_npz(const struct loom_arrays *a, const char *path, struct loom_error *e)
{
    static const char *const type[] = {"<f4", "<f8", "<i4", "<i8", "|u1", "|b1"};
    const int64_t length = a->metadata != NULL ? (int64_t)strlen(a->metadata) : 0;
    struct loom_npz *z = NULL;
    for (int i = 0; i < a->n; i++)
        if (a->at[i].first != NULL)
            return loom_fail(e, LOOM_EINVAL, path, 0, "%s is ragged, which NumPy archives cannot hold: write HDF5",
                             a->at[i].name);
    int status = loom_npz_open(&z, path, e);
    if (status != LOOM_OK)
        return status;
    for (int i = 0; i < a->n; i++) {
        const struct loom_array *x = &a->at[i];
        loom_npz_begin(z, x->name, type[x->type], x->rank, x->dim);
        loom_npz_put(z, x->data, (size_t)loom_array_count(x) * loom_array_width(x->type));
    }
    if (length > 0) {
        loom_npz_begin(z, "metadata", "|u1", 1, &length);
        loom_npz_put(z, a->metadata, (size_t)length);
    }
    return loom_npz_close(z, e);
}
