/* SPDX-License-Identifier: Apache-2.0 */
/* Windows and targets of the Neural Latents Benchmark: what nlb_tools made of the same files (tests/peers/nlb_data.py).
 */
#include "suite.h"

#include "base/json.h"
#include "base/mt19937.h"
#include "data/catalog.h"
#include "eval/nlb_target.h"
#include "eval/predictions.h"
#include "plugin/registry.h"

#include <loom/config.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SETS = 4 };
static const char *const sets[SETS] = {"mc_maze_small", "mc_rtt", "area2_bump", "dmfc_rsg"};
static struct loom_error error;
static char folder[64];

static void golden(char out[4096], const char *set, const char *rest)
{
    char file[128];
    snprintf(file, sizeof file, "tests/golden/nlb_made_%s%s", set, rest);
    snprintf(out, 4096, "%s", in_sources(file));
}

/* The `data` group in `text` opened as a run opens it. */
struct opened {
    struct loom_config *config;
    struct loom_registry *registry;
    struct loom_catalog *catalog;
};

static void open_data(struct opened *o, const char *text)
{
    char file[96];
    snprintf(file, sizeof file, "%s/test.cfg", folder);
    ck_ok(loom_config_parse(&o->config, text, file, 0, NULL, &error), &error);
    ck_ok(loom_registry_new(&o->registry, NULL, &error), &error);
    ck_ok(loom_catalog_open(&o->catalog, loom_config_group(o->config, "data"), o->registry, &error), &error);
    ck_ok(loom_catalog_check_leaks(o->catalog, &error), &error);
}

static void close_data(struct opened *o)
{
    loom_catalog_free(o->catalog);
    loom_registry_free(o->registry);
    loom_config_free(o->config);
}

/* The made file `file` as the benchmark's dataset `set`. */
static void open_file(struct opened *o, const char *file, const char *set, int bin_ms, const char *more)
{
    char path[4096], text[8192];
    golden(path, file, ".nwb");
    if (path[0] != '/') {
        char here[2048];
        ck_assert_ptr_nonnull(getcwd(here, sizeof here));
        char relative[2048];
        snprintf(relative, sizeof relative, "%.2000s", path);
        snprintf(path, sizeof path, "%s/%s", here, relative);
    }
    snprintf(text, sizeof text, "data: { nlb = \"%s\"; bin_ms = %d.0; files = ( \"%s\" ); %s };", set, bin_ms, path,
             more);
    open_data(o, text);
}

static void open_set(struct opened *o, const char *set, int bin_ms, const char *more)
{
    open_file(o, set, set, bin_ms, more);
}

/* ---- targets ---- */

static double at(const struct loom_array *a, int64_t i)
{
    switch (a->type) {
    case LOOM_ARRAY_F32:
        return ((const float *)a->data)[i];
    case LOOM_ARRAY_F64:
        return ((const double *)a->data)[i];
    case LOOM_ARRAY_I32:
        return ((const int32_t *)a->data)[i];
    case LOOM_ARRAY_I64:
        return (double)((const int64_t *)a->data)[i];
    default:
        return ((const uint8_t *)a->data)[i];
    }
}

/* Numbers, shapes and NaNs alike. */
static void compare(const struct loom_array *due, const struct loom_array *is)
{
    ck_assert_msg(is != NULL, "%s is missing", due->name);
    ck_assert_msg((due->first != NULL) == (is->first != NULL) && due->rank == is->rank, "%s", due->name);
    for (int i = 0; i < due->rank; i++)
        ck_assert_msg(due->dim[i] == is->dim[i], "%s: axis %d is %lld, not %lld", due->name, i, (long long)is->dim[i],
                      (long long)due->dim[i]);
    for (int64_t i = 0; due->first != NULL && i <= due->rows; i++)
        ck_assert_msg(due->rows == is->rows && due->first[i] == is->first[i], "%s: list %lld", due->name, (long long)i);
    for (int64_t i = 0; i < loom_array_count(due); i++) {
        const double x = at(due, i), y = at(is, i);
        const int same = isnan(x) ? isnan(y) : fabs(x - y) <= 2e-5 * (1 + fabs(x));
        ck_assert_msg(same, "%s[%lld] = %.9g, not %.9g", due->name, (long long)i, y, x);
    }
}

