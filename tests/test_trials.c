/* SPDX-License-Identifier: Apache-2.0 */
/* Windows around the events of trials: bins on the clock at the edges of what was observed, and jitter, whose draws are
 * numpy's. */
#include "suite.h"

#include "base/mt19937.h"
#include "data/catalog.h"

#include <math.h>

static struct loom_error error;

/* One trial around 0.5 s of a recording that was observed from 1.2 to 1003.3, or to 1000.5 ms: on the clock a bin of
 * 5 ms is there where its first millisecond is, and no spike from beyond what was observed is read into it. */
START_TEST(bins_at_the_edges)
{
    static const struct loom_unit unit = {.name = "a"};
    static const double spike_s[] = {0.0061, 1.0010, 1.0032, 1.0040}, start = 0.0001, stop = 1.2, event = 0.5;
    static double observed[] = {0.0012, 0};
    static const int64_t first_spike[] = {0, 4};
    static const char *const split = "train";
    static const struct loom_column column[] = {{"event", &event, NULL}, {"split", NULL, &split}};
    static const struct loom_intervals table = {"trials", 1, 2, &start, &stop, column};
    static const struct loom_recording r = {.id = "r",
                                            .subject = "",
                                            .session = "",
                                            .task = "",
                                            .date = "",
                                            .file = "",
                                            .stop_s = 1.2,
                                            .units = 1,
                                            .unit = &unit,
                                            .first_spike = first_spike,
                                            .spike_s = spike_s,
                                            .intervals_count = 1,
                                            .intervals = &table,
                                            .observed_count = 1,
                                            .observed_s = observed};
    for (int k = 0; k < 4; k++) {
        const int clock = k % 2, there = k == 1;
        struct loom_data_spec spec = LOOM_DATA_SPEC;
        struct loom_catalog *c;
        struct loom_selection s;
        struct loom_windows w;
        struct loom_window seen;
        struct loom_arena arena = {0};
        observed[1] = k < 2 ? 1.0033 : 1.0005;
        spec.bin_s = 0.005;
        spec.window = LOOM_WINDOW_TRIAL;
        spec.align = "event";
        spec.pre_s = 0.5;
        spec.post_s = 0.6;
        spec.clock = clock;
        spec.split.by = LOOM_BY_COLUMN;
        spec.split.value[LOOM_TRAIN] = (struct loom_words){1, &split};
        ck_ok(loom_catalog_new(&c, (const struct loom_recording *const[]){&r}, 1, &spec, &error), &error);
        ck_ok(loom_selection_init(&s, c, LOOM_TRAIN, (struct loom_words){0, NULL}, &error), &error);
        ck_ok(loom_windows_init(&w, &s, &(struct loom_tiling){0}, &error), &error);
        ck_ok(loom_arena_init(&arena, 1 << 20, &error), &error);
        ck_ok(loom_window_fill(c, w.sample, &(struct loom_window_ask){0}, &arena, &seen, NULL, &error), &error);
        ck_assert(seen.bins == 220 && seen.origin_ns == 0);
        ck_assert(seen.held[0] == 2 && seen.held[1] == 0 && seen.count[1] == 1 && seen.held[199] == 0);
        ck_assert_int_eq(seen.held[200], there ? 0 : 2);
        ck_assert_int_eq(seen.count[200], there ? 2 : 0);
        ck_assert(seen.held[201] == 2);
        loom_arena_release(&arena);
        loom_windows_release(&w);
        loom_selection_release(&s);
        loom_catalog_free(c);
    }
}
END_TEST

/* The draws that numpy has for seed 0 (0.549, 0.715, 0.603, 0.545), of five bins: in the order of the table's rows,
 * also of those without an event, anew for each split and none for tests. Moved trials may change their order, and
 * windows of different splits that overlap are parted all the same. At last windows end with their event, and what was
 * observed ends with one. */
