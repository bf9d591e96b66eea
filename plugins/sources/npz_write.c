/* SPDX-License-Identifier: Apache-2.0 */
/* A recording as a NumPy archive, by the names that the source `npz` reads without options. */
#include "npz_job.h"

#include <loom/npz.h>

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 14, NAME = 1024 };

struct book {
    struct loom_npz *z;
    const struct loom_recording *r;
};

static void vector(struct book *b, const char *name, const char *type, int64_t n, size_t width, const void *x)
{
    loom_npz_begin(b->z, name, type, 1, &n);
    loom_npz_put(b->z, x, (size_t)n * width);
}

static void number(struct book *b, const char *name, double x)
{
    loom_npz_begin(b->z, name, "<f8", 0, NULL);
    loom_npz_put(b->z, &x, sizeof x);
}

static void text(struct book *b, const char *name, const char *x)
{
    loom_npz_texts(b->z, name, -1, &x);
}

/* "handVel.rate_hz" */
static const char *of(char out[NAME], const char *name, const char *what)
{
    snprintf(out, NAME, "%s.%s", name, what);
    return out;
}

/* ---- units and spikes ---- */

/* word [units]: for the names */
static void write_units(struct book *b, const char **word)
{
    const struct loom_recording *r = b->r;
    const int64_t n = r->units;
    const struct {
        const char *name;
        size_t member;
    } texts[] = {{"units.name", offsetof(struct loom_unit, name)},
                 {"units.region", offsetof(struct loom_unit, region)},
                 {"units.group", offsetof(struct loom_unit, group)}};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        for (int64_t i = 0; i < n; i++)
            memcpy(&word[i], (const char *)&r->unit[i] + texts[k].member, sizeof word[i]);
        loom_npz_texts(b->z, texts[k].name, n, word);
    }
    loom_npz_begin(b->z, "units.electrode", "<i4", 1, &n);
    for (int64_t i = 0; i < n; i++)
        loom_npz_put(b->z, &r->unit[i].electrode, sizeof(int32_t));
    loom_npz_begin(b->z, "units.held_out", "|b1", 1, &n);
    for (int64_t i = 0; i < n; i++)
        loom_npz_put(b->z, r->unit[i].held_out ? "\1" : "\0", 1);
    loom_npz_begin(b->z, "units.position", "<f8", 2, (const int64_t[]){n, 3});
    for (int64_t i = 0; i < n; i++)
        loom_npz_put(b->z, (const double[]){r->unit[i].x, r->unit[i].y, r->unit[i].z}, 3 * sizeof(double));
}

/* Spikes stand unit by unit, as the recording has them. */
static void write_spikes(struct book *b)
{
    const struct loom_recording *r = b->r;
    const int64_t all = r->first_spike[r->units];
    int32_t unit[PIECE], u = 0;
    vector(b, "spike_times", "<f8", all, sizeof *r->spike_s, r->spike_s);
    loom_npz_begin(b->z, "spike_units", "<i4", 1, &all);
    for (int64_t i = 0; i < all;) {
        size_t n = 0;
        for (; n < PIECE && i < all; n++, i++) {
            while (i >= r->first_spike[u + 1])
                u++;
            unit[n] = u;
        }
        loom_npz_put(b->z, unit, n * sizeof *unit);
    }
}

/* The milliseconds that the reader makes these very seconds of. */
static double milliseconds(double s)
{
    const double ms = 1e3 * s, near[2] = {nextafter(ms, 0), nextafter(ms, INFINITY)};
    for (int i = 0; i < 2; i++)
        if (1e-3 * ms != s && 1e-3 * near[i] == s)
            return near[i];
    return ms;
}

static void write_counts(struct book *b)
{
    const struct loom_counts *c = b->r->counts;
    const int64_t bins = c->first_bin[c->blocks], shape[2] = {bins, b->r->units};
    double start[PIECE];
    size_t n = 0;
    loom_npz_begin(b->z, "spikes", "<u2", 2, shape);
    loom_npz_put(b->z, c->count, (size_t)(bins * b->r->units) * sizeof *c->count);
    number(b, "bin_ms", milliseconds(c->bin_s));
    loom_npz_begin(b->z, "time", "<f8", 1, &bins);
    for (int32_t k = 0; k < c->blocks; k++)
        for (int64_t i = c->first_bin[k]; i < c->first_bin[k + 1]; i++) {
            start[n++] = c->block_start_s[k] + (double)(i - c->first_bin[k]) * c->bin_s;
            if (n == PIECE || i + 1 == bins) {
                loom_npz_put(b->z, start, n * sizeof *start);
                n = 0;
            }
        }
}

/* ---- series and tables ---- */

static void write_series(struct book *b, const struct loom_series *s)
{
    char name[NAME];
    loom_npz_begin(b->z, s->name, "<f4", 2, (const int64_t[]){s->samples, s->dims});
    loom_npz_put(b->z, s->value, (size_t)(s->samples * s->dims) * sizeof *s->value);
    if (s->rate_hz > 0) {
        number(b, of(name, s->name, "rate_hz"), s->rate_hz);
        number(b, of(name, s->name, "start_s"), s->start_s);
    } else {
        vector(b, of(name, s->name, "time_s"), "<f8", s->samples, sizeof *s->time_s, s->time_s);
    }
    text(b, of(name, s->name, "unit"), s->unit);
    loom_npz_texts(b->z, of(name, s->name, "dims"), s->dims, s->dim_name);
}

static void write_table(struct book *b, const struct loom_intervals *t)
{
    char name[NAME];
    vector(b, of(name, t->name, "start_s"), "<f8", t->rows, sizeof *t->start_s, t->start_s);
    vector(b, of(name, t->name, "stop_s"), "<f8", t->rows, sizeof *t->stop_s, t->stop_s);
    for (int32_t i = 0; i < t->columns; i++) {
        const struct loom_column *c = &t->column[i];
        if (c->number != NULL)
            vector(b, of(name, t->name, c->name), "<f8", t->rows, sizeof *c->number, c->number);
        else
            loom_npz_texts(b->z, of(name, t->name, c->name), t->rows, c->text);
    }
}

static void write_all(struct book *b, const char **word)
{
    const struct loom_recording *r = b->r;
    text(b, "id", r->id);
    text(b, "subject", r->subject);
    text(b, "session", r->session);
    text(b, "task", r->task);
    text(b, "date", r->date);
    if (r->units > 0)
        write_units(b, word);
    if (r->counts != NULL)
        write_counts(b);
    else if (r->units > 0)
        write_spikes(b);
    for (int32_t i = 0; i < r->intervals_count; i++)
        write_table(b, &r->intervals[i]);
    for (int32_t i = 0; i < r->series_count; i++)
        write_series(b, &r->series[i]);
    loom_npz_begin(b->z, "observed_s", "<f8", 2, (const int64_t[]){r->observed_count, 2});
    loom_npz_put(b->z, r->observed_s, (size_t)r->observed_count * 2 * sizeof *r->observed_s);
}

int npz_write(const struct loom_recording *r, const char *file, struct loom_error *e)
{
    struct book b = {.r = r};
    const char **word = calloc((size_t)r->units + 1, sizeof *word);
    int status = word != NULL ? loom_npz_open(&b.z, file, e)
                              : loom_fail(e, LOOM_ENOMEM, file, 0, "no memory for the names of units; free some");
    if (status == LOOM_OK) {
        write_all(&b, word);
        status = loom_npz_close(b.z, e);
    }
    free(word);
    return status;
}
