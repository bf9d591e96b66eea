/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: recordings in order of their ids, name tables, held-out units, what the data offer. */
#include "data/catalog.h"

#include "base/str.h"
#include "data/columns.h"

#include <loom/plugin.h>
#include <loom/rng.h>

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEMORY = 1 << 30,   /* addresses reserved for names; pages appear when touched */
    MOST_BINS = 1 << 28 /* of a window */
};
enum vocabulary { SESSION, SUBJECT, TASK, UNIT, VOCABULARIES };
static const char *const vocabulary_word[VOCABULARIES] = {"session", "subject", "task", "unit"};

int loom_words_match(const struct loom_words *patterns, const char *name)
{
    for (int32_t i = 0; i < patterns->n; i++)
        if (fnmatch(patterns->word[i], name, 0) == 0)
            return 1;
    return 0;
}

int64_t loom_lower_bound(const double *time_s, int64_t n, int64_t t_ns)
{
    int64_t low = 0;
    while (low < n) {
        int64_t middle = low + (n - low) / 2;
        if (loom_ns(time_s[middle]) < t_ns)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

int32_t loom_counts_block(const struct loom_counts *n, int64_t t_ns)
{
    return (int32_t)loom_lower_bound(n->block_start_s, n->blocks, t_ns + 1) - 1;
}

int64_t loom_counts_bin(const struct loom_counts *n, int32_t block, int64_t t_ns)
{
    double into = (double)(t_ns - loom_ns(n->block_start_s[block])) / (n->bin_s * 1e9);
    return n->first_bin[block] + (int64_t)floor(into + 0.5);
}

int64_t loom_stored_edge(const struct loom_recording *r, int64_t t_ns)
{
    const struct loom_counts *n = r->counts;
    if (r->first_spike != NULL || n == NULL || n->blocks == 0)
        return t_ns;
    int32_t block = loom_counts_block(n, t_ns);
    block = block < 0 ? 0 : block;
    int64_t bin = loom_counts_bin(n, block, t_ns) - n->first_bin[block];
    return loom_ns(n->block_start_s[block] + (double)bin * n->bin_s);
}

/* ---- name tables ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *name_of(const struct loom_recording *r, enum vocabulary v)
{
    const char *name = v == SESSION ? r->session : v == SUBJECT ? r->subject : r->task;
    if (name != NULL && name[0] != '\0')
        return name;
    return v == SESSION ? r->id : "unknown";
}

static int make_names(struct loom_catalog *c, enum vocabulary v)
{
    const char **names = loom_arena_alloc(&c->memory, (size_t)c->recordings * sizeof *names);
    int32_t *row = loom_arena_alloc(&c->memory, (size_t)c->recordings * sizeof *row), n = 0;
    if (names == NULL || row == NULL)
        return LOOM_ENOMEM;
    for (int32_t i = 0; i < c->recordings; i++)
        names[i] = name_of(c->recording[i], v);
    qsort(names, (size_t)c->recordings, sizeof *names, by_text);
    for (int32_t i = 0; i < c->recordings; i++)
        if (n == 0 || strcmp(names[n - 1], names[i]) != 0)
            names[n++] = names[i];
    for (int32_t i = 0; i < c->recordings; i++)
        for (int32_t k = 0; k < n; k++)
            if (strcmp(name_of(c->recording[i], v), names[k]) == 0)
                row[i] = k;
    c->names[v] = names;
    c->names_n[v] = n;
    c->row[v] = row;
    return LOOM_OK;
}

static int make_units(struct loom_catalog *c)
{
    c->first_unit = loom_arena_alloc(&c->memory, ((size_t)c->recordings + 1) * sizeof *c->first_unit);
    if (c->first_unit == NULL)
        return LOOM_ENOMEM;
    c->first_unit[0] = 0;
    for (int32_t i = 0; i < c->recordings; i++) {
        int32_t units = c->recording[i]->units;
        c->first_unit[i + 1] = c->first_unit[i] + units;
        c->max_units = units > c->max_units ? units : c->max_units;
    }
    int32_t n = c->first_unit[c->recordings];
    const char **names = loom_arena_alloc(&c->memory, ((size_t)n + 1) * sizeof *names);
    if (names == NULL)
        return LOOM_ENOMEM;
    for (int32_t i = 0; i < c->recordings; i++) {
        const struct loom_recording *r = c->recording[i];
        for (int32_t u = 0; u < r->units; u++) {
            size_t size = strlen(r->id) + strlen(r->unit[u].name) + 2;
            char *name = loom_arena_alloc(&c->memory, size);
            if (name == NULL)
                return LOOM_ENOMEM;
            snprintf(name, size, "%s/%s", r->id, r->unit[u].name);
            names[c->first_unit[i] + u] = name;
        }
    }
    c->names[UNIT] = names;
    c->names_n[UNIT] = n;
    return LOOM_OK;
}

/* ---- held-out units ---- */

struct ranked {
    uint64_t hash;
    int32_t unit;
};

static int by_hash(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash ? 1 : -1) : (x->unit > y->unit) - (x->unit < y->unit);
}

/* The share of units whose hashed names come first: a larger share holds out the same units and more. */
static int hold_share(const struct loom_catalog *c, int32_t recording, uint8_t *held)
{
    const int32_t units = c->recording[recording]->units;
    const int32_t n = (int32_t)floor(c->spec.held_out * units + 0.5);
    struct ranked *rank = malloc(((size_t)units + 1) * sizeof *rank);
    if (rank == NULL)
        return LOOM_ENOMEM;
    for (int32_t u = 0; u < units; u++) {
        const char *name = c->names[UNIT][c->first_unit[recording] + u];
        rank[u] = (struct ranked){loom_hash(name, strlen(name), (uint64_t)c->spec.held_out_seed), u};
    }
    if (units > 0)
        qsort(rank, (size_t)units, sizeof *rank, by_hash);
    for (int32_t i = 0; i < n; i++)
        held[rank[i].unit] = 1;
    free(rank);
    return LOOM_OK;
}

static int hold_units(struct loom_catalog *c, struct loom_error *e)
{
    c->held = loom_arena_zalloc(&c->memory, ((size_t)c->recordings + 1) * sizeof *c->held);
    for (int32_t i = 0; c->held != NULL && i < c->recordings; i++) {
        const struct loom_recording *r = c->recording[i];
        uint8_t *held = loom_arena_zalloc(&c->memory, (size_t)r->units + 1);
        int32_t n = 0;
        if (held == NULL || (c->spec.held_out > 0.0 && hold_share(c, i, held) != LOOM_OK))
            return LOOM_ENOMEM;
        for (int32_t u = 0; u < r->units; u++) {
            held[u] |= (c->spec.held_out_file && r->unit[u].held_out != 0) ||
                       loom_words_match(&c->spec.held_out_names, r->unit[u].name) ||
                       loom_words_match(&c->spec.held_out_names, c->names[UNIT][c->first_unit[i] + u]);
            n += held[u];
        }
        if (n > 0 && n == r->units)
            return loom_fail(e, LOOM_EDATA, r->file, 0,
                             "all %d units of recording %s are held out, nothing is left to see: lower held_out, or "
                             "name fewer in held_out_names",
                             (int)n, r->id);
        c->held[i] = n > 0 ? held : NULL;
    }
    return c->held != NULL ? LOOM_OK : LOOM_ENOMEM;
}

/* ---- making it ---- */

static int by_id(const void *a, const void *b)
{
    return strcmp((*(const struct loom_recording *const *)a)->id, (*(const struct loom_recording *const *)b)->id);
}

static int take_recordings(struct loom_catalog *c, const struct loom_recording *const *recording, int32_t n,
                           struct loom_error *e)
{
    if (n <= 0)
        return loom_fail(e, LOOM_EDATA, NULL, 0, "there is no recording: name files in data.files");
    c->recording = loom_arena_alloc(&c->memory, (size_t)n * sizeof *c->recording);
    if (c->recording == NULL)
        return LOOM_ENOMEM;
    memcpy(c->recording, recording, (size_t)n * sizeof *c->recording);
    c->recordings = n;
    qsort(c->recording, (size_t)n, sizeof *c->recording, by_id);
    for (int32_t i = 1; i < n; i++)
        if (strcmp(c->recording[i - 1]->id, c->recording[i]->id) == 0)
            return loom_fail(e, LOOM_EDATA, c->recording[i]->file, 0,
                             "two recordings are called %s (%s and %s): give each file once, or rename one",
                             c->recording[i]->id, c->recording[i - 1]->file, c->recording[i]->file);
    return LOOM_OK;
}

static int resolve_bins(struct loom_catalog *c, struct loom_error *e)
{
    struct loom_data_spec *s = &c->spec;
    for (int32_t i = 0; i < c->recordings && s->bin_s <= 0.0; i++)
        if (c->recording[i]->first_spike == NULL && c->recording[i]->counts != NULL)
            s->bin_s = c->recording[i]->counts->bin_s;
    s->bin_s = s->bin_s > 0.0 ? s->bin_s : 0.02;
    c->bin_ns = loom_ns(s->bin_s);
    c->forward_ns = (int64_t)floor(s->forward_s / s->bin_s + 0.5) * c->bin_ns;
    for (int32_t i = 0; i < c->recordings; i++) {
        const struct loom_recording *r = c->recording[i];
        if (r->first_spike != NULL || r->counts == NULL)
            continue;
        double ratio = s->bin_s / r->counts->bin_s, near = floor(ratio + 0.5);
        if (!(near >= 1.0 && fabs(ratio - near) <= 1e-6 * near))
            return loom_fail(e, LOOM_EDATA, r->file, 0,
                             "recording %s comes in bins of %.9g ms, and bin_ms = %.9g is no multiple of that: set "
                             "bin_ms = %.9g (or twice, three times that)",
                             r->id, r->counts->bin_s * 1e3, s->bin_s * 1e3, r->counts->bin_s * 1e3);
    }
    if (s->window == LOOM_WINDOW_FIXED && s->window_s < s->bin_s * (1.0 - 1e-9))
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "window_ms = %.9g is shorter than one bin of %.9g ms: make it longer", s->window_s * 1e3,
                         s->bin_s * 1e3);
    return LOOM_OK;
}

