/* SPDX-License-Identifier: Apache-2.0 */
/* The `data:` group of a pipeline file: its options, its files, its source, and the catalogue they make. */
#include "config/tree.h"
#include "data/join.h"
#include "data/nlb_sets.h"
#include "data/spans.h"
#include "plugin/registry.h"

#include <loom/config.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct loom_option loom_data_options[] = {
    {"source", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, "", NULL, NULL, "Source plugin that reads the files."},
    {"files", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "Files or patterns (*.mat), under $LOOM_DATA or beside the pipeline file; none for a source that makes its data."},
    {"join", LOOM_OPT_STRING, 0, "none", "none|session|all", NULL,
     "Files that are one recording: none, those of one subject and session, or all. The one with most units goes "
     "first, others are laid behind it; units are told by name, and held-out ones that a file lacks are asked for "
     "there and never scored. Columns called *_time, and align, move along."},
    {"bin_ms", LOOM_OPT_REAL, 0, "0.0", "[0,inf)", "ms",
     "Width of a bin; 0 = as stored for recordings that come binned, else 20."},
    {"window", LOOM_OPT_STRING, 0, "fixed", "fixed|trial", NULL,
     "Windows of window_ms anywhere inside a split, or one window for each trial."},
    {"window_ms", LOOM_OPT_REAL, 0, "1000.0", "(0,inf)", "ms",
     "Length of a fixed window; a shorter stretch gives a shorter window."},
    {"stride_ms", LOOM_OPT_REAL, 0, "0.0", "[0,inf)", "ms",
     "Step between evaluation windows; 0 = no overlap; less than window_ms gives each bin more past."},
    {"align", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "Trial windows: numeric column of the trial table with the event they are laid around; empty = the trial's "
     "start."},
    {"pre_ms", LOOM_OPT_REAL, 0, "0.0", NULL, "ms", "Trial windows: begin this long before the event."},
    {"post_ms", LOOM_OPT_REAL, 0, "-1.0", "[-1,inf)", "ms",
     "Trial windows: end this long after the event; -1 = at the trial's stop."},
    {"bins", LOOM_OPT_STRING, 0, "event", "event|clock", NULL,
     "Trial windows: bins are laid from the event, or lie on multiples of bin_ms of the recording's clock, from the "
     "first one in the window; there a bin counts as observed where its first millisecond is."},
    {"jitter_ms", LOOM_OPT_REAL, 0, "0.0", "[0,inf)", "ms",
     "Trial windows of train and valid: each lies later by a random number of bins, up to this; the same in every run. "
     "The draws are numpy's with seed 0, by the table's rows, begun anew for each split."},
    {"jitter_column", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "With jitter_ms: numeric column, in ms, that limits it for each trial."},
    {"jitter_until_ms", LOOM_OPT_REAL, 0, "0.0", "[0,inf)", "ms",
     "With jitter_column: no trial lies later by more than this less the column's value."},
    {"nlb", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "Dataset of the Neural Latents Benchmark (mc_maze, mc_rtt, area2_bump, dmfc_rsg, mc_maze_large, mc_maze_medium, "
     "mc_maze_small): keys of this group that are not written get what its preparation does."},
    {"forward_ms", LOOM_OPT_REAL, 0, "0.0", "[0,inf)", "ms",
     "Further time at the end of each window that is asked about and never seen."},
    {"held_out", LOOM_OPT_REAL, 0, "0.0", "[0,1)", NULL,
     "Share of each recording's units that are asked about and never seen."},
    {"held_out_seed", LOOM_OPT_INT, 0, "0", NULL, NULL, "Which units held_out takes."},
    {"held_out_names", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "Units to hold out: names or \"recording/unit\", patterns allowed."},
    {"held_out_file", LOOM_OPT_BOOL, 0, "true", NULL, NULL, "Hold out the units that the file marks as held out."},
    {"unit_dropout", LOOM_OPT_REAL, 0, "0.0", "[0,1)", NULL,
     "Training: chance that a window misses a unit altogether, so that models stand the loss of units."},
    {"unit_keep_min", LOOM_OPT_INT, 0, "0", "[0,inf)", "units",
     "Training: with unit_keep_max, the fewest units that a window keeps; recordings with fewer keep all."},
    {"unit_keep_mode", LOOM_OPT_INT, 0, "0", "[0,inf)", "units", "The likeliest number of units that a window keeps."},
    {"unit_keep_max", LOOM_OPT_INT, 0, "0", "[0,inf)", "units",
     "If not 0, how many units a window keeps is drawn anew each time, up to this many, with a density that rises in a "
     "straight line from unit_keep_min to unit_keep_mode and falls in one to here (POYO: 30, 100, 300)."},
    {"unit_keep_peak", LOOM_OPT_REAL, 0, "4.0", "[1,inf)", NULL,
     "How many times likelier the mode is than either end."},
    {"crop_jitter_ms", LOOM_OPT_REAL, 0, "0.0", "[0,inf)", "ms",
     "Training: windows are shifted at random by up to this much."},
    {"balance", LOOM_OPT_STRING, 0, "windows", "windows|recordings", NULL,
     "Training: every window equally often, or every recording."},
    {"batch_by", LOOM_OPT_STRING, 0, "mixed", "mixed|recording", NULL,
     "Training: a step mixes recordings, or holds windows of one."},
    {"invalid", LOOM_OPT_STRING, 0, "invalid_times", NULL, NULL,
     "Interval table of times to leave out; recordings without it lose nothing."},
    {"cache", LOOM_OPT_STRING, 0, "", NULL, NULL, "Folder for what was read; empty = $LOOM_CACHE, else ~/.cache/loom."},
    {"refresh", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "Read the files anew although they stand in the cache."},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};

