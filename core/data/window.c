/* SPDX-License-Identifier: Apache-2.0 */
/* What one window holds. Spikes are found by binary search in each unit's ascending times; whole bins outside the span
 * read 0 and are unknown, so nothing beyond the span is touched. */
#include "data/columns.h"

#include <loom/rng.h>

#include <math.h>
#include <string.h>

enum { MILLISECOND = 1000000 }; /* in the unit of the clock */

struct event {
    int64_t t; /* from the window's origin */
    int32_t unit;
};

struct filler {
    const struct loom_catalog *c;
    const struct loom_recording *r;
    const struct loom_span *span;
    struct loom_arena *arena;
    int64_t origin, bin;
    int32_t bins, units, seen; /* seen: bins before the forward ones */
    int32_t from, to;          /* bins [from, to) lie inside the span: wholly, or on the clock with their beginning */
    int32_t *unit;
    const uint8_t *held_unit; /* by number in the recording, or NULL */
    const uint8_t *lacks;     /* [units of the recording] 1 = not recorded in the span; NULL: all were */
    uint8_t unknown;          /* what becomes of something held out that is not known */
    uint16_t *visible, *full; /* [bins, units]; the same where nothing is held out */
    uint8_t *held;            /* [bins, units] or NULL */
};

/* ---- units ---- */

/* Where a density that starts at 1 and changes by `slope` encloses `area`. */
static double enclose(double area, double slope)
{
    return slope == 0.0 ? area : (sqrt(1.0 + 2.0 * slope * area) - 1.0) / slope;
}

/* A number in [low, high] whose density is 1 at the ends and `peak` at `mode`, straight between: `u` in [0, 1) through
 * the inverse of its distribution. */
static double triangular(double low, double mode, double high, double peak, double u)
{
    const double left = mode - low, right = high - mode, mean = 0.5 * (1.0 + peak);
    const double area = u * (left + right) * mean;
    if (area < left * mean)
        return low + enclose(area, (peak - 1.0) / left);
    return high - enclose((left + right) * mean - area, (peak - 1.0) / right);
}

/* Units that stay, ascending: a random subset of a random size (Azabou et al. 2023). Each of the subsets of a size is
 * equally likely (selection sampling, Knuth, The Art of Computer Programming 3.4.2 S). */
static int32_t keep_some(struct filler *f, struct loom_rng *rng)
{
    const struct loom_data_spec *s = &f->c->spec;
    const int32_t units = f->r->units;
    double number = units;
    if (units >= s->unit_keep_min)
        number = floor(triangular((double)s->unit_keep_min, (double)s->unit_keep_mode, (double)s->unit_keep_max,
                                  s->unit_keep_peak, loom_rng_uniform(rng)));
    const int32_t most = number < units ? (int32_t)number : units;
    int32_t n = 0;
    for (int32_t u = 0; u < units; u++)
        if (most == units || (int32_t)loom_rng_below(rng, (uint32_t)(units - u)) < most - n)
            f->unit[n++] = u;
    return n;
}

/* Each unit is left out with the given probability. */
static int32_t drop_some(struct filler *f, struct loom_rng *rng, double drop)
{
    int32_t n = 0;
    for (int32_t u = 0; u < f->r->units; u++)
        if (!(drop > 0.0 && loom_rng_uniform(rng) < drop))
            f->unit[n++] = u;
    return n;
}

