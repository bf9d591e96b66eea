/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/metrics.h"

#include "base/arena.h"
#include "data/catalog.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Held-out units are counted too: what a null model of them is allowed to know is their mean rate in training. */
static void count_window(const struct loom_window *w, double *sum, double *bins)
{
    for (int32_t k = 0; k < w->bins; k++)
        for (int32_t u = 0; u < w->units; u++) {
            int64_t at = (int64_t)k * w->units + u;
            if (w->held != NULL && w->held[at] & LOOM_UNKNOWN)
                continue;
            sum[w->unit[u]] += w->count[at];
            bins[w->unit[u]] += 1.0;
        }
}

static int count_split(const struct loom_catalog *c, const int32_t *first, double *sum, double *bins,
                       struct loom_error *e)
{
    struct loom_selection selection = {0};
    struct loom_windows windows = {0};
    struct loom_arena arena = {0};
    struct loom_window_ask ask = {0};
    int rc = loom_selection_init(&selection, c, LOOM_TRAIN, (struct loom_words){0, NULL}, e);
    if (rc == LOOM_OK)
        rc = loom_windows_init(&windows, &selection, &(struct loom_tiling){.stride_s = loom_catalog_window_s(c)}, e);
    if (rc == LOOM_OK)
        rc = loom_arena_init(&arena, (size_t)1 << 32, e);
    for (int32_t i = 0; rc == LOOM_OK && i < windows.n; i++) {
        struct loom_window seen, truth;
        loom_arena_rewind(&arena, 0);
        rc = loom_window_fill(c, &windows.sample[i], &ask, &arena, &seen, &truth, e);
        if (rc == LOOM_OK)
            count_window(&truth, sum + first[truth.recording], bins + first[truth.recording]);
    }
    loom_arena_release(&arena);
    loom_windows_release(&windows);
    loom_selection_release(&selection);
    return rc;
}

int loom_rates_init(struct loom_rates *r, const struct loom_catalog *c, struct loom_error *e)
{
    int32_t n = loom_catalog_count(c);
    int32_t *first = calloc((size_t)n + 1, sizeof *first);
    *r = (struct loom_rates){0};
    for (int32_t i = 0; i < n && first != NULL; i++)
        first[i + 1] = first[i] + loom_catalog_recording(c, i)->units;
    size_t units = first != NULL ? (size_t)first[n] : 0;
    double *rate = calloc(units + 1, sizeof *rate), *bins = calloc(units + 1, sizeof *bins);
    int rc = first != NULL && rate != NULL && bins != NULL
                 ? count_split(c, first, rate, bins, e)
                 : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean rates; free some");
    for (size_t u = 0; u < units && rc == LOOM_OK; u++)
        rate[u] = bins[u] > 0.0 ? rate[u] / bins[u] : NAN;
    free(bins);
    if (rc != LOOM_OK) {
        free(first);
        free(rate);
        return rc;
    }
    *r = (struct loom_rates){n, first, rate};
    return LOOM_OK;
}

void loom_rates_release(struct loom_rates *r)
{
    free((void *)(uintptr_t)r->first);
    free((void *)(uintptr_t)r->rate);
    *r = (struct loom_rates){0};
}
