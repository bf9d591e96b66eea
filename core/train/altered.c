/* SPDX-License-Identifier: Apache-2.0 */
/* Each recording is copied with new arrays of spikes (or counts) and of series; all else is borrowed. Noise is drawn as
 * a function of (seed, recording, unit), on a grid of half bins, so that every bin is met with a chance of 3 in 4. */
#include "train/altered.h"

#include "base/order.h"

#include <loom/rng.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct loom_altered {
    struct loom_catalog *catalog;
    int recordings;
    struct loom_recording *recording;
    const struct loom_recording **list;
    void **owned;
    int owns, room;
};

static void *own(struct loom_altered *a, size_t bytes)
{
    if (a->owns == a->room) {
        int room = a->room ? 2 * a->room : 64;
        void **more = realloc(a->owned, (size_t)room * sizeof *more);
        if (!more)
            return NULL;
        a->owned = more;
        a->room = room;
    }
    void *p = calloc(1, bytes + 1);
    if (p)
        a->owned[a->owns++] = p;
    return p;
}

static int here(const struct loom_alteration *how, int recording, int32_t unit, double t)
{
    return how->here && how->here(how->payload, recording, unit, (int64_t)floor(t * 1e9 + 0.5));
}

/* The spikes of `unit` of `from`, as they are after the alteration, to out; out NULL: how many there are. */
static int64_t alter_unit(const struct loom_recording *from, int recording, int32_t unit, double bin_s,
                          const struct loom_alteration *how, double *out)
{
    struct loom_rng g;
    int64_t n = 0;
    for (int64_t i = from->first_spike[unit]; i < from->first_spike[unit + 1]; i++)
        if (!here(how, recording, unit, from->spike_s[i])) {
            if (out)
                out[n] = from->spike_s[i];
            n++;
        }
    loom_rng_init(&g, how->seed, "altered", (uint64_t)recording, (uint64_t)unit);
    for (double t = from->start_s + 0.23 * bin_s; t < from->stop_s && how->here && !how->silent; t += 0.5 * bin_s)
        if (loom_rng_uniform(&g) < 0.5 && here(how, recording, unit, t)) {
            if (out)
                out[n] = t;
            n++;
        }
    if (out && n > 1)
        qsort(out, (size_t)n, sizeof *out, loom_ascending);
    return n;
}

static int32_t origin_of(const struct loom_recording *r, int32_t unit, const struct loom_alteration *how)
{
    return how->reverse ? r->units - 1 - unit : unit;
}

static int alter_spikes(struct loom_altered *a, struct loom_recording *r, const struct loom_recording *from, int number,
                        double bin_s, const struct loom_alteration *how)
{
    int64_t *first = own(a, ((size_t)r->units + 1) * sizeof *first);
    if (!first)
        return LOOM_ENOMEM;
    for (int32_t u = 0; u < r->units; u++)
        first[u + 1] = first[u] + alter_unit(from, number, origin_of(r, u, how), bin_s, how, NULL);
    double *spike = own(a, (size_t)first[r->units] * sizeof *spike);
    if (!spike)
        return LOOM_ENOMEM;
    for (int32_t u = 0; u < r->units; u++)
        alter_unit(from, number, origin_of(r, u, how), bin_s, how, spike + first[u]);
    r->first_spike = first;
    r->spike_s = spike;
    return LOOM_OK;
}

static int alter_counts(struct loom_altered *a, struct loom_recording *r, const struct loom_recording *from, int number,
                        const struct loom_alteration *how)
{
    const struct loom_counts *n = from->counts;
    struct loom_counts *counts = own(a, sizeof *counts);
    uint16_t *count = own(a, (size_t)n->first_bin[n->blocks] * (size_t)r->units * sizeof *count);
    struct loom_rng g;
    if (!counts || !count)
        return LOOM_ENOMEM;
    loom_rng_init(&g, how->seed, "altered", (uint64_t)number, 0);
    for (int32_t b = 0; b < n->blocks; b++)
        for (int64_t k = n->first_bin[b]; k < n->first_bin[b + 1]; k++)
            for (int32_t u = 0; u < r->units; u++) {
                int32_t unit = origin_of(r, u, how);
                double t = n->block_start_s[b] + ((double)(k - n->first_bin[b]) + 0.5) * n->bin_s;
                uint16_t noise = how->silent ? 0 : (uint16_t)loom_rng_below(&g, 4);
                count[k * r->units + u] =
                    here(how, number, unit, t) ? noise : n->count[k * (int64_t)from->units + unit];
            }
    *counts = *n;
    counts->count = count;
    r->counts = counts;
    return LOOM_OK;
}

static int is_spared(const struct loom_alteration *how, const char *series)
{
    for (const char *const *name = how->spared; name && *name; name++)
        if (strcmp(*name, series) == 0)
            return 1;
    return 0;
}