static int measure(struct loom_catalog *c, struct loom_error *e)
{
    int64_t fixed = (int64_t)floor(c->spec.window_s / c->spec.bin_s + 0.5) + c->forward_ns / c->bin_ns;
    for (int32_t i = 0; i < c->spans; i++) {
        int64_t bins = (c->span[i].stop_ns - c->span[i].window_ns) / c->bin_ns;
        if (c->spec.window == LOOM_WINDOW_FIXED && bins > fixed)
            bins = fixed;
        if (bins > MOST_BINS)
            return loom_fail(e, LOOM_EDATA, NULL, 0,
                             "recording %s has a window of %lld bins of %g ms: raise bin_ms, or lower window_ms or the "
                             "length of trials",
                             c->recording[c->span[i].recording]->id, (long long)bins, c->spec.bin_s * 1e3);
        c->max_bins = bins > c->max_bins ? (int32_t)bins : c->max_bins;
    }
    return LOOM_OK;
}

static int copy_words(struct loom_arena *a, struct loom_words *w)
{
    const char **word = loom_arena_alloc(a, ((size_t)w->n + 1) * sizeof *word);
    for (int32_t i = 0; word != NULL && i < w->n; i++)
        if ((word[i] = loom_arena_strdup(a, w->word[i])) == NULL)
            return LOOM_ENOMEM;
    w->word = word;
    return word != NULL ? LOOM_OK : LOOM_ENOMEM;
}