static void compare_set(const char *set, int bin_ms)
{
    char path[4096], rest[16];
    struct loom_arrays due = {0}, is = {0};
    struct opened o;
    snprintf(rest, sizeof rest, "_%d.h5", bin_ms);
    golden(path, set, rest);
    ck_ok(loom_arrays_read_h5(&due, path, &error), &error);
    ck_assert_int_ge(due.n, 9);
    open_set(&o, set, bin_ms, "");
    const struct loom_nlb_making how = {.recording = loom_catalog_recording(o.catalog, 0),
                                        .set = loom_nlb_set(set),
                                        .bin_ms = bin_ms,
                                        .eval = "val",
                                        .inputs = 1};
    ck_ok(loom_nlb_target(&how, &is, &error), &error);
    for (int i = 0; i < due.n; i++)
        compare(&due.at[i], loom_arrays_find(&is, due.at[i].name));
    loom_arrays_release(&due);
    loom_arrays_release(&is);
    close_data(&o);
}

START_TEST(targets_of_nlb_tools)
{
    if (!loom_predictions_supported())
        return;
    compare_set(sets[_i / 2], _i % 2 ? 20 : 5);
}
END_TEST

/* Trials of "test" are scored against all others. Trials of one condition lie alike in their bins, of the other as
 * well, but one bin earlier: neither histogram lacks a bin for it. A bin behind what was observed is no zero. */
START_TEST(targets_of_a_test_file)
{
    enum { ROWS = 4, SAMPLES = 6000 };
    static const double start[ROWS] = {0.5, 1.5, 2.5, 3.5}, stop[ROWS] = {1.5, 2.5, 3.5, 4.5};
    static const double event[ROWS] = {1, 2, 3.005, 4.005}, type[ROWS] = {1, 1, 2, 2}, version[ROWS];
    static const char *split[ROWS] = {"train", "test", "val", "test"}, *const dim[] = {"x"};
    static const struct loom_unit unit[] = {{.name = "a"}, {.name = "b", .held_out = 1}};
    static const double spike_s[] = {0.9, 1.9, 3.1, 4.2, 0.95, 4.1}, observed[] = {0, 4.56, 4.7, 6};
    static const int64_t first_spike[] = {0, 4, 6};
    static const float velocity[SAMPLES];
    static const struct loom_column column[] = {{"move_onset_time", event, NULL},
                                                {"trial_type", type, NULL},
                                                {"trial_version", version, NULL},
                                                {"split", NULL, split}};
    static const struct loom_intervals table = {"trials", ROWS, 4, start, stop, column};
    static const struct loom_series series = {"hand_vel", "m/s", 1, dim, SAMPLES, 1000, 0, NULL, velocity};
    static const struct loom_recording r = {.id = "r",
                                            .file = "made",
                                            .stop_s = 6,
                                            .units = 2,
                                            .unit = unit,
                                            .first_spike = first_spike,
                                            .spike_s = spike_s,
                                            .intervals_count = 1,
                                            .intervals = &table,
                                            .series_count = 1,
                                            .series = &series,
                                            .observed_count = 2,
                                            .observed_s = observed};
    const struct loom_nlb_making how = {
        .recording = &r, .set = loom_nlb_set("mc_maze"), .bin_ms = 20, .eval = "test", .inputs = 1};
    struct loom_arrays is = {0}, none = {0};
    ck_ok(loom_nlb_target(&how, &is, &error), &error);
    ck_assert_int_eq(loom_arrays_find(&is, "mc_maze_20/train_spikes_heldin")->dim[0], 2);
    ck_assert_int_eq(loom_arrays_find(&is, "mc_maze_20/eval_spikes_heldin")->dim[0], 2);
    const struct loom_array *psth = loom_arrays_find(&is, "mc_maze_20/psth");
    ck_assert_int_eq(loom_array_count(psth), 2 * 35 * 2);
    for (int64_t i = 0; i < loom_array_count(psth); i++)
        ck_assert_msg(at(psth, i) >= 0, "bin %lld", (long long)i);
    const struct loom_array *forward = loom_arrays_find(&is, "mc_maze_20/eval_spikes_heldin_forward");
    for (int k = 0; k < 10; k++) /* from 4.46 s on */
        ck_assert_msg(k < 5 ? at(forward, 10 + k) == 0 : isnan(at(forward, 10 + k)), "bin %d", k);
    split[1] = split[3] = "none";
    ck_fails(loom_nlb_target(&how, &none, &error), LOOM_EDATA, &error, "no trial is for test");
    loom_arrays_release(&is);
    loom_arrays_release(&none);
}
END_TEST

