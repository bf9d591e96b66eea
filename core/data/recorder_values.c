/* SPDX-License-Identifier: Apache-2.0 */
/* Spikes and samples: what a recording is mostly made of. They come through the pipe, or, where the source's file holds
 * them as they are due, are read from there in pieces that stay in the processor's own cache while they are looked
 * through, summed and written. pread, not a mapping: a file that shrinks meanwhile must not take this process down. */
#include "data/recorder_parts.h"

#include "data/values.h"
#include "data/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_SERIES = 1 << 16, PIECE = 1 << 18 /* bytes */ };

/* ---- the source's file ---- */

static int open_source(struct loom_recorder *r, struct loom_error *e)
{
    struct stat st;
    if (r->source_fd >= 0)
        return LOOM_OK;
    if (r->source == NULL)
        return loom_recorder_refuse(r, e, "the source names a place in a file that it was not given");
    if (r->piece == NULL && (r->piece = malloc(PIECE)) == NULL)
        return loom_recorder_starved(r, e);
    r->source_fd = open(r->source, O_RDONLY | O_CLOEXEC);
    if (r->source_fd < 0 || fstat(r->source_fd, &st) != 0)
        return loom_fail(e, LOOM_EDATA, r->file, 0, "cannot open: %s; check its name", strerror(errno));
    r->source_bytes = st.st_size;
    return LOOM_OK;
}

/* The next of `left` values of `size` bytes from *at on into r->piece; both are moved on. The number read, or a
 * negative status. */