static int copy_spec(struct loom_catalog *c, const struct loom_data_spec *spec)
{
    struct loom_data_spec *s = &c->spec;
    *s = *spec;
    s->align = loom_arena_strdup(&c->memory, spec->align);
    s->jitter_column = loom_arena_strdup(&c->memory, spec->jitter_column);
    s->invalid = loom_arena_strdup(&c->memory, spec->invalid);
    s->split.table = loom_arena_strdup(&c->memory, spec->split.table);
    s->split.column = loom_arena_strdup(&c->memory, spec->split.column);
    s->split.name = loom_arena_strdup(&c->memory, spec->split.name);
    if (s->align == NULL || s->jitter_column == NULL || s->invalid == NULL || s->split.table == NULL ||
        s->split.column == NULL || s->split.name == NULL)
        return LOOM_ENOMEM;
    struct loom_select *select = loom_arena_alloc(&c->memory, ((size_t)s->selects + 1) * sizeof *select);
    int rc = select != NULL ? copy_words(&c->memory, &s->held_out_names) : LOOM_ENOMEM;
    for (int32_t i = 0; i < s->selects && rc == LOOM_OK; i++) {
        select[i] = (struct loom_select){loom_arena_strdup(&c->memory, spec->select[i].column), spec->select[i].value};
        rc = select[i].column != NULL ? copy_words(&c->memory, &select[i].value) : LOOM_ENOMEM;
    }
    s->select = select;
    for (int k = 0; k < LOOM_SPLITS && rc == LOOM_OK; k++)
        rc = copy_words(&c->memory, &s->split.value[k]);
    return rc == LOOM_OK ? copy_words(&c->memory, &s->split.limit_recordings) : rc;
}

