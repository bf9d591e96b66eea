/* SPDX-License-Identifier: Apache-2.0 */
/* Splits do not leak, whatever the configuration; windows read what brute force reads. */
#include "data/catalog.h"
#include "fake.h"
#include "suite.h"

#include <loom/plugin.h>

static int64_t ns(double s)
{
    return (int64_t)floor(s * 1e9 + 0.5);
}

static double pick(struct loom_rng *g, const double *from, uint32_t n)
{
    return from[loom_rng_below(g, n)];
}

static const char *const train_words[] = {"train"}, *const valid_words[] = {"val"}, *const test_words[] = {"test"};
static const char *const by_name[] = {"fake_0", "fake_1", "fake_2"};

/* A configuration at random: one kind of split with every kind of window. */
static struct loom_data_spec random_spec(struct loom_rng *g, enum loom_split_by by)
{
    static const double fractions[][3] = {{0.7, 0.1, 0.2}, {0.5, 0.25, 0.25}, {0.2, 0.0, 0.3}, {0.0, 0.0, 1.0}};
    static const double limit[] = {1.0, 1.0, 0.5, 0.1}, gap[] = {0.0, 0.0, 0.2}, forward[] = {0.0, 0.0, 0.1},
                        window[] = {0.05, 0.5, 1.0, 3.0}, post[] = {-1.0, 0.45, 0.9}, jitter[] = {0.0, 0.03};
    struct loom_data_spec s = LOOM_DATA_SPEC;
    s.bin_s = 0.05;
    s.window = loom_rng_below(g, 2);
    s.window_s = pick(g, window, 4);
    s.align = loom_rng_below(g, 2) ? "go" : "";
    s.pre_s = loom_rng_below(g, 2) ? 0.25 : 0.0;
    s.post_s = pick(g, post, 3);
    s.forward_s = pick(g, forward, 3);
    s.held_out = loom_rng_below(g, 2) ? 0.4 : 0.0;
    s.unit_dropout = loom_rng_below(g, 2) ? 0.3 : 0.0;
    s.crop_jitter_s = pick(g, jitter, 2);
    s.balance = loom_rng_below(g, 2);
    s.batch_by = loom_rng_below(g, 2);
    s.split.by = by;
    s.split.order = loom_rng_below(g, 3);
    memcpy(s.split.fraction, fractions[loom_rng_below(g, 4)], sizeof s.split.fraction);
    s.split.blocks = 1 + loom_rng_below(g, 3);
    s.split.gap_s = pick(g, gap, 3);
    s.split.limit = pick(g, limit, 4);
    s.split.seed = loom_rng_below(g, 100);
    s.split.value[LOOM_TRAIN] = (struct loom_words){1, by == LOOM_BY_RECORDING ? &by_name[0] : train_words};
    s.split.value[LOOM_VALID] = (struct loom_words){1, by == LOOM_BY_RECORDING ? &by_name[1] : valid_words};
    s.split.value[LOOM_TEST] = (struct loom_words){1, by == LOOM_BY_RECORDING ? &by_name[2] : test_words};
    return s;
}

struct world {
    struct fake *fake[3];
    const struct loom_recording *recording[3];
    struct loom_catalog *c;
    struct loom_data_spec spec;
};

/* 0: the configuration leaves nothing in any split. */
static int world_init(struct world *w, const struct loom_data_spec *spec, uint64_t seed, double binned_s)
{
    struct loom_error e = {0};
    w->spec = *spec;
    for (int i = 0; i < 3; i++) {
        w->fake[i] = fake_new(seed, i, i == 1 ? binned_s : 0.0);
        w->recording[i] = &w->fake[i]->r;
    }
    int rc = loom_catalog_new(&w->c, w->recording, 3, spec, &e);
    if (rc == LOOM_EDATA)
        ck_assert_ptr_nonnull(strstr(e.message, "the splits hold nothing"));
    else
        ck_ok(rc, &e);
    return rc == LOOM_OK;
}

static void world_release(struct world *w)
{
    loom_catalog_free(w->c);
    for (int i = 0; i < 3; i++)
        free(w->fake[i]);
}

/* What a split's windows were seen to read, at a resolution of a tenth of a millisecond. */
enum { MARKS = 1400000 };
struct marks {
    uint8_t split[3][MARKS];
};

static void mark(struct marks *m, int recording, int split, int64_t from_ns, int64_t to_ns)
{
    for (int64_t t = from_ns; t < to_ns; t += 100000) {
        int64_t at = t / 100000 + 50000;
        if (at < 0 || at >= MARKS)
            ck_abort_msg("%.4f s is outside all recordings", (double)t * 1e-9);
        m->split[recording][at] |= (uint8_t)(1 << split);
    }
}

static const struct loom_series_want wanted[] = {{"position", 0.14, 0}, {"pupil", -0.09, 0}, {"position", 0.0, 0}};