/* Unit dropout of either kind; at least one unit that may be seen stays. */
static void keep_units(struct filler *f, const struct loom_sample *s, const struct loom_window_ask *ask)
{
    const double drop = ask->training ? f->c->spec.unit_dropout : 0.0;
    const int count = ask->training && f->c->spec.unit_keep_max > 0;
    struct loom_rng rng;
    int32_t seen = 0;
    if (drop > 0.0 || count)
        loom_rng_init(&rng, ask->seed, "unit_dropout", ask->step, s->key);
    int32_t n = count ? keep_some(f, &rng) : drop_some(f, &rng, drop);
    for (int32_t i = 0; i < n; i++)
        seen += f->held_unit == NULL || !f->held_unit[f->unit[i]];
    f->units = n;
    if (seen > 0 || f->r->units == 0)
        return;
    int32_t u = (int32_t)loom_rng_below(&rng, (uint32_t)f->r->units);
    while (f->held_unit != NULL && f->held_unit[u])
        u = (u + 1) % f->r->units;
    int32_t at = n;
    for (; at > 0 && f->unit[at - 1] > u; at--)
        f->unit[at] = f->unit[at - 1];
    f->unit[at] = u;
    f->units = n + 1;
}

static const uint8_t *absent_units(const struct loom_recording *r, const struct loom_span *span)
{
    for (int32_t i = 0; i < r->absences; i++)
        if (span->begin_ns >= loom_ns(r->absence[i].start_s) && span->begin_ns < loom_ns(r->absence[i].stop_s))
            return r->absence[i].unit;
    return NULL;
}

static int prepare(struct filler *f, const struct loom_sample *s, const struct loom_window_ask *ask)
{
    f->r = f->c->recording[s->recording];
    f->span = &f->c->span[s->span];
    f->origin = s->origin_ns;
    f->bin = f->c->bin_ns;
    f->bins = (int32_t)floor(s->length_s * 1e9 / (double)f->bin + 0.5);
    f->seen = f->bins - (int32_t)(f->c->forward_ns / f->bin);
    f->held_unit = f->c->held[s->recording];
    f->lacks = absent_units(f->r, f->span);
    f->unknown = ask->unknown ? LOOM_HELD_OUT | LOOM_UNKNOWN : LOOM_UNKNOWN;
    f->unit = loom_arena_alloc(f->arena, ((size_t)f->r->units + 1) * sizeof *f->unit);
    if (f->unit == NULL)
        return LOOM_ENOMEM;
    int64_t from = loom_ceil_div(f->span->begin_ns - f->origin, f->bin);
    int64_t to = loom_floor_div(f->span->end_ns - f->origin, f->bin);
    if (f->c->spec.clock)
        to = loom_floor_div(f->span->end_ns - MILLISECOND - f->origin, f->bin) + 1;
    f->from = (int32_t)(from < 0 ? 0 : from > f->bins ? f->bins : from);
    f->to = (int32_t)(to < f->from ? f->from : to > f->bins ? f->bins : to);
    keep_units(f, s, ask);
    return LOOM_OK;
}

/* ---- what is held ---- */

static int mark_held(struct filler *f)
{
    const size_t units = (size_t)f->units;
    const int any_bin = f->from > 0 || f->to < f->bins || f->seen < f->bins;
    if (f->held_unit == NULL && f->lacks == NULL && !any_bin)
        return LOOM_OK;
    f->held = loom_arena_zalloc(f->arena, (size_t)f->bins * units);
    if (f->held == NULL)
        return LOOM_ENOMEM;
    for (int32_t k = 0; k < f->bins; k++) {
        uint8_t *row = f->held + (size_t)k * units;
        const int beyond = k < f->from || k >= f->to, forward = k >= f->seen;
        for (size_t u = 0; u < units; u++) {
            const int32_t unit = f->unit[u];
            const int asked = forward || (f->held_unit != NULL && f->held_unit[unit] && !beyond);
            if (beyond || (f->lacks != NULL && f->lacks[unit]))
                row[u] = asked ? f->unknown : LOOM_UNKNOWN;
            else
                row[u] = asked ? LOOM_HELD_OUT : 0;
        }
    }
    return LOOM_OK;
}

static void hide_held(struct filler *f)
{
    const size_t n = (size_t)f->bins * (size_t)f->units;
    for (size_t i = 0; i < n; i++)
        f->visible[i] = f->held[i] != 0 ? 0 : f->full[i];
}