/* Times are counted in nanoseconds, of which 64 bits hold a limited number, sums of a few included. */
#define LONGEST_S 1e9  /* of what a user chooses */
#define FARTHEST_S 4e9 /* from 0, on a recording's clock: Unix time has room */
#define SHORTEST_BIN_S 1e-6

static int check_lengths(const struct loom_data_spec *s, struct loom_error *e)
{
    const struct {
        const char *name;
        double s;
    } length[] = {{"bin_ms", s->bin_s},
                  {"window_ms", s->window_s},
                  {"stride_ms", s->stride_s},
                  {"pre_ms", s->pre_s},
                  {"post_ms", s->post_s},
                  {"forward_ms", s->forward_s},
                  {"jitter_ms", s->jitter_s},
                  {"jitter_until_ms", s->jitter_until_s},
                  {"crop_jitter_ms", s->crop_jitter_s},
                  {"split.gap_ms", s->split.gap_s}};
    for (size_t i = 0; i < sizeof length / sizeof *length; i++)
        if (!(fabs(length[i].s) <= LONGEST_S))
            return loom_fail(e, LOOM_ECONFIG, NULL, 0, "data.%s = %g is more than %g, which is 30 years: make it less",
                             length[i].name, length[i].s * 1e3, LONGEST_S * 1e3);
    if (s->bin_s > 0.0 && s->bin_s < SHORTEST_BIN_S * (1.0 - 1e-9))
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "data.bin_ms = %g is less than a microsecond: set %g or more",
                         s->bin_s * 1e3, SHORTEST_BIN_S * 1e3);
    return LOOM_OK;
}

static int check_recording(const struct loom_recording *r, struct loom_error *e)
{
    const struct loom_counts *n = r->first_spike == NULL ? r->counts : NULL;
    if (!(fabs(r->start_s) <= FARTHEST_S && fabs(r->stop_s) <= FARTHEST_S))
        return loom_fail(e, LOOM_EDATA, r->file, 0,
                         "recording %s lasts from %g s to %g s, and times up to %g s can be told apart: are its times "
                         "in seconds (option time_scale of some sources), and is one of them damaged?",
                         r->id, r->start_s, r->stop_s, FARTHEST_S);
    if (n != NULL && !(n->bin_s >= SHORTEST_BIN_S * (1.0 - 1e-9)))
        return loom_fail(e, LOOM_EDATA, r->file, 0,
                         "recording %s comes in bins of %g ms, less than a microsecond: is their width in ms?", r->id,
                         n->bin_s * 1e3);
    return LOOM_OK;
}

static int check_spec(const struct loom_data_spec *s, struct loom_error *e)
{
    const double *f = s->split.fraction;
    if (!(f[0] >= 0.0 && f[1] >= 0.0 && f[2] >= 0.0 && f[0] + f[1] + f[2] <= 1.0 + 1e-9))
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "split.train + split.valid + split.test = %g + %g + %g is more than 1: lower one of them",
                         f[0], f[1], f[2]);
    if (s->jitter_s > 0.0 &&
        (s->window != LOOM_WINDOW_TRIAL || (s->split.by != LOOM_BY_TRIAL && s->split.by != LOOM_BY_COLUMN)))
        return loom_fail(
            e, LOOM_ECONFIG, NULL, 0,
            "data.jitter_ms = %g moves trials that are dealt one by one: set window = \"trial\" and split.by "
            "= \"trial\" or \"column\", or set it to 0",
            s->jitter_s * 1e3);
    for (int k = 0; k < LOOM_SPLITS * LOOM_SPLITS && s->split.by == LOOM_BY_COLUMN; k++) {
        const struct loom_words *a = &s->split.value[k / LOOM_SPLITS], *b = &s->split.value[k % LOOM_SPLITS];
        for (int32_t i = 0; i < a->n * b->n && a < b; i++)
            if (strcmp(a->word[i / b->n], b->word[i % b->n]) == 0)
                return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                                 "data.split: \"%s\" is a value of two of train_values, valid_values and test_values: "
                                 "leave it in one",
                                 a->word[i / b->n]);
    }
    return check_lengths(s, e);
}