const struct loom_option loom_split_options[] = {
    {"by", LOOM_OPT_STRING, 0, "time", "time|trial|column|recording|file", NULL,
     "What is dealt to train, valid and test: stretches of time, trials, trials by a column's value, whole "
     "recordings; file: nothing, the recording's own intervals say what belongs to which."},
    {"name", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "By file: which of the file's own splits, as its interval tables NAME.train, NAME.valid and NAME.test are called; "
     "empty = train_domain, valid_domain and test_domain, or splits.train and so on."},
    {"train", LOOM_OPT_REAL, 0, "0.7", "[0,1]", NULL, "Share for training (by time or trial)."},
    {"valid", LOOM_OPT_REAL, 0, "0.1", "[0,1]", NULL, "Share for validation."},
    {"test", LOOM_OPT_REAL, 0, "0.2", "[0,1]", NULL, "Share for the test; what is left of 1 is not used."},
    {"order", LOOM_OPT_STRING, 0, "shuffled", "shuffled|interleaved|contiguous", NULL,
     "By trial: at random, evenly spread over the session, or the session's beginning, middle and end."},
    {"blocks", LOOM_OPT_INT, 0, "1", "[1,1000]", NULL,
     "By time: how often train, valid, test repeat along a recording; 1 = its beginning, middle and end."},
    {"gap_ms", LOOM_OPT_REAL, 0, "0.0", "[0,inf)", "ms", "By time: left out between two splits."},
    {"seed", LOOM_OPT_INT, 0, "0", NULL, NULL, "By trial, shuffled: another number deals other trials."},
    {"table", LOOM_OPT_STRING, 0, "trials", NULL, NULL, "Interval table whose rows are the trials."},
    {"column", LOOM_OPT_STRING, 0, "split", NULL, NULL, "By column: the column whose value decides."},
    {"train_values", LOOM_OPT_STRINGS, 0, "train", NULL, NULL,
     "By column: values of train trials; by recording: names or patterns of recordings; by file: what its "
     "tables for it are called."},
    {"valid_values", LOOM_OPT_STRINGS, 0, "valid, val", NULL, NULL, "The same for validation."},
    {"test_values", LOOM_OPT_STRINGS, 0, "test", NULL, NULL, "The same for the test."},
    {"limit", LOOM_OPT_REAL, 0, "1.0", "(0,1]", NULL,
     "Share of the train split that is used; a smaller share is part of a larger one."},
    {"limit_recordings", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "Recordings that limit applies to, patterns allowed; none = all."},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};

const struct loom_option loom_select_options[] = {
    {"column", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, "", NULL, NULL, "Column of the table of trials."},
    {"values", LOOM_OPT_STRINGS, LOOM_OPT_REQUIRED, "", NULL, NULL,
     "Rows with one of these are trials, texts and numbers alike (\"T1\", \"3\"); other rows are left out."},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};

