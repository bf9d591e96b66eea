/* SPDX-License-Identifier: Apache-2.0 */
/* From recordings to windows: splits, selections, evaluation tiles, the sampler, and the content of one window.
 *
 *     recordings ─ loom_catalog ─ spans ─┬─ loom_selection ─┬─ loom_windows   every second once: evaluation, fits
 *                                        │ (split × names)  └─ loom_sampler   (seed, step, tuple, slot) → sample
 *                                        └─ loom_window_fill: sample → counts, spikes, series (arena, any thread)
 *
 * Time inside is int64 nanoseconds on the recording's clock: seconds are rounded to the nearest nanosecond once, and
 * every interval is half-open, so bin k of a window holds the spikes of [k·bin, (k+1)·bin) exactly.
 *
 * A *span* is a stretch of one recording that belongs to one split and was observed without a gap. Spans of different
 * splits never overlap. A window reads spikes and series of its span alone, lags included, so nothing of one split can
 * reach another. A fixed window lies wholly inside its span; a trial window keeps its nominal length, and bins that
 * stick out of the span (not recorded, or another split's time) read 0 and are unknown. Where bins lie on the clock, a
 * bin counts as inside where its first millisecond is; what it would read beyond the span is not read. The span of a
 * trial reaches half way to its neighbours, so that lagged behaviour is at hand at the trial's edges. */
#ifndef LOOM_DATA_CATALOG_H
#define LOOM_DATA_CATALOG_H

#include <loom/data.h>
#include <loom/options.h>

#include "base/arena.h"

struct loom_group;
struct loom_registry;

/* ---- what the `data:` group says ---- */

enum loom_window_kind { LOOM_WINDOW_FIXED, LOOM_WINDOW_TRIAL };
enum loom_split_by { LOOM_BY_TIME, LOOM_BY_TRIAL, LOOM_BY_COLUMN, LOOM_BY_RECORDING, LOOM_BY_FILE };
enum loom_split_order { LOOM_ORDER_SHUFFLED, LOOM_ORDER_INTERLEAVED, LOOM_ORDER_CONTIGUOUS };
enum loom_balance { LOOM_BALANCE_WINDOWS, LOOM_BALANCE_RECORDINGS };
enum loom_batch_by { LOOM_BATCH_MIXED, LOOM_BATCH_RECORDING };

/* A list of words, borrowed. Patterns are shell patterns (fnmatch). */
struct loom_words {
    int32_t n;
    const char *const *word;
};

/* Each member is the option of its name in loom_data_options and loom_split_options; read there what it means. */
struct loom_split_spec {
    enum loom_split_by by;
    enum loom_split_order order;
    double fraction[LOOM_SPLITS];
    int64_t blocks, seed;
    double gap_s;
    const char *table, *column; /* interval table; its column for LOOM_BY_COLUMN */
    const char *name; /* for LOOM_BY_FILE: what its tables are called before train, valid and test; "" = domains */
    struct loom_words value[LOOM_SPLITS];
    double limit;
    struct loom_words limit_recordings;
};
/* A row of the interval table is a trial where its value in `column` is one of these. */
struct loom_select {
    const char *column;
    struct loom_words value;
};
struct loom_data_spec {
    double bin_s; /* 0 = stored width of binned recordings, else 20 ms */
    enum loom_window_kind window;
    double window_s, stride_s;
    const char *align;
    double pre_s, post_s; /* post_s < 0: until the trial's stop */
    int clock;            /* 1: bins of trial windows lie on multiples of bin_s of the recording's clock */
    double jitter_s, jitter_until_s;
    const char *jitter_column;
    double forward_s;
    double held_out;
    int64_t held_out_seed;
    struct loom_words held_out_names;
    int held_out_file;
    double unit_dropout, crop_jitter_s;
    int64_t unit_keep_min, unit_keep_mode, unit_keep_max; /* max 0: not asked for */
    double unit_keep_peak;
    enum loom_balance balance;
    enum loom_batch_by batch_by;
    const char *invalid; /* interval table of times to leave out; "" = none */
    int32_t selects;
    const struct loom_select *select; /* [selects] all must admit a trial */
    struct loom_split_spec split;
};
#define LOOM_DATA_SPEC                                                                                                 \
    {                                                                                                                  \
        .window_s = 1.0, .align = "", .jitter_column = "", .post_s = -1.0, .held_out_file = 1,                         \
        .invalid = "invalid_times", .split = {                                                                         \
            .fraction = {0.7, 0.1, 0.2},                                                                               \
            .blocks = 1,                                                                                               \
            .table = "trials",                                                                                         \
            .column = "split",                                                                                         \
            .name = "",                                                                                                \
            .limit = 1.0                                                                                               \
        }                                                                                                              \
    }

