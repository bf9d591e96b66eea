/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are one recording: clocks, units, spikes, counts, series, tables, and what windows make of units that a
 * part lacks. */
#include "suite.h"

#include "data/catalog.h"
#include "data/join.h"

#include <math.h>
#include <string.h>

static struct loom_error error;
static struct loom_arena arena;

static void setup(void)
{
    ck_ok(loom_arena_init(&arena, 1 << 22, &error), &error);
}

static void teardown(void)
{
    loom_arena_release(&arena);
}

/* Two parts of session "s". `a`: units p, q (held out), r; 10 s. `b`: r, p, whose clock begins anew; 2 s. */
static const struct loom_unit units_a[] = {{.name = "p"}, {.name = "q", .held_out = 1}, {.name = "r"}};
static const struct loom_unit units_b[] = {{.name = "r"}, {.name = "p"}};
static const int64_t first_a[] = {0, 2, 3, 4}, first_b[] = {0, 2, 3};
static const double spikes_a[] = {1.5, 9.0, 2.0, 3.0}, spikes_b[] = {0.25, 1.25, 0.75};
static const double start_a[] = {1, 4}, stop_a[] = {2, 5}, go_a[] = {1.25, NAN}, kind_a[] = {7, 8};
static const double start_b[] = {0}, stop_b[] = {1}, go_b[] = {0.5};
static const char *const split_a[] = {"train", "train"}, *const split_b[] = {"test"};
static const struct loom_column columns_a[] = {
    {"go_time", go_a, NULL}, {"kind", kind_a, NULL}, {"split", NULL, split_a}};
static const struct loom_column columns_b[] = {{"split", NULL, split_b}, {"go_time", go_b, NULL}};
static const struct loom_intervals table_a = {"trials", 2, 3, start_a, stop_a, columns_a};
static const struct loom_intervals table_b = {"trials", 1, 2, start_b, stop_b, columns_b};
static const float values[] = {1, 2, 3, 4};
static const char *const dims[] = {"x"};
static const double times_b[] = {0.5, 1.5}, seen_b[] = {0, 1, 1.5, 2};
static const struct loom_series series_a[] = {{"eye", "", 1, dims, 2, 1.0, 3.0, NULL, values}};
static const struct loom_series series_b[] = {{"hand", "mm", 1, dims, 2, 0.0, 0.0, times_b, values + 2},
                                              {"eye", "", 1, dims, 2, 2.0, 0.5, NULL, values}};

static struct loom_recording part(int b)
{
    struct loom_recording r = {.id = b ? "a_test" : "b_train",
                               .subject = "m",
                               .session = "s",
                               .task = "",
                               .date = "",
                               .file = b ? "test.nwb" : "train.nwb",
                               .stop_s = b ? 2 : 10,
                               .units = b ? 2 : 3,
                               .unit = b ? units_b : units_a,
                               .first_spike = b ? first_b : first_a,
                               .spike_s = b ? spikes_b : spikes_a,
                               .series_count = b ? 2 : 1,
                               .series = b ? series_b : series_a,
                               .intervals_count = 1,
                               .intervals = b ? &table_b : &table_a,
                               .observed_count = b ? 2 : 0,
                               .observed_s = b ? seen_b : NULL};
    return r;
}

static int join(const struct loom_recording *a, const struct loom_recording *b, enum loom_join_by by,
                const struct loom_recording *const **out, int32_t *n)
{
    const struct loom_recording *const list[] = {b, a};
    const struct loom_recording **joined;
    const int code =
        loom_join(list, 2, &(struct loom_joining){.by = by, .bin_s = 0.3, .align = ""}, &arena, &joined, n, &error);
    *out = (const struct loom_recording *const *)joined;
    return code;
}

/* `b` moves by 11.1 s: behind the end of `a` and a second, and by whole bins of 0.3 s. */
START_TEST(one_of_two)
{
    const struct loom_recording a = part(0), b = part(1), *const * out;
    int32_t n;
    ck_ok(join(&a, &b, LOOM_JOIN_SESSION, &out, &n), &error);
    ck_assert_int_eq(n, 1);
    const struct loom_recording *r = out[0];
    ck_assert_str_eq(r->id, "b_train");
    ck_assert(r->units == 3 && r->unit[1].held_out == 1 && strcmp(r->unit[2].name, "r") == 0);
    static const double spikes[] = {1.5, 9.0, 11.85, 2.0, 3.0, 11.35, 12.35};
    static const int64_t first[] = {0, 3, 4, 7};
    ck_assert(memcmp(r->first_spike, first, sizeof first) == 0);
    for (int i = 0; i < 7; i++)
        ck_near(r->spike_s[i], spikes[i], 1e-12);
    ck_near(r->stop_s, 13.1, 1e-12);
    static const double observed[] = {0, 10, 11.1, 12.1, 12.6, 13.1};
    ck_assert_int_eq(r->observed_count, 3);
    for (int i = 0; i < 6; i++)
        ck_near(r->observed_s[i], observed[i], 1e-12);
    ck_assert_int_eq(r->absences, 1);
    ck_assert(memcmp(r->absence->unit, (uint8_t[]){0, 1, 0}, 3) == 0);
    ck_near(r->absence->start_s, 11.1, 1e-12);
    ck_near(r->absence->stop_s, 13.1, 1e-12);
}
END_TEST