static int read_words(struct loom_words *out, const struct loom_options *o, const char *name, struct loom_arena *words)
{
    const size_t n = loom_opt_count(o, name);
    const char **word = loom_arena_alloc(words, (n + 1) * sizeof *word);
    for (size_t i = 0; word != NULL && i < n; i++)
        word[i] = loom_opt_string_at(o, name, i);
    *out = (struct loom_words){word != NULL ? (int32_t)n : 0, word};
    return word != NULL ? LOOM_OK : LOOM_ENOMEM;
}

static int word_number(const struct loom_options *o, const char *name, const char *const *words)
{
    int i = 0;
    while (words[i + 1] != NULL && !loom_opt_is(o, name, words[i]))
        i++;
    return i;
}

static int read_split(struct loom_split_spec *s, const struct loom_options *o, struct loom_arena *words)
{
    static const char *const by[] = {"time", "trial", "column", "recording", "file", NULL};
    static const char *const order[] = {"shuffled", "interleaved", "contiguous", NULL};
    s->by = (enum loom_split_by)word_number(o, "by", by);
    s->order = (enum loom_split_order)word_number(o, "order", order);
    s->fraction[LOOM_TRAIN] = loom_opt_real(o, "train");
    s->fraction[LOOM_VALID] = loom_opt_real(o, "valid");
    s->fraction[LOOM_TEST] = loom_opt_real(o, "test");
    s->blocks = loom_opt_int(o, "blocks");
    s->seed = loom_opt_int(o, "seed");
    s->gap_s = loom_opt_real(o, "gap_ms") * 1e-3;
    s->table = loom_opt_string(o, "table");
    s->column = loom_opt_string(o, "column");
    s->name = loom_opt_string(o, "name");
    s->limit = loom_opt_real(o, "limit");
    int rc = read_words(&s->value[LOOM_TRAIN], o, "train_values", words);
    if (rc == LOOM_OK)
        rc = read_words(&s->value[LOOM_VALID], o, "valid_values", words);
    if (rc == LOOM_OK)
        rc = read_words(&s->value[LOOM_TEST], o, "test_values", words);
    return rc == LOOM_OK ? read_words(&s->limit_recordings, o, "limit_recordings", words) : rc;
}

static int check_keep(const struct loom_data_spec *s, const struct loom_options *data, struct loom_error *e)
{
    const int64_t low = s->unit_keep_min, mode = s->unit_keep_mode, high = s->unit_keep_max;
    if (high == 0 && low == 0 && mode == 0)
        return LOOM_OK;
    if (!(low >= 1 && low <= mode && mode <= high && low < high))
        return loom_opt_fail(data, "unit_keep_max", e,
                             "unit_keep_min = %lld, unit_keep_mode = %lld, unit_keep_max = %lld: from 1 on, in this "
                             "order, and not all the same",
                             (long long)low, (long long)mode, (long long)high);
    if (s->unit_dropout > 0.0)
        return loom_opt_fail(data, "unit_dropout", e,
                             "unit_dropout drops each unit by chance, unit_keep_max a number of them: leave out one");
    return LOOM_OK;
}

static int read_selects(struct loom_data_spec *out, struct loom_options *const *o, int n, struct loom_arena *words)
{
    struct loom_select *select = loom_arena_alloc(words, ((size_t)n + 1) * sizeof *select);
    int rc = select != NULL ? LOOM_OK : LOOM_ENOMEM;
    for (int i = 0; i < n && rc == LOOM_OK; i++) {
        select[i].column = loom_opt_string(o[i], "column");
        rc = read_words(&select[i].value, o[i], "values", words);
    }
    out->selects = rc == LOOM_OK ? n : 0;
    out->select = select;
    return rc;
}

