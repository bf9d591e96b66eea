/* SPDX-License-Identifier: Apache-2.0 */
/* Bin edges, held-out units, tiles, and the sampler as a pure function. */
#include "base/threads.h"
#include "data/catalog.h"
#include "fake.h"
#include "suite.h"

#include <loom/plugin.h>

static const struct loom_words all = {0, NULL};

static struct loom_unit plain_unit(const char *name, int held_out)
{
    return (struct loom_unit){.name = name, .group = "", .region = "", .electrode = -1, .held_out = held_out, .x = NAN};
}

/* One recording of 1 s with the given spikes of two units. */
static struct loom_recording plain(const struct loom_unit *unit, const int64_t *first, const double *spike)
{
    return (struct loom_recording){.id = "plain",
                                   .subject = "",
                                   .session = "",
                                   .task = "",
                                   .date = "",
                                   .file = "plain.c",
                                   .stop_s = 1.0,
                                   .units = 2,
                                   .unit = unit,
                                   .first_spike = first,
                                   .spike_s = spike};
}

static struct loom_data_spec whole_spec(double bin_s, double window_s)
{
    struct loom_data_spec s = LOOM_DATA_SPEC;
    s.bin_s = bin_s;
    s.window_s = window_s;
    s.split.fraction[LOOM_TRAIN] = 1.0;
    s.split.fraction[LOOM_VALID] = s.split.fraction[LOOM_TEST] = 0.0;
    return s;
}

struct rig {
    struct loom_catalog *c;
    struct loom_selection s;
    struct loom_windows w;
    struct loom_arena arena;
    struct loom_error e;
};

static void rig_init(struct rig *g, const struct loom_recording *const *r, int n, const struct loom_data_spec *spec)
{
    memset(g, 0, sizeof *g);
    ck_ok(loom_arena_init(&g->arena, (size_t)64 << 20, &g->e), &g->e);
    ck_ok(loom_catalog_new(&g->c, r, n, spec, &g->e), &g->e);
    ck_ok(loom_selection_init(&g->s, g->c, LOOM_TRAIN, all, &g->e), &g->e);
    ck_ok(loom_windows_init(&g->w, &g->s, &(struct loom_tiling){0}, &g->e), &g->e);
}

static void rig_release(struct rig *g)
{
    loom_windows_release(&g->w);
    loom_selection_release(&g->s);
    loom_catalog_free(g->c);
    loom_arena_release(&g->arena);
}

START_TEST(spikes_on_edges)
{
    /* 0.1 + 0.2 and 0.35 are not what they seem in binary; duplicates count twice; the last spike is outside */
    const double spike[] = {0.0, 0.05, 0.05, 0.1 + 0.2, 0.35, 0.4499999999, 1.0, 0.7 - 0.1, 0.95};
    const int64_t first[] = {0, 7, 9};
    const struct loom_unit unit[] = {plain_unit("a", 0), plain_unit("b", 0)};
    const struct loom_recording r = plain(unit, first, spike), *recording = &r;
    const uint16_t due[20][2] = {{1}, {2}, {0},    {0}, {0}, {0}, {1}, {1}, {0}, {1},
                                 {0}, {0}, {0, 1}, {0}, {0}, {0}, {0}, {0}, {0}, {0, 1}};
    struct loom_data_spec spec = whole_spec(0.05, 1.0);
    struct rig g;
    struct loom_window w;
    rig_init(&g, &recording, 1, &spec);
    ck_assert_int_eq(g.w.n, 1);
    ck_assert_int_eq(g.w.spikes, 8);
    ck_ok(loom_window_fill(g.c, &g.w.sample[0], &(struct loom_window_ask){.events = 1}, &g.arena, &w, NULL, &g.e),
          &g.e);
    ck_assert_int_eq(w.bins, 20);
    ck_assert_int_eq(w.spikes, 8);
    /* 0.4499999999 rounds to 0.45 at a nanosecond */
    ck_assert_int_eq(memcmp(w.count, due, sizeof due), 0);
    ck_assert_ptr_null(w.held);
    rig_release(&g);
}
END_TEST

