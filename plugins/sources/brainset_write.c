/* SPDX-License-Identifier: Apache-2.0 */
/* A recording as a brainset: contiguous datasets without filters, old groups, the attributes that temporaldata reads.
 */
#include "brainset.h"
#include "brainset_out.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PATH = 512, PIECE = 1 << 16, LET_GO = 1 << 22 /* spikes */, AHEAD = 24 /* spikes of one unit */ };

struct book {
    struct out o;
    const struct loom_recording *r;
};

/* Names become names of groups and of Python's attributes: no slash stays. `dots`: a dot opens a group. */
static void path_of(char out[PATH], const char *name, int dots)
{
    snprintf(out, PATH, "/%.300s", name[0] != '\0' ? name : "unnamed");
    for (char *c = out + 1; *c != '\0'; c++)
        if (*c == '/')
            *c = '_';
        else if (*c == '.' && dots && c[1] != '\0' && c[1] != '.' && c > out + 1)
            *c = '/';
}

static void join(char out[PATH], const char *group, const char *key)
{
    char clean[PATH];
    path_of(clean, key, 0);
    snprintf(out, PATH, "%.250s/%.250s", group, clean + 1);
}

/* Recordings are mapped from the cache and may be larger than memory: what has been written is let go. Its pages come
 * back from the file if anybody asks again. */
static void let_go(const void *at, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)at + page - 1) & ~(page - 1), to = ((uintptr_t)at + bytes) & ~(page - 1);
    if (to > from)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

/* ---- identity ---- */

static void write_identity(struct book *b)
{
    const struct loom_recording *r = b->r;
    const char *slash = strrchr(r->file, '/');
    out_attr_text(&b->o, "/", "object", "Data");
    out_attr_real(&b->o, "/", "absolute_start", 0);
    out_interval(&b->o, "/domain", (hsize_t)r->observed_count, r->observed_s);
    out_group(&b->o, "/brainset", "Data");
    out_attr_text(&b->o, "/brainset", "id", "neuroloom");
    out_attr_text(&b->o, "/brainset", "origin_version", "unknown");
    out_attr_text(&b->o, "/brainset", "derived_version", loom_version());
    out_attr_text(&b->o, "/brainset", "source", slash != NULL ? slash + 1 : r->file);
    out_attr_text(&b->o, "/brainset", "description", "written by loom data convert");
    out_group(&b->o, "/subject", "Data");
    out_attr_text(&b->o, "/subject", "id", r->subject);
    out_group(&b->o, "/session", "Data");
    out_attr_text(&b->o, "/session", "id", r->session[0] != '\0' ? r->session : r->id);
    out_attr_text(&b->o, "/session", "recording_date", r->date);
    out_attr_text(&b->o, "/session", "task", r->task);
}

/* ---- units ---- */

static void unit_texts(struct book *b, const char *key, const char **keys, size_t *n, size_t member)
{
    const struct loom_recording *r = b->r;
    char path[PATH];
    const char **text = calloc((size_t)r->units + 1, sizeof *text);
    snprintf(path, sizeof path, "/units/%s", key);
    for (int32_t i = 0; text != NULL && i < r->units; i++)
        memcpy(&text[i], (const char *)&r->unit[i] + member, sizeof text[i]);
    b->o.failed |= text == NULL;
    if (text != NULL && out_texts(&b->o, path, (hsize_t)r->units, text))
        keys[(*n)++] = key;
    free(text);
}

