/* SPDX-License-Identifier: Apache-2.0 */
#include "data/cache.h"

#include "base/arena.h"
#include "base/hash.h"
#include "data/cache_format.h"
#include "data/recordings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads the description over a mapped file. */
struct load {
    struct loom_recordings *set;
    const struct loom_section *section;
    uint32_t sections;
    struct loom_view_bytes about;
    int bad; /* 1: the description does not fit the sections */
};

/* Zeroed; a dummy that holds a struct of any kind when memory is out, so that callers need not look. */
static void *make(struct load *l, int64_t n, size_t size)
{
    if (n < 0 || (size_t)n > SIZE_MAX / 2 / size) {
        l->bad = 1;
        return NULL;
    }
    void *p = loom_arena_zalloc(&l->set->arena, (size_t)n * size + 1);
    if (p == NULL)
        l->bad = 1;
    return l->bad ? NULL : p;
}

/* The section named next in the description, of exactly n × size bytes (n < 0: any). NULL and `bad` otherwise. */
static const void *array(struct load *l, int64_t n, size_t size, uint64_t *bytes)
{
    int32_t number = loom_take_i32(&l->about);
    if (number < 0 || (uint32_t)number >= l->sections) {
        l->bad = 1;
        return NULL;
    }
    const struct loom_section *s = &l->section[number];
    if (n >= 0 && ((uint64_t)n > SIZE_MAX / size || s->bytes != (uint64_t)n * size))
        l->bad = 1;
    if (bytes != NULL)
        *bytes = s->bytes;
    return l->bad ? NULL : l->set->map + s->at;
}

/* How many elements follow: each takes at least one byte of the description, so more than are left is damage. */
static int32_t many(struct load *l)
{
    int32_t n = loom_take_i32(&l->about);
    if (n < 0 || n > l->about.end - l->about.at) {
        l->bad = 1;
        return 0;
    }
    return n;
}

static const struct loom_unit *load_units(struct load *l, int32_t n)
{
    struct loom_unit *units = make(l, n, sizeof *units);
    for (int32_t i = 0; i < n && units != NULL; i++) {
        struct loom_unit *u = &units[i];
        u->name = loom_take_text(&l->about);
        u->group = loom_take_text(&l->about);
        u->region = loom_take_text(&l->about);
        u->electrode = loom_take_i32(&l->about);
        u->held_out = loom_take_i32(&l->about);
        u->x = loom_take_f64(&l->about);
        u->y = loom_take_f64(&l->about);
        u->z = loom_take_f64(&l->about);
    }
    return units;
}

static void load_activity(struct load *l, struct loom_recording *r)
{
    if (loom_take_i32(&l->about) == 1) {
        r->first_spike = array(l, (int64_t)r->units + 1, sizeof *r->first_spike, NULL);
        int64_t spikes = r->first_spike != NULL ? r->first_spike[r->units] : 0;
        for (int32_t i = 0; i < r->units && r->first_spike != NULL; i++)
            l->bad |= r->first_spike[i + 1] < r->first_spike[i];
        l->bad |= r->first_spike != NULL && r->first_spike[0] != 0;
        r->spike_s = array(l, spikes, sizeof *r->spike_s, NULL);
        return;
    }
    struct loom_counts *c = make(l, 1, sizeof *c);
    if (c == NULL)
        return;
    c->bin_s = loom_take_f64(&l->about);
    c->blocks = loom_take_i32(&l->about);
    l->bad |= c->blocks < 1;
    c->block_start_s = array(l, c->blocks, sizeof *c->block_start_s, NULL);
    c->first_bin = array(l, (int64_t)c->blocks + 1, sizeof *c->first_bin, NULL);
    int64_t bins = c->first_bin != NULL ? c->first_bin[c->blocks] : 0;
    for (int32_t i = 0; i < c->blocks && c->first_bin != NULL; i++)
        l->bad |= c->first_bin[i + 1] < c->first_bin[i];
    c->count = array(l, bins, (size_t)r->units * sizeof *c->count, NULL);
    r->counts = c;
}

