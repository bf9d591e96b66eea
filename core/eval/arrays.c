/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/arrays.h"

#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t MOST_ELEMENTS = (int64_t)1 << 34;

size_t loom_array_width(int type)
{
    static const size_t width[] = {4, 8, 4, 8, 1, 1};
    return width[type];
}

int64_t loom_array_count(const struct loom_array *a)
{
    int64_t n = 1;
    for (int i = 0; i < a->rank; i++)
        n *= a->dim[i];
    return n;
}

void loom_arrays_release(struct loom_arrays *a)
{
    for (int i = 0; i < a->n; i++) {
        free(a->at[i].data);
        free(a->at[i].first);
    }
    free(a->at);
    free(a->metadata);
    *a = (struct loom_arrays){0};
}

static int sane(int rank, const int64_t *dim)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 0 || (dim[i] > 0 && n > MOST_ELEMENTS / dim[i]))
            return 0;
        n *= dim[i];
    }
    return rank >= 0 && rank <= LOOM_ARRAY_RANK;
}

struct loom_array *loom_arrays_add(struct loom_arrays *a, const char *name, int type, int rank, const int64_t *dim,
                                   const void *data, struct loom_error *e)
{
    struct loom_array new = {.type = type, .rank = rank};
    if (!sane(rank, dim) || (size_t)snprintf(new.name, sizeof new.name, "%s", name) >= sizeof new.name) {
        loom_fail(e, LOOM_EDATA, NULL, 0,
                  "array %.60s: a name of at most %zu bytes, %d axes and 2^34 elements are what can be held", name,
                  sizeof new.name - 1, LOOM_ARRAY_RANK);
        return NULL;
    }
    for (int i = 0; i < rank; i++)
        new.dim[i] = dim[i];
    const size_t n = (size_t)loom_array_count(&new), width = loom_array_width(type);
    struct loom_array *grown = realloc(a->at, ((size_t)a->n + 1) * sizeof *grown);
    if (grown != NULL)
        a->at = grown;
    new.data = grown != NULL ? calloc(n + 1, width) : NULL;
    if (new.data == NULL) {
        loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for array %s of %zu bytes: free some", name, n * width);
        return NULL;
    }
    if (data != NULL)
        memcpy(new.data, data, n * width);
    a->at[a->n] = new;
    return &a->at[a->n++];
}

void loom_array_describe(struct loom_array *a, const char *axes, const char *unit)
{
    snprintf(a->axes, sizeof a->axes, "%s", axes);
    snprintf(a->unit, sizeof a->unit, "%s", unit);
}

const struct loom_array *loom_arrays_find(const struct loom_arrays *a, const char *name)
{
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->at[i].name, name) == 0)
            return &a->at[i];
    return NULL;
}

/* ---- files that are added to ---- */

static int keep(struct loom_arrays *into, struct loom_array *a, struct loom_error *e)
{
    const int type = a->type == LOOM_ARRAY_F64 ? LOOM_ARRAY_F32 : a->type == LOOM_ARRAY_I64 ? LOOM_ARRAY_I32 : a->type;
    const int64_t n = loom_array_count(a);
    struct loom_array *b = loom_arrays_add(into, a->name, type, a->rank, a->dim, NULL, e);
    if (b == NULL)
        return LOOM_ENOMEM;
    for (int64_t i = 0; i < n; i++)
        if (type == LOOM_ARRAY_F32)
            ((float *)b->data)[i] = (float)((const double *)a->data)[i];
        else if (type == LOOM_ARRAY_I32)
            ((int32_t *)b->data)[i] = (int32_t)((const int64_t *)a->data)[i];
        else
            ((uint8_t *)b->data)[i] = ((const uint8_t *)a->data)[i];
    loom_array_describe(b, a->axes, a->unit);
    b->rows = a->rows;
    b->first = a->first;
    a->first = NULL;
    return LOOM_OK;
}

int loom_arrays_keep(struct loom_arrays *a, const char *path, const char *but, struct loom_error *e)
{
    struct loom_arrays old = {0};
    const size_t n = strlen(but);
    int code = loom_file_exists(path) ? loom_arrays_read_h5(&old, path, e) : LOOM_OK;
    for (int i = 0; i < old.n && code == LOOM_OK; i++)
        if (strncmp(old.at[i].name, but, n) != 0 || old.at[i].name[n] != '/')
            code = keep(a, &old.at[i], e);
    loom_arrays_release(&old);
    return code;
}