static int alter_series(struct loom_altered *a, struct loom_recording *r, const struct loom_recording *from, int number,
                        const struct loom_alteration *how)
{
    struct loom_series *series = own(a, (size_t)from->series_count * sizeof *series);
    struct loom_rng g;
    if (!series)
        return LOOM_ENOMEM;
    loom_rng_init(&g, how->seed, "altered series", (uint64_t)number, 0);
    for (int32_t s = 0; s < from->series_count; s++) {
        const struct loom_series *x = &from->series[s];
        float *value = own(a, (size_t)x->samples * (size_t)x->dims * sizeof *value);
        if (!value)
            return LOOM_ENOMEM;
        memcpy(value, x->value, (size_t)x->samples * (size_t)x->dims * sizeof *value);
        for (int64_t i = 0; i < x->samples && !is_spared(how, x->name); i++)
            if (here(how, number, -1, x->rate_hz > 0 ? x->start_s + (double)i / x->rate_hz : x->time_s[i]))
                for (int64_t k = i * x->dims; k < (i + 1) * x->dims; k++)
                    value[k] = how->series == LOOM_SERIES_NAN ? NAN : (float)(10.0 * loom_rng_normal(&g));
        series[s] = *x;
        series[s].value = value;
    }
    r->series = series;
    return LOOM_OK;
}

static int reverse_absences(struct loom_altered *a, struct loom_recording *r, const struct loom_recording *from)
{
    struct loom_absence *absence = own(a, (size_t)from->absences * sizeof *absence);
    for (int32_t i = 0; absence && i < from->absences; i++) {
        uint8_t *unit = own(a, (size_t)r->units);
        if (!unit)
            return LOOM_ENOMEM;
        for (int32_t u = 0; u < r->units; u++)
            unit[u] = from->absence[i].unit[r->units - 1 - u];
        absence[i] = from->absence[i];
        absence[i].unit = unit;
    }
    r->absence = absence;
    return absence ? LOOM_OK : LOOM_ENOMEM;
}

static int alter(struct loom_altered *a, struct loom_recording *r, const struct loom_recording *from, int number,
                 double bin_s, const struct loom_alteration *how)
{
    int code = LOOM_OK;
    *r = *from;
    if (how->units != 0 && how->units < r->units && (how->only == 0 || how->only == number + 1))
        r->units = how->units > 0 ? how->units : 0;
    if (how->reverse) {
        struct loom_unit *unit = own(a, (size_t)r->units * sizeof *unit);
        for (int32_t u = 0; unit && u < r->units; u++)
            unit[u] = from->unit[origin_of(r, u, how)];
        r->unit = unit;
        code = unit ? LOOM_OK : LOOM_ENOMEM;
    }
    if (code == LOOM_OK && how->reverse)
        code = reverse_absences(a, r, from);
    if (code == LOOM_OK && from->first_spike)
        code = alter_spikes(a, r, from, number, bin_s, how);
    else if (code == LOOM_OK && from->counts)
        code = alter_counts(a, r, from, number, how);
    if (code == LOOM_OK && how->series != LOOM_SERIES_KEEP)
        code = alter_series(a, r, from, number, how);
    return code;
}

/* Labels are changed where the middle of the trial's window is, of what its split has of it: to another class, so that
 * it is seen. */
struct relabelling {
    const struct loom_alteration *how;
    struct loom_rng g;
};

static int32_t relabel(void *payload, const struct loom_span *span, int32_t is, int32_t classes)
{
    struct relabelling *x = payload;
    const int64_t from = span->window_ns > span->begin_ns ? span->window_ns : span->begin_ns;
    const int64_t to = span->stop_ns < span->end_ns ? span->stop_ns : span->end_ns;
    const double middle = 0.5e-9 * ((double)from + (double)to);
    const int32_t by = 1 + (int32_t)loom_rng_below(&x->g, (uint32_t)classes - 1);
    if (!here(x->how, span->recording, -1, middle))
        return is;
    return x->how->series == LOOM_SERIES_NAN ? -1 : (is + by) % classes;
}

static void alter_labels(struct loom_catalog *c, const struct loom_alteration *how)
{
    struct relabelling x = {.how = how};
    loom_rng_init(&x.g, how->seed, "altered labels", 0, 0);
    if (how->series != LOOM_SERIES_KEEP)
        loom_catalog_relabel(c, relabel, &x);
}

int loom_altered_new(struct loom_altered **out, const struct loom_catalog *from, const struct loom_alteration *how,
                     struct loom_error *e)
{
    struct loom_altered *a = *out = calloc(1, sizeof *a);
    int code = a ? LOOM_OK : LOOM_ENOMEM;
    if (a) {
        a->recordings = loom_catalog_count(from);
        a->recording = own(a, (size_t)a->recordings * sizeof *a->recording);
        a->list = own(a, (size_t)a->recordings * sizeof *a->list);
        code = a->recording && a->list ? LOOM_OK : LOOM_ENOMEM;
    }
    for (int i = 0; code == LOOM_OK && i < a->recordings; i++) {
        a->list[i] = &a->recording[i];
        code = alter(a, &a->recording[i], loom_catalog_recording(from, i), i, loom_catalog_bin_s(from), how);
    }
    if (code == LOOM_ENOMEM)
        loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a copy of the recordings: free some");
    if (code == LOOM_OK)
        code = loom_catalog_new(&a->catalog, a->list, a->recordings, loom_catalog_spec(from), e);
    if (code == LOOM_OK)
        alter_labels(a->catalog, how);
    if (code != LOOM_OK) {
        loom_altered_free(a);
        *out = NULL;
    }
    return code;
}

void loom_altered_free(struct loom_altered *a)
{
    if (!a)
        return;
    loom_catalog_free(a->catalog);
    for (int i = 0; i < a->owns; i++)
        free(a->owned[i]);
    free(a->owned);
    free(a);
}

struct loom_catalog *loom_altered_catalog(const struct loom_altered *a)
{
    return a->catalog;
}