/* Trials of one file whose windows overlap, as two sets cut them or let them be; spikes of overlapping trials are not
 * made into arrays. */
START_TEST(trials_that_overlap)
{
    static const char *const names[] = {"mc_maze_medium", "area2_bump"};
    char path[4096];
    struct loom_arrays due = {0}, is = {0};
    struct opened o;
    int64_t missing[2] = {0};
    if (!loom_predictions_supported())
        return;
    golden(path, "overlap", "_20.h5");
    ck_ok(loom_arrays_read_h5(&due, path, &error), &error);
    for (int k = 0; k < 2; k++) {
        open_file(&o, "overlap", names[k], 20, "");
        struct loom_nlb_making how = {.recording = loom_catalog_recording(o.catalog, 0),
                                      .set = loom_nlb_set(names[k]),
                                      .bin_ms = 20,
                                      .eval = "val"};
        ck_ok(loom_nlb_target(&how, &is, &error), &error);
        how.inputs = 1;
        ck_fails(loom_nlb_target(&how, &is, &error), LOOM_EDATA, &error, "windows of train trials in rows 0 and 1");
        close_data(&o);
    }
    for (int i = 0; i < due.n; i++) {
        compare(&due.at[i], loom_arrays_find(&is, due.at[i].name));
        for (int64_t n = 0; strstr(due.at[i].name, "train_behavior") != NULL && n < loom_array_count(&due.at[i]); n++)
            missing[strstr(due.at[i].name, "area2") != NULL] += isnan(at(&due.at[i], n));
    }
    ck_assert(missing[0] == 2 * (15 + 3) && missing[1] == 0);
    loom_arrays_release(&due);
    loom_arrays_release(&is);
}
END_TEST

/* ---- windows ---- */

static const double *numbers(const struct loom_arrays *a, const char *group, const char *name, int64_t *dim)
{
    char full[128];
    snprintf(full, sizeof full, "%s/%s", group, name);
    const struct loom_array *x = loom_arrays_find(a, full);
    ck_assert_msg(x != NULL && x->rank == 3, "%s", full);
    memcpy(dim, x->dim, 3 * sizeof *dim);
    return x->data;
}

/* Counts that a model sees, and those kept from it, are the benchmark's; how many cells were compared. */
static int64_t compare_windows(const struct opened *o, enum loom_split split, const struct loom_arrays *due,
                               const char *group)
{
    const char *const names[2][2] = {{"train_spikes_heldin", "train_spikes_heldout"},
                                     {"eval_spikes_heldin", "eval_spikes_heldout"}};
    struct loom_selection selection;
    struct loom_windows w;
    struct loom_arena arena = {0};
    int64_t dim[2][3], cells = 0;
    const double *counts[2];
    for (int out = 0; out < 2; out++)
        counts[out] = numbers(due, group, names[split == LOOM_VALID][out], dim[out]);
    ck_ok(loom_selection_init(&selection, o->catalog, split, (struct loom_words){0, NULL}, &error), &error);
    ck_ok(loom_windows_init(&w, &selection, &(struct loom_tiling){0}, &error), &error);
    ck_ok(loom_arena_init(&arena, 1 << 24, &error), &error);
    ck_assert_int_eq(w.n, dim[0][0]);
    for (int32_t i = 0; i < w.n; i++) {
        struct loom_window seen, truth;
        const struct loom_window_ask ask = {0};
        loom_arena_rewind(&arena, 0);
        ck_ok(loom_window_fill(o->catalog, &w.sample[i], &ask, &arena, &seen, &truth, &error), &error);
        ck_assert_int_eq(seen.bins, dim[0][1] + (int)(0.2 / seen.bin_s + 0.5));
        for (int64_t k = 0; k < dim[0][1]; k++)
            for (int32_t u = 0, place[2] = {0, 0}; u < seen.units; u++) {
                const int out = seen.of->unit[u].held_out;
                const double x = counts[out][(i * dim[out][1] + k) * dim[out][2] + place[out]++];
                if (isnan(x))
                    continue;
                ck_assert_int_eq(truth.held[k * truth.units + u], out);
                ck_assert_int_eq(seen.count[k * seen.units + u], out ? 0 : (int)x);
                ck_assert_int_eq(truth.count[k * truth.units + u], (int)x);
                cells++;
            }
    }
    loom_arena_release(&arena);
    loom_windows_release(&w);
    loom_selection_release(&selection);
    return cells;
}

