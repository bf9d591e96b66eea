/* SPDX-License-Identifier: Apache-2.0 */
#include "data/recorder.h"

#include "data/cache_format.h"
#include "data/recorder_parts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Descriptions and copies are written behind what stays in the spool. */
struct save {
    struct loom_recorder *r;
    struct loom_cache_writer cache;
    struct loom_wire about;
    struct loom_error *e;
};

static int read_spool(struct save *s, int64_t at, void *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(s->r->spool, (char *)out + done, n - done, at + (int64_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return loom_fail(s->e, LOOM_EIO, s->r->file, 0, "cannot read back from the cache folder: %s; try again",
                             got < 0 ? strerror(errno) : "it is shorter than what was written");
        done += (size_t)got;
    }
    return LOOM_OK;
}

static int copy(struct save *s, const struct loom_pieces *p)
{
    static const size_t most = 1 << 20;
    char *buffer = malloc(most);
    int status =
        buffer != NULL ? LOOM_OK : loom_fail(s->e, LOOM_ENOMEM, s->r->file, 0, "out of memory; close other programs");
    for (int32_t i = 0; i < p->count && status == LOOM_OK; i++)
        for (int64_t done = 0; done < p->piece[i].bytes && status == LOOM_OK;) {
            int64_t left = p->piece[i].bytes - done;
            size_t n = left < (int64_t)most ? (size_t)left : most;
            status = read_spool(s, p->piece[i].at + done, buffer, n);
            if (status == LOOM_OK)
                status = loom_cache_add(&s->cache, buffer, n, s->e);
            done += (int64_t)n;
        }
    free(buffer);
    return status;
}

/* Writes a section and its number into the description. */
static int section_end(struct save *s, int status)
{
    int32_t number = -1;
    if (status == LOOM_OK)
        status = loom_cache_end(&s->cache, &number, s->e);
    loom_wire_i32(&s->about, number);
    return status;
}

static int section_pieces(struct save *s, const struct loom_pieces *p)
{
    if (p->section >= 0) {
        loom_wire_i32(&s->about, p->section);
        return LOOM_OK;
    }
    int status = loom_cache_begin(&s->cache, s->e);
    return section_end(s, status == LOOM_OK ? copy(s, p) : status);
}

static int section_bytes(struct save *s, const void *bytes, size_t n)
{
    int status = loom_cache_begin(&s->cache, s->e);
    return section_end(s, status == LOOM_OK ? loom_cache_add(&s->cache, bytes, n, s->e) : status);
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int add_sorted(struct save *s, const struct loom_pieces *p)
{
    size_t n = (size_t)p->bytes / sizeof(double), done = 0;
    if (n == 0)
        return LOOM_OK;
    double *time = malloc((size_t)p->bytes);
    if (time == NULL)
        return loom_fail(s->e, LOOM_ENOMEM, s->r->file, 0, "out of memory for %zu spikes; close other programs", n);
    int status = LOOM_OK, ascending = 1;
    for (int32_t i = 0; i < p->count && status == LOOM_OK; i++) {
        status = read_spool(s, p->piece[i].at, time + done, (size_t)p->piece[i].bytes);
        done += (size_t)p->piece[i].bytes / sizeof *time;
    }
    for (size_t i = 1; i < n && status == LOOM_OK; i++)
        ascending &= time[i - 1] <= time[i];
    if (!ascending)
        qsort(time, n, sizeof *time, by_time);
    if (status == LOOM_OK)
        status = loom_cache_add(&s->cache, time, (size_t)p->bytes, s->e);
    free(time);
    return status;
}

static int save_spikes(struct save *s, const struct loom_taken *t)
{
    int64_t *first = calloc((size_t)t->units + 1, sizeof *first);
    if (first == NULL)
        return loom_fail(s->e, LOOM_ENOMEM, s->r->file, 0, "out of memory; close other programs");
    loom_wire_i32(&s->about, 1);
    for (int32_t i = 0; i < t->units; i++)
        first[i + 1] = first[i] + t->unit[i].spikes.bytes / (int64_t)sizeof(double);
    int status = section_bytes(s, first, ((size_t)t->units + 1) * sizeof *first);
    free(first);
    if (status != LOOM_OK || t->trains.section >= 0)
        return status == LOOM_OK ? section_pieces(s, &t->trains) : status;
    status = loom_cache_begin(&s->cache, s->e);
    for (int32_t i = 0; i < t->units && status == LOOM_OK; i++)
        status = add_sorted(s, &t->unit[i].spikes);
    return section_end(s, status);
}

static int save_counts(struct save *s, const struct loom_taken *t)
{
    double *start = calloc((size_t)t->blocks, sizeof *start);
    int64_t *first = calloc((size_t)t->blocks + 1, sizeof *first);
    int status = start == NULL || first == NULL
                     ? loom_fail(s->e, LOOM_ENOMEM, s->r->file, 0, "out of memory; close other programs")
                     : LOOM_OK;
    loom_wire_i32(&s->about, 2);
    loom_wire_f64(&s->about, t->bin_s);
    loom_wire_i32(&s->about, t->blocks);
    for (int32_t i = 0; i < t->blocks && status == LOOM_OK; i++) {
        start[i] = t->block[i].start_s;
        first[i + 1] = first[i] + t->block[i].bins;
    }
    if (status == LOOM_OK)
        status = section_bytes(s, start, (size_t)t->blocks * sizeof *start);
    if (status == LOOM_OK)
        status = section_bytes(s, first, ((size_t)t->blocks + 1) * sizeof *first);
    if (status == LOOM_OK)
        status = section_pieces(s, &t->bins);
    free(start);
    free(first);
    return status;
}

static int save_series(struct save *s, const struct loom_taken *t)
{
    int status = LOOM_OK;
    loom_wire_i32(&s->about, t->series_count);
    for (int32_t i = 0; i < t->series_count && status == LOOM_OK; i++) {
        const struct loom_taken_series *x = &t->series[i];
        loom_wire_text(&s->about, x->name);
        loom_wire_text(&s->about, x->unit);
        loom_wire_i32(&s->about, x->dims);
        for (int32_t d = 0; d < x->dims; d++)
            loom_wire_text(&s->about, x->dim_name[d]);
        loom_wire_i64(&s->about, x->samples);
        loom_wire_f64(&s->about, x->rate_hz);
        loom_wire_f64(&s->about, x->start_s);
        if (x->rate_hz > 0)
            loom_wire_i32(&s->about, -1);
        else
            status = section_pieces(s, &x->times);
        if (status == LOOM_OK)
            status = section_pieces(s, &x->values);
    }
    return status;
}

static int save_intervals(struct save *s, const struct loom_taken *t)
{
    int status = LOOM_OK;
    loom_wire_i32(&s->about, t->intervals_count);
    for (int32_t i = 0; i < t->intervals_count && status == LOOM_OK; i++) {
        const struct loom_taken_intervals *table = &t->intervals[i];
        loom_wire_text(&s->about, table->name);
        loom_wire_i32(&s->about, table->rows);
        status = section_pieces(s, &table->start);
        if (status == LOOM_OK)
            status = section_pieces(s, &table->stop);
        loom_wire_i32(&s->about, table->columns);
        for (int32_t c = 0; c < table->columns && status == LOOM_OK; c++) {
            loom_wire_text(&s->about, table->column[c].name);
            loom_wire_i32(&s->about, table->column[c].is_text);
            status = section_pieces(s, &table->column[c].values);
        }
    }
    return status;
}

static void widen(double span[2], double from, double to)
{
    if (from <= to) {
        span[0] = from < span[0] ? from : span[0];
        span[1] = to > span[1] ? to : span[1];
    }
}

/* What is known to have been recorded where the file does not say: a series may hold a stray time far off. */
static void active_span(const struct loom_taken *t, double span[2])
{
    span[0] = INFINITY;
    span[1] = -INFINITY;
    widen(span, t->first_s, t->last_s);
    for (int32_t i = 0; i < t->intervals_count; i++)
        widen(span, t->intervals[i].first_s, t->intervals[i].last_s);
}

static void span_of(const struct loom_taken *t, double span[2])
{
    active_span(t, span);
    for (int32_t i = 0; i < t->blocks; i++)
        widen(span, t->block[i].start_s, t->block[i].start_s + (double)t->block[i].bins * t->bin_s);
    for (int32_t i = 0; i < t->series_count; i++) {
        const struct loom_taken_series *x = &t->series[i];
        if (x->samples > 0 && x->rate_hz > 0)
            widen(span, x->start_s, x->start_s + (double)x->samples / x->rate_hz);
        else if (x->samples > 0)
            widen(span, x->first_s, x->last_s);
    }
    for (int32_t i = 0; i < t->observed_count; i++)
        widen(span, t->observed[2 * i], t->observed[2 * i + 1]);
    if (!(span[0] <= span[1]))
        span[0] = span[1] = 0;
}

/* Sorts and joins pairs that touch or overlap; returns how many are left. */
static int32_t join(double *pairs, int32_t n)
{
    if (n == 0)
        return 0;
    qsort(pairs, (size_t)n, 2 * sizeof *pairs, by_time);
    int32_t kept = 0;
    for (int32_t i = 1; i < n; i++)
        if (pairs[2 * i] <= pairs[2 * kept + 1]) {
            if (pairs[2 * i + 1] > pairs[2 * kept + 1])
                pairs[2 * kept + 1] = pairs[2 * i + 1];
        } else {
            kept++;
            pairs[2 * kept] = pairs[2 * i];
            pairs[2 * kept + 1] = pairs[2 * i + 1];
        }
    return kept + 1;
}

static int save_observed(struct save *s, struct loom_taken *t, const double span[2])
{
    int32_t n = t->observed_count;
    double *pairs = t->observed, *made = NULL;
    if (n == 0) {
        n = t->blocks > 0 ? t->blocks : 1;
        pairs = made = calloc((size_t)n, 2 * sizeof *made);
        if (made == NULL)
            return loom_fail(s->e, LOOM_ENOMEM, s->r->file, 0, "out of memory; close other programs");
        active_span(t, made);
        if (t->spikes == 0 || !(made[0] < made[1]))
            memcpy(made, span, 2 * sizeof *made);
        for (int32_t i = 0; i < t->blocks; i++) {
            made[2 * i] = t->block[i].start_s;
            made[2 * i + 1] = t->block[i].start_s + (double)t->block[i].bins * t->bin_s;
        }
    }
    n = join(pairs, n);
    loom_wire_i32(&s->about, n);
    int status = section_bytes(s, pairs, (size_t)n * 2 * sizeof *pairs);
    free(made);
    return status;
}

static int by_name(const void *a, const void *b)
{
    const struct loom_taken_unit *x = *(struct loom_taken_unit *const *)a, *y = *(struct loom_taken_unit *const *)b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x > y) - (x < y);
}

/* Names tie units of one session to those of another, so each stands for one unit: the nameless get "unit0" …, of
 * equals all but the first get their number behind. */
static int name_units(struct save *s, struct loom_taken *t)
{
    struct loom_taken_unit **order = calloc((size_t)t->units + 1, sizeof *order);
    int status = order != NULL ? LOOM_OK : LOOM_ENOMEM, repeated = 0;
    for (int32_t i = 0; i < t->units && status == LOOM_OK; i++) {
        order[i] = &t->unit[i];
        if (t->unit[i].name[0] == '\0') {
            free(t->unit[i].name);
            if (asprintf(&t->unit[i].name, "unit%d", i) < 0)
                t->unit[i].name = NULL, status = LOOM_ENOMEM;
        }
    }
    if (status == LOOM_OK)
        qsort(order, (size_t)t->units, sizeof *order, by_name);
    for (int32_t i = t->units - 1; i > 0 && status == LOOM_OK; i--)
        if (strcmp(order[i]->name, order[i - 1]->name) == 0) {
            char *name;
            repeated++;
            if (asprintf(&name, "%s#%d", order[i]->name, (int)(order[i] - t->unit)) < 0) {
                status = LOOM_ENOMEM;
            } else {
                free(order[i]->name);
                order[i]->name = name;
            }
        }
    if (repeated > 0)
        loom_log(LOOM_WARN, "%s: %d units share their name with another; their number was put behind", s->r->file,
                 repeated);
    free(order);
    return status == LOOM_OK ? status : loom_fail(s->e, status, s->r->file, 0, "out of memory; close other programs");
}

static void save_names(struct save *s, const struct loom_taken *t, int32_t number)
{
    if (t->text[0][0] != '\0') {
        loom_wire_text(&s->about, t->text[0]);
    } else {
        char id[300];
        const char *slash = strrchr(s->r->file, '/');
        snprintf(id, sizeof id - 16, "%s", slash != NULL ? slash + 1 : s->r->file);
        char *dot = strrchr(id, '.');
        if (dot != NULL && dot != id)
            *dot = '\0';
        if (s->r->count > 1)
            snprintf(id + strlen(id), 16, "#%d", number);
        loom_wire_text(&s->about, id);
    }
    for (size_t i = 1; i < sizeof t->text / sizeof *t->text; i++)
        loom_wire_text(&s->about, t->text[i]);
}

static int save_recording(struct save *s, struct loom_taken *t, int32_t number)
{
    double span[2];
    int status = name_units(s, t);
    if (status != LOOM_OK)
        return status;
    span_of(t, span);
    save_names(s, t, number);
    loom_wire_f64(&s->about, span[0]);
    loom_wire_f64(&s->about, span[1]);
    loom_wire_i32(&s->about, t->units);
    for (int32_t i = 0; i < t->units; i++) {
        const struct loom_taken_unit *u = &t->unit[i];
        loom_wire_text(&s->about, u->name);
        loom_wire_text(&s->about, u->group);
        loom_wire_text(&s->about, u->region);
        loom_wire_i32(&s->about, u->electrode);
        loom_wire_i32(&s->about, u->held_out);
        loom_wire_bytes(&s->about, u->position, sizeof u->position);
    }
    status = t->blocks > 0 ? save_counts(s, t) : save_spikes(s, t);
    if (status == LOOM_OK)
        status = save_series(s, t);
    if (status == LOOM_OK)
        status = save_intervals(s, t);
    return status == LOOM_OK ? save_observed(s, t, span) : status;
}

static int64_t text_bytes(const struct loom_recorder *r)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < r->count; i++)
        for (int32_t k = 0; k < r->taken[i].intervals_count; k++)
            for (int32_t c = 0; c < r->taken[i].intervals[k].columns; c++)
                if (r->taken[i].intervals[k].column[c].is_text)
                    bytes += r->taken[i].intervals[k].column[c].values.bytes;
    return bytes;
}