START_TEST(jitter_of_trials)
{
    enum { ROWS = 8 };
    static const double start[ROWS] = {5, 5.4, 6, 7, 5.4, 9, 11, 13}, stop[ROWS] = {6, 6, 7, 8, 6, 10, 12, 14};
    static const double event[ROWS] = {5, 5.4, NAN, 7, 5.42, 9, 11, 13};
    static const char *const split[ROWS] = {"a", "a", "a", "a", "c", "b", "b", "c"}, *const value[] = {"a", "b", "c"};
    static const int due[ROWS] = {3, 4, 0, 3, 0, 3, 4, 0};
    static const struct loom_unit unit = {.name = "a"};
    static const double spike_s[] = {0.5};
    static double observed[] = {0, 20};
    static const int64_t first_spike[] = {0, 1};
    static const struct loom_column column[] = {{"event", event, NULL}, {"split", NULL, split}};
    static const struct loom_intervals table = {"trials", ROWS, 2, start, stop, column};
    static const struct loom_recording r = {.id = "r",
                                            .subject = "",
                                            .session = "",
                                            .task = "",
                                            .date = "",
                                            .file = "",
                                            .stop_s = 20,
                                            .units = 1,
                                            .unit = &unit,
                                            .first_spike = first_spike,
                                            .spike_s = spike_s,
                                            .intervals_count = 1,
                                            .intervals = &table,
                                            .observed_count = 1,
                                            .observed_s = observed};
    for (int turn = 0; turn < 3; turn++) {
        const int shares = turn == 1;
        const double pre_s = turn == 2 ? 0.4 : 0;
        struct loom_data_spec spec = LOOM_DATA_SPEC;
        struct loom_catalog *c;
        int32_t n, moved[LOOM_SPLITS] = {0};
        spec.bin_s = 0.02;
        spec.window = LOOM_WINDOW_TRIAL;
        spec.align = "event";
        spec.pre_s = pre_s;
        spec.post_s = 0.4 - pre_s;
        observed[1] = turn == 2 ? 13 : 20;
        spec.clock = 1;
        spec.jitter_s = 0.1;
        spec.split.by = shares ? LOOM_BY_TRIAL : LOOM_BY_COLUMN;
        for (int k = 0; k < LOOM_SPLITS && !shares; k++)
            spec.split.value[k] = (struct loom_words){1, &value[k]};
        ck_ok(loom_catalog_new(&c, (const struct loom_recording *const[]){&r}, 1, &spec, &error), &error);
        ck_ok(loom_catalog_check_leaks(c, &error), &error);
        const struct loom_span *span = loom_catalog_spans(c, &n);
        ck_assert_int_eq(n, 7);
        for (int32_t i = 0; i < n; i++) {
            const double later = (double)(span[i].window_ns - llround(1e9 * (event[span[i].row] - pre_s))) / 2e7;
            moved[span[i].split] += later > 0;
            ck_assert(later == rint(later) && (span[i].split != LOOM_TEST || later == 0));
            if (!shares)
                ck_assert_int_eq((int)later, due[span[i].row]);
        }
        ck_assert(moved[LOOM_TRAIN] > 0 && moved[LOOM_VALID] > 0);
        loom_catalog_free(c);
    }
}
END_TEST

/* numpy.random.seed(0); numpy.random.random(3), and the seven hundredth. */
START_TEST(numpy_draws)
{
    struct loom_mt19937 g;
    loom_mt19937_init(&g, 0);
    ck_assert(loom_mt19937_uniform(&g) == 0.5488135039273248);
    ck_assert(loom_mt19937_uniform(&g) == 0.7151893663724195);
    ck_assert(loom_mt19937_uniform(&g) == 0.6027633760716439);
    for (int i = 3; i < 699; i++)
        loom_mt19937_uniform(&g);
    ck_assert(loom_mt19937_uniform(&g) == 0.8427768626848423);
    ck_assert_int_eq(loom_jitter_bins(300, 5, 0.5), 30);
    ck_assert_int_eq(loom_jitter_bins(299.9, 20, 0.999), 14);
    ck_assert_int_eq(loom_jitter_bins(0.3, 0.1, 0.999), 3); /* 0.3 / 0.1 < 3 */
    ck_assert_int_eq(loom_jitter_bins(NAN, 5, 0.5), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {bins_at_the_edges, jitter_of_trials, numpy_draws};
    return run_suite("trials", (int)(sizeof tests / sizeof *tests), tests, 20);
}