static void write_units(struct book *b)
{
    const struct loom_recording *r = b->r;
    size_t n = (size_t)r->units, texts = 0;
    const char *keys[3];
    double *x = calloc(3 * n + 1, sizeof *x);
    int64_t *whole = calloc(4 * n + 1, sizeof *whole);
    b->o.failed |= x == NULL || whole == NULL;
    for (size_t i = 0; !b->o.failed && i < n; i++) {
        const struct loom_unit *u = &r->unit[i];
        x[i] = u->x, x[n + i] = u->y, x[2 * n + i] = u->z;
        whole[i] = (int64_t)i, whole[n + i] = u->electrode, whole[2 * n + i] = u->held_out;
        whole[3 * n + i] = r->first_spike != NULL ? r->first_spike[i + 1] - r->first_spike[i] : 0;
    }
    out_group(&b->o, "/units", "ArrayDict");
    unit_texts(b, "id", keys, &texts, offsetof(struct loom_unit, name));
    unit_texts(b, "region", keys, &texts, offsetof(struct loom_unit, region));
    unit_texts(b, "group", keys, &texts, offsetof(struct loom_unit, group));
    out_attr_keys(&b->o, "/units", "_unicode_keys", texts, keys);
    if (!b->o.failed) {
        out_integers(&b->o, "/units/unit_number", n, whole);
        out_integers(&b->o, "/units/electrode", n, whole + n);
        out_integers(&b->o, "/units/held_out", n, whole + 2 * n);
        if (r->first_spike != NULL)
            out_integers(&b->o, "/units/count", n, whole + 3 * n);
        out_reals(&b->o, "/units/x", n, x);
        out_reals(&b->o, "/units/y", n, x + n);
        out_reals(&b->o, "/units/z", n, x + 2 * n);
    }
    free(x);
    free(whole);
}

/* ---- times, and the index by seconds that lazy readers look them up in ---- */

struct seconds {
    double start;
    int64_t *first; /* [n]: the first time at or after start + i */
    size_t n, next;
};

/* Seconds from the domain's start to a second behind its end, as numpy.arange counts them. */
static int seconds_init(struct seconds *s, double start, double end)
{
    double n = ceil(end + 1 - start);
    *s = (struct seconds){.start = start, .n = n > 0 && n < 1e9 ? (size_t)n : 0};
    s->first = calloc(s->n + 1, sizeof *s->first);
    return s->first != NULL;
}

static void seconds_take(struct seconds *s, double t, int64_t i)
{
    while (s->next < s->n && s->start + (double)s->next <= t)
        s->first[s->next++] = i;
}

static void seconds_write(struct seconds *s, struct book *b, const char *group, int64_t count)
{
    char path[PATH];
    seconds_take(s, INFINITY, count);
    join(path, group, "timestamp_indices_1s");
    if (s->first != NULL)
        out_integers(&b->o, path, s->n, s->first);
    free(s->first);
}

static void begin_irregular(struct book *b, const char *group)
{
    static const char *const keys[] = {"timestamps"};
    out_group(&b->o, group, "IrregularTimeSeries");
    out_attr_keys(&b->o, group, "timekeys", 1, keys);
    out_attr_keys(&b->o, group, "_unicode_keys", 0, NULL);
}

/* ---- spikes: those of all units in one order of time ---- */

/* A tournament among the units' next spikes (Knuth, The Art of Computer Programming 3, 5.4.1): a node keeps who lost
 * there, so the place of a spike that was taken is refilled by one comparison a level, along a path that is known
 * before. Bits of doubles, turned so that they ascend with them, compare in one step; who is at its end has the
 * largest. */
struct player {
    uint64_t bits;
    int64_t unit;
};

struct merge {
    const struct loom_recording *r;
    int64_t *next;        /* [units] the unit's first spike that is not written */
    struct player *loser; /* [leaves] from 1, the root */
    struct player first;
    size_t leaves;
};

static struct player player_of(const struct merge *m, int64_t unit)
{
    struct player p = {UINT64_MAX, unit};
    if (unit < m->r->units && m->next[unit] < m->r->first_spike[unit + 1]) {
        double t = m->r->spike_s[m->next[unit]] + 0.0; /* no -0 */
        memcpy(&p.bits, &t, sizeof t);
        p.bits ^= p.bits >> 63 ? UINT64_MAX : (uint64_t)1 << 63;
    }
    return p;
}