START_TEST(stored_bins_must_fit)
{
    struct fake *f = fake_new(4, 0, 0.05);
    const struct loom_recording *recording = &f->r;
    struct loom_data_spec spec = whole_spec(0.02, 1.0);
    struct loom_catalog *c;
    struct loom_error e = {0};
    ck_fails(loom_catalog_new(&c, &recording, 1, &spec, &e), LOOM_EDATA, &e, "set bin_ms = 50");
    spec.bin_s = 0.075;
    ck_fails(loom_catalog_new(&c, &recording, 1, &spec, &e), LOOM_EDATA, &e, "set bin_ms = 50");
    spec.bin_s = 0.0;
    ck_ok(loom_catalog_new(&c, &recording, 1, &spec, &e), &e);
    ck_near(loom_catalog_bin_s(c), 0.05, 0.0);
    loom_catalog_free(c);
    const struct loom_recording *twice[] = {recording, recording};
    ck_fails(loom_catalog_new(&c, twice, 2, &spec, &e), LOOM_EDATA, &e, "two recordings are called fake_0");
    free(f);
}
END_TEST

/* fake_1 with units enough to hold some out. */
static struct fake *many_units(void)
{
    uint64_t seed = 0;
    struct fake *f = fake_new(seed, 1, 0.0);
    while (f->r.units < 10) {
        free(f);
        f = fake_new(++seed, 1, 0.0);
    }
    return f;
}

/* What is held out reads 0 in what plugins see, whatever unit dropout does; only the truth has it. */
START_TEST(held_out_stays_out)
{
    struct fake *f = many_units();
    const struct loom_recording *recording = &f->r;
    static const char *const named[] = {"unit0", "fake_1/unit1"};
    struct loom_data_spec spec = whole_spec(0.05, 0.5);
    struct rig g;
    int64_t hidden = 0, events = 0;
    f->unit[2].held_out = 1;
    spec.held_out_names = (struct loom_words){2, named};
    spec.unit_dropout = 0.4;
    spec.forward_s = 0.1;
    rig_init(&g, &recording, 1, &spec);
    for (int32_t i = 0; i < g.w.n; i++) {
        struct loom_window w, truth;
        struct loom_window_ask ask = {.events = 1, .training = 1, .seed = 2, .step = (uint64_t)i};
        ck_ok(loom_window_fill(g.c, &g.w.sample[i], &ask, &g.arena, &w, &truth, &g.e), &g.e);
        for (int k = 0; k < w.bins; k++)
            for (int u = 0; u < w.units; u++) {
                int64_t at = (int64_t)k * w.units + u;
                int due = w.unit[u] <= 2 || k >= w.bins - 2;
                ck_assert_int_eq(w.held[at], due);
                ck_assert_int_eq(w.count[at], due ? 0 : truth.count[at]);
                hidden += due ? truth.count[at] : 0;
            }
        for (int64_t k = 0; k < w.spikes; k++) {
            ck_assert_int_gt(w.unit[w.spike_unit[k]], 2);
            ck_assert(w.spike_s[k] < w.length_s - 0.1);
        }
        events += w.spikes;
    }
    ck_assert_int_gt(hidden, 0);
    ck_assert_int_gt(events, 0);
    rig_release(&g);
    spec.held_out_names = (struct loom_words){1, (const char *const[]){"*"}};
    struct loom_catalog *c;
    struct loom_error e = {0};
    ck_fails(loom_catalog_new(&c, &recording, 1, &spec, &e), LOOM_EDATA, &e, "nothing is left to see");
    free(f);
}
END_TEST

START_TEST(held_out_shares_nest)
{
    struct fake *f = many_units();
    const struct loom_recording *recording = &f->r;
    uint8_t before[FAKE_UNITS] = {0};
    for (double share = 0.1; share < 0.95; share += 0.2) {
        struct loom_data_spec spec = whole_spec(0.05, 0.5);
        struct rig g;
        int n = 0;
        spec.held_out = share;
        rig_init(&g, &recording, 1, &spec);
        const uint8_t *held = loom_catalog_held(g.c, 0);
        for (int u = 0; u < f->r.units; u++) {
            int now = held != NULL && held[u];
            ck_assert(now >= before[u]);
            before[u] = (uint8_t)now;
            n += now;
        }
        ck_assert_int_eq(n, (int)floor(share * f->r.units + 0.5));
        rig_release(&g);
    }
    free(f);
}
END_TEST