static int64_t read_piece(struct loom_recorder *r, int64_t *at, int64_t *left, size_t size, struct loom_error *e)
{
    int64_t n = *left < (int64_t)(PIECE / size) ? *left : (int64_t)(PIECE / size);
    for (size_t want = (size_t)n * size, done = 0; done < want;) {
        ssize_t got = pread(r->source_fd, r->piece + done, want - done, *at + (int64_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return loom_fail(e, LOOM_EDATA, r->file, 0, "cannot be read: %s", strerror(errno));
        if (got == 0)
            return loom_recorder_refuse(r, e, "the file was cut short while it was read; fetch it again");
        done += (size_t)got;
    }
    *at += n * (int64_t)size;
    *left -= n;
    return n;
}

/* Opens the file and finds [at, at + n × size) within it. */
static int find_range(struct loom_recorder *r, int64_t at, int64_t n, size_t size, struct loom_error *e)
{
    int status = open_source(r, e);
    if (status == LOOM_OK && (at < 0 || n < 0 || at > r->source_bytes || n > (r->source_bytes - at) / (int64_t)size))
        status = loom_recorder_refuse(r, e,
                                      "%lld values at byte %lld of a file of %lld bytes; it is damaged: fetch it again",
                                      (long long)n, (long long)at, (long long)r->source_bytes);
    return status;
}

/* ---- spikes ---- */

void loom_span_widen(double *first, double *last, double t)
{
    if (t < *first)
        *first = t;
    if (t > *last)
        *last = t;
}

static double time_at(const unsigned char *at, size_t i)
{
    double x;
    memcpy(&x, at + i * sizeof x, sizeof x);
    return x;
}

/* n > 0 times in order from `before` on, and all of them finite. */
static int in_order(const unsigned char *at, size_t n, double before)
{
    return loom_times_ascend(at, n, before) && isfinite(time_at(at, 0)) && isfinite(time_at(at, n - 1));
}

static int look_at_spikes(struct loom_recorder *r, struct loom_taken *t, int32_t unit, const unsigned char *at,
                          size_t n, struct loom_error *e)
{
    struct loom_taken_unit *u = &t->unit[unit];
    if (n > 0 && in_order(at, n, u->last_s)) {
        u->last_s = time_at(at, n - 1);
        loom_span_widen(&t->first_s, &t->last_s, time_at(at, 0));
        loom_span_widen(&t->first_s, &t->last_s, u->last_s);
        return LOOM_OK;
    }
    for (size_t i = 0; i < n; i++) {
        double s = time_at(at, i);
        if (!isfinite(s))
            return loom_recorder_refuse(r, e, "spike %zu of unit %d has no finite time; clean the file", i, unit);
        loom_span_widen(&t->first_s, &t->last_s, s);
        t->disordered |= s < u->last_s;
        u->last_s = s;
    }
    return LOOM_OK;
}

static int add_spikes(struct loom_recorder *r, struct loom_taken *t, int32_t unit, const unsigned char *at, size_t n,
                      struct loom_error *e)
{
    const size_t bytes = n * sizeof(double);
    t->disordered |= unit < t->last_unit;
    t->last_unit = unit;
    int status = look_at_spikes(r, t, unit, at, n, e);
    t->spikes += (int64_t)n;
    if (status == LOOM_OK)
        status = loom_recorder_spool(r, &t->trains, at, bytes, e);
    if (status == LOOM_OK && n > 0)
        status = loom_recorder_note(r, &t->unit[unit].spikes, r->spooled - (int64_t)bytes, bytes, e);
    return status;
}

static int check_unit(struct loom_recorder *r, const struct loom_taken *t, int32_t unit, struct loom_error *e)
{
    if (unit < 0 || unit >= t->units)
        return loom_recorder_refuse(r, e, "spikes of a unit that was not named");
    if (t->blocks > 0)
        return loom_recorder_refuse(r, e, "spike times beside counts; a recording has one or the other");
    return LOOM_OK;
}

int loom_recorder_take_spikes(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                              struct loom_error *e)
{
    int32_t unit = loom_take_i32(v);
    size_t bytes = (size_t)(v->end - v->at);
    if (v->bad || bytes % sizeof(double) != 0)
        return loom_recorder_refuse(r, e, "spikes that do not fill their message");
    int status = check_unit(r, t, unit, e);
    return status == LOOM_OK ? add_spikes(r, t, unit, loom_take_bytes(v, bytes), bytes / sizeof(double), e) : status;
}

/* Leaves out what is not finite, as sources do with what they send; returns what is left. */
static size_t keep_finite(unsigned char *at, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(time_at(at, i)))
            memmove(at + kept++ * sizeof(double), at + i * sizeof(double), sizeof(double));
    return kept;
}

int loom_recorder_take_spikes_at(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                                 struct loom_error *e)
{
    int32_t unit = loom_take_i32(v);
    int64_t at = loom_take_i64(v), left = loom_take_i64(v), bad = 0;
    if (v->bad)
        return LOOM_OK; /* which the caller refuses */
    int status = check_unit(r, t, unit, e);
    if (status == LOOM_OK)
        status = find_range(r, at, left, sizeof(double), e);
    while (status == LOOM_OK && left > 0) {
        int64_t n = read_piece(r, &at, &left, sizeof(double), e);
        if (n < 0)
            return (int)n;
        size_t kept = in_order(r->piece, (size_t)n, -INFINITY) ? (size_t)n : keep_finite(r->piece, (size_t)n);
        bad += n - (int64_t)kept;
        status = add_spikes(r, t, unit, r->piece, kept, e);
    }
    if (bad > 0)
        loom_log(LOOM_WARN, "%s: %s: %lld spikes of unit %d have no finite time and are left out", r->file, r->object,
                 (long long)bad, unit);
    return status;
}

/* ---- series ---- */

int loom_recorder_take_series(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                              struct loom_error *e)
{
    struct loom_taken_series *series =
        loom_recorder_grow(t->series, t->series_count, &t->series_room, MOST_SERIES, sizeof *series);
    if (series == NULL)
        return loom_recorder_starved(r, e);
    t->series = series;
    struct loom_taken_series *s = &t->series[t->series_count++];
    s->name = strdup(loom_take_text(v));
    s->unit = strdup(loom_take_text(v));
    s->rate_hz = loom_take_f64(v);
    s->start_s = loom_take_f64(v);
    int32_t dims = loom_take_i32(v);
    if (s->name == NULL || s->unit == NULL)
        return loom_recorder_starved(r, e);
    if (v->bad || dims < 1 || dims > (v->end - v->at) / 5 || !isfinite(s->rate_hz) || s->rate_hz < 0 ||
        !isfinite(s->start_s))
        return loom_recorder_refuse(r, e, "series \"%s\" with rate %g Hz, start %g s, %d dimensions", s->name,
                                    s->rate_hz, s->start_s, dims);
    for (int32_t i = 0; i < t->series_count - 1; i++)
        if (strcmp(t->series[i].name, s->name) == 0)
            return loom_recorder_refuse(r, e, "two series are called \"%s\"", s->name);
    if ((s->dim_name = calloc((size_t)dims, sizeof *s->dim_name)) == NULL)
        return loom_recorder_starved(r, e);
    s->dims = dims;
    for (int32_t d = 0; d < dims; d++)
        if ((s->dim_name[d] = strdup(loom_take_text(v))) == NULL)
            return loom_recorder_starved(r, e);
    s->last_s = -INFINITY;
    return LOOM_OK;
}

/* Whose samples or times these are, and no more of one kind than of the other. NULL: refused. */
static struct loom_taken_series *series_of(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                                           struct loom_error *e)
{
    int32_t number = loom_take_i32(v);
    if (!v->bad && number >= 0 && number < t->series_count)
        return &t->series[number];
    loom_recorder_refuse(r, e, "samples of a series that was not begun");
    return NULL;
}

int loom_recorder_take_times(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                             struct loom_error *e)
{
    struct loom_taken_series *s = series_of(r, t, v, e);
    if (s == NULL)
        return LOOM_EDATA;
    size_t bytes = (size_t)(v->end - v->at), n = bytes / sizeof(double);
    const unsigned char *at = loom_take_bytes(v, bytes);
    if (s->rate_hz > 0 || bytes % sizeof(double) != 0)
        return loom_recorder_refuse(r, e, "times of series \"%s\" that has a rate, or do not fill their message",
                                    s->name);
    if (n == 0)
        return LOOM_OK;
    if (!in_order(at, n, s->last_s))
        for (size_t i = 0; i < n; i++) {
            double x = time_at(at, i), before = i > 0 ? time_at(at, i - 1) : s->last_s;
            if (!isfinite(x) || x < before)
                return loom_recorder_refuse(
                    r, e, "sample %lld of series \"%s\" stands at %g s, after one at %g s; sort the file's times",
                    (long long)(s->timed + (int64_t)i), s->name, x, before);
        }
    if (s->timed == 0)
        s->first_s = time_at(at, 0);
    s->last_s = time_at(at, n - 1);
    s->timed += (int64_t)n;
    return loom_recorder_spool(r, &s->times, at, bytes, e);
}

int loom_recorder_take_samples(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                               struct loom_error *e)
{
    struct loom_taken_series *s = series_of(r, t, v, e);
    if (s == NULL)
        return LOOM_EDATA;
    size_t bytes = (size_t)(v->end - v->at), row = (size_t)s->dims * sizeof(float);
    const unsigned char *at = loom_take_bytes(v, bytes);
    if (bytes % row != 0)
        return loom_recorder_refuse(r, e, "samples of series \"%s\" do not fill their message", s->name);
    if (loom_floats_any_infinite(at, bytes / sizeof(float)))
        return loom_recorder_refuse(r, e, "series \"%s\" holds an infinite value", s->name);
    s->samples += (int64_t)(bytes / row);
    return loom_recorder_spool(r, &s->values, at, bytes, e);
}

/* Infinity is no measurement: it becomes missing here, as in the sink. */
static int64_t forget_infinite(unsigned char *at, size_t n)
{
    static const float missing = NAN;
    int64_t found = 0;
    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, at + i * sizeof x, sizeof x);
        if (isinf(x)) {
            memcpy(at + i * sizeof x, &missing, sizeof missing);
            found++;
        }
    }
    return found;
}