static int before(struct player a, struct player b)
{
    return (a.bits < b.bits) | ((a.bits == b.bits) & (a.unit < b.unit));
}

static int merge_init(struct merge *m, const struct loom_recording *r)
{
    size_t leaves = 1;
    while (leaves < (size_t)r->units)
        leaves *= 2;
    struct player *winner = calloc(2 * leaves, sizeof *winner);
    *m = (struct merge){.r = r,
                        .next = calloc((size_t)r->units + 1, sizeof *m->next),
                        .loser = calloc(leaves, sizeof *m->loser),
                        .leaves = leaves};
    if (winner != NULL && m->next != NULL && m->loser != NULL) {
        memcpy(m->next, r->first_spike, (size_t)r->units * sizeof *m->next);
        for (size_t i = 0; i < leaves; i++)
            winner[leaves + i] = player_of(m, (int64_t)i);
        for (size_t i = leaves; i-- > 1;) {
            int second = before(winner[2 * i + 1], winner[2 * i]);
            winner[i] = winner[2 * i + (size_t)second];
            m->loser[i] = winner[2 * i + (size_t)!second];
        }
        m->first = winner[1];
    }
    int ok = winner != NULL && m->next != NULL && m->loser != NULL;
    free(winner);
    return ok;
}

/* Trains are as many streams as there are units, more than a processor foresees: each is asked for ahead. Places are
 * swapped by masks, for who wins is as good as random, and a branch on it would be guessed wrongly half of the time. */
static int64_t merge_take(struct merge *m, double *time)
{
    const int64_t unit = m->first.unit;
    *time = m->r->spike_s[m->next[unit]++];
    if (m->next[unit] + AHEAD < m->r->first_spike[m->r->units])
        __builtin_prefetch(&m->r->spike_s[m->next[unit] + AHEAD]);
    struct player p = player_of(m, unit);
    for (size_t i = ((size_t)unit + m->leaves) / 2; i > 0; i /= 2) {
        struct player *l = &m->loser[i];
        const uint64_t swap = -(uint64_t)before(*l, p);
        const uint64_t bits = (l->bits ^ p.bits) & swap;
        const int64_t who = (l->unit ^ p.unit) & (int64_t)swap;
        l->bits ^= bits;
        p.bits ^= bits;
        l->unit ^= who;
        p.unit ^= who;
    }
    m->first = p;
    return unit;
}

static void domain_of(const struct loom_recording *r, double span[2])
{
    span[0] = r->observed_count > 0 ? r->observed_s[0] : r->start_s;
    span[1] = r->observed_count > 0 ? r->observed_s[2 * r->observed_count - 1] : r->stop_s;
}

static void write_spikes(struct book *b)
{
    const struct loom_recording *r = b->r;
    int64_t all = r->first_spike[r->units];
    struct merge m = {0};
    struct seconds s = {0};
    double span[2], *time = malloc(PIECE * sizeof *time);
    int64_t *unit = malloc(PIECE * sizeof *unit);
    domain_of(r, span);
    b->o.failed |= !merge_init(&m, r) || !seconds_init(&s, span[0], span[1]) || time == NULL || unit == NULL;
    begin_irregular(b, "/spikes");
    hid_t times = out_begin(&b->o, "/spikes/timestamps", H5T_IEEE_F64LE, (hsize_t)all, 0);
    hid_t units = out_begin(&b->o, "/spikes/unit_index", H5T_STD_I64LE, (hsize_t)all, 0);
    for (int64_t done = 0; done < all && !b->o.failed;) {
        size_t n = 0;
        for (; n < PIECE && done + (int64_t)n < all; n++) {
            unit[n] = merge_take(&m, &time[n]);
            seconds_take(&s, time[n], done + (int64_t)n);
        }
        out_rows(&b->o, times, H5T_NATIVE_DOUBLE, (hsize_t)done, n, 0, time);
        out_rows(&b->o, units, H5T_NATIVE_INT64, (hsize_t)done, n, 0, unit);
        done += (int64_t)n;
        if (done / LET_GO != (done - (int64_t)n) / LET_GO)
            let_go(r->spike_s, (size_t)all * sizeof *r->spike_s);
    }
    out_end(&b->o, times);
    out_end(&b->o, units);
    seconds_write(&s, b, "/spikes", all);
    out_interval(&b->o, "/spikes/domain", (hsize_t)r->observed_count, r->observed_s);
    free(m.next);
    free(m.loser);
    free(time);
    free(unit);
}

