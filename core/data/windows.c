/* SPDX-License-Identifier: Apache-2.0 */
/* Selections, and the tiles that ask every bin of a selection once. */
#include "data/spans.h"

#include <loom/rng.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t loom_sample_key(const struct loom_catalog *c, const struct loom_sample *s, int64_t draw)
{
    const char *id = c->recording[s->recording]->id;
    const int64_t name[4] = {s->origin_ns, loom_ns(s->length_s), s->slot, draw};
    return loom_hash(name, sizeof name, loom_hash(id, strlen(id), 0));
}

/* ---- selections ---- */

static const char *const split_name[LOOM_SPLITS] = {"train", "valid", "test"};

const char *loom_split_name(enum loom_split split)
{
    return split_name[split];
}

int loom_split_named(const char *name, enum loom_split *out, struct loom_error *e)
{
    for (int i = 0; i < LOOM_SPLITS; i++)
        if (strcmp(split_name[i], name) == 0) {
            *out = (enum loom_split)i;
            return LOOM_OK;
        }
    return loom_fail(e, LOOM_ECONFIG, NULL, 0, "there is no split '%s': write train, valid or test", name);
}

int loom_catalog_has_split(const struct loom_catalog *c, enum loom_split split)
{
    for (int32_t i = 0; i < c->spans; i++)
        if (c->span[i].split == (int32_t)split)
            return 1;
    return 0;
}

static int fail_empty(const struct loom_catalog *c, enum loom_split split, const struct loom_words *patterns,
                      struct loom_error *e)
{
    char have[512];
    size_t used = 0;
    int matched = 0;
    have[0] = '\0';
    for (int32_t i = 0; i < c->recordings; i++) {
        matched += patterns->n == 0 || loom_words_match(patterns, c->recording[i]->id);
        if (used + 80 < sizeof have)
            used +=
                (size_t)snprintf(have + used, sizeof have - used, "%s%.64s", i > 0 ? ", " : "", c->recording[i]->id);
    }
    if (matched == 0)
        return loom_fail(e, LOOM_EDATA, NULL, 0, "no recording is called \"%s\"%s; there are %s: correct `recordings`",
                         patterns->word[0], patterns->n > 1 ? " or the like" : "", have);
    return loom_fail(e, LOOM_EDATA, NULL, 0,
                     "split %s of the selected recordings is empty: raise split.%s, or choose shorter bins and windows",
                     split_name[split], split_name[split]);
}