/* Tiles ask every bin of every span exactly once, with any stride, in any number of folds. */
START_TEST(tiles_ask_each_bin_once)
{
    static const double stride[] = {0.0, 0.1, 0.35};
    for (int round = 0; round < 12; round++) {
        struct fake *f = fake_new(3, round, round % 2 ? 0.05 : 0.0);
        const struct loom_recording *recording = &f->r;
        struct loom_data_spec spec = whole_spec(0.05, 0.5);
        struct rig g;
        struct loom_windows w;
        int32_t spans;
        spec.stride_s = stride[round % 3];
        rig_init(&g, &recording, 1, &spec);
        const struct loom_span *span = loom_catalog_spans(g.c, &spans);
        const int32_t folds = round % 4 == 0 ? 5 : 0;
        struct loom_tiling how = {.length_s = round % 5 == 4 ? -1.0 : 0.0, .folds = folds};
        ck_ok(loom_windows_init(&w, &g.s, &how, &g.e), &g.e);
        int32_t i = 0, fold = 0;
        for (int32_t s = 0; s < spans; s++) {
            int64_t at = span[s].window_ns;
            for (; i < w.n && w.sample[i].span == s; i++) {
                const struct loom_sample *x = &w.sample[i];
                ck_assert_int_eq(x->origin_ns + (int64_t)llround(x->begin_s * 1e9), at);
                at = x->origin_ns + (int64_t)llround(x->end_s * 1e9);
                ck_assert(x->origin_ns >= span[s].window_ns && at <= span[s].stop_ns);
                ck_assert(x->end_s <= x->length_s + 1e-12 && x->begin_s < x->end_s);
                ck_assert(x->fold == fold || x->fold == fold + 1);
                fold = x->fold;
            }
            ck_assert_int_eq(at, span[s].stop_ns);
        }
        ck_assert_int_eq(i, w.n);
        ck_assert_int_eq(fold, folds > 0 ? folds - 1 : 0);
        loom_windows_release(&w);
        rig_release(&g);
        free(f);
    }
}
END_TEST

struct draw {
    const struct loom_sampler *s;
    struct loom_sample *out;
    int32_t batch;
};

static void draw_one(void *payload, int task, int worker)
{
    struct draw *d = payload;
    (void)worker;
    loom_sampler_draw(d->s, (uint64_t)(task / d->batch), task % d->batch, 0, &d->out[task]);
}

START_TEST(sampler_is_pure)
{
    enum { STEPS = 200, BATCH = 7 };
    struct fake *f[3];
    const struct loom_recording *r[3], *reversed[3];
    struct loom_data_spec spec = whole_spec(0.05, 0.5);
    for (int i = 0; i < 3; i++) {
        f[i] = fake_new(21, i, 0.0);
        r[i] = reversed[2 - i] = &f[i]->r;
    }
    for (int way = 0; way < 4; way++) {
        struct rig g, h;
        struct loom_sampler *s, *t;
        struct loom_pool *pool;
        struct loom_sample *once = calloc(STEPS * BATCH, sizeof *once), *threads = calloc(STEPS * BATCH, sizeof *once);
        spec.balance = way & 1;
        spec.batch_by = way >> 1;
        rig_init(&g, r, 3, &spec);
        rig_init(&h, reversed, 3, &spec);
        ck_ok(loom_sampler_new(&s, &g.s, &(struct loom_sampler_spec){.seed = 9, .batch = BATCH}, &g.e), &g.e);
        ck_ok(loom_sampler_new(&t, &h.s, &(struct loom_sampler_spec){.seed = 9, .batch = BATCH}, &g.e), &g.e);
        for (int i = STEPS * BATCH - 1; i >= 0; i--)
            loom_sampler_draw(s, (uint64_t)(i / BATCH), i % BATCH, 0, &once[i]);
        ck_ok(loom_pool_new(&pool, 4, &g.e), &g.e);
        loom_pool_run(pool, STEPS * BATCH, draw_one, &(struct draw){t, threads, BATCH});
        ck_assert_int_eq(memcmp(once, threads, STEPS * BATCH * sizeof *once), 0);
        for (int i = 0; i < STEPS * BATCH; i++)
            for (int k = i + 1; k < STEPS * BATCH; k++)
                if (once[i].key == once[k].key)
                    ck_abort_msg("draws %d and %d have the same key", i, k);
        for (int i = 0; way >= 2 && i < STEPS * BATCH; i++)
            ck_assert_int_eq(once[i].recording, once[i / BATCH * BATCH].recording);
        loom_pool_free(pool);
        loom_sampler_free(s);
        loom_sampler_free(t);
        rig_release(&g);
        rig_release(&h);
        free(once);
        free(threads);
    }
    for (int i = 0; i < 3; i++)
        free(f[i]);
}
END_TEST