START_TEST(tables_and_series)
{
    const struct loom_recording a = part(0), b = part(1), *const * out;
    int32_t n;
    ck_ok(join(&a, &b, LOOM_JOIN_ALL, &out, &n), &error);
    const struct loom_intervals *t = loom_recording_intervals(out[0], "trials");
    ck_assert(t->rows == 3 && t->columns == 3);
    ck_near(t->start_s[2], 11.1, 1e-12);
    ck_near(t->stop_s[2], 12.1, 1e-12);
    const double *go = loom_intervals_column(t, "go_time")->number, *kind = loom_intervals_column(t, "kind")->number;
    ck_assert(go[0] == 1.25 && isnan(go[1]) && kind[0] == 7 && kind[1] == 8 && isnan(kind[2]));
    ck_near(go[2], 11.6, 1e-12);
    ck_assert_str_eq(loom_intervals_column(t, "split")->text[2], "test");
    const struct loom_series *hand = loom_recording_series(out[0], "hand"), *eye = loom_recording_series(out[0], "eye");
    ck_assert(hand->samples == 2 && hand->value == values + 2);
    ck_near(hand->time_s[1], 12.6, 1e-12);
    static const double times[] = {3, 4, 11.6, 12.1};
    ck_assert(eye->samples == 4 && eye->rate_hz == 0);
    for (int i = 0; i < 4; i++) {
        ck_near(eye->time_s[i], times[i], 1e-12);
        ck_assert(eye->value[i] == values[i % 2]);
    }
}
END_TEST

/* A clock that goes on is left alone; other sessions stay apart, unless all are one. */
START_TEST(what_stays)
{
    const double later[] = {20.25, 21.25, 20.75}, seen[] = {20, 22};
    struct loom_recording a = part(0), b = part(1);
    const struct loom_recording *const *out;
    int32_t n;
    b.start_s = 20;
    b.stop_s = 22;
    b.spike_s = later;
    b.observed_s = seen;
    b.observed_count = 1;
    ck_ok(join(&a, &b, LOOM_JOIN_SESSION, &out, &n), &error);
    ck_assert(n == 1 && out[0]->spike_s[2] == 20.75 && out[0]->absence->start_s == 20);
    b.session = "t";
    ck_ok(join(&a, &b, LOOM_JOIN_SESSION, &out, &n), &error);
    ck_assert(n == 2 && out[0] == &b && out[1] == &a);
    a.session = b.session = "";
    ck_ok(join(&a, &b, LOOM_JOIN_SESSION, &out, &n), &error);
    ck_assert_int_eq(n, 2);
    ck_ok(join(&a, &b, LOOM_JOIN_ALL, &out, &n), &error);
    ck_assert_int_eq(n, 1);
}
END_TEST

START_TEST(counts)
{
    static const double start[] = {0.5};
    static const int64_t first[] = {0, 2};
    static const uint16_t count_a[] = {1, 2, 3, 4, 5, 6}, count_b[] = {7, 8, 9, 10};
    const struct loom_counts of_a = {0.3, 1, start, first, count_a}, of_b = {0.3, 1, start, first, count_b};
    const struct loom_counts wide = {0.6, 1, start, first, count_b};
    struct loom_recording a = part(0), b = part(1);
    const struct loom_recording *const *out;
    int32_t n;
    a.counts = &of_a;
    b.counts = &of_b;
    a.first_spike = b.first_spike = NULL;
    ck_ok(join(&a, &b, LOOM_JOIN_ALL, &out, &n), &error);
    const struct loom_counts *c = out[0]->counts;
    ck_assert(c->blocks == 2 && c->first_bin[1] == 2 && c->first_bin[2] == 4);
    ck_near(c->block_start_s[1], 11.6, 1e-12);
    static const uint16_t due[] = {1, 2, 3, 4, 5, 6, 8, 0, 7, 10, 0, 9};
    ck_assert(memcmp(c->count, due, sizeof due) == 0);
    b.counts = &wide;
    ck_fails(join(&a, &b, LOOM_JOIN_ALL, &out, &n), LOOM_EDATA, &error, "600 ms");
    b.counts = NULL;
    b.first_spike = first_b;
    ck_fails(join(&a, &b, LOOM_JOIN_ALL, &out, &n), LOOM_EDATA, &error, "1 have spike times, 1 binned counts");
}
END_TEST