int loom_recorder_take_samples_at(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                                  struct loom_error *e)
{
    struct loom_taken_series *s = series_of(r, t, v, e);
    int64_t at = loom_take_i64(v), n = loom_take_i64(v), left;
    if (s == NULL)
        return LOOM_EDATA;
    if (v->bad || n < 0 || __builtin_mul_overflow(n, (int64_t)s->dims, &left))
        return loom_recorder_refuse(r, e, "%lld samples of series \"%s\"", (long long)n, s->name);
    int status = find_range(r, at, left, sizeof(float), e);
    while (status == LOOM_OK && left > 0) {
        int64_t values = read_piece(r, &at, &left, sizeof(float), e);
        if (values < 0)
            return (int)values;
        if (loom_floats_any_infinite(r->piece, (size_t)values))
            r->infinite += forget_infinite(r->piece, (size_t)values);
        status = loom_recorder_spool(r, &s->values, r->piece, (size_t)values * sizeof(float), e);
    }
    s->samples += n;
    return status;
}

int loom_recorder_check_series(struct loom_recorder *r, const struct loom_taken *t, struct loom_error *e)
{
    for (int32_t i = 0; i < t->series_count; i++) {
        const struct loom_taken_series *s = &t->series[i];
        if (s->rate_hz == 0 && s->timed != s->samples)
            return loom_recorder_refuse(r, e, "series \"%s\" has %lld samples and %lld times", s->name,
                                        (long long)s->samples, (long long)s->timed);
    }
    return LOOM_OK;
}