/* The layout knows no counts: each bin is a sample at its start, with its width as an attribute. */
static void write_counts(struct book *b)
{
    const struct loom_recording *r = b->r;
    const struct loom_counts *c = r->counts;
    int64_t bins = c->first_bin[c->blocks];
    struct seconds s = {0};
    double span[2], *start = malloc((size_t)(bins + 1) * sizeof *start);
    domain_of(r, span);
    b->o.failed |= start == NULL || !seconds_init(&s, span[0], span[1]);
    for (int32_t k = 0; !b->o.failed && k < c->blocks; k++)
        for (int64_t i = c->first_bin[k]; i < c->first_bin[k + 1]; i++) {
            start[i] = c->block_start_s[k] + (double)(i - c->first_bin[k]) * c->bin_s;
            seconds_take(&s, start[i], i);
        }
    begin_irregular(b, "/binned_spikes");
    out_attr_real(&b->o, "/binned_spikes", "bin_s", c->bin_s);
    if (start != NULL)
        out_reals(&b->o, "/binned_spikes/timestamps", (hsize_t)bins, start);
    hid_t set = out_begin(&b->o, "/binned_spikes/counts", H5T_STD_U16LE, (hsize_t)bins, (hsize_t)r->units);
    for (int64_t done = 0; done < bins; done += PIECE) {
        hsize_t n = bins - done < PIECE ? (hsize_t)(bins - done) : PIECE;
        out_rows(&b->o, set, H5T_NATIVE_UINT16, (hsize_t)done, n, (hsize_t)r->units, c->count + done * r->units);
        let_go(c->count + done * r->units, (size_t)n * (size_t)r->units * sizeof *c->count);
    }
    out_end(&b->o, set);
    seconds_write(&s, b, "/binned_spikes", bins);
    out_interval(&b->o, "/binned_spikes/domain", (hsize_t)r->observed_count, r->observed_s);
    free(start);
}

/* ---- series ---- */

static int same_clock(const struct loom_series *a, const struct loom_series *b)
{
    if (a->samples != b->samples || a->rate_hz != b->rate_hz || (a->time_s == NULL) != (b->time_s == NULL))
        return 0;
    return a->time_s != NULL ? memcmp(a->time_s, b->time_s, (size_t)a->samples * sizeof *a->time_s) == 0
                             : a->start_s == b->start_s;
}

/* "cursor.vel" is the array vel of the group cursor, where all of the group go by one clock; "vel" the array value of
 * the group vel. */
static void place(const struct book *b, int32_t i, char group[PATH], char key[PATH])
{
    const struct loom_series *s = &b->r->series[i];
    const char *dot = strrchr(s->name, '.');
    int alone = dot == NULL || dot == s->name || dot[1] == '\0';
    for (int32_t k = 0; k < b->r->series_count && !alone; k++) {
        const char *other = b->r->series[k].name;
        size_t n = (size_t)(dot - s->name);
        alone = strncmp(other, s->name, n) == 0 && (other[n] == '\0' || other[n] == '.') &&
                (strrchr(other, '.') != other + n || !same_clock(s, &b->r->series[k]));
    }
    path_of(group, s->name, 0);
    snprintf(key, PATH, "value");
    if (!alone) {
        group[1 + (dot - s->name)] = '\0';
        snprintf(key, PATH, "%.300s", dot + 1);
    }
}