START_TEST(refusals)
{
    static const struct loom_unit others[] = {{.name = "x"}, {.name = "y"}};
    static const struct loom_series wide[] = {{"eye", "", 2, dims, 1, 2.0, 0.5, NULL, values}};
    static const struct loom_column numbers[] = {{"split", go_b, NULL}};
    static const struct loom_intervals table = {"trials", 1, 1, start_b, stop_b, numbers};
    struct loom_recording a = part(0), b = part(1);
    const struct loom_recording *const *out;
    int32_t n;
    b.unit = others;
    ck_fails(join(&a, &b, LOOM_JOIN_ALL, &out, &n), LOOM_EDATA, &error,
             "test.nwb and train.nwb have no unit in common");
    b = part(1);
    b.series = wide;
    b.series_count = 1;
    ck_fails(join(&a, &b, LOOM_JOIN_ALL, &out, &n), LOOM_EDATA, &error, "series eye has 2 dimensions");
    b.id = a.id;
    b.file = a.file;
    ck_fails(join(&a, &b, LOOM_JOIN_ALL, &out, &n), LOOM_EDATA, &error, "recording b_train of this file is joined");
    b = part(1);
    static const char *const other[] = {"y"};
    struct loom_series eye = series_b[1];
    eye.dim_name = other;
    b.series = &eye;
    ck_fails(join(&a, &b, LOOM_JOIN_ALL, &out, &n), LOOM_EDATA, &error, "dimension 0 of series eye is \"");
    b = part(1);
    b.intervals = &table;
    ck_fails(join(&a, &b, LOOM_JOIN_ALL, &out, &n), LOOM_EDATA, &error, "column split of table trials");
    b = part(1);
    int starved = 0;
    for (size_t left = 0; left < 8192; left += LOOM_ALIGN) {
        loom_arena_rewind(&arena, 0);
        ck_assert_ptr_nonnull(loom_arena_alloc(&arena, arena.size - left));
        const int code = join(&a, &b, LOOM_JOIN_ALL, &out, &n);
        ck_assert(code == LOOM_ENOMEM || (code == LOOM_OK && left > 1024));
        starved += code == LOOM_ENOMEM;
        loom_error_clear(&error);
    }
    ck_assert_int_ge(starved, 16);
}
END_TEST

/* Windows of 4 bins of 0.3 s and two bins to come, on the test trial: q is held out and was not recorded, and the bins
 * to come neither; evaluation asks for both, and nothing is made of r, which is seen. */
START_TEST(asked_and_unknown)
{
    static const char *const train = "train", *const test = "test";
    struct loom_recording a = part(0), b = part(1);
    const struct loom_recording *const *out;
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *c;
    struct loom_selection s;
    struct loom_windows w;
    int32_t n;
    const double seen[] = {0, 0.9};
    b.observed_s = seen;
    b.observed_count = 1;
    ck_ok(join(&a, &b, LOOM_JOIN_ALL, &out, &n), &error);
    spec.bin_s = 0.3;
    spec.window = LOOM_WINDOW_TRIAL;
    spec.pre_s = 0;
    spec.post_s = 0.9;
    spec.clock = 1;
    spec.forward_s = 0.6;
    spec.split.by = LOOM_BY_COLUMN;
    spec.split.value[LOOM_TRAIN] = (struct loom_words){1, &train};
    spec.split.value[LOOM_TEST] = (struct loom_words){1, &test};
    ck_ok(loom_catalog_new(&c, out, n, &spec, &error), &error);
    ck_ok(loom_catalog_check_leaks(c, &error), &error);
    ck_ok(loom_selection_init(&s, c, LOOM_TEST, (struct loom_words){0, NULL}, &error), &error);
    ck_ok(loom_windows_init(&w, &s, &(struct loom_tiling){0}, &error), &error);
    ck_assert_int_eq(w.n, 1);
    for (int asks = 0; asks < 2; asks++) {
        static const uint8_t due[2][5 * 3] = {{0, 2, 0, 0, 2, 0, 0, 2, 0, 2, 2, 2, 2, 2, 2},
                                              {0, 3, 0, 0, 3, 0, 0, 3, 0, 3, 3, 3, 3, 3, 3}};
        struct loom_window in, truth;
        ck_ok(loom_window_fill(c, w.sample, &(struct loom_window_ask){.unknown = asks}, &arena, &in, &truth, &error),
              &error);
        ck_assert(in.bins == 5 && in.units == 3);
        ck_assert(memcmp(in.held, due[asks], sizeof due[asks]) == 0);
        ck_assert(in.count[2] == 1 && in.count[2 * 3] == 1);
    }
    loom_windows_release(&w);
    loom_selection_release(&s);
    loom_catalog_free(c);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {one_of_two, tables_and_series, what_stays, counts, refusals, asked_and_unknown};
    return run_between("join", (int)(sizeof tests / sizeof *tests), tests, 20, setup, teardown);
}