/* ---- the spool becomes the cache ---- */

struct places {
    struct loom_pieces **stay; /* in the order of the spool */
    size_t n, room;
    int64_t copied; /* bytes of arrays that came in several pieces, or in another order */
    int starved;
};

static void place(struct places *l, struct loom_pieces *p, int in_order)
{
    p->section = -1;
    if (p->count != 1 || !in_order) {
        l->copied += p->bytes;
        return;
    }
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct loom_pieces **stay = reallocarray(l->stay, room, sizeof(struct loom_pieces *));
        if (stay == NULL) {
            l->starved = 1;
            return;
        }
        l->stay = stay;
        l->room = room;
    }
    l->stay[l->n++] = p;
}

static void place_all(struct places *l, struct loom_recorder *r)
{
    for (int32_t i = 0; i < r->count; i++) {
        struct loom_taken *t = &r->taken[i];
        place(l, &t->bins, 1);
        place(l, &t->trains, !t->disordered);
        for (int32_t k = 0; k < t->series_count; k++) {
            place(l, &t->series[k].times, 1);
            place(l, &t->series[k].values, 1);
        }
        for (int32_t k = 0; k < t->intervals_count; k++) {
            place(l, &t->intervals[k].start, 1);
            place(l, &t->intervals[k].stop, 1);
            for (int32_t c = 0; c < t->intervals[k].columns; c++)
                place(l, &t->intervals[k].column[c].values, 1);
        }
    }
}