int loom_selection_init(struct loom_selection *s, const struct loom_catalog *c, enum loom_split split,
                        struct loom_words patterns, struct loom_error *e)
{
    *s = (struct loom_selection){.catalog = c, .split = split};
    s->span = malloc(((size_t)c->spans + 1) * sizeof *s->span);
    if (s->span == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a selection of %d spans", (int)c->spans);
    for (int32_t i = 0; i < c->spans; i++)
        if (c->span[i].split == (int32_t)split &&
            (patterns.n == 0 || loom_words_match(&patterns, c->recording[c->span[i].recording]->id)))
            s->span[s->spans++] = i;
    if (s->spans > 0)
        return LOOM_OK;
    loom_selection_release(s);
    return fail_empty(c, split, &patterns, e);
}

void loom_selection_release(struct loom_selection *s)
{
    free(s->span);
    memset(s, 0, sizeof *s);
}

/* ---- tiles ---- */

struct tiler {
    const struct loom_catalog *c;
    const struct loom_tiling *how;
    struct loom_windows *out;
    int64_t length, stride; /* bins; length 0 = whole spans */
    int32_t capacity;
    int failed;
};

static void add_tile(struct tiler *t, int32_t span, int64_t origin, int64_t bins, int64_t ask, int64_t end,
                     int32_t fold)
{
    struct loom_windows *w = t->out;
    if (w->n == t->capacity) {
        int32_t capacity = t->capacity == 0 ? 256 : t->capacity * 2;
        struct loom_sample *at = realloc(w->sample, (size_t)capacity * sizeof *at);
        if (at == NULL) {
            t->failed = 1;
            return;
        }
        w->sample = at;
        t->capacity = capacity;
    }
    const double bin = t->c->spec.bin_s;
    struct loom_sample *s = &w->sample[w->n];
    *s = (struct loom_sample){.recording = t->c->span[span].recording,
                              .span = span,
                              .trial = t->c->span[span].row,
                              .tuple = w->n,
                              .fold = fold,
                              .origin_ns = origin,
                              .length_s = (double)bins * bin,
                              .begin_s = (double)ask * bin,
                              .end_s = (double)end * bin};
    s->key = loom_sample_key(t->c, s, t->how->draw);
    w->n++;
}

/* Bins [from, to) of a span: tiles at multiples of the stride; the last moved back to end at `to`. */
static void tile_stretch(struct tiler *t, int32_t span, int64_t from, int64_t to, int32_t fold)
{
    const int64_t bin = t->c->bin_ns, window = t->c->span[span].window_ns, forward = t->c->forward_ns / bin;
    if (to - from <= forward)
        return;
    const int64_t length = t->length == 0 || t->length > to - from ? to - from : t->length;
    for (int64_t at = from, asked = from; asked < to; at += t->stride) {
        int64_t origin = at + length > to ? to - length : at;
        add_tile(t, span, window + origin * bin, length, asked - origin, length, fold);
        asked = origin + length;
        if (t->length == 0)
            break;
    }
}

static int64_t span_bins(const struct loom_catalog *c, const struct loom_span *s)
{
    return (s->stop_ns - s->window_ns) / c->bin_ns;
}

/* Cuts at fold boundaries: fold f holds bins [f·total/folds, (f+1)·total/folds) of the recording's bins in order. A
 * trial stays whole, in the fold of its first bin. */
static void tile_span(struct tiler *t, int32_t span, int64_t before, int64_t total)
{
    const struct loom_span *s = &t->c->span[span];
    const int64_t bins = span_bins(t->c, s), folds = t->how->folds > 1 ? t->how->folds : 1;
    if (t->c->spec.window == LOOM_WINDOW_TRIAL) {
        add_tile(t, span, s->window_ns, bins, 0, bins, (int32_t)(before * folds / (total > 0 ? total : 1)));
        return;
    }
    for (int64_t f = 0; f < folds; f++) {
        int64_t low = total * f / folds - before, high = total * (f + 1) / folds - before;
        low = low < 0 ? 0 : low;
        high = high > bins ? bins : high;
        if (high > low)
            tile_stretch(t, span, low, high, (int32_t)f);
    }
}

static int64_t spikes_in(const struct loom_recording *r, int64_t from, int64_t to)
{
    int64_t n = 0;
    if (r->first_spike != NULL) {
        for (int32_t u = 0; u < r->units; u++) {
            const double *t = r->spike_s + r->first_spike[u];
            int64_t all = r->first_spike[u + 1] - r->first_spike[u];
            n += loom_lower_bound(t, all, to) - loom_lower_bound(t, all, from);
        }
        return n;
    }
    for (int32_t b = 0; r->counts != NULL && b < r->counts->blocks; b++) {
        int64_t first = r->counts->first_bin[b], last = r->counts->first_bin[b + 1];
        int64_t low = loom_counts_bin(r->counts, b, from), high = loom_counts_bin(r->counts, b, to);
        low = low > first ? low : first;
        high = high < last ? high : last;
        for (int64_t i = low * r->units; i < high * r->units; i++)
            n += r->counts->count[i];
    }
    return n;
}

/* Tiles all spans of one recording, which stand together from `i` on; returns the place after them. */
static int32_t tile_recording(struct tiler *t, const struct loom_selection *s, int32_t i)
{
    const struct loom_catalog *c = t->c;
    const int32_t recording = c->span[s->span[i]].recording;
    struct loom_windows *w = t->out;
    int64_t total = 0, before = 0;
    int32_t stop = i, row = -1;
    for (; stop < s->spans && c->span[s->span[stop]].recording == recording; stop++)
        total += span_bins(c, &c->span[s->span[stop]]);
    w->recordings++;
    for (; i < stop; i++) {
        const struct loom_span *span = &c->span[s->span[i]];
        const int64_t from = span->window_ns > span->begin_ns ? span->window_ns : span->begin_ns;
        const int64_t to = span->stop_ns < span->end_ns ? span->stop_ns : span->end_ns;
        tile_span(t, s->span[i], before, total);
        before += span_bins(c, span);
        w->seconds += (double)(to - from) * 1e-9;
        w->spikes += spikes_in(c->recording[recording], from, to);
        w->trials += span->row >= 0 && span->row != row; /* a gap cuts a trial into several spans */
        row = span->row;
    }
    return stop;
}

int loom_windows_init(struct loom_windows *w, const struct loom_selection *s, const struct loom_tiling *how,
                      struct loom_error *e)
{
    const struct loom_catalog *c = s->catalog;
    const double bin = c->spec.bin_s;
    const int64_t forward = c->forward_ns / c->bin_ns;
    struct tiler t = {.c = c, .how = how, .out = w};
    memset(w, 0, sizeof *w);
    if (how->length_s > 0.0)
        t.length = (int64_t)floor(how->length_s / bin + 0.5);
    else if (how->length_s == 0.0)
        t.length = (int64_t)floor(c->spec.window_s / bin + 0.5) + forward;
    t.length = how->length_s >= 0.0 && t.length <= forward ? forward + 1 : t.length;
    const double stride_s = how->stride_s > 0.0 ? how->stride_s : how->length_s == 0.0 ? c->spec.stride_s : 0.0;
    t.stride = stride_s > 0.0 ? (int64_t)floor(stride_s / bin + 0.5) : t.length;
    t.stride = t.stride > t.length ? t.length : t.stride;
    t.stride = t.stride < 1 ? 1 : t.stride;
    for (int32_t i = 0; i < s->spans && !t.failed;)
        i = tile_recording(&t, s, i);
    if (!t.failed && w->n > 0)
        return LOOM_OK;
    loom_windows_release(w);
    if (t.failed)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the windows of a selection");
    return loom_fail(e, LOOM_EDATA, NULL, 0, "no window fits into the selection: lower forward_ms or folds");
}

void loom_windows_release(struct loom_windows *w)
{
    free(w->sample);
    memset(w, 0, sizeof *w);
}
