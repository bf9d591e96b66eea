/* SPDX-License-Identifier: Apache-2.0 */
#include "data/recorder.h"

#include "base/hash.h"
#include "data/cache_format.h"
#include "data/recorder_parts.h"
#include "data/spool.h"
#include "data/wire.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than any laboratory has, and little enough that a mad child cannot fill memory with names. */
enum {
    MOST_RECORDINGS = 1 << 20,
    MOST_UNITS = 1 << 22,
    MOST_COLUMNS = 1 << 16,
    MOST_TABLES = 1 << 12,
    MOST_PIECES = 1 << 26
};

#define MOST_DESCRIBED ((int64_t)4 << 30)

int loom_recorder_refuse(const struct loom_recorder *r, struct loom_error *e, const char *fmt, ...)
{
    char what[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return loom_fail(e, LOOM_EDATA, r->file, 0, "%s%s%s", r->object, r->object[0] != '\0' ? ": " : "", what);
}

int loom_recorder_starved(const struct loom_recorder *r, struct loom_error *e)
{
    return loom_fail(e, LOOM_ENOMEM, r->file, 0, "out of memory while reading; close other programs");
}

void *loom_recorder_grow(void *array, int32_t count, int32_t *room, int32_t most, size_t size)
{
    if (count < *room)
        return array;
    if (count >= most)
        return NULL;
    int32_t wider = *room < 8 ? 8 : *room > most / 2 ? most : *room * 2;
    void *moved = reallocarray(array, (size_t)wider, size);
    if (moved != NULL) {
        memset((char *)moved + (size_t)count * size, 0, (size_t)(wider - count) * size);
        *room = wider;
    }
    return moved;
}

/* 1 where `p` ends at this place of the spool. */
static int ends_at(const struct loom_pieces *p, int64_t at)
{
    return p->count > 0 && p->piece[p->count - 1].at + p->piece[p->count - 1].bytes == at;
}

int loom_recorder_note(const struct loom_recorder *r, struct loom_pieces *p, int64_t at, size_t n, struct loom_error *e)
{
    if (ends_at(p, at)) {
        p->piece[p->count - 1].bytes += (int64_t)n;
    } else {
        struct loom_piece *piece = loom_recorder_grow(p->piece, p->count, &p->room, MOST_PIECES, sizeof *piece);
        if (piece == NULL)
            return loom_recorder_starved(r, e);
        p->piece = piece;
        p->piece[p->count++] = (struct loom_piece){at, (int64_t)n};
    }
    p->bytes += (int64_t)n;
    return LOOM_OK;
}

int loom_recorder_spool(struct loom_recorder *r, struct loom_pieces *p, const void *bytes, size_t n,
                        struct loom_error *e)
{
    if (n == 0)
        return LOOM_OK;
    if (!ends_at(p, r->spooled))
        r->spooled = (int64_t)loom_cache_padded((uint64_t)r->spooled);
    if ((int64_t)n > r->limit - r->spooled)
        return loom_recorder_refuse(r, e, "more than %lld MiB of data; is the file what it says? Raise the limit if so",
                                    (long long)(r->limit >> 20));
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(r->spool, (const char *)bytes + done, n - done, r->spooled + (int64_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return loom_fail(e, LOOM_EIO, r->file, 0,
                             "cannot write to the cache folder: %s; free some space or set LOOM_CACHE",
                             strerror(errno));
        done += (size_t)put;
    }
    int status = loom_recorder_note(r, p, r->spooled, n, e);
    if (status == LOOM_OK) {
        p->crc = loom_crc32c(p->crc, bytes, n);
        r->spooled += (int64_t)n;
    }
    return status;
}

static struct loom_taken *current(struct loom_recorder *r, struct loom_error *e)
{
    if (r->count > 0)
        return &r->taken[r->count - 1];
    loom_recorder_refuse(r, e, "the source sent data before it began a recording");
    return NULL;
}

static int take_recording(struct loom_recorder *r, struct loom_view_bytes *v, struct loom_error *e)
{
    struct loom_taken *taken = loom_recorder_grow(r->taken, r->count, &r->room, MOST_RECORDINGS, sizeof *taken);
    if (taken == NULL)
        return loom_recorder_starved(r, e);
    r->taken = taken;
    struct loom_taken *t = &r->taken[r->count++];
    t->first_s = INFINITY;
    t->last_s = -INFINITY;
    for (size_t i = 0; i < sizeof t->text / sizeof *t->text; i++)
        if ((t->text[i] = strdup(loom_take_text(v))) == NULL)
            return loom_recorder_starved(r, e);
    return LOOM_OK;
}

static int take_unit(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v, struct loom_error *e)
{
    if (t->blocks > 0)
        return loom_recorder_refuse(r, e, "the source names a unit after the counts have begun");
    struct loom_taken_unit *unit = loom_recorder_grow(t->unit, t->units, &t->unit_room, MOST_UNITS, sizeof *unit);
    if (unit == NULL)
        return loom_recorder_starved(r, e);
    t->unit = unit;
    struct loom_taken_unit *u = &t->unit[t->units++];
    u->last_s = -INFINITY;
    u->name = strdup(loom_take_text(v));
    u->group = strdup(loom_take_text(v));
    u->region = strdup(loom_take_text(v));
    u->electrode = loom_take_i32(v);
    u->held_out = loom_take_i32(v) != 0;
    for (int i = 0; i < 3; i++)
        u->position[i] = loom_take_f64(v);
    if (u->name == NULL || u->group == NULL || u->region == NULL)
        return loom_recorder_starved(r, e);
    return LOOM_OK;
}

/* Blocks follow one another: a start that rounding puts up to a thousandth of a bin early is not an overlap. */
static int take_counts(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v, struct loom_error *e)
{
    double start = loom_take_f64(v), bin = loom_take_f64(v);
    int64_t bins = loom_take_i64(v);
    if (v->bad || !isfinite(start) || !(bin > 0) || !isfinite(bin) || bins < 0 || t->units == 0)
        return loom_recorder_refuse(r, e, "a block of counts with start %g s, bin %g s, %lld bins, %d units", start,
                                    bin, (long long)bins, t->units);
    if (t->spikes > 0)
        return loom_recorder_refuse(r, e, "counts beside spike times; a recording has one or the other");
    if (bins > r->limit / 2 / t->units)
        return loom_recorder_refuse(r, e, "%lld bins of %d units exceed the limit on data", (long long)bins, t->units);
    if (t->blocks > 0) {
        const struct loom_taken_block *last = &t->block[t->blocks - 1];
        double free_from = last->start_s + (double)last->bins * t->bin_s;
        if (last->taken != last->bins)
            return loom_recorder_refuse(r, e, "a block of counts ends %lld bins early",
                                        (long long)(last->bins - last->taken));
        if (bin != t->bin_s)
            return loom_recorder_refuse(r, e, "blocks of counts with bins of %g s and %g s", t->bin_s, bin);
        if (!(start >= free_from - 1e-3 * bin))
            return loom_recorder_refuse(
                r, e, "a block of counts begins at %g s, inside the one before, which ends at %g s", start, free_from);
    }
    struct loom_taken_block *block = loom_recorder_grow(t->block, t->blocks, &t->block_room, INT32_MAX, sizeof *block);
    if (block == NULL)
        return loom_recorder_starved(r, e);
    t->block = block;
    t->bin_s = bin;
    t->block[t->blocks++] = (struct loom_taken_block){start, bins, 0};
    return LOOM_OK;
}

static int take_bins(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v, struct loom_error *e)
{
    size_t bytes = (size_t)(v->end - v->at), bin_bytes = (size_t)t->units * sizeof(uint16_t);
    if (t->blocks == 0 || bytes % bin_bytes != 0)
        return loom_recorder_refuse(r, e, "counts that are no whole bins");
    struct loom_taken_block *b = &t->block[t->blocks - 1];
    int64_t bins = (int64_t)(bytes / bin_bytes);
    if (bins > b->bins - b->taken)
        return loom_recorder_refuse(r, e, "more counts than the block's %lld bins hold", (long long)b->bins);
    b->taken += bins;
    return loom_recorder_spool(r, &t->bins, v->at, bytes, e);
}

static int take_intervals(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                          struct loom_error *e)
{
    struct loom_taken_intervals *tables =
        loom_recorder_grow(t->intervals, t->intervals_count, &t->intervals_room, MOST_TABLES, sizeof *tables);
    if (tables == NULL)
        return loom_recorder_starved(r, e);
    t->intervals = tables;
    struct loom_taken_intervals *table = &t->intervals[t->intervals_count++];
    if ((table->name = strdup(loom_take_text(v))) == NULL)
        return loom_recorder_starved(r, e);
    int32_t rows = loom_take_i32(v);
    size_t bytes = rows > 0 ? (size_t)rows * sizeof(double) : 0;
    const unsigned char *start = loom_take_bytes(v, bytes), *stop = loom_take_bytes(v, bytes);
    if (v->bad || rows < 0 || v->at != v->end)
        return loom_recorder_refuse(r, e, "table \"%s\" does not fill its message", table->name);
    table->rows = rows;
    table->first_s = INFINITY;
    table->last_s = -INFINITY;
    for (int32_t i = 0; i < rows; i++) {
        double from, to;
        memcpy(&from, start + (size_t)i * sizeof from, sizeof from);
        memcpy(&to, stop + (size_t)i * sizeof to, sizeof to);
        if (!isfinite(from) || !isfinite(to) || to < from)
            return loom_recorder_refuse(
                r, e,
                "row %d of table \"%s\" lasts from %g s to %g s: mend it in the file, or have the "
                "source leave the table out",
                i, table->name, from, to);
        loom_span_widen(&table->first_s, &table->last_s, from);
        loom_span_widen(&table->first_s, &table->last_s, to);
    }
    int status = loom_recorder_spool(r, &table->start, start, bytes, e);
    return status == LOOM_OK ? loom_recorder_spool(r, &table->stop, stop, bytes, e) : status;
}

static int take_column(struct loom_recorder *r, struct loom_taken *t, int is_text, struct loom_view_bytes *v,
                       struct loom_error *e)
{
    if (t->intervals_count == 0)
        return loom_recorder_refuse(r, e, "a column before its table");
    struct loom_taken_intervals *table = &t->intervals[t->intervals_count - 1];
    struct loom_taken_column *columns =
        loom_recorder_grow(table->column, table->columns, &table->column_room, MOST_COLUMNS, sizeof *columns);
    if (columns == NULL)
        return loom_recorder_starved(r, e);
    table->column = columns;
    struct loom_taken_column *c = &table->column[table->columns++];
    c->is_text = is_text;
    if ((c->name = strdup(loom_take_text(v))) == NULL)
        return loom_recorder_starved(r, e);
    if (!is_text) {
        size_t bytes = (size_t)table->rows * sizeof(double);
        const void *at = loom_take_bytes(v, bytes);
        if (v->bad || v->at != v->end)
            return loom_recorder_refuse(r, e, "column \"%s\" does not have the %d rows of its table", c->name,
                                        table->rows);
        return loom_recorder_spool(r, &c->values, at, bytes, e);
    }
    struct loom_wire texts = {0};
    for (int32_t i = 0; i < table->rows && !v->bad; i++) {
        const char *text = loom_take_text(v);
        loom_wire_bytes(&texts, text, strlen(text) + 1);
    }
    int status = LOOM_OK;
    if (v->bad || v->at != v->end)
        status =
            loom_recorder_refuse(r, e, "column \"%s\" does not have the %d rows of its table", c->name, table->rows);
    else if (texts.failed)
        status = loom_recorder_starved(r, e);
    else
        status = loom_recorder_spool(r, &c->values, texts.data, texts.size, e);
    loom_wire_release(&texts);
    return status;
}

static int take_observed(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v, struct loom_error *e)
{
    double from = loom_take_f64(v), to = loom_take_f64(v);
    if (v->bad || !isfinite(from) || !isfinite(to) || to < from)
        return loom_recorder_refuse(r, e, "observed from %g s to %g s", from, to);
    double *observed =
        loom_recorder_grow(t->observed, t->observed_count, &t->observed_room, INT32_MAX, 2 * sizeof *observed);
    if (observed == NULL)
        return loom_recorder_starved(r, e);
    t->observed = observed;
    t->observed[2 * t->observed_count] = from;
    t->observed[2 * t->observed_count + 1] = to;
    t->observed_count++;
    return LOOM_OK;
}

static int take_end(struct loom_recorder *r, int tag, struct loom_view_bytes *v, struct loom_error *e)
{
    if (tag == LOOM_MSG_FAIL) {
        int code = loom_take_i32(v);
        const char *text = loom_take_text(v);
        r->state = LOOM_RECORDER_FAILED;
        return loom_fail(e, code < 0 ? code : LOOM_EDATA, r->file, 0, "%s", v->bad ? "the source failed" : text);
    }
    if (r->count == 0)
        return loom_recorder_refuse(r, e, "the source found no recording in it; is it the right source for this file?");
    for (int32_t i = 0; i < r->count; i++) {
        const struct loom_taken *t = &r->taken[i];
        if (t->blocks > 0 && t->block[t->blocks - 1].taken != t->block[t->blocks - 1].bins)
            return loom_recorder_refuse(r, e, "the last block of counts is not complete");
        int status = loom_recorder_check_series(r, t, e);
        if (status != LOOM_OK)
            return status;
    }
    if (r->infinite > 0)
        loom_log(LOOM_WARN, "%s: %lld infinite values are read as missing", r->file, (long long)r->infinite);
    r->state = LOOM_RECORDER_DONE;
    return LOOM_OK;
}

static int take_of_recording(struct loom_recorder *r, int tag, struct loom_view_bytes *v, struct loom_error *e)
{
    struct loom_taken *t = current(r, e);
    if (t == NULL)
        return LOOM_EDATA;
    switch (tag) {
    case LOOM_MSG_UNIT:
        return take_unit(r, t, v, e);
    case LOOM_MSG_SPIKES:
        return loom_recorder_take_spikes(r, t, v, e);
    case LOOM_MSG_SPIKES_AT:
        return loom_recorder_take_spikes_at(r, t, v, e);
    case LOOM_MSG_COUNTS:
        return take_counts(r, t, v, e);
    case LOOM_MSG_BINS:
        return take_bins(r, t, v, e);
    case LOOM_MSG_SERIES:
        return loom_recorder_take_series(r, t, v, e);
    case LOOM_MSG_TIMES:
        return loom_recorder_take_times(r, t, v, e);
    case LOOM_MSG_SAMPLES_AT:
        return loom_recorder_take_samples_at(r, t, v, e);
    case LOOM_MSG_SAMPLES:
        return loom_recorder_take_samples(r, t, v, e);
    case LOOM_MSG_INTERVALS:
        return take_intervals(r, t, v, e);
    case LOOM_MSG_NUMBERS:
    case LOOM_MSG_TEXTS:
        return take_column(r, t, tag == LOOM_MSG_TEXTS, v, e);
    default:
        return take_observed(r, t, v, e);
    }
}

/* What stays in memory of a message, rounded up: names and numbers of objects, not their data. */
static int64_t described_by(const struct loom_frame *f)
{
    switch (f->tag) {
    case LOOM_MSG_OBJECT:
    case LOOM_MSG_WARN:
    case LOOM_MSG_SPIKES:
    case LOOM_MSG_SPIKES_AT:
    case LOOM_MSG_BINS:
    case LOOM_MSG_TIMES:
    case LOOM_MSG_SAMPLES:
    case LOOM_MSG_SAMPLES_AT:
        return 0;
    default:
        return 256 + (int64_t)f->bytes;
    }
}

int loom_recorder_take(struct loom_recorder *r, const struct loom_frame *f, const void *payload, struct loom_error *e)
{
    if ((r->described += described_by(f)) > MOST_DESCRIBED)
        return loom_recorder_refuse(r, e, "more than %d GiB of names and tables; is the file damaged?",
                                    (int)(MOST_DESCRIBED >> 30));
    if (r->state != LOOM_RECORDER_RUNNING || f->number != r->number++ || f->tag < LOOM_MSG_OBJECT ||
        f->tag >= LOOM_MSG_KINDS || f->crc != loom_frame_crc(f, payload, f->bytes))
        return loom_recorder_refuse(r, e, "the reading process sent a damaged message; the file may be damaged too");
    struct loom_view_bytes v = {payload, (const unsigned char *)payload + f->bytes, 0};
    int status = LOOM_OK;
    if (f->tag == LOOM_MSG_OBJECT)
        snprintf(r->object, sizeof r->object, "%s", loom_take_text(&v));
    else if (f->tag == LOOM_MSG_WARN)
        loom_log(LOOM_WARN, "%s: %s", r->file, loom_take_text(&v));
    else if (f->tag == LOOM_MSG_RECORDING)
        status = take_recording(r, &v, e);
    else if (f->tag == LOOM_MSG_FAIL || f->tag == LOOM_MSG_DONE)
        status = take_end(r, (int)f->tag, &v, e);
    else
        status = take_of_recording(r, (int)f->tag, &v, e);
    if (status == LOOM_OK && v.bad)
        status = loom_recorder_refuse(r, e, "the reading process sent a message that is cut short");
    return status;
}

int loom_recorder_state(const struct loom_recorder *r)
{
    return r->state;
}

const char *loom_recorder_object(const struct loom_recorder *r)
{
    return r->object;
}

const char *loom_recorder_folder(const struct loom_recorder *r)
{
    return r->folder;
}

int loom_recorder_new(struct loom_recorder **out, const char *folder, uint64_t limit, const char *file,
                      const char *source, struct loom_error *e)
{
    struct loom_recorder *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r == NULL)
        return loom_fail(e, LOOM_ENOMEM, file, 0, "out of memory; close other programs");
    snprintf(r->file, sizeof r->file, "%s", file);
    r->spooled = sizeof(struct loom_cache_header);
    r->limit = (limit > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)limit) + r->spooled;
    r->source_fd = r->spool = -1;
    r->folder = strdup(folder);
    if (source[0] != '\0')
        r->source = strdup(source);
    int status = r->folder == NULL || (source[0] != '\0' && r->source == NULL) ? loom_recorder_starved(r, e) : LOOM_OK;
    if (status == LOOM_OK && (r->spool = loom_spool_open(folder)) < 0)
        status = loom_fail(e, LOOM_EIO, folder, 0, "cannot write to the cache folder: %s; set LOOM_CACHE to another",
                           strerror(errno));
    if (status == LOOM_OK)
        *out = r;
    else
        loom_recorder_free(r);
    return status;
}