static int by_place(const void *a, const void *b)
{
    const struct loom_pieces *x = *(struct loom_pieces *const *)a, *y = *(struct loom_pieces *const *)b;
    return (x->piece->at > y->piece->at) - (x->piece->at < y->piece->at);
}

/* Most arrays come as the cache wants them, so what has been written stays, and is neither read back nor written again.
 * A spool of which more than an eighth would be dead weight is copied, and so is one that the system gives no name. */
static int begin_cache(struct save *s, const char *path)
{
    struct places l = {0};
    struct loom_error why = {0};
    uint64_t end = loom_cache_padded((uint64_t)s->r->spooled);
    place_all(&l, s->r);
    if (l.n > 1)
        qsort(l.stay, l.n, sizeof(struct loom_pieces *), by_place);
    int status = LOOM_OK;
    if (l.starved || l.n == 0 || l.copied > s->r->spooled / 8 || ftruncate(s->r->spool, (off_t)end) != 0 ||
        loom_cache_adopt(&s->cache, s->r->spool, path, &why) != LOOM_OK) {
        status = loom_cache_create(&s->cache, path, s->e);
        l.n = 0;
    }
    for (size_t i = 0; i < l.n && status == LOOM_OK; i++) {
        struct loom_pieces *p = l.stay[i];
        status = loom_cache_keep(&s->cache, (uint64_t)p->piece->at, (uint64_t)p->bytes, p->crc, &p->section, s->e);
    }
    if (l.n > 0 && status == LOOM_OK)
        status = loom_cache_keep(&s->cache, end, 0, 0, NULL, s->e);
    if (status != LOOM_OK)
        loom_cache_abort(&s->cache);
    free(l.stay);
    return status;
}

int loom_recorder_save(struct loom_recorder *r, const char *path, const struct loom_origin *origin, int *sealed,
                       struct loom_error *e)
{
    struct save s = {.r = r, .e = e};
    *sealed = -1;
    int status = begin_cache(&s, path);
    if (status != LOOM_OK)
        return status;
    loom_wire_i64(&s.about, text_bytes(r));
    loom_wire_i32(&s.about, r->count);
    for (int32_t i = 0; i < r->count && status == LOOM_OK; i++)
        status = save_recording(&s, &r->taken[i], i);
    if (status == LOOM_OK && s.about.failed)
        status = loom_fail(e, LOOM_ENOMEM, r->file, 0, "out of memory; close other programs");
    if (status == LOOM_OK)
        status = loom_cache_commit(&s.cache, &s.about, origin, sealed, e);
    else
        loom_cache_abort(&s.cache);
    loom_wire_release(&s.about);
    return status;
}
