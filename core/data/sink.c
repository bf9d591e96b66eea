/* SPDX-License-Identifier: Apache-2.0 */
#include "data/sink.h"

#include "base/hash.h"
#include "data/values.h"
#include "data/wire.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Bytes of an array in one frame: what the parent looks through again is still in the processor's own cache. */
enum { PIECE = 1 << 18 };
/* Bytes that one message points to. */
enum { RANGE = 64 << 20 };

struct sink_series {
    int32_t dims;
    int timed;
};

struct loom_sink {
    int fd, status; /* status: the first failure */
    uint32_t number;
    struct loom_wire frame;
    int recording;       /* 1 once one has begun */
    int32_t units, rows; /* rows of the intervals begun last; -1 = none */
    struct sink_series *series;
    int32_t series_count, series_room;
    int64_t infinite; /* values turned into NaN */
};

uint32_t loom_frame_crc(const struct loom_frame *f, const void *payload, size_t bytes)
{
    uint32_t crc = loom_crc32c(0, f, offsetof(struct loom_frame, crc));
    return loom_crc32c(crc, payload, bytes);
}

struct loom_sink *loom_sink_new(int fd)
{
    struct loom_sink *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->fd = fd;
        s->rows = -1;
    }
    return s;
}

static int fail(struct loom_sink *s, int code)
{
    if (s->status == LOOM_OK)
        s->status = code;
    return s->status;
}

