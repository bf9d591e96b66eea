/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/data.h>

#include "data/recordings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const struct loom_series *loom_recording_series(const struct loom_recording *r, const char *name)
{
    for (int32_t i = 0; i < r->series_count; i++)
        if (strcmp(r->series[i].name, name) == 0)
            return &r->series[i];
    return NULL;
}

const struct loom_intervals *loom_recording_intervals(const struct loom_recording *r, const char *name)
{
    for (int32_t i = 0; i < r->intervals_count; i++)
        if (strcmp(r->intervals[i].name, name) == 0)
            return &r->intervals[i];
    return NULL;
}

const struct loom_column *loom_intervals_column(const struct loom_intervals *t, const char *name)
{
    for (int32_t i = 0; i < t->columns; i++)
        if (strcmp(t->column[i].name, name) == 0)
            return &t->column[i];
    return NULL;
}

int loom_recordings_count(const struct loom_recordings *set)
{
    return set->count;
}

const struct loom_recording *loom_recordings_at(const struct loom_recordings *set, int i)
{
    return i >= 0 && i < set->count ? &set->recording[i] : NULL;
}

void loom_recordings_free(struct loom_recordings *set)
{
    if (set == NULL)
        return;
    if (set->map != NULL)
        munmap((void *)(uintptr_t)set->map, set->bytes);
    if (set->arena.base != NULL)
        loom_arena_release(&set->arena);
    free(set->file);
    free(set);
}