int loom_data_spec_read(struct loom_data_spec *out, const struct loom_options *data, const struct loom_options *split,
                        struct loom_options *const *select, int selects, struct loom_arena *words, struct loom_error *e)
{
    static const char *const window[] = {"fixed", "trial", NULL}, *const balance[] = {"windows", "recordings", NULL},
                             *const batch_by[] = {"mixed", "recording", NULL};
    *out = (struct loom_data_spec){
        .bin_s = loom_opt_real(data, "bin_ms") * 1e-3,
        .window = (enum loom_window_kind)word_number(data, "window", window),
        .window_s = loom_opt_real(data, "window_ms") * 1e-3,
        .stride_s = loom_opt_real(data, "stride_ms") * 1e-3,
        .align = loom_opt_string(data, "align"),
        .pre_s = loom_opt_real(data, "pre_ms") * 1e-3,
        .post_s = loom_opt_real(data, "post_ms") * 1e-3,
        .clock = loom_opt_is(data, "bins", "clock"),
        .jitter_s = loom_opt_real(data, "jitter_ms") * 1e-3,
        .jitter_until_s = loom_opt_real(data, "jitter_until_ms") * 1e-3,
        .jitter_column = loom_opt_string(data, "jitter_column"),
        .forward_s = loom_opt_real(data, "forward_ms") * 1e-3,
        .held_out = loom_opt_real(data, "held_out"),
        .held_out_seed = loom_opt_int(data, "held_out_seed"),
        .held_out_file = loom_opt_bool(data, "held_out_file"),
        .unit_dropout = loom_opt_real(data, "unit_dropout"),
        .unit_keep_min = loom_opt_int(data, "unit_keep_min"),
        .unit_keep_mode = loom_opt_int(data, "unit_keep_mode"),
        .unit_keep_max = loom_opt_int(data, "unit_keep_max"),
        .unit_keep_peak = loom_opt_real(data, "unit_keep_peak"),
        .crop_jitter_s = loom_opt_real(data, "crop_jitter_ms") * 1e-3,
        .balance = (enum loom_balance)word_number(data, "balance", balance),
        .batch_by = (enum loom_batch_by)word_number(data, "batch_by", batch_by),
        .invalid = loom_opt_string(data, "invalid"),
    };
    if (read_words(&out->held_out_names, data, "held_out_names", words) != LOOM_OK ||
        read_split(&out->split, split, words) != LOOM_OK || read_selects(out, select, selects, words) != LOOM_OK)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the options of `data`");
    const double *f = out->split.fraction;
    if (f[0] + f[1] + f[2] > 1.0 + 1e-9)
        return loom_opt_fail(split, "train", e, "train + valid + test = %g + %g + %g is more than 1: lower one of them",
                             f[0], f[1], f[2]);
    return check_keep(out, data, e);
}

/* ---- opening ---- */

enum { MOST_SELECTS = 16 };
#define MOST_JOINED ((size_t)1 << 35) /* addresses reserved; pages appear when touched */

struct opening {
    const struct loom_group *group;
    const struct loom_plugin *source;
    const char *module;
    struct loom_options *data, *split, *own; /* own: the source's */
    struct loom_options *select[MOST_SELECTS];
    int selects;
    struct loom_arena words, whole; /* whole: recordings that were joined */
    struct loom_recordings **set;   /* one for each file */
    int sets;
};

static void free_sets(void *owned)
{
    struct opening *o = owned;
    for (int i = 0; i < o->sets; i++)
        loom_recordings_free(o->set[i]);
    free(o->set);
    loom_options_free(o->data);
    loom_options_free(o->split);
    loom_options_free(o->own);
    for (int i = 0; i < o->selects; i++)
        loom_options_free(o->select[i]);
    loom_arena_release(&o->words);
    loom_arena_release(&o->whole);
    free(o);
}

/* Names of a table's options, and of the groups below, NULL-ended: what another table of the same group leaves alone.
 */
static const char *const *names_of(struct loom_arena *a, const struct loom_option *table)
{
    size_t n = 0;
    while (table != NULL && table[n].name != NULL)
        n++;
    const char **name = loom_arena_alloc(a, (n + 3) * sizeof *name);
    for (size_t i = 0; name != NULL && i < n; i++)
        name[i] = table[i].name;
    if (name != NULL) {
        name[n] = "split";
        name[n + 1] = "select";
        name[n + 2] = NULL;
    }
    return name;
}

static int parse_selects(struct opening *o, struct loom_error *e)
{
    const size_t n = loom_group_list_count(o->group, "select");
    int rc = LOOM_OK;
    if (n > MOST_SELECTS || (n == 0 && loom_group_has(o->group, "select")))
        return loom_group_fail(o->group, "select", e, LOOM_ECONFIG,
                               "select is 1 to %d groups: select: { column = \"target\"; values = ( \"1\", \"5\" ); }",
                               MOST_SELECTS);
    for (size_t i = 0; i < n && rc == LOOM_OK; i++) {
        const struct loom_group *g = loom_group_list(o->group, "select", i);
        if (g == NULL)
            return loom_group_fail(
                o->group, "select", e, LOOM_ECONFIG,
                "element %zu of select is no group: write { column = \"target\"; values = ( \"1\" ); }", i);
        rc = loom_options_parse(&o->select[i], loom_select_options, g, "data.select", NULL, e);
        o->selects += rc == LOOM_OK;
    }
    return rc;
}