/* All of the n parts, which it moves on. */
static int write_all(int fd, struct iovec *part, int n)
{
    while (n > 0) {
        ssize_t done = writev(fd, part, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return LOOM_EIO;
        for (; n > 0 && (size_t)done >= part->iov_len; part++, n--)
            done -= (ssize_t)part->iov_len;
        if (n > 0) {
            part->iov_base = (char *)part->iov_base + done;
            part->iov_len -= (size_t)done;
        }
    }
    return LOOM_OK;
}

/* Sends what stands in s->frame behind the room left for the header, then an array from where it is. */
static int send_array(struct loom_sink *s, enum loom_message tag, const void *array, size_t array_bytes)
{
    if (s->status != LOOM_OK)
        return s->status;
    size_t bytes = s->frame.size - sizeof(struct loom_frame) + array_bytes;
    if (s->frame.failed || bytes > LOOM_FRAME_MOST)
        return fail(s, LOOM_ENOMEM);
    struct loom_frame f = {(uint32_t)tag, (uint32_t)bytes, s->number++, 0};
    struct iovec part[] = {{s->frame.data, s->frame.size}, {(void *)(uintptr_t)array, array_bytes}};
    f.crc = loom_frame_crc(&f, s->frame.data + sizeof f, s->frame.size - sizeof f);
    f.crc = loom_crc32c(f.crc, array, array_bytes);
    memcpy(s->frame.data, &f, sizeof f);
    int status = write_all(s->fd, part, 2);
    return status == LOOM_OK ? LOOM_OK : fail(s, status);
}

static int send_frame(struct loom_sink *s, enum loom_message tag)
{
    return send_array(s, tag, NULL, 0);
}

static struct loom_wire *begin(struct loom_sink *s)
{
    static const struct loom_frame blank;
    s->frame.size = 0;
    loom_wire_bytes(&s->frame, &blank, sizeof blank);
    return &s->frame;
}

static int send_text(struct loom_sink *s, enum loom_message tag, const char *text)
{
    loom_wire_text(begin(s), text);
    return send_frame(s, tag);
}

int loom_sink_object(struct loom_sink *s, const char *path)
{
    return send_text(s, LOOM_MSG_OBJECT, path);
}

int loom_sink_warn(struct loom_sink *s, const char *fmt, ...)
{
    char message[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    return send_text(s, LOOM_MSG_WARN, message);
}

int loom_sink_recording(struct loom_sink *s, const char *id, const char *subject, const char *session, const char *task,
                        const char *date)
{
    struct loom_wire *w = begin(s);
    const char *const texts[] = {id, subject, session, task, date};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        loom_wire_text(w, texts[i]);
    s->recording = 1;
    s->units = s->series_count = 0;
    s->rows = -1;
    return send_frame(s, LOOM_MSG_RECORDING);
}

int loom_sink_unit(struct loom_sink *s, const struct loom_unit *u)
{
    if (!s->recording)
        return fail(s, LOOM_EINVAL);
    struct loom_wire *w = begin(s);
    loom_wire_text(w, u->name);
    loom_wire_text(w, u->group);
    loom_wire_text(w, u->region);
    loom_wire_i32(w, u->electrode);
    loom_wire_i32(w, u->held_out);
    loom_wire_f64(w, u->x);
    loom_wire_f64(w, u->y);
    loom_wire_f64(w, u->z);
    s->units++;
    return send_frame(s, LOOM_MSG_UNIT);
}

int loom_sink_spikes(struct loom_sink *s, int32_t unit, const double *time_s, size_t n)
{
    if (unit < 0 || unit >= s->units)
        return fail(s, LOOM_EINVAL);
    for (size_t done = 0; done < n;) {
        size_t piece = n - done < PIECE / sizeof *time_s ? n - done : PIECE / sizeof *time_s;
        struct loom_wire *w = begin(s);
        loom_wire_i32(w, unit);
        if (send_array(s, LOOM_MSG_SPIKES, time_s + done, piece * sizeof *time_s) != LOOM_OK)
            break;
        done += piece;
    }
    return s->status;
}

int loom_sink_counts(struct loom_sink *s, double start_s, double bin_s, int64_t bins, const uint16_t *count)
{
    if (s->units == 0 || bins < 0)
        return fail(s, LOOM_EINVAL);
    struct loom_wire *w = begin(s);
    loom_wire_f64(w, start_s);
    loom_wire_f64(w, bin_s);
    loom_wire_i64(w, bins);
    send_frame(s, LOOM_MSG_COUNTS);
    size_t bin_bytes = (size_t)s->units * sizeof *count;
    int64_t most = PIECE / bin_bytes > 0 ? (int64_t)(PIECE / bin_bytes) : 1;
    for (int64_t done = 0; done < bins && s->status == LOOM_OK;) {
        int64_t piece = bins - done < most ? bins - done : most;
        begin(s);
        send_array(s, LOOM_MSG_BINS, count + done * s->units, (size_t)piece * bin_bytes);
        done += piece;
    }
    return s->status;
}

static int series_add(struct loom_sink *s, int32_t dims, int timed)
{
    if (s->series_count == s->series_room) {
        int32_t room = s->series_room ? s->series_room * 2 : 16;
        struct sink_series *series = realloc(s->series, (size_t)room * sizeof *series);
        if (series == NULL)
            return fail(s, LOOM_ENOMEM);
        s->series = series;
        s->series_room = room;
    }
    s->series[s->series_count] = (struct sink_series){dims, timed};
    return s->series_count++;
}

int loom_sink_series(struct loom_sink *s, const char *name, const char *unit, int32_t dims, const char *const *dim_name,
                     double rate_hz, double start_s)
{
    if (!s->recording || dims < 1)
        return fail(s, LOOM_EINVAL);
    struct loom_wire *w = begin(s);
    loom_wire_text(w, name);
    loom_wire_text(w, unit);
    loom_wire_f64(w, rate_hz);
    loom_wire_f64(w, start_s);
    loom_wire_i32(w, dims);
    for (int32_t d = 0; d < dims; d++)
        loom_wire_text(w, dim_name != NULL ? dim_name[d] : NULL);
    if (send_frame(s, LOOM_MSG_SERIES) != LOOM_OK)
        return s->status;
    return series_add(s, dims, rate_hz == 0);
}

/* Infinity is no measurement: it becomes missing here, so that what stands behind the sink is finite or NaN. */
static void add_values(struct loom_sink *s, struct loom_wire *w, const float *value, size_t n)
{
    size_t from = 0;
    static const float missing = NAN;
    for (size_t i = 0; i < n; i++)
        if (isinf(value[i])) {
            loom_wire_bytes(w, value + from, (i - from) * sizeof *value);
            loom_wire_bytes(w, &missing, sizeof missing);
            from = i + 1;
            s->infinite++;
        }
    loom_wire_bytes(w, value + from, (n - from) * sizeof *value);
}

/* All times of a call before its samples: arrays that arrive whole need not be put together. */
static int send_times(struct loom_sink *s, int32_t series, int64_t n, const double *time_s)
{
    const int64_t most = PIECE / sizeof *time_s;
    for (int64_t done = 0; done < n && s->status == LOOM_OK; done += most) {
        loom_wire_i32(begin(s), series);
        send_array(s, LOOM_MSG_TIMES, time_s + done, (size_t)(n - done < most ? n - done : most) * sizeof *time_s);
    }
    return s->status;
}

static int check_samples(struct loom_sink *s, int32_t series, int64_t n, const double *time_s)
{
    if (series < 0 || series >= s->series_count || n < 0 || (s->series[series].timed && time_s == NULL && n > 0))
        return fail(s, LOOM_EINVAL);
    return s->series[series].timed ? send_times(s, series, n, time_s) : s->status;
}

int loom_sink_samples(struct loom_sink *s, int32_t series, int64_t n, const double *time_s, const float *value)
{
    if (check_samples(s, series, n, time_s) != LOOM_OK)
        return s->status;
    const size_t dims = (size_t)s->series[series].dims;
    const int64_t most = PIECE / (4 * dims) > 0 ? (int64_t)(PIECE / (4 * dims)) : 1;
    for (int64_t done = 0; done < n && s->status == LOOM_OK; done += most) {
        const size_t values = (size_t)(n - done < most ? n - done : most) * dims;
        const float *from = value + (size_t)done * dims;
        struct loom_wire *w = begin(s);
        loom_wire_i32(w, series);
        if (loom_floats_any_infinite(from, values)) {
            add_values(s, w, from, values);
            send_frame(s, LOOM_MSG_SAMPLES);
        } else {
            send_array(s, LOOM_MSG_SAMPLES, from, values * sizeof *from);
        }
    }
    return s->status;
}

/* In pieces, so that the parent sees a sign of life. */
static int send_places(struct loom_sink *s, enum loom_message tag, int32_t number, uint64_t at, uint64_t n,
                       uint64_t size)
{
    const uint64_t most = RANGE / size > 0 ? RANGE / size : 1;
    uint64_t end;
    if (at > INT64_MAX || __builtin_mul_overflow(n, size, &end) || end > INT64_MAX - at)
        return fail(s, LOOM_EINVAL);
    for (uint64_t done = 0; done < n && s->status == LOOM_OK; done += most) {
        struct loom_wire *w = begin(s);
        loom_wire_i32(w, number);
        loom_wire_i64(w, (int64_t)(at + done * size));
        loom_wire_i64(w, (int64_t)(n - done < most ? n - done : most));
        send_frame(s, tag);
    }
    return s->status;
}

int loom_sink_spikes_at(struct loom_sink *s, int32_t unit, uint64_t at, size_t n)
{
    if (unit < 0 || unit >= s->units)
        return fail(s, LOOM_EINVAL);
    return send_places(s, LOOM_MSG_SPIKES_AT, unit, at, n, sizeof(double));
}

int loom_sink_samples_at(struct loom_sink *s, int32_t series, int64_t n, const double *time_s, uint64_t at)
{
    if (check_samples(s, series, n, time_s) != LOOM_OK)
        return s->status;
    return send_places(s, LOOM_MSG_SAMPLES_AT, series, at, (uint64_t)n,
                       sizeof(float) * (uint64_t)s->series[series].dims);
}

int loom_sink_intervals(struct loom_sink *s, const char *name, int32_t rows, const double *start_s,
                        const double *stop_s)
{
    if (!s->recording || rows < 0)
        return fail(s, LOOM_EINVAL);
    struct loom_wire *w = begin(s);
    loom_wire_text(w, name);
    loom_wire_i32(w, rows);
    loom_wire_bytes(w, start_s, (size_t)rows * sizeof *start_s);
    loom_wire_bytes(w, stop_s, (size_t)rows * sizeof *stop_s);
    s->rows = rows;
    return send_frame(s, LOOM_MSG_INTERVALS);
}

int loom_sink_numbers(struct loom_sink *s, const char *column, const double *value)
{
    if (s->rows < 0)
        return fail(s, LOOM_EINVAL);
    struct loom_wire *w = begin(s);
    loom_wire_text(w, column);
    loom_wire_bytes(w, value, (size_t)s->rows * sizeof *value);
    return send_frame(s, LOOM_MSG_NUMBERS);
}

int loom_sink_texts(struct loom_sink *s, const char *column, const char *const *value)
{
    if (s->rows < 0)
        return fail(s, LOOM_EINVAL);
    struct loom_wire *w = begin(s);
    loom_wire_text(w, column);
    for (int32_t i = 0; i < s->rows; i++)
        loom_wire_text(w, value[i]);
    return send_frame(s, LOOM_MSG_TEXTS);
}

int loom_sink_observed(struct loom_sink *s, double start_s, double stop_s)
{
    if (!s->recording)
        return fail(s, LOOM_EINVAL);
    struct loom_wire *w = begin(s);
    loom_wire_f64(w, start_s);
    loom_wire_f64(w, stop_s);
    return send_frame(s, LOOM_MSG_OBSERVED);
}

/* A failed write leaves nobody to tell; any other failure of the sink is worth a last message. */
void loom_sink_close(struct loom_sink *s, int code, const char *message)
{
    if (s == NULL)
        return;
    if (s->infinite > 0)
        loom_sink_warn(s, "%lld infinite values are read as missing", (long long)s->infinite);
    int stuck = s->status;
    s->status = stuck == LOOM_EIO ? LOOM_EIO : LOOM_OK;
    s->frame.failed = 0;
    struct loom_wire *w = begin(s);
    if (code == LOOM_OK && stuck == LOOM_OK) {
        send_frame(s, LOOM_MSG_DONE);
    } else {
        loom_wire_i32(w, code != LOOM_OK ? code : stuck);
        loom_wire_text(w, message != NULL && message[0] != '\0' ? message
                          : stuck == LOOM_ENOMEM ? "a table is too large for one message, or memory ran out"
                                                 : "the source broke the order of its sink's calls");
        send_frame(s, LOOM_MSG_FAIL);
    }
    loom_wire_release(&s->frame);
    free(s->series);
    free(s);
}