/* Counts of one unit in the bins of a window, by looking at every spike or stored bin of the recording. */
static void brute_counts(const struct loom_window *w, int unit, uint16_t *n)
{
    const struct loom_recording *r = w->of;
    const int64_t bin = ns(w->bin_s), end = w->origin_ns + w->bins * bin;
    memset(n, 0, (size_t)w->bins * sizeof *n);
    if (r->first_spike != NULL) {
        for (int64_t i = r->first_spike[unit]; i < r->first_spike[unit + 1]; i++) {
            int64_t t = ns(r->spike_s[i]);
            if (t >= w->origin_ns && t < end)
                n[(t - w->origin_ns) / bin]++;
        }
        return;
    }
    for (int32_t b = 0; b < r->counts->blocks; b++)
        for (int64_t k = r->counts->first_bin[b]; k < r->counts->first_bin[b + 1]; k++) {
            int64_t t =
                ns(r->counts->block_start_s[b] + ((double)(k - r->counts->first_bin[b]) + 0.5) * r->counts->bin_s);
            if (t >= w->origin_ns && t < end)
                n[(t - w->origin_ns) / bin] =
                    (uint16_t)(n[(t - w->origin_ns) / bin] + r->counts->count[k * r->units + unit]);
        }
}

static void check_counts(const struct world *w, const struct loom_window *seen, const struct loom_window *truth)
{
    const uint8_t *held_unit = loom_catalog_held(w->c, seen->recording);
    const int forward = (int)floor(w->spec.forward_s / seen->bin_s + 0.5);
    uint16_t *n = malloc((size_t)seen->bins * sizeof *n);
    for (int u = 0; u < seen->units; u++) {
        brute_counts(seen, seen->unit[u], n);
        for (int k = 0; k < seen->bins; k++) {
            int64_t at = (int64_t)k * seen->units + u;
            int held = seen->held != NULL ? seen->held[at] : 0;
            int due = k >= seen->bins - forward || (held_unit != NULL && held_unit[seen->unit[u]]);
            if (seen->count[at] != (held != 0 ? 0 : n[k]) || truth->count[at] != (held == 2 ? 0 : n[k]) ||
                (held != 2 && held != due))
                ck_abort_msg("%s at %.4f s, bin %d, unit %d: count %d, truth %d, held %d where %d is right",
                             seen->of->id, (double)seen->origin_ns * 1e-9, k, u, seen->count[at], truth->count[at],
                             held, n[k]);
        }
    }
    free(n);
}

static void check_events(const struct loom_window *w)
{
    uint16_t *again = calloc((size_t)w->bins * (size_t)w->units + 1, sizeof *again);
    for (int64_t i = 0; i < w->spikes; i++) {
        ck_assert(i == 0 || w->spike_s[i] >= w->spike_s[i - 1]);
        again[ns(w->spike_s[i]) / ns(w->bin_s) * w->units + w->spike_unit[i]]++;
    }
    if (w->spikes >= 0)
        ck_assert_int_eq(memcmp(again, w->count, (size_t)w->bins * (size_t)w->units * sizeof *again), 0);
    free(again);
}

/* Every sample of the recording that lies in the lagged window and in the span, and no other. */
static void check_series(const struct loom_window *w, const struct loom_span *span)
{
    for (int i = 0; i < w->series_count; i++) {
        const struct loom_window_series *got = &w->series[i];
        const struct loom_series *s = loom_recording_series(w->of, wanted[i].name);
        int64_t lag = ns(wanted[i].lag_s), end = w->origin_ns + w->bins * ns(w->bin_s);
        int32_t n = 0;
        for (int64_t k = 0; k < s->samples; k++) {
            int64_t t = ns(s->rate_hz > 0.0 ? s->start_s + (double)k / s->rate_hz : s->time_s[k]);
            if (t < span->begin_ns || t >= span->end_ns || t - lag < w->origin_ns || t - lag >= end)
                continue;
            ck_assert_int_lt(n, got->samples);
            ck_assert_int_eq(ns(got->time_s[n]), t - lag - w->origin_ns);
            ck_assert(got->value[n] == (loom_real)s->value[k] || (isnan(got->value[n]) && isnan(s->value[k])));
            n++;
        }
        ck_assert_int_eq(n, got->samples);
    }
}