static int parse_group(struct opening *o, struct loom_registry *registry, struct loom_error *e)
{
    static const struct loom_option none[] = {{NULL, 0, 0, NULL, NULL, NULL, NULL}};
    int rc = loom_nlb_set_apply(o->group, e);
    if (rc != LOOM_OK)
        return rc;
    const char *id = loom_group_text(o->group, "source");
    if (id == NULL)
        return loom_group_fail(o->group, "source", e, LOOM_ECONFIG,
                               "data needs `source`, the plugin that reads the files: `loom plugins list` shows them");
    rc = loom_registry_find(registry, LOOM_SOURCE, id, &o->source, e);
    if (rc != LOOM_OK)
        return rc;
    o->module = loom_registry_file(registry, o->source);
    const struct loom_option *own = o->source->options != NULL ? o->source->options : none;
    const char *const *theirs = names_of(&o->words, own);
    const char *const *ours = names_of(&o->words, loom_data_options);
    if (theirs == NULL || ours == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the options of `data`");
    rc = loom_options_parse(&o->data, loom_data_options, o->group, "data", theirs, e);
    if (rc == LOOM_OK)
        rc = loom_options_parse(&o->own, own, o->group, "data", ours, e);
    if (rc == LOOM_OK)
        rc = loom_options_parse(&o->split, loom_split_options, loom_group_ensure(o->group, "split"), "data.split", NULL,
                                e);
    return rc == LOOM_OK ? parse_selects(o, e) : rc;
}

static int read_one(struct opening *o, const char *file, struct loom_error *e)
{
    const char *cache = loom_opt_string(o->data, "cache");
    const struct loom_ingest how = {.source = o->source,
                                    .module = o->module,
                                    .options = o->own,
                                    .file = file,
                                    .cache = cache[0] != '\0' ? cache : NULL,
                                    .refresh = loom_opt_bool(o->data, "refresh")};
    struct loom_recordings **set = realloc(o->set, ((size_t)o->sets + 1) * sizeof *set);
    if (set == NULL)
        return loom_fail(e, LOOM_ENOMEM, file, 0, "no memory for another recording");
    o->set = set;
    int rc = loom_recordings_read(&o->set[o->sets], &how, e);
    o->sets += rc == LOOM_OK;
    return rc;
}

static int read_matches(struct opening *o, const char *folder, const char *name, int *found, struct loom_error *e)
{
    glob_t g = {0};
    char path[4096];
    int rc = LOOM_OK;
    int n = folder != NULL && name[0] != '/' ? snprintf(path, sizeof path, "%s/%s", folder, name)
                                             : snprintf(path, sizeof path, "%s", name);
    if (n < 0 || (size_t)n >= sizeof path)
        return loom_group_fail(o->group, "files", e, LOOM_ECONFIG, "the path %s is too long: shorten it", name);
    if (glob(path, 0, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc && rc == LOOM_OK; i++) {
            *found = 1;
            rc = read_one(o, g.gl_pathv[i], e);
        }
    globfree(&g);
    return rc;
}

static int read_files(struct opening *o, struct loom_error *e)
{
    const size_t n = loom_opt_count(o->data, "files");
    const char *data = getenv("LOOM_DATA"), *pipeline = o->group->body->config->name;
    char folder[4096] = ".";
    const char *slash = pipeline != NULL ? strrchr(pipeline, '/') : NULL;
    int rc = LOOM_OK;
    if (slash != NULL)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - pipeline), pipeline);
    if (n == 0)
        return read_one(o, NULL, e);
    for (size_t i = 0; i < n && rc == LOOM_OK; i++) {
        const char *name = loom_opt_string_at(o->data, "files", i);
        int found = 0;
        if (data != NULL && data[0] != '\0')
            rc = read_matches(o, data, name, &found, e);
        if (rc == LOOM_OK && !found)
            rc = read_matches(o, folder, name, &found, e);
        if (rc == LOOM_OK && !found)
            rc = loom_group_fail(o->group, "files", e, LOOM_EDATA,
                                 "there is no file %s under $LOOM_DATA (%s) nor beside the pipeline file (%s): set "
                                 "LOOM_DATA to the folder that holds it, or correct the name",
                                 name, data != NULL ? data : "unset", folder);
    }
    return rc;
}