static int make(struct loom_catalog *c, const struct loom_recording *const *recording, int32_t n,
                const struct loom_data_spec *spec, struct loom_error *e)
{
    int rc = check_spec(spec, e);
    if (rc == LOOM_OK)
        rc = copy_spec(c, spec);
    if (rc == LOOM_OK)
        rc = take_recordings(c, recording, n, e);
    for (int32_t i = 0; i < n && rc == LOOM_OK; i++)
        rc = check_recording(recording[i], e);
    for (enum vocabulary v = SESSION; v < UNIT && rc == LOOM_OK; v++)
        rc = make_names(c, v);
    if (rc == LOOM_OK)
        rc = make_units(c);
    if (rc == LOOM_OK)
        rc = hold_units(c, e);
    if (rc == LOOM_OK)
        rc = resolve_bins(c, e);
    if (rc == LOOM_OK)
        rc = loom_selects_check(c, e);
    if (rc == LOOM_OK)
        rc = loom_spans_make(c, e);
    if (rc == LOOM_OK)
        rc = loom_labels_make(c, e);
    return rc == LOOM_OK ? measure(c, e) : rc;
}

int loom_catalog_new(struct loom_catalog **out, const struct loom_recording *const *recording, int32_t recordings,
                     const struct loom_data_spec *spec, struct loom_error *e)
{
    *out = NULL;
    struct loom_catalog *c = calloc(1, sizeof *c);
    int rc = c != NULL ? loom_arena_init(&c->memory, MEMORY, e) : LOOM_ENOMEM;
    if (rc == LOOM_OK)
        rc = make(c, recording, recordings, spec, e);
    if (rc == LOOM_OK)
        *out = c;
    else
        loom_catalog_free(c);
    return rc == LOOM_ENOMEM ? loom_fail(e, rc, NULL, 0, "no memory for the catalogue of recordings") : rc;
}

void loom_catalog_free(struct loom_catalog *c)
{
    if (c == NULL)
        return;
    if (c->release != NULL)
        c->release(c->owned);
    free(c->span);
    loom_arena_release(&c->memory);
    free(c);
}

/* ---- asking it ---- */

int loom_catalog_count(const struct loom_catalog *c)
{
    return c->recordings;
}

const struct loom_recording *loom_catalog_recording(const struct loom_catalog *c, int i)
{
    return i >= 0 && i < c->recordings ? c->recording[i] : NULL;
}

double loom_catalog_bin_s(const struct loom_catalog *c)
{
    return c->spec.bin_s;
}

double loom_catalog_window_s(const struct loom_catalog *c)
{
    return c->max_bins * c->spec.bin_s;
}

const struct loom_data_spec *loom_catalog_spec(const struct loom_catalog *c)
{
    return &c->spec;
}

const struct loom_span *loom_catalog_spans(const struct loom_catalog *c, int32_t *n)
{
    *n = c->spans;
    return c->span;
}

int32_t loom_catalog_max_units(const struct loom_catalog *c)
{
    return c->max_units;
}

int32_t loom_catalog_max_bins(const struct loom_catalog *c)
{
    return c->max_bins;
}

const uint8_t *loom_catalog_held(const struct loom_catalog *c, int32_t recording)
{
    return c->held[recording];
}

uint64_t loom_catalog_offers(const struct loom_catalog *c)
{
    uint64_t offers = LOOM_REGIONS | LOOM_ELECTRODES | LOOM_TRIALS;
    for (int32_t i = 0; i < c->recordings; i++) {
        const struct loom_recording *r = c->recording[i];
        if (loom_recording_intervals(r, "trials") == NULL)
            offers &= ~(uint64_t)LOOM_TRIALS;
        for (int32_t u = 0; u < r->units; u++) {
            if (r->unit[u].region == NULL || r->unit[u].region[0] == '\0')
                offers &= ~(uint64_t)LOOM_REGIONS;
            if (isnan(r->unit[u].x) || isnan(r->unit[u].y))
                offers &= ~(uint64_t)LOOM_ELECTRODES;
        }
    }
    return offers;
}