static void load_series(struct load *l, struct loom_recording *r)
{
    r->series_count = many(l);
    struct loom_series *series = make(l, r->series_count, sizeof *series);
    for (int32_t i = 0; i < r->series_count && series != NULL && !l->bad; i++) {
        struct loom_series *s = &series[i];
        s->name = loom_take_text(&l->about);
        s->unit = loom_take_text(&l->about);
        s->dims = many(l);
        const char **dim_name = make(l, s->dims, sizeof *dim_name);
        for (int32_t d = 0; d < s->dims && dim_name != NULL; d++)
            dim_name[d] = loom_take_text(&l->about);
        s->dim_name = dim_name;
        s->samples = loom_take_i64(&l->about);
        s->rate_hz = loom_take_f64(&l->about);
        s->start_s = loom_take_f64(&l->about);
        l->bad |= s->samples < 0 || s->dims < 1;
        if (s->rate_hz > 0)
            loom_take_i32(&l->about);
        else
            s->time_s = array(l, s->samples, sizeof *s->time_s, NULL);
        s->value = array(l, s->samples, (size_t)s->dims * sizeof *s->value, NULL);
    }
    r->series = series;
}

static const char *const *load_texts(struct load *l, int32_t rows)
{
    uint64_t bytes = 0;
    const char *at = array(l, -1, 1, &bytes), *end = at + bytes;
    const char **text = make(l, rows, sizeof *text);
    for (int32_t i = 0; i < rows && text != NULL; i++) {
        const char *zero = memchr(at, '\0', (size_t)(end - at));
        if (zero == NULL) {
            l->bad = 1;
            return NULL;
        }
        text[i] = at;
        at = zero + 1;
    }
    return text;
}

static void load_intervals(struct load *l, struct loom_recording *r)
{
    r->intervals_count = many(l);
    struct loom_intervals *tables = make(l, r->intervals_count, sizeof *tables);
    for (int32_t i = 0; i < r->intervals_count && tables != NULL && !l->bad; i++) {
        struct loom_intervals *t = &tables[i];
        t->name = loom_take_text(&l->about);
        t->rows = loom_take_i32(&l->about);
        l->bad |= t->rows < 0;
        t->start_s = array(l, t->rows, sizeof *t->start_s, NULL);
        t->stop_s = array(l, t->rows, sizeof *t->stop_s, NULL);
        t->columns = many(l);
        struct loom_column *columns = make(l, t->columns, sizeof *columns);
        for (int32_t c = 0; c < t->columns && columns != NULL && !l->bad; c++) {
            columns[c].name = loom_take_text(&l->about);
            if (loom_take_i32(&l->about))
                columns[c].text = load_texts(l, t->rows);
            else
                columns[c].number = array(l, t->rows, sizeof *columns[c].number, NULL);
        }
        t->column = columns;
    }
    r->intervals = tables;
}

static void load_recording(struct load *l, struct loom_recording *r)
{
    r->id = loom_take_text(&l->about);
    r->subject = loom_take_text(&l->about);
    r->session = loom_take_text(&l->about);
    r->task = loom_take_text(&l->about);
    r->date = loom_take_text(&l->about);
    r->file = l->set->file;
    r->start_s = loom_take_f64(&l->about);
    r->stop_s = loom_take_f64(&l->about);
    r->units = many(l);
    r->unit = load_units(l, r->units);
    if (!l->bad)
        load_activity(l, r);
    if (!l->bad)
        load_series(l, r);
    if (!l->bad)
        load_intervals(l, r);
    r->observed_count = loom_take_i32(&l->about);
    r->observed_s = array(l, r->observed_count, 2 * sizeof *r->observed_s, NULL);
}

static int damaged(struct loom_error *e, const char *path, const char *what)
{
    return loom_fail(e, LOOM_EDATA, path, 0, "the cache is %s; it will be made anew", what);
}

/* In pieces that are let go behind: a cache larger than memory passes through without a claim on any of it. */
static uint32_t crc_in_passing(const unsigned char *at, uint64_t n)
{
    const uint64_t most = (uint64_t)8 << 20, page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint32_t crc = 0;
    for (uint64_t done = 0; done < n; done += most) {
        uint64_t piece = n - done < most ? n - done : most;
        crc = loom_crc32c(crc, at + done, piece);
        uintptr_t from = (uintptr_t)(at + done) & ~(uintptr_t)(page - 1);
        if (piece == most)
            madvise((void *)from, most, MADV_DONTNEED);
    }
    return crc;
}

/* Header and table, then every section against its checksum: the file has no byte that no checksum covers. `sealed`:
 * the sections are as they were summed. */