static int join_recordings(struct opening *o, const struct loom_recording *const *recording, int32_t n,
                           const struct loom_data_spec *spec, const struct loom_recording ***out, int32_t *joined,
                           struct loom_error *e)
{
    static const char *const by[] = {"none", "session", "all", NULL};
    const struct loom_joining how = {
        .by = (enum loom_join_by)word_number(o->data, "join", by), .bin_s = spec->bin_s, .align = spec->align};
    int rc = loom_arena_init(&o->whole, MOST_JOINED, e);
    return rc == LOOM_OK ? loom_join(recording, n, &how, &o->whole, out, joined, e) : rc;
}

static int names_a_unit(const struct loom_catalog *c, struct loom_words one)
{
    int32_t n;
    const char *const *whole = loom_catalog_names(c, "unit", &n);
    for (int32_t i = 0; i < c->recordings; i++)
        for (int32_t u = 0; u < c->recording[i]->units; u++)
            if (loom_words_match(&one, c->recording[i]->unit[u].name) ||
                loom_words_match(&one, whole[c->first_unit[i] + u]))
                return 1;
    return 0;
}

static int names_a_recording(const struct loom_catalog *c, struct loom_words one)
{
    for (int32_t i = 0; i < c->recordings; i++)
        if (loom_words_match(&one, c->recording[i]->id))
            return 1;
    return 0;
}

/* A word that names nothing may be meant for other files, or be a slip that leaves in what was to be held back. */
static void warn_of_words(const struct loom_catalog *c)
{
    const struct loom_words *held = &c->spec.held_out_names, *limit = &c->spec.split.limit_recordings;
    for (int32_t i = 0; i < held->n; i++)
        if (!names_a_unit(c, (struct loom_words){1, held->word + i}))
            loom_log(LOOM_WARN, "data.held_out_names: no unit is called \"%s\", and none is held out for it",
                     held->word[i]);
    for (int32_t i = 0; i < limit->n && c->spec.split.limit < 1.0; i++)
        if (!names_a_recording(c, (struct loom_words){1, limit->word + i}))
            loom_log(LOOM_WARN,
                     "data.split.limit_recordings: no recording is called \"%s\" (the first is \"%s\"), and none is "
                     "limited for it",
                     limit->word[i], c->recording[0]->id);
}

static int make_catalog(struct loom_catalog **out, struct opening *o, struct loom_error *e)
{
    struct loom_data_spec spec;
    int rc = loom_data_spec_read(&spec, o->data, o->split, o->select, o->selects, &o->words, e);
    int32_t n = 0, k = 0;
    for (int i = 0; i < o->sets; i++)
        n += loom_recordings_count(o->set[i]);
    const struct loom_recording **recording = malloc(((size_t)n + 1) * sizeof *recording), **whole = recording;
    if (rc == LOOM_OK && recording == NULL)
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d recordings", (int)n);
    for (int i = 0; rc == LOOM_OK && i < o->sets; i++)
        for (int j = 0; j < loom_recordings_count(o->set[i]); j++)
            recording[k++] = loom_recordings_at(o->set[i], j);
    if (rc == LOOM_OK && n > 1 && !loom_opt_is(o->data, "join", "none"))
        rc = join_recordings(o, recording, n, &spec, &whole, &n, e);
    if (rc == LOOM_OK)
        rc = loom_catalog_new(out, whole, n, &spec, e);
    if (rc == LOOM_OK)
        warn_of_words(*out);
    free(recording);
    return rc;
}

int loom_catalog_open(struct loom_catalog **out, const struct loom_group *data, struct loom_registry *registry,
                      struct loom_error *e)
{
    *out = NULL;
    if (data == NULL)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "the pipeline has no `data` group: add data: { source = …; }");
    struct opening *o = calloc(1, sizeof *o);
    if (o == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to open data");
    o->group = data;
    int rc = loom_arena_init(&o->words, (size_t)4 << 20, e);
    if (rc == LOOM_OK)
        rc = parse_group(o, registry, e);
    if (rc == LOOM_OK)
        rc = read_files(o, e);
    if (rc == LOOM_OK)
        rc = make_catalog(out, o, e);
    if (rc != LOOM_OK) {
        free_sets(o);
        return rc;
    }
    (*out)->owned = o;
    (*out)->release = free_sets;
    return LOOM_OK;
}