int loom_catalog_need_series(const struct loom_catalog *c, struct loom_words patterns, const char *name, int32_t *dims,
                             struct loom_error *e)
{
    int32_t first = -1, at = 0;
    for (int32_t i = 0; i < c->recordings; i++) {
        const struct loom_recording *r = c->recording[i];
        if (patterns.n > 0 && !loom_words_match(&patterns, r->id))
            continue;
        const struct loom_series *s = loom_recording_series(r, name);
        char have[512] = "none";
        size_t used = 0;
        for (int32_t k = 0; k < r->series_count && used + 80 < sizeof have; k++)
            used += (size_t)snprintf(have + used, sizeof have - used, "%s%.64s", k > 0 ? ", " : "", r->series[k].name);
        if (s == NULL)
            return loom_fail(e, LOOM_EDATA, r->file, 0,
                             "recording %s has no series \"%s\"; it has %s: ask for one of them, or for a column of "
                             "its trials",
                             r->id, name, have);
        if (first >= 0 && s->dims != first)
            return loom_fail(e, LOOM_EDATA, r->file, 0,
                             "series \"%s\" has %d dimensions in recording %s and %d in %s: select recordings where it "
                             "is the same",
                             name, (int)s->dims, r->id, (int)first, c->recording[at]->id);
        first = s->dims;
        at = i;
    }
    if (dims != NULL)
        *dims = first;
    return LOOM_OK;
}

const char *const *loom_catalog_names(const struct loom_catalog *c, const char *vocabulary, int32_t *n)
{
    for (enum vocabulary v = SESSION; v < VOCABULARIES; v++)
        if (strcmp(vocabulary, vocabulary_word[v]) == 0) {
            *n = c->names_n[v];
            return c->names[v];
        }
    if (strncmp(vocabulary, "class:", 6) == 0)
        return loom_catalog_classes(c, vocabulary + 6, n);
    *n = 0;
    return NULL;
}

int32_t loom_catalog_row(const struct loom_catalog *c, const char *vocabulary, int32_t recording, int32_t unit)
{
    for (enum vocabulary v = SESSION; v < UNIT; v++)
        if (strcmp(vocabulary, vocabulary_word[v]) == 0)
            return c->row[v][recording];
    return strcmp(vocabulary, "unit") == 0 ? c->first_unit[recording] + unit : -1;
}

static int span_is_observed(const struct loom_recording *r, const struct loom_span *s)
{
    for (int32_t i = 0; i < r->observed_count; i++)
        if (s->begin_ns >= loom_ns(r->observed_s[2 * i]) && s->end_ns <= loom_ns(r->observed_s[2 * i + 1]))
            return 1;
    return r->observed_count == 0 && s->begin_ns >= loom_ns(r->start_s) && s->end_ns <= loom_ns(r->stop_s);
}

/* All pairs within a recording: n is the number of trials, and this runs once. */
int loom_catalog_check_leaks(const struct loom_catalog *c, struct loom_error *e)
{
    for (int32_t i = 0; i < c->spans; i++) {
        const struct loom_span *a = &c->span[i];
        const struct loom_recording *r = c->recording[a->recording];
        if (!span_is_observed(r, a))
            return loom_fail(e, LOOM_EDATA, r->file, 0,
                             "leak: recording %s, span %.6f to %.6f s reaches beyond what was observed: report this",
                             r->id, (double)a->begin_ns * 1e-9, (double)a->end_ns * 1e-9);
        for (int32_t k = i + 1; k < c->spans && c->span[k].recording == a->recording; k++) {
            const struct loom_span *b = &c->span[k];
            if (a->split != b->split && a->begin_ns < b->end_ns && b->begin_ns < a->end_ns)
                return loom_fail(e, LOOM_EDATA, r->file, 0,
                                 "leak: recording %s, %.6f to %.6f s belongs to two splits: report this", r->id,
                                 (double)(a->begin_ns > b->begin_ns ? a->begin_ns : b->begin_ns) * 1e-9,
                                 (double)(a->end_ns < b->end_ns ? a->end_ns : b->end_ns) * 1e-9);
        }
    }
    return LOOM_OK;
}
