/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/arrays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t MOST_ELEMENTS = (int64_t)1 << 34;

size_t loom_array_width(int type)
{
    static const size_t width[] = {4, 8, 4, 8, 1};
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

int loom_arrays_has(const struct loom_arrays *a, const char *group)
{
    const size_t n = strlen(group);
    for (int i = 0; i < a->n; i++)
        if (strncmp(a->at[i].name, group, n) == 0 && a->at[i].name[n] == '/')
            return 1;
    return 0;
}