/* In each epoch fixed windows cover every bin, and trial windows every trial once; epochs differ. */
START_TEST(epochs_cover_all)
{
    for (int trial = 0; trial < 2; trial++) {
        struct fake *f = fake_new(31, 2, 0.0);
        const struct loom_recording *recording = &f->r;
        struct loom_data_spec spec = whole_spec(0.05, 0.5);
        struct rig g;
        struct loom_sampler *s;
        int32_t spans, moved = 0;
        spec.window = trial ? LOOM_WINDOW_TRIAL : LOOM_WINDOW_FIXED;
        spec.split.by = trial ? LOOM_BY_TRIAL : LOOM_BY_TIME;
        rig_init(&g, &recording, 1, &spec);
        const struct loom_span *span = loom_catalog_spans(g.c, &spans);
        ck_ok(loom_sampler_new(&s, &g.s, &(struct loom_sampler_spec){.seed = 1, .batch = 1}, &g.e), &g.e);
        const int64_t n = loom_sampler_epoch(s);
        uint8_t *seen = malloc((size_t)spans * 4000);
        int64_t first = 0;
        for (int64_t epoch = 0; epoch < 5; epoch++) {
            memset(seen, 0, (size_t)spans * 4000);
            for (int64_t i = 0; i < n; i++) {
                struct loom_sample x;
                loom_sampler_draw(s, (uint64_t)(epoch * n + i), 0, 0, &x);
                int64_t from = (x.origin_ns - span[x.span].window_ns) / 50000000;
                for (int64_t k = 0; k < llround(x.length_s / 0.05); k++)
                    seen[x.span * 4000 + from + k]++;
                moved += i == 0 && x.origin_ns != first;
                first = i == 0 ? x.origin_ns : first;
            }
            for (int32_t i = 0; i < spans; i++)
                for (int64_t k = 0; k < (span[i].stop_ns - span[i].window_ns) / 50000000; k++)
                    if (trial ? seen[i * 4000 + k] != 1 : seen[i * 4000 + k] < 1)
                        ck_abort_msg("bin %d of span %d was seen %d times", (int)k, i, seen[i * 4000 + k]);
        }
        ck_assert_int_ge(moved, 4);
        free(seen);
        loom_sampler_free(s);
        rig_release(&g);
        free(f);
    }
}
END_TEST

START_TEST(limits_nest)
{
    for (int by = LOOM_BY_TIME; by <= LOOM_BY_TRIAL; by++)
        for (int order = 0; order < 3; order++) {
            struct fake *f = fake_new(5, 2, 0.0);
            const struct loom_recording *recording = &f->r;
            int64_t before = 0;
            static uint8_t covered[20000];
            memset(covered, 0, sizeof covered);
            for (double limit = 0.25; limit <= 1.0; limit += 0.25) {
                struct loom_data_spec spec = LOOM_DATA_SPEC;
                struct rig g;
                int64_t bins = 0;
                spec.bin_s = 0.05;
                spec.split.by = by;
                spec.split.order = order;
                spec.split.limit = limit;
                rig_init(&g, &recording, 1, &spec);
                int32_t spans;
                const struct loom_span *span = loom_catalog_spans(g.c, &spans);
                static uint8_t now[20000];
                memset(now, 0, sizeof now);
                for (int32_t i = 0; i < spans; i++)
                    for (int64_t t = span[i].window_ns; span[i].split == LOOM_TRAIN && t < span[i].stop_ns;
                         t += 10000000) {
                        now[t / 10000000 + 1000] = 1;
                        bins++;
                    }
                for (size_t i = 0; i < sizeof now; i++)
                    if (now[i] < covered[i])
                        ck_abort_msg("%.2f s is in a smaller share and not in a larger one",
                                     ((double)i - 1000.0) / 100.0);
                memcpy(covered, now, sizeof now);
                ck_assert_int_gt(bins, before);
                before = bins;
                rig_release(&g);
            }
            free(f);
        }
}
END_TEST