/* ---- counts ---- */

static void add_count(uint16_t *to, uint32_t n)
{
    uint32_t sum = *to + n;
    *to = sum > UINT16_MAX ? UINT16_MAX : (uint16_t)sum;
}

/* The unit's spikes inside bins [from, to): first index, and how many. */
static const double *spikes_of(const struct filler *f, int32_t unit, int32_t from, int32_t to, int64_t *n)
{
    const double *t = f->r->spike_s + f->r->first_spike[unit];
    const int64_t all = f->r->first_spike[unit + 1] - f->r->first_spike[unit];
    int64_t first = loom_lower_bound(t, all, f->origin + from * f->bin);
    int64_t stop = f->origin + to * f->bin, last = first;
    stop = stop < f->span->end_ns ? stop : f->span->end_ns;
    while (last < all && loom_ns(t[last]) < stop)
        last++;
    *n = last - first;
    return t + first;
}

static void count_spikes(struct filler *f)
{
    for (int32_t u = 0; u < f->units; u++) {
        int64_t n;
        const double *t = spikes_of(f, f->unit[u], f->from, f->to, &n);
        for (int64_t i = 0; i < n; i++) {
            int64_t k = (loom_ns(t[i]) - f->origin) / f->bin;
            add_count(&f->full[(size_t)k * (size_t)f->units + (size_t)u], 1);
        }
    }
}

/* A bin is the sum of the stored bins that it covers. */
static void sum_stored(struct filler *f)
{
    const struct loom_counts *n = f->r->counts;
    const int64_t fold = (int64_t)floor(f->c->spec.bin_s / n->bin_s + 0.5), all = f->r->units;
    for (int32_t k = f->from; k < f->to; k++) {
        int64_t t = f->origin + k * f->bin;
        /* a quarter bin ahead: rounding of times must not pick the block before */
        int32_t block = loom_counts_block(n, t + f->bin / (4 * fold));
        if (block < 0)
            continue;
        int64_t first = loom_counts_bin(n, block, t), end = n->first_bin[block + 1];
        uint16_t *row = f->full + (size_t)k * (size_t)f->units;
        for (int64_t b = first; b < first + fold && b < end; b++) {
            const uint16_t *stored = n->count + (size_t)b * (size_t)all;
            for (int32_t u = 0; u < f->units; u++)
                add_count(&row[u], stored[f->unit[u]]);
        }
    }
}

static int fill_counts(struct filler *f, int with_truth)
{
    const size_t n = (size_t)f->bins * (size_t)f->units + 1;
    f->full = loom_arena_zalloc(f->arena, n * sizeof *f->full);
    if (f->full == NULL || mark_held(f) != LOOM_OK)
        return LOOM_ENOMEM;
    f->visible = f->full;
    if (f->r->first_spike != NULL)
        count_spikes(f);
    else if (f->r->counts != NULL)
        sum_stored(f);
    if (f->held == NULL)
        return LOOM_OK;
    if (with_truth)
        f->visible = loom_arena_alloc(f->arena, n * sizeof *f->visible);
    if (f->visible == NULL)
        return LOOM_ENOMEM;
    hide_held(f);
    return LOOM_OK;
}

/* ---- spikes one by one ---- */

static int event_before(const struct event *a, const struct event *b)
{
    return a->t != b->t ? a->t < b->t : a->unit < b->unit;
}

/* Merge sort, bottom up: no heap, and stable however the spikes lie. Returns the array that holds the result. */
static struct event *sort_events(struct event *a, struct event *b, int64_t n)
{
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t at = 0; at < n; at += 2 * run) {
            int64_t middle = at + run < n ? at + run : n, end = at + 2 * run < n ? at + 2 * run : n;
            int64_t i = at, j = middle;
            for (int64_t k = at; k < end; k++)
                b[k] = i < middle && (j >= end || !event_before(&a[j], &a[i])) ? a[i++] : a[j++];
        }
        struct event *swap = a;
        a = b;
        b = swap;
    }
    return a;
}

