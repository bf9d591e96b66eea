/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of trials may overlap within a split, so spans are joined to stretches before one is looked for. */
#include "train/outside.h"

#include <stdlib.h>

static int by_begin(const void *a, const void *b)
{
    const struct loom_outside_stretch *x = a, *y = b;
    if (x->recording != y->recording)
        return x->recording < y->recording ? -1 : 1;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

int loom_outside_init(struct loom_outside *o, const struct loom_catalog *c, struct loom_error *e)
{
    int32_t n, kept = 0;
    const struct loom_span *span = loom_catalog_spans(c, &n);
    struct loom_outside_stretch *s = calloc((size_t)n + 1, sizeof *s);
    *o = (struct loom_outside){.train = s};
    if (!s)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d stretches of training: free some", (int)n);
    for (int32_t i = 0; i < n; i++)
        if (span[i].split == LOOM_TRAIN)
            s[kept++] = (struct loom_outside_stretch){span[i].recording, span[i].begin_ns, span[i].end_ns};
    if (kept > 0)
        qsort(s, (size_t)kept, sizeof *s, by_begin);
    for (int32_t i = 0; i < kept; i++) {
        struct loom_outside_stretch *last = o->stretches > 0 ? &s[o->stretches - 1] : NULL;
        if (last && last->recording == s[i].recording && s[i].begin <= last->end)
            last->end = s[i].end > last->end ? s[i].end : last->end;
        else
            s[o->stretches++] = s[i];
    }
    return LOOM_OK;
}

void loom_outside_release(struct loom_outside *o)
{
    free(o->train);
    *o = (struct loom_outside){0};
}

int loom_is_outside(const void *outside, int32_t recording, int32_t unit, int64_t t)
{
    const struct loom_outside *o = outside;
    int32_t low = 0, high = o->stretches;
    (void)unit;
    while (low < high) { /* the first stretch of the recording that ends after t */
        int32_t k = low + (high - low) / 2;
        const struct loom_outside_stretch *s = &o->train[k];
        if (s->recording != recording ? s->recording < recording : s->end <= t)
            low = k + 1;
        else
            high = k;
    }
    return low == o->stretches || o->train[low].recording != recording || o->train[low].begin > t;
}