/* The options of `data:`, `data.split:` and each of `data.select`; what a source declares stands beside the first in
 * the same group. */
extern const struct loom_option loom_data_options[];
extern const struct loom_option loom_split_options[];
extern const struct loom_option loom_select_options[];
/* Texts are borrowed from the options. `words` (capacity as given) receives the lists. select [selects]: of
 * data.select. LOOM_ECONFIG. */
int loom_data_spec_read(struct loom_data_spec *out, const struct loom_options *data, const struct loom_options *split,
                        struct loom_options *const *select, int selects, struct loom_arena *words,
                        struct loom_error *e);

/* ---- catalogue [setup] ---- */

struct loom_span {
    int64_t begin_ns, end_ns;   /* what may be read: spikes, and series with their lags */
    int64_t window_ns, stop_ns; /* where windows lie, whole bins: of a trial, its one window, which may stick out */
    int32_t recording, split;   /* number in the catalogue; enum loom_split */
    int32_t row;                /* of the interval table, or -1 */
};

/* Reads the `data:` group, runs the source on its files through the cache, and makes the catalogue, which owns the
 * recordings. Files are relative to $LOOM_DATA if they exist there, else to the pipeline file's folder.
 * LOOM_ECONFIG, LOOM_EDATA, LOOM_EPLUGIN, LOOM_EIO, LOOM_ENOMEM. */
int loom_catalog_open(struct loom_catalog **out, const struct loom_group *data, struct loom_registry *registry,
                      struct loom_error *e);
/* The same from recordings at hand, which must outlive the catalogue; they are put in order of their ids, so that
 * nothing depends on the order of files. LOOM_EDATA when an id occurs twice, a split is impossible, or stored bins do
 * not fit bin_s. `spec` is copied. */
int loom_catalog_new(struct loom_catalog **out, const struct loom_recording *const *recording, int32_t recordings,
                     const struct loom_data_spec *spec, struct loom_error *e);
void loom_catalog_free(struct loom_catalog *c); /* NULL is a no-op */

const struct loom_data_spec *loom_catalog_spec(const struct loom_catalog *c);         /* bin_s resolved */
const struct loom_span *loom_catalog_spans(const struct loom_catalog *c, int32_t *n); /* by recording, split, time */
int32_t loom_catalog_max_units(const struct loom_catalog *c);
int32_t loom_catalog_max_bins(const struct loom_catalog *c); /* of the longest window, forward bins included */
/* 1 for each unit of a recording that is held out [units]; NULL when none is. */
const uint8_t *loom_catalog_held(const struct loom_catalog *c, int32_t recording);
uint64_t loom_catalog_offers(const struct loom_catalog *c); /* enum loom_power, of what the data offer */
/* Every recording whose id matches one of the patterns (none given = all) has the series, with the same dims (returned
 * in *dims, may be NULL); LOOM_EDATA names the recording that has not, and what it has instead. */
int loom_catalog_need_series(const struct loom_catalog *c, struct loom_words patterns, const char *name, int32_t *dims,
                             struct loom_error *e);