static int fill_events(struct filler *f, struct loom_window *out)
{
    const int32_t to = f->to < f->seen ? f->to : f->seen;
    int64_t n, total = 0;
    for (int32_t u = 0; u < f->units; u++) {
        spikes_of(f, f->unit[u], f->from, to, &n);
        total += f->held_unit != NULL && f->held_unit[f->unit[u]] ? 0 : n;
    }
    double *time = loom_arena_alloc(f->arena, ((size_t)total + 1) * sizeof *time);
    int32_t *unit = loom_arena_alloc(f->arena, ((size_t)total + 1) * sizeof *unit);
    size_t mark = loom_arena_mark(f->arena);
    struct event *a = loom_arena_alloc(f->arena, ((size_t)total + 1) * sizeof *a);
    struct event *b = loom_arena_alloc(f->arena, ((size_t)total + 1) * sizeof *b);
    if (time == NULL || unit == NULL || a == NULL || b == NULL)
        return LOOM_ENOMEM;
    int64_t at = 0;
    for (int32_t u = 0; u < f->units; u++) {
        if (f->held_unit != NULL && f->held_unit[f->unit[u]])
            continue;
        const double *t = spikes_of(f, f->unit[u], f->from, to, &n);
        for (int64_t i = 0; i < n; i++)
            a[at++] = (struct event){loom_ns(t[i]) - f->origin, u};
    }
    a = sort_events(a, b, total);
    for (int64_t i = 0; i < total; i++) {
        time[i] = (double)a[i].t * 1e-9;
        unit[i] = a[i].unit;
    }
    loom_arena_rewind(f->arena, mark);
    out->spikes = total;
    out->spike_s = time;
    out->spike_unit = unit;
    return LOOM_OK;
}

/* ---- series ---- */

static int64_t sample_ns(const struct loom_series *s, int64_t i)
{
    return loom_ns(s->time_s != NULL && !(s->rate_hz > 0.0) ? s->time_s[i] : s->start_s + (double)i / s->rate_hz);
}

/* First sample at or after t. */
static int64_t first_sample(const struct loom_series *s, int64_t t)
{
    if (!(s->rate_hz > 0.0))
        return loom_lower_bound(s->time_s, s->samples, t);
    double guess = floor(((double)t * 1e-9 - s->start_s) * s->rate_hz) - 1.0;
    int64_t i = guess < 0.0 ? 0 : guess > (double)s->samples ? s->samples : (int64_t)guess;
    while (i > 0 && sample_ns(s, i - 1) >= t)
        i--;
    while (i < s->samples && sample_ns(s, i) < t)
        i++;
    return i;
}

/* The class of the window's trial, when all that is seen of the trial has been seen: in its last bin, just before the
 * end. */
static int fill_label(const struct filler *f, const struct loom_series_want *want, struct loom_window_series *out)
{
    const int32_t class = loom_catalog_class(f->c, want->label - 1, (int32_t)(f->span - f->c->span));
    double *time = loom_arena_alloc(f->arena, sizeof *time);
    loom_real *value = loom_arena_alloc(f->arena, sizeof *value);
    if (time == NULL || value == NULL)
        return LOOM_ENOMEM;
    *time = (f->seen - 1e-3) * f->c->spec.bin_s;
    *value = (loom_real) class;
    *out = (struct loom_window_series){want->name, 1, class >= 0, time, value};
    return LOOM_OK;
}