START_TEST(windows_of_nlb_tools)
{
    const char *set = sets[_i / 2];
    const int bin_ms = _i % 2 ? 20 : 5;
    char path[4096], rest[16], group[64];
    struct loom_arrays due = {0};
    struct opened o;
    if (!loom_predictions_supported())
        return;
    snprintf(rest, sizeof rest, "_%d.h5", bin_ms);
    snprintf(group, sizeof group, "%s%s", set, bin_ms == 5 ? "" : "_20");
    golden(path, set, rest);
    ck_ok(loom_arrays_read_h5(&due, path, &error), &error);
    open_set(&o, set, bin_ms, "");
    const int64_t bins = strcmp(set, "dmfc_rsg") == 0 ? 1500 : strcmp(set, "mc_maze_small") == 0 ? 700 : 600;
    ck_assert_int_eq(compare_windows(&o, LOOM_TRAIN, &due, group), 7 * bins / bin_ms * 5);
    ck_assert_int_gt(compare_windows(&o, LOOM_VALID, &due, group), 4 * bins / bin_ms * 3);
    close_data(&o);
    loom_arrays_release(&due);
}
END_TEST

/* A training file with its test file: trials in the order of nlb_tools, and the held-in counts that it gives a model of
 * both. Of the test, held-out units and bins to come are asked for and not known. */
START_TEST(windows_of_two_files)
{
    char train[4096], test[4096], text[9000];
    struct loom_arrays due = {0};
    struct opened o;
    struct loom_selection selection;
    struct loom_windows w;
    struct loom_arena arena = {0};
    int64_t dim[3];
    if (!loom_predictions_supported())
        return;
    golden(train, "mc_maze_small", ".nwb");
    golden(test, "mc_maze_small", "_test.nwb");
    ck_assert_ptr_nonnull(realpath(train, text));
    snprintf(train, sizeof train, "%.4000s", text);
    ck_assert_ptr_nonnull(realpath(test, text));
    snprintf(test, sizeof test, "%.4000s", text);
    snprintf(text, sizeof text, "data: { nlb = \"mc_maze_small\"; bin_ms = 20.0; files = ( \"%s\", \"%s\" ); };", test,
             train);
    open_data(&o, text);
    golden(train, "mc_maze_small", "_test_20.h5");
    ck_ok(loom_arrays_read_h5(&due, train, &error), &error);
    ck_assert_int_eq(loom_catalog_count(o.catalog), 1);
    const double *in = numbers(&due, "mc_maze_small_20", "eval_spikes_heldin", dim);
    ck_ok(loom_selection_init(&selection, o.catalog, LOOM_TEST, (struct loom_words){0, NULL}, &error), &error);
    ck_ok(loom_windows_init(&w, &selection, &(struct loom_tiling){0}, &error), &error);
    ck_ok(loom_arena_init(&arena, 1 << 24, &error), &error);
    ck_assert(w.n == 5 && dim[0] == 5 && dim[1] == 35 && dim[2] == 3);
    for (int32_t i = 0; i < w.n; i++) {
        struct loom_window x;
        ck_ok(loom_window_fill(o.catalog, &w.sample[i], &(struct loom_window_ask){.unknown = 1}, &arena, &x, NULL,
                               &error),
              &error);
        ck_assert(x.bins == 45 && x.units == 5);
        for (int k = 0; k < 45 * 5; k++) {
            const int out = x.of->unit[k % 5].held_out, unknown = out || k / 5 >= 35;
            ck_assert_int_eq(x.held[k], unknown ? LOOM_HELD_OUT | LOOM_UNKNOWN : 0);
            ck_assert_int_eq(x.count[k], unknown ? 0 : (int)*in++);
        }
    }
    loom_arena_release(&arena);
    loom_windows_release(&w);
    loom_selection_release(&selection);
    loom_arrays_release(&due);
    close_data(&o);
}
END_TEST