static int verify(const struct loom_recordings *set, const struct loom_origin *origin, int sealed, const char *path,
                  struct loom_error *e)
{
    const struct loom_cache_header *h = (const void *)set->map;
    if (set->bytes < sizeof *h || memcmp(h->magic, LOOM_CACHE_MAGIC, sizeof h->magic) != 0 ||
        h->order != LOOM_CACHE_ORDER || h->crc != loom_crc32c(0, h, offsetof(struct loom_cache_header, crc)))
        return damaged(e, path, "damaged at its beginning");
    if (h->version != LOOM_CACHE_VERSION)
        return damaged(e, path, "of another version");
    if (origin != NULL && (h->source_bytes != origin->bytes || h->source_modified_ns != origin->modified_ns ||
                           memcmp(h->key, origin->key, sizeof origin->key) != 0))
        return damaged(e, path, "older than its source or made with other options");
    const struct loom_section *s = (const void *)(set->map + h->table_at);
    if (h->file_bytes != set->bytes || h->sections == 0 || h->table_at % LOOM_CACHE_ALIGN != 0 ||
        h->table_at > set->bytes || set->bytes - h->table_at != h->sections * sizeof *s ||
        loom_crc32c(0, s, h->sections * sizeof *s) != h->table_crc)
        return damaged(e, path, "cut short or damaged in its table");
    uint64_t at = sizeof *h;
    for (uint32_t i = 0; i < h->sections; i++) {
        uint64_t padded = loom_cache_padded(s[i].bytes);
        if (s[i].at != at || s[i].bytes > h->table_at - at || padded > h->table_at - at ||
            (!sealed && crc_in_passing(set->map + at, padded) != s[i].crc))
            return damaged(e, path, "damaged in its data");
        at += padded;
    }
    return at == h->table_at ? LOOM_OK : damaged(e, path, "damaged in its table");
}

/* Structs take less than 32 times the bytes that describe them; a text has a byte and a pointer at least. */
static int load_all(struct loom_recordings *set, const char *path, struct loom_error *e)
{
    const struct loom_cache_header *h = (const void *)set->map;
    struct load l = {.set = set, .section = (const void *)(set->map + h->table_at), .sections = h->sections};
    const struct loom_section *about = &l.section[h->sections - 1];
    l.about = (struct loom_view_bytes){set->map + about->at, set->map + about->at + about->bytes, 0};
    int64_t texts = loom_take_i64(&l.about);
    if (texts < 0 || (uint64_t)texts > set->bytes)
        return damaged(e, path, "inconsistent");
    int status = loom_arena_init(&set->arena, ((size_t)1 << 20) + 32 * about->bytes + 8 * (size_t)texts, e);
    if (status != LOOM_OK)
        return status;
    set->count = many(&l);
    struct loom_recording *r = make(&l, set->count, sizeof *r);
    for (int32_t i = 0; i < set->count && r != NULL && !l.bad; i++)
        load_recording(&l, &r[i]);
    set->recording = r;
    return l.bad || l.about.bad || set->count < 1 ? damaged(e, path, "inconsistent") : LOOM_OK;
}

static int map(struct loom_recordings *set, int fd, const char *path, struct loom_error *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= 0)
        return damaged(e, path, "empty");
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return loom_fail(e, LOOM_ENOMEM, path, 0,
                         "cannot map the cache: %s; raise the limit on address space (ulimit -v)", strerror(errno));
    set->map = at;
    set->bytes = (uint64_t)st.st_size;
    return LOOM_OK;
}

static int open_file(struct loom_recordings **out, int fd, const struct loom_origin *origin, int sealed,
                     const char *path, const char *file, struct loom_error *e)
{
    struct loom_recordings *set = calloc(1, sizeof *set);
    if (set == NULL || (set->file = strdup(file)) == NULL) {
        free(set);
        return loom_fail(e, LOOM_ENOMEM, path, 0, "out of memory; close other programs");
    }
    int status = map(set, fd, path, e);
    if (status == LOOM_OK)
        status = verify(set, origin, sealed, path, e);
    if (status == LOOM_OK)
        status = load_all(set, path, e);
    if (status == LOOM_OK)
        *out = set;
    else
        loom_recordings_free(set);
    return status;
}

int loom_cache_open(struct loom_recordings **out, const char *path, const struct loom_origin *origin, const char *file,
                    struct loom_error *e)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return loom_fail(e, LOOM_EIO, path, 0, "cannot open the cache: %s", strerror(errno));
    int status = open_file(out, fd, origin, 0, path, file, e);
    close(fd);
    return status;
}

int loom_cache_open_sealed(struct loom_recordings **out, int sealed, const char *path, const char *file,
                           struct loom_error *e)
{
    *out = NULL;
    return open_file(out, sealed, NULL, 1, path, file, e);
}