static int fill_one_series(const struct filler *f, const struct loom_series_want *want, struct loom_window_series *out)
{
    const struct loom_series *s = loom_recording_series(f->r, want->name);
    *out = (struct loom_window_series){.name = want->name};
    if (want->label > 0)
        return fill_label(f, want, out);
    if (s == NULL)
        return LOOM_OK;
    const int64_t lag = loom_ns(want->lag_s), shift = f->origin + lag;
    int64_t from = shift > f->span->begin_ns ? shift : f->span->begin_ns;
    int64_t to = shift + f->bins * f->bin < f->span->end_ns ? shift + f->bins * f->bin : f->span->end_ns;
    int64_t first = first_sample(s, from), last = first;
    while (last < s->samples && sample_ns(s, last) < to)
        last++;
    const size_t n = (size_t)(last - first), dims = (size_t)s->dims;
    double *time = loom_arena_alloc(f->arena, (n + 1) * sizeof *time);
    loom_real *value = loom_arena_alloc(f->arena, (n * dims + 1) * sizeof *value);
    if (time == NULL || value == NULL)
        return LOOM_ENOMEM;
    for (size_t i = 0; i < n; i++)
        time[i] = (double)(sample_ns(s, first + (int64_t)i) - shift) * 1e-9;
    const float *stored = s->value + (size_t)first * dims;
    for (size_t i = 0; i < n * dims; i++)
        value[i] = (loom_real)stored[i];
    out->dims = s->dims;
    out->samples = (int32_t)n;
    out->time_s = time;
    out->value = value;
    return LOOM_OK;
}

static int fill_series(const struct filler *f, const struct loom_window_ask *ask, struct loom_window *out)
{
    struct loom_window_series *series = loom_arena_alloc(f->arena, ((size_t)ask->series_count + 1) * sizeof *series);
    if (series == NULL)
        return LOOM_ENOMEM;
    for (int32_t i = 0; i < ask->series_count; i++)
        if (fill_one_series(f, &ask->series[i], &series[i]) != LOOM_OK)
            return LOOM_ENOMEM;
    out->series_count = ask->series_count;
    out->series = series;
    return LOOM_OK;
}

int loom_window_fill(const struct loom_catalog *c, const struct loom_sample *s, const struct loom_window_ask *ask,
                     struct loom_arena *arena, struct loom_window *out, struct loom_window *truth, struct loom_error *e)
{
    struct filler f = {.c = c, .arena = arena};
    int rc = prepare(&f, s, ask);
    if (rc == LOOM_OK)
        rc = fill_counts(&f, truth != NULL);
    if (rc == LOOM_OK) {
        *out = (struct loom_window){.size = sizeof *out,
                                    .recording = s->recording,
                                    .of = f.r,
                                    .key = s->key,
                                    .origin_ns = s->origin_ns,
                                    .length_s = s->length_s,
                                    .bin_s = c->spec.bin_s,
                                    .bins = f.bins,
                                    .units = f.units,
                                    .unit = f.unit,
                                    .count = f.visible,
                                    .held = f.held,
                                    .spikes = -1};
        rc = fill_series(&f, ask, out);
    }
    if (rc == LOOM_OK && ask->events && f.r->first_spike != NULL)
        rc = fill_events(&f, out);
    if (rc != LOOM_OK)
        return loom_fail(e, rc, f.r->file, 0,
                         "no room for a window of %.3f s of recording %s: make windows or batches smaller", s->length_s,
                         f.r->id);
    if (truth != NULL) {
        *truth = *out;
        truth->count = f.full;
    }
    return LOOM_OK;
}

int32_t loom_window_mean(const struct loom_window_series *x, double from_s, double to_s, int32_t *at, loom_real *mean)
{
    int32_t n = 0;
    memset(mean, 0, (size_t)x->dims * sizeof *mean);
    while (*at < x->samples && x->time_s[*at] < from_s - 1e-9)
        ++*at;
    for (; *at < x->samples && x->time_s[*at] < to_s - 1e-9; ++*at, n++)
        for (int32_t d = 0; d < x->dims; d++)
            mean[d] += x->value[(int64_t)*at * x->dims + d];
    for (int32_t d = 0; d < x->dims && n > 0; d++)
        mean[d] /= (loom_real)n;
    return n;
}