static void check_window(const struct world *w, struct marks *m, const struct loom_sample *s, int split, int training,
                         struct loom_arena *arena)
{
    struct loom_error e = {0};
    struct loom_window seen, truth;
    int32_t n;
    const struct loom_span *span = &loom_catalog_spans(w->c, &n)[s->span];
    struct loom_window_ask ask = {wanted, 3, 1, training, 5, 7, 0};
    size_t mark_at = loom_arena_mark(arena);
    ck_ok(loom_window_fill(w->c, s, &ask, arena, &seen, &truth, &e), &e);
    ck_assert_int_eq(span->split, split);
    ck_assert_int_eq(span->recording, s->recording);
    ck_assert_int_ge(seen.bins, 1);
    ck_assert_int_ge(seen.units, 1);
    check_counts(w, &seen, &truth);
    check_events(&seen);
    check_series(&seen, span);
    const int64_t bin = ns(seen.bin_s);
    for (int k = 0; k < seen.bins; k++)
        if (seen.held == NULL || seen.held[(size_t)k * (size_t)seen.units] != 2)
            mark(m, s->recording, split, seen.origin_ns + k * bin, seen.origin_ns + (k + 1) * bin);
        else
            ck_assert_int_eq(w->spec.window, LOOM_WINDOW_TRIAL);
    for (int i = 0; i < seen.series_count; i++)
        for (int k = 0; k < seen.series[i].samples; k++) {
            int64_t t = seen.origin_ns + ns(seen.series[i].time_s[k]) + ns(wanted[i].lag_s);
            mark(m, s->recording, split, t, t + 1);
        }
    loom_arena_rewind(arena, mark_at);
}

static void check_split(const struct world *w, struct marks *m, enum loom_split split, struct loom_arena *arena)
{
    struct loom_error e = {0};
    struct loom_selection s;
    struct loom_windows tiles;
    struct loom_sampler *sampler;
    struct loom_sample sample;
    if (loom_selection_init(&s, w->c, split, (struct loom_words){0, NULL}, &e) != LOOM_OK)
        return;
    ck_ok(loom_windows_init(&tiles, &s, &(struct loom_tiling){0}, &e), &e);
    for (int32_t i = 0; i < tiles.n; i++)
        check_window(w, m, &tiles.sample[i], split, 0, arena);
    ck_ok(loom_sampler_new(&sampler, &s,
                           &(struct loom_sampler_spec){.seed = 3, .batch = 5, .arity = 2, .partner_s = 0.5}, &e),
          &e);
    for (uint64_t step = 0; step < 6; step++)
        for (int32_t i = 0; i < 5; i++)
            for (int32_t slot = 0; slot < 2; slot++) {
                loom_sampler_draw(sampler, step, i, slot, &sample);
                check_window(w, m, &sample, split, 1, arena);
            }
    loom_sampler_free(sampler);
    loom_windows_release(&tiles);
    loom_selection_release(&s);
}

/* Configurations in which `by` holds; returns how many of them had windows in at least two splits. */
static int leak_free(enum loom_split_by by, uint64_t rounds)
{
    int shared = 0;
    struct marks *m = malloc(sizeof *m);
    struct loom_arena arena;
    struct loom_error e = {0};
    ck_ok(loom_arena_init(&arena, (size_t)64 << 20, &e), &e);
    for (uint64_t round = 0; round < rounds; round++) {
        struct loom_rng g;
        struct world w;
        int splits = 0;
        loom_rng_init(&g, 11, "leak", round, (uint64_t)by);
        struct loom_data_spec spec = random_spec(&g, by);
        if (!world_init(&w, &spec, round, round % 2 ? 0.05 : 0.025)) {
            world_release(&w);
            continue;
        }
        ck_ok(loom_catalog_check_leaks(w.c, &e), &e);
        memset(m, 0, sizeof *m);
        for (int split = 0; split < LOOM_SPLITS; split++)
            check_split(&w, m, (enum loom_split)split, &arena);
        for (int r = 0; r < 3; r++)
            for (int i = 0; i < MARKS; i++) {
                if ((m->split[r][i] & (m->split[r][i] - 1)) != 0)
                    ck_abort_msg("round %d recording %d: %.4f s in two splits", (int)round, r, (i - 50000) * 1e-4);
                splits |= m->split[r][i];
            }
        shared += (splits & (splits - 1)) != 0;
        world_release(&w);
    }
    loom_arena_release(&arena);
    free(m);
    return shared;
}

START_TEST(leak_by_time)
{
    ck_assert_int_ge(leak_free(LOOM_BY_TIME, 24), 12);
}
END_TEST

START_TEST(leak_by_trial)
{
    ck_assert_int_ge(leak_free(LOOM_BY_TRIAL, 24), 12);
}
END_TEST

START_TEST(leak_by_column)
{
    ck_assert_int_ge(leak_free(LOOM_BY_COLUMN, 24), 12);
}
END_TEST

START_TEST(leak_by_recording)
{
    ck_assert_int_ge(leak_free(LOOM_BY_RECORDING, 12), 6);
}
END_TEST

START_TEST(leak_by_file)
{
    ck_assert_int_ge(leak_free(LOOM_BY_FILE, 12), 6);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {leak_by_time, leak_by_trial, leak_by_column, leak_by_recording, leak_by_file};
    return run_suite("data", sizeof tests / sizeof *tests, tests, 60.0);
}