static void free_tables(struct loom_taken *t)
{
    for (int32_t i = 0; i < t->intervals_count; i++) {
        struct loom_taken_intervals *table = &t->intervals[i];
        for (int32_t c = 0; c < table->columns; c++) {
            free(table->column[c].name);
            free(table->column[c].values.piece);
        }
        free(table->column);
        free(table->name);
        free(table->start.piece);
        free(table->stop.piece);
    }
    free(t->intervals);
}

static void free_taken(struct loom_taken *t)
{
    for (size_t i = 0; i < sizeof t->text / sizeof *t->text; i++)
        free(t->text[i]);
    for (int32_t i = 0; i < t->units; i++) {
        free(t->unit[i].name);
        free(t->unit[i].group);
        free(t->unit[i].region);
        free(t->unit[i].spikes.piece);
    }
    for (int32_t i = 0; i < t->series_count; i++) {
        for (int32_t d = 0; d < t->series[i].dims; d++)
            free(t->series[i].dim_name[d]);
        free(t->series[i].dim_name);
        free(t->series[i].name);
        free(t->series[i].unit);
        free(t->series[i].times.piece);
        free(t->series[i].values.piece);
    }
    free_tables(t);
    free(t->unit);
    free(t->block);
    free(t->series);
    free(t->observed);
    free(t->bins.piece);
    free(t->trains.piece);
}

void loom_recorder_free(struct loom_recorder *r)
{
    if (r == NULL)
        return;
    for (int32_t i = 0; i < r->count; i++)
        free_taken(&r->taken[i]);
    free(r->taken);
    free(r->folder);
    free(r->source);
    free(r->piece);
    if (r->source_fd >= 0)
        close(r->source_fd);
    if (r->spool >= 0)
        close(r->spool);
    free(r);
}