static void begin_series(struct book *b, const char *group, const struct loom_series *s)
{
    char path[PATH];
    struct seconds seconds = {0};
    double span[2] = {s->start_s, s->start_s + (double)s->samples / (s->rate_hz > 0 ? s->rate_hz : 1)};
    if (s->rate_hz > 0) {
        out_group(&b->o, group, "RegularTimeSeries");
        out_attr_real(&b->o, group, "sampling_rate", s->rate_hz);
    } else {
        span[0] = s->samples > 0 ? s->time_s[0] : 0;
        span[1] = s->samples > 0 ? s->time_s[s->samples - 1] : 0;
        begin_irregular(b, group);
        join(path, group, "timestamps");
        out_reals(&b->o, path, (hsize_t)s->samples, s->time_s);
        b->o.failed |= !seconds_init(&seconds, span[0], span[1]);
        for (int64_t i = 0; i < s->samples && !b->o.failed; i++)
            seconds_take(&seconds, s->time_s[i], i);
        seconds_write(&seconds, b, group, s->samples);
    }
    join(path, group, "domain");
    out_interval(&b->o, path, 1, span);
}

/* Names of dimensions have a place where they are those of channels. */
static void write_channels(struct book *b, const struct loom_series *s)
{
    static const char *const key[] = {"id"};
    if (s->dims <= 3 || strcmp(s->dim_name[0], "0") == 0 || out_exists(&b->o, "/channels"))
        return;
    out_group(&b->o, "/channels", "ArrayDict");
    int fixed = out_texts(&b->o, "/channels/id", (hsize_t)s->dims, s->dim_name);
    out_attr_keys(&b->o, "/channels", "_unicode_keys", (size_t)fixed, key);
}

static void write_series(struct book *b, int32_t i)
{
    const struct loom_series *s = &b->r->series[i];
    char group[PATH], key[PATH], path[PATH];
    place(b, i, group, key);
    if (strcmp(key, "value") == 0 && out_exists(&b->o, group))
        strncat(group, "_series", PATH - strlen(group) - 1);
    if (!out_exists(&b->o, group))
        begin_series(b, group, s);
    join(path, group, key);
    hsize_t row = (hsize_t)s->dims, most = ((hsize_t)1 << 18) / row + 1;
    hid_t set = out_begin(&b->o, path, H5T_IEEE_F32LE, (hsize_t)s->samples, row > 1 ? row : 0);
    for (hsize_t done = 0; done < (hsize_t)s->samples; done += most) {
        hsize_t n = (hsize_t)s->samples - done < most ? (hsize_t)s->samples - done : most;
        out_rows(&b->o, set, H5T_NATIVE_FLOAT, done, n, row > 1 ? row : 0, s->value + done * row);
        let_go(s->value + done * row, (size_t)(n * row) * sizeof *s->value);
    }
    out_end(&b->o, set);
    if (s->unit[0] != '\0')
        out_attr_text(&b->o, path, "unit", s->unit);
    write_channels(b, s);
}

/* ---- intervals, in the order of their starts, as slices of them expect ---- */

struct place {
    double start;
    int32_t row;
};

static int by_start(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->start != y->start ? (x->start > y->start) - (x->start < y->start) : (x->row > y->row) - (x->row < y->row);
}