START_TEST(names_and_offers)
{
    struct fake *f[3];
    const struct loom_recording *r[3];
    struct loom_data_spec spec = whole_spec(0.05, 0.5);
    struct rig g;
    int32_t n, dims;
    for (int i = 0; i < 3; i++) {
        f[i] = fake_new(2, 2 - i, 0.0);
        r[i] = &f[i]->r;
    }
    rig_init(&g, r, 3, &spec);
    const char *const *names = loom_catalog_names(g.c, "subject", &n);
    ck_assert_int_eq(n, 2);
    ck_assert_str_eq(names[0], "Ada");
    ck_assert_str_eq(names[loom_catalog_row(g.c, "subject", 2, 0)], "unknown");
    names = loom_catalog_names(g.c, "session", &n);
    ck_assert_int_eq(n, 3);
    ck_assert_str_eq(names[loom_catalog_row(g.c, "session", 1, 0)], "fake_1");
    names = loom_catalog_names(g.c, "unit", &n);
    ck_assert_int_eq(n, f[0]->r.units + f[1]->r.units + f[2]->r.units);
    ck_assert_str_eq(names[loom_catalog_row(g.c, "unit", 1, 0)], "fake_1/unit0");
    ck_assert(loom_catalog_offers(g.c) == (LOOM_REGIONS | LOOM_TRIALS));
    ck_ok(loom_catalog_need_series(g.c, (struct loom_words){0, NULL}, "pupil", &dims, &g.e), &g.e);
    ck_assert_int_eq(dims, 1);
    ck_fails(loom_catalog_need_series(g.c, (struct loom_words){0, NULL}, "handVel", NULL, &g.e), LOOM_EDATA, &g.e,
             "it has position, pupil");
    struct loom_selection none;
    ck_fails(
        loom_selection_init(&none, g.c, LOOM_TRAIN, (struct loom_words){1, (const char *const[]){"chewie*"}}, &g.e),
        LOOM_EDATA, &g.e, "there are fake_0, fake_1, fake_2");
    ck_fails(loom_selection_init(&none, g.c, LOOM_TEST, all, &g.e), LOOM_EDATA, &g.e, "raise split.test");
    rig_release(&g);
    for (int i = 0; i < 3; i++)
        free(f[i]);
}
END_TEST

/* Area of the density between low and x. */
static double triangle_area(double low, double mode, double high, double peak, double x)
{
    double to_mode = fmin(x, mode) - low, past = fmax(x - mode, 0.0);
    double area = to_mode + (peak - 1.0) / (mode - low) * to_mode * to_mode / 2.0;
    return area + peak * past - (peak - 1.0) / (high - mode) * past * past / 2.0;
}