/* The source's own series, decimated, at the times that a decoder is asked about. */
START_TEST(behaviour_at_the_benchmarks_step)
{
    char path[4096];
    struct loom_arrays due = {0};
    struct opened o;
    int64_t dim[3];
    if (!loom_predictions_supported())
        return;
    golden(path, sets[0], "_20.h5");
    ck_ok(loom_arrays_read_h5(&due, path, &error), &error);
    open_set(&o, sets[0], 20, "resample_ms = 20.0;");
    const double *y = numbers(&due, "mc_maze_small_20", "train_behavior", dim);
    const struct loom_recording *r = loom_catalog_recording(o.catalog, 0);
    const struct loom_series *v = loom_recording_series(r, "hand_vel");
    ck_assert(v != NULL && v->rate_hz == 50 && v->start_s == 0);
    int32_t n, trial = 0;
    const struct loom_span *span = loom_catalog_spans(o.catalog, &n);
    for (int32_t i = 0; i < n; i++) {
        if (span[i].split != LOOM_TRAIN)
            continue;
        const int64_t first = span[i].window_ns / 20000000 + 6; /* 120 ms later */
        for (int64_t k = 0; k < dim[1] * 2; k++) {
            const double x = y[trial * dim[1] * 2 + k];
            ck_near(v->value[first * 2 + k], x, 2e-5 * (1 + fabs(x)));
        }
        trial++;
    }
    ck_assert_int_eq(trial, 7);
    close_data(&o);
    loom_arrays_release(&due);
}
END_TEST

/* What nlb_tools 0.0.4 has in make_tensors.PARAMS, of the sets without files of their own here too. */
START_TEST(numbers_of_the_sets)
{
    static const struct {
        const char *name;
        int pre_ms, post_ms, lag_ms, psth_ms;
    } due[] = {{"mc_maze", 250, 450, 100, 70},       {"mc_rtt", 0, 600, 140, 0},
               {"area2_bump", 100, 500, -20, 40},    {"dmfc_rsg", 1500, 0, 0, 70},
               {"mc_maze_large", 250, 450, 120, 50}, {"mc_maze_medium", 250, 450, 120, 50},
               {"mc_maze_small", 250, 450, 120, 50}};
    for (size_t i = 0; i < sizeof due / sizeof *due; i++) {
        const struct loom_nlb_set *s = loom_nlb_set(due[i].name);
        ck_assert_msg(s != NULL && s->pre_ms == due[i].pre_ms && s->post_ms == due[i].post_ms &&
                          s->lag_ms == due[i].lag_ms && s->psth_ms == due[i].psth_ms,
                      "%s", due[i].name);
    }
    ck_assert_ptr_null(loom_nlb_sets[sizeof due / sizeof *due].name);
}
END_TEST

/* A resolved pipeline writes every key out: a file without behaviour is read by it as it was before. */
START_TEST(resolved_options)
{
    struct opened o;
    if (!loom_predictions_supported())
        return;
    open_set(&o, "dmfc_rsg", 20,
             "series = ( \"*\" ); tables = ( \"*\" ); held_out = 0.0; held_out_column = \"heldout\";");
    ck_assert_ptr_nonnull(loom_catalog_held(o.catalog, 0));
    close_data(&o);
}
END_TEST