/* fixed [many]: malloc'ed names of those whose texts are of fixed length. */
static void write_column(struct book *b, const char *group, const struct loom_column *c, const struct place *at,
                         size_t n, char **fixed, size_t *many)
{
    char path[PATH];
    double *x = c->number != NULL ? malloc((n + 1) * sizeof *x) : NULL;
    const char **text = c->text != NULL ? malloc((n + 1) * sizeof *text) : NULL;
    b->o.failed |= x == NULL && text == NULL;
    for (size_t i = 0; i < n && !b->o.failed; i++)
        if (x != NULL)
            x[i] = c->number[at[i].row];
        else
            text[i] = c->text[at[i].row];
    join(path, group, c->name);
    if (out_exists(&b->o, path))
        strncat(path, "_", sizeof path - strlen(path) - 1);
    if (x != NULL)
        out_reals(&b->o, path, n, x);
    else if (text != NULL && out_texts(&b->o, path, n, text))
        b->o.failed |= (fixed[(*many)++] = strdup(strrchr(path, '/') + 1)) == NULL;
    free(x);
    free(text);
}

static void write_table(struct book *b, const struct loom_intervals *t)
{
    char group[PATH];
    size_t n = (size_t)t->rows, many = 0;
    struct place *at = calloc(n + 1, sizeof *at);
    double *pair = calloc(2 * n + 1, sizeof *pair);
    char **fixed = calloc((size_t)t->columns + 1, sizeof *fixed);
    path_of(group, t->name, 1);
    if (out_exists(&b->o, group))
        strncat(group, "_table", PATH - strlen(group) - 1);
    b->o.failed |= at == NULL || pair == NULL || fixed == NULL;
    for (size_t i = 0; i < n && !b->o.failed; i++)
        at[i] = (struct place){t->start_s[i], (int32_t)i};
    if (!b->o.failed)
        qsort(at, n, sizeof *at, by_start);
    for (size_t i = 0; i < n && !b->o.failed; i++) {
        pair[2 * i] = t->start_s[at[i].row];
        pair[2 * i + 1] = t->stop_s[at[i].row];
    }
    if (!b->o.failed)
        out_interval(&b->o, group, n, pair);
    for (int32_t c = 0; c < t->columns && !b->o.failed; c++)
        write_column(b, group, &t->column[c], at, n, fixed, &many);
    if (many > 0 && !b->o.failed) {
        H5Adelete_by_name(b->o.file, group, "_unicode_keys", H5P_DEFAULT);
        out_attr_keys(&b->o, group, "_unicode_keys", many, (const char *const *)fixed);
    }
    for (size_t i = 0; i < many; i++)
        free(fixed[i]);
    free(at);
    free(pair);
    free(fixed);
}

/* ---- the file ---- */

static void write_all(struct book *b)
{
    const struct loom_recording *r = b->r;
    write_identity(b);
    write_units(b);
    if (r->counts != NULL)
        write_counts(b);
    else
        write_spikes(b);
    int split = loom_recording_intervals(r, "train_domain") != NULL;
    for (int32_t i = 0; i < r->intervals_count && !b->o.failed; i++)
        if (!split || strcmp(r->intervals[i].name, "splits") != 0)
            write_table(b, &r->intervals[i]);
    for (int32_t i = 0; i < r->series_count && !b->o.failed; i++)
        write_series(b, i);
}

int brainset_write(const struct loom_recording *r, const char *file, struct loom_error *e)
{
    char temp[4096];
    struct book b = {
        .o = {.file = -1, .name = file, .observed = (hsize_t)r->observed_count, .observed_s = r->observed_s}, .r = r};
    if (snprintf(temp, sizeof temp, "%s.partial", file) >= (int)sizeof temp)
        return loom_fail(e, LOOM_EIO, file, 0, "its name is too long; choose a shorter one");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    b.o.file = H5Fcreate(temp, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (b.o.file < 0)
        return loom_fail(e, LOOM_EIO, file, 0, "cannot be written; does its folder exist, and may you write there?");
    write_all(&b);
    int failed = H5Fclose(b.o.file) < 0 || b.o.failed;
    if (!failed && rename(temp, file) == 0)
        return LOOM_OK;
    unlink(temp);
    return loom_fail(e, LOOM_EIO, file, 0,
                     "cannot be written: the disk is full, or a name in the recording cannot be "
                     "one in HDF5; free some space, or leave the table or series out");
}
