/* SPDX-License-Identifier: Apache-2.0 */
/* A recording in memory for tests: one span of bins, counts of its units, and one behaviour at the beginning of each
 * bin. */
#ifndef LOOM_TESTS_RECORDED_H
#define LOOM_TESTS_RECORDED_H

#include "suite.h"

#include <loom/data.h>

#include <stdio.h>
#include <stdlib.h>

struct recorded {
    struct loom_recording r;
    struct loom_unit *unit; /* [units] "n0", "n1", … */
    char (*name)[16];
    struct loom_counts counts;
    struct loom_series series;
    double start, observed[2];
    int64_t first_bin[2];
    uint16_t *count; /* [bins, units] 0 */
    float *value;    /* [bins, dims] 0 */
};

/* `id` and `series` are borrowed. Bins of 50 ms; the first unit is called "n" and the number `first`. */
static inline void recorded_init(struct recorded *x, const char *id, int bins, int first, int units, const char *series,
                                 int dims)
{
    static const char *const dim[] = {"x", "y", "z"};
    *x = (struct recorded){.unit = calloc((size_t)units, sizeof *x->unit),
                           .name = calloc((size_t)units, sizeof *x->name),
                           .count = calloc((size_t)bins * (size_t)units, sizeof *x->count),
                           .value = calloc((size_t)bins * (size_t)dims, sizeof *x->value)};
    ck_assert(x->unit && x->name && x->count && x->value);
    for (int u = 0; u < units; u++) {
        snprintf(x->name[u], sizeof x->name[0], "n%d", first + u);
        x->unit[u] = (struct loom_unit){.name = x->name[u], .group = "", .region = "", .electrode = -1};
    }
    x->first_bin[1] = bins;
    x->observed[1] = bins * 0.05;
    x->counts = (struct loom_counts){0.05, 1, &x->start, x->first_bin, x->count};
    x->series = (struct loom_series){series, "cm/s", dims, dim, bins, 20.0, 0.0, NULL, x->value};
    x->r = (struct loom_recording){.id = id,
                                   .subject = "",
                                   .session = "",
                                   .task = "",
                                   .date = "",
                                   .file = "",
                                   .stop_s = bins * 0.05,
                                   .units = units,
                                   .unit = x->unit,
                                   .counts = &x->counts,
                                   .series_count = 1,
                                   .series = &x->series,
                                   .observed_count = 1,
                                   .observed_s = x->observed};
}

static inline void recorded_release(struct recorded *x)
{
    free(x->unit);
    free(x->name);
    free(x->count);
    free(x->value);
}

#endif