/* The benchmark's own test file of MC_Maze_Small: 100 trials, 107 units. */
START_TEST(real_file)
{
    char path[4096], text[512];
    struct opened o;
    const char *data = getenv("LOOM_DATA");
    snprintf(path, sizeof path, "%s/mc-maze/sub-Jenkins_ses-small_desc-test_ecephys.nwb", data != NULL ? data : "");
    if (data == NULL || access(path, R_OK) != 0 || !loom_predictions_supported()) {
        fprintf(stderr, "# real_file is skipped: LOOM_DATA has no mc-maze\n");
        return;
    }
    const int bin_ms = _i ? 20 : 5;
    json_t *all = loom_json_load(in_sources("tests/golden/nlb_real.json"), 1 << 20, &error),
           *due = json_object_get(all, bin_ms == 5 ? "5" : "20");
    ck_assert_ptr_nonnull(due);
    snprintf(text, sizeof text,
             "data: { nlb = \"mc_maze_small\"; bin_ms = %d.0; forward_ms = 0.0;"
             " files = ( \"mc-maze/sub-Jenkins_ses-small_desc-test_ecephys.nwb\" ); };",
             bin_ms);
    open_data(&o, text);
    struct loom_selection selection;
    struct loom_windows w;
    struct loom_arena arena = {0};
    ck_ok(loom_selection_init(&selection, o.catalog, LOOM_TEST, (struct loom_words){0, NULL}, &error), &error);
    ck_ok(loom_windows_init(&w, &selection, &(struct loom_tiling){0}, &error), &error);
    ck_ok(loom_arena_init(&arena, 1 << 24, &error), &error);
    ck_assert_int_eq(w.n, 100);
    for (int32_t i = 0; i < w.n; i++) {
        struct loom_window seen;
        int64_t counts = 0, placed = 0, missing = 0;
        loom_arena_rewind(&arena, 0);
        ck_ok(loom_window_fill(o.catalog, &w.sample[i], &(struct loom_window_ask){0}, &arena, &seen, NULL, &error),
              &error);
        ck_assert(seen.bins == 700 / bin_ms && seen.units == 107);
        for (int64_t k = 0; k < (int64_t)seen.bins * seen.units; k++) {
            counts += seen.count[k];
            placed += seen.count[k] * (1 + k % 97);
            missing += seen.held != NULL && seen.held[k] != 0;
        }
        ck_assert_int_eq(missing, 0);
        ck_assert_int_eq(counts, json_integer_value(json_array_get(json_object_get(due, "counts"), (size_t)i)));
        ck_assert_int_eq(placed, json_integer_value(json_array_get(json_object_get(due, "placed"), (size_t)i)));
    }
    loom_arena_release(&arena);
    loom_windows_release(&w);
    loom_selection_release(&selection);
    close_data(&o);
    json_decref(all);
}
END_TEST

/* A constant stays one but for the ends, a slow wave passes, a fast one does not; gaps stay gaps. */
START_TEST(decimation)
{
    enum { N = 4000 };
    static double x[N], y[N / 20];
    for (int i = 0; i < N; i++)
        x[i] = 3 + sin(2 * M_PI * i / 500) + 2 * sin(2 * M_PI * i / 9);
    x[2000] = x[2001] = NAN;
    ck_assert_int_eq(loom_decimate(x, N, 20, y), LOOM_OK);
    for (int i = 15; i < N / 20 - 15; i++)
        if (i == 100)
            ck_assert(isnan(y[i]));
        else
            ck_near(y[i], 3 + sin(2 * M_PI * i * 20 / 500), i > 85 && i < 115 ? 0.2 : 0.01);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("nlb_data");
    TCase *t = tcase_create("nlb_data");
    snprintf(folder, sizeof folder, "/tmp/loom-nlb-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 99;
    setenv("LOOM_CACHE", folder, 1);
    suite_add_tcase(s, t);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, targets_of_nlb_tools, 0, 2 * SETS);
    tcase_add_test(t, targets_of_a_test_file);
    tcase_add_loop_test(t, windows_of_nlb_tools, 0, 2 * SETS);
    tcase_add_test(t, trials_that_overlap);
    tcase_add_test(t, windows_of_two_files);
    tcase_add_test(t, behaviour_at_the_benchmarks_step);
    tcase_add_loop_test(t, real_file, 0, 2);
    tcase_add_test(t, numbers_of_the_sets);
    tcase_add_test(t, resolved_options);
    tcase_add_test(t, decimation);
    int code = run_tap(s);
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? code : EXIT_FAILURE;
}