/* 1: no recording has a series of that name, and the table of trials a column: it is a label, the class of a trial. */
int loom_catalog_is_label(const struct loom_catalog *c, const char *name);
/* Such a column sorts the trials of every recording into two classes or more (loom_catalog_classes). LOOM_EDATA,
 * LOOM_ECONFIG: it does not, or windows are of no trials. */
int loom_catalog_need_label(const struct loom_catalog *c, const char *name, struct loom_error *e);
/* Gives trials other classes, before any window is read: `other` returns the new class, -1 = unknown, of a span's
 * trial, by each label with two classes or more. For checks that ask what a model's numbers hang on. */
void loom_catalog_relabel(struct loom_catalog *c,
                          int32_t (*other)(void *payload, const struct loom_span *span, int32_t is, int32_t classes),
                          void *payload);
int32_t loom_catalog_label(const struct loom_catalog *c, const char *column); /* number of a label; -1: there is none */
int32_t loom_catalog_class(const struct loom_catalog *c, int32_t label, int32_t span); /* of its trial; -1: unknown */

/* Vocabularies: "session", "subject", "task", "unit" ("recording/unit"). Names in byte order without repeats, except
 * units: recording by recording, in the recording's order. A recording without session bears its id there, without
 * subject or task "unknown". "class:COLUMN" is the classes of a label
 * (loom_catalog_classes). NULL and n = 0 for another word. */
const char *const *loom_catalog_names(const struct loom_catalog *c, const char *vocabulary, int32_t *n);
/* Row of a recording (and its unit, for "unit") in that vocabulary; -1 for another word. */
int32_t loom_catalog_row(const struct loom_catalog *c, const char *vocabulary, int32_t recording, int32_t unit);

/* Proves that no window of one split can touch the time of another: spans of different splits are disjoint in every
 * recording, and each lies inside observed time. LOOM_EDATA says where not. */
int loom_catalog_check_leaks(const struct loom_catalog *c, struct loom_error *e);

/* ---- samples ---- */

/* One window, named. key = hash of (recording id, origin, length, slot, draw): of names, never of places. */
struct loom_sample {
    uint64_t key;
    int32_t recording, span; /* numbers in the catalogue */
    int32_t trial;           /* row of the interval table, or -1 */
    int32_t tuple, slot, fold;
    int64_t origin_ns;
    double length_s;       /* forward bins included */
    double begin_s, end_s; /* what is to be asked of it, from the origin: tiles that overlap ask each bin once */
};

int loom_catalog_has_split(const struct loom_catalog *c, enum loom_split split);    /* 1: some span is of it */
const char *loom_split_name(enum loom_split split);                                 /* "train", "valid", "test" */
int loom_split_named(const char *name, enum loom_split *out, struct loom_error *e); /* LOOM_ECONFIG */

/* A split, and the recordings whose id matches one of the patterns (none given = all). */
struct loom_selection {
    const struct loom_catalog *catalog;
    enum loom_split split;
    int32_t spans;
    int32_t *span; /* numbers, ascending: by recording, then time */
};
/* LOOM_EDATA when nothing is selected, naming what there is. */
int loom_selection_init(struct loom_selection *s, const struct loom_catalog *c, enum loom_split split,
                        struct loom_words patterns, struct loom_error *e);
void loom_selection_release(struct loom_selection *s);

/* Every whole bin of a selection asked exactly once, in order of recording and time. */
struct loom_windows {
    int32_t n;
    struct loom_sample *sample;
    double seconds; /* of the selection */
    int64_t spikes; /* in it */
    int32_t trials, recordings;
};
struct loom_tiling {
    double length_s; /* 0 = the catalogue's window; < 0 = each span in one window */
    double stride_s; /* 0 = the catalogue's stride (or the length) */
    int32_t folds;   /* > 1: each recording cut into that many contiguous parts, which no window crosses; else 0 */
    int32_t draw;    /* number in the keys: a second pass with other random draws */
};
/* Fixed windows: tiles at multiples of the stride from each span's begin; the last one is moved back to end with the
 * span and keeps its length. Tile i asks [begin_s, end_s) from where tile i-1 stopped, so overlap gives context. Spans
 * shorter than the length give one shorter tile. Trial windows: one tile a trial, asked whole. Lengths include
 * forward bins. LOOM_ENOMEM, LOOM_EDATA. */