/* Unit dropout by number: sizes as the density has them, each unit as often as any other, and none in evaluation. */
START_TEST(kept_units_are_triangular)
{
    enum { DRAWS = 20000, LOW = 3, MODE = 5, HIGH = 9, UNITS = 12 };
    struct loom_unit unit[UNITS];
    char name[UNITS][8];
    const double observed[2] = {0.0, 2.0}, start = 0.0;
    const int64_t first[2] = {0, 20};
    static const uint16_t count[20 * UNITS];
    const struct loom_counts counts = {0.1, 1, &start, first, count};
    int64_t size[UNITS + 1] = {0}, times[UNITS] = {0}, kept = 0;
    for (int u = 0; u < UNITS; u++) {
        snprintf(name[u], sizeof name[u], "u%d", u);
        unit[u] = (struct loom_unit){.name = name[u], .group = "", .region = ""};
    }
    const struct loom_recording recording = {.id = "r",
                                             .subject = "",
                                             .session = "",
                                             .task = "",
                                             .date = "",
                                             .file = "",
                                             .stop_s = 2.0,
                                             .units = UNITS,
                                             .unit = unit,
                                             .counts = &counts,
                                             .observed_count = 1,
                                             .observed_s = observed};
    const struct loom_recording *one = &recording;
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct rig g;
    spec.window_s = 0.2;
    spec.unit_keep_min = LOW;
    spec.unit_keep_mode = MODE;
    spec.unit_keep_max = HIGH;
    spec.unit_keep_peak = 4.0;
    rig_init(&g, &one, 1, &spec);
    for (int i = 0; i < DRAWS; i++) {
        struct loom_window w;
        struct loom_window_ask ask = {.training = 1, .seed = 2, .step = (uint64_t)i};
        loom_arena_rewind(&g.arena, 0);
        ck_ok(loom_window_fill(g.c, &g.w.sample[0], &ask, &g.arena, &w, NULL, &g.e), &g.e);
        size[w.units]++;
        kept += w.units;
        for (int u = 0; u < w.units; u++) {
            ck_assert(u == 0 || w.unit[u] > w.unit[u - 1]);
            times[w.unit[u]]++;
        }
        ask.training = 0;
        ck_ok(loom_window_fill(g.c, &g.w.sample[0], &ask, &g.arena, &w, NULL, &g.e), &g.e);
        ck_assert_int_eq(w.units, UNITS);
    }
    const double whole = triangle_area(LOW, MODE, HIGH, 4.0, HIGH);
    for (int k = 0; k <= UNITS; k++) {
        double p = k < LOW || k >= HIGH
                       ? 0.0
                       : (triangle_area(LOW, MODE, HIGH, 4.0, k + 1) - triangle_area(LOW, MODE, HIGH, 4.0, k)) / whole;
        ck_near((double)size[k] / DRAWS, p, 4.0 * sqrt(p * (1.0 - p) / DRAWS));
    }
    for (int u = 0; u < UNITS; u++) {
        double p = (double)kept / DRAWS / UNITS;
        ck_near((double)times[u] / DRAWS, p, 4.0 * sqrt(p * (1.0 - p) / DRAWS));
    }
    rig_release(&g);
}
END_TEST

/* What nanoseconds cannot count is refused, not wrapped round. */
START_TEST(lengths_have_bounds)
{
    const double spike[] = {0.5, 0.75};
    const int64_t first[] = {0, 1, 2}, bins[] = {0, 1};
    const uint16_t count[] = {1, 2};
    const struct loom_unit unit[] = {plain_unit("a", 0), plain_unit("b", 0)};
    struct loom_recording r = plain(unit, first, spike);
    const struct loom_recording *recording = &r;
    struct loom_data_spec spec = whole_spec(1e-7, 1.0);
    struct loom_catalog *c;
    struct loom_error e = {0};
    ck_fails(loom_catalog_new(&c, &recording, 1, &spec, &e), LOOM_ECONFIG, &e, "bin_ms = 0.0001");
    spec = whole_spec(0.05, 1e297);
    ck_fails(loom_catalog_new(&c, &recording, 1, &spec, &e), LOOM_ECONFIG, &e, "window_ms = 1e+300");
    spec = whole_spec(0.05, 1.0);
    spec.split.gap_s = INFINITY;
    ck_fails(loom_catalog_new(&c, &recording, 1, &spec, &e), LOOM_ECONFIG, &e, "split.gap_ms = inf");
    spec = whole_spec(0.05, 1.0);
    r.stop_s = 1e10;
    ck_fails(loom_catalog_new(&c, &recording, 1, &spec, &e), LOOM_EDATA, &e, "from 0 s to 1e+10 s");
    spec = whole_spec(1e-6, 1e9);
    r.stop_s = 1e4;
    ck_fails(loom_catalog_new(&c, &recording, 1, &spec, &e), LOOM_EDATA, &e, "a window of 10000000000 bins");
    const struct loom_counts counts = {1e-9, 1, (const double[]){0}, bins, count};
    spec = whole_spec(0.0, 1.0);
    r.first_spike = NULL;
    r.stop_s = 1e-9;
    r.counts = &counts;
    ck_fails(loom_catalog_new(&c, &recording, 1, &spec, &e), LOOM_EDATA, &e, "bins of 1e-06 ms");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {lengths_have_bounds, spikes_on_edges,          stored_bins_must_fit,
                                  held_out_stays_out,  held_out_shares_nest,     tiles_ask_each_bin_once,
                                  sampler_is_pure,     epochs_cover_all,         limits_nest,
                                  names_and_offers,    kept_units_are_triangular};
    return run_suite("windows", sizeof tests / sizeof *tests, tests, 60.0);
}