int loom_windows_init(struct loom_windows *w, const struct loom_selection *s, const struct loom_tiling *t,
                      struct loom_error *e);
void loom_windows_release(struct loom_windows *w);

/* ---- sampler: training windows as a pure function of (seed, step, tuple, slot) ---- */

struct loom_sampler_spec {
    uint64_t seed;
    int32_t batch;    /* tuples a step; 0 = as many as batch_s allows */
    double batch_s;   /* seconds a step */
    int32_t arity;    /* windows in a tuple, 0 = 1 */
    double partner_s; /* slots after the first: same span, within ± partner_s of the first */
};
struct loom_sampler;
/* `s` must outlive it. balance, batch_by and crop_jitter come from the catalogue. LOOM_ENOMEM, LOOM_ECONFIG. */
int loom_sampler_new(struct loom_sampler **out, const struct loom_selection *s, const struct loom_sampler_spec *spec,
                     struct loom_error *e);
void loom_sampler_free(struct loom_sampler *s);
int32_t loom_sampler_batch(const struct loom_sampler *s);    /* tuples a step */
int64_t loom_sampler_epoch(const struct loom_sampler *s);    /* tuples until every bin (trial) was seen once */
double loom_sampler_longest_s(const struct loom_sampler *s); /* longest window it can draw */
/* Any thread, any order, no memory: tuple in 0..batch-1, slot in 0..arity-1. */
void loom_sampler_draw(const struct loom_sampler *s, uint64_t step, int32_t tuple, int32_t slot,
                       struct loom_sample *out);

/* ---- the content of a window [data] ---- */

struct loom_series_want {
    const char *name; /* in data units, at its own sample times */
    double lag_s;     /* the value asked for at window time t is the one recorded at t + lag_s */
    int32_t label;    /* 0: a series; else 1 + the number of a label: one sample, the class of the window's trial, just
                       * before the end of the last bin that is seen; none where the trial's class is unknown */
};
struct loom_window_ask {
    const struct loom_series_want *series;
    int32_t series_count;
    int32_t events;   /* 1: spike_s and spike_unit wanted (else spikes reads -1) */
    int32_t training; /* 1: augment (unit dropout) with draws of (seed, step, sample) */
    uint64_t seed, step;
    int32_t unknown; /* 1: forward bins and held-out units that were not recorded are LOOM_HELD_OUT as well, so that
                      * they are asked for; else they are LOOM_UNKNOWN alone */
};
/* Fills `out` with what may be seen: counts and spikes of held bins read 0. `truth` (may be NULL) receives the same
 * window with the counts of held = LOOM_HELD_OUT as recorded: what questions are scored against. Memory comes from the
 * arena alone; thread-safe; time grows with the window, not with the recording. A series that the recording lacks has 0
 * samples. LOOM_ENOMEM: the arena is too small for the window. */
int loom_window_fill(const struct loom_catalog *c, const struct loom_sample *s, const struct loom_window_ask *ask,
                     struct loom_arena *arena, struct loom_window *out, struct loom_window *truth,
                     struct loom_error *e);
/* Mean of a window's samples from `from_s` to before `to_s` into mean [dims], NaN where one is missing; returns how
 * many there are, none = mean is 0. *at walks along: 0 for the first call, whose stretches ascend. */
int32_t loom_window_mean(const struct loom_window_series *x, double from_s, double to_s, int32_t *at, loom_real *mean);

#endif
