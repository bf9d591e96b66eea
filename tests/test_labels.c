/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of the table of trials: which rows are trials, and into which classes they sort windows. */
#include "fitting.h"
#include "recorded.h"

#include "base/arena.h"
#include "model/internal.h"
#include "train/outside.h"

#include <math.h>
#include <string.h>

enum { TRIALS = 12, BINS_EACH = 10, BINS = TRIALS * BINS_EACH };

/* Trials of half a second, one behind the other. */
struct trials {
    struct recorded rec;
    struct loom_intervals table;
    struct loom_column column[4];
    double start[TRIALS], stop[TRIALS], code[TRIALS], onset[TRIALS], same[TRIALS];
    const char *side[TRIALS];
};

static void trials_init(struct trials *x, const char *id, const double *code, const char *const *side)
{
    recorded_init(&x->rec, id, BINS, 0, 4, "vel", 1);
    for (int i = 0; i < TRIALS; i++) {
        x->start[i] = 0.5 * i;
        x->stop[i] = 0.5 * (i + 1);
        x->code[i] = code[i % 4];
        x->side[i] = side[i % 4];
        x->onset[i] = x->start[i] + 0.1;
        x->same[i] = 7;
    }
    x->column[0] = (struct loom_column){"code", x->code, NULL};
    x->column[1] = (struct loom_column){"side", NULL, x->side};
    x->column[2] = (struct loom_column){"onset", x->onset, NULL};
    x->column[3] = (struct loom_column){"same", x->same, NULL};
    x->table = (struct loom_intervals){"trials", TRIALS, 4, x->start, x->stop, x->column};
    x->rec.r.intervals_count = 1;
    x->rec.r.intervals = &x->table;
}

static struct trials a, b;
static const struct loom_recording *both[] = {&a.rec.r, &b.rec.r};
static struct loom_data_spec spec;

static void setup(void)
{
    trials_init(&a, "a", (const double[]){NAN, 9, 10, 10}, (const char *const[]){"right", "left", "", "left"});
    trials_init(&b, "b", (const double[]){-1, 9, 10, 10}, (const char *const[]){"left", "none", "none", "right"});
    spec = (struct loom_data_spec)LOOM_DATA_SPEC;
    spec.window = LOOM_WINDOW_TRIAL;
    spec.split.by = LOOM_BY_TRIAL;
}

static void teardown(void)
{
    recorded_release(&a.rec);
    recorded_release(&b.rec);
}

static int make(struct loom_catalog **c)
{
    return loom_catalog_new(c, both, 2, &spec, &error);
}

static void expect_classes(const struct loom_catalog *c, const char *column, int32_t n, const char *const *word)
{
    int32_t have;
    const char *const *is = loom_catalog_classes(c, column, &have);
    ck_assert_ptr_nonnull(is);
    ck_assert_int_eq(have, n);
    for (int32_t i = 0; i < n; i++)
        ck_assert_str_eq(is[i], word[i]);
}

/* Numbers in their order, not in that of their digits; texts in that of their bytes; what is empty is no class. */
START_TEST(classes_are_values_in_order)
{
    struct loom_catalog *c;
    int32_t n = 5;
    ck_ok(make(&c), &error);
    expect_classes(c, "code", 3, (const char *const[]){"-1", "9", "10"});
    expect_classes(c, "side", 3, (const char *const[]){"left", "none", "right"});
    ck_assert_ptr_null(loom_catalog_classes(c, "vel", &n));
    ck_assert_int_eq(n, 0);
    ck_assert(loom_catalog_is_label(c, "side") && !loom_catalog_is_label(c, "vel") && !loom_catalog_is_label(c, "x"));
    ck_ok(loom_catalog_need_label(c, "side", &error), &error);
    ck_fails(loom_catalog_need_label(c, "same", &error), LOOM_EDATA, &error, "all trials have \"7\"");
    ck_fails(loom_catalog_need_label(c, "sid", &error), LOOM_EDATA, &error, "near: \"side\"");
    loom_catalog_free(c);
    spec.window = LOOM_WINDOW_FIXED;
    ck_ok(make(&c), &error);
    ck_assert_ptr_null(loom_catalog_classes(c, "side", &n));
    ck_fails(loom_catalog_need_label(c, "side", &error), LOOM_ECONFIG, &error, "data.window = \"trial\"");
    loom_catalog_free(c);
}
END_TEST

/* 240 trials in all, each with a number of its own: a time, and no class. */
START_TEST(a_time_is_no_class)
{
    enum { MANY = 70 };
    static double start[MANY], stop[MANY];
    struct loom_catalog *c;
    int32_t n;
    for (int i = 0; i < MANY; i++) {
        start[i] = 0.05 * i;
        stop[i] = 0.05 * (i + 1);
    }
    struct loom_column column = {"start", start, NULL};
    a.table = (struct loom_intervals){"trials", MANY, 1, start, stop, &column};
    ck_ok(loom_catalog_new(&c, both, 1, &spec, &error), &error);
    ck_assert_ptr_null(loom_catalog_classes(c, "start", &n));
    ck_fails(loom_catalog_need_label(c, "start", &error), LOOM_EDATA, &error, "more than 64 different values");
    loom_catalog_free(c);
}
END_TEST

/* Every window has the class of its own trial, in the last bin that is seen, before its end. */
START_TEST(windows_have_the_class_of_their_trial)
{
    static const double code[2][4] = {{-1, 1, 2, 2}, {0, 1, 2, 2}};
    struct loom_catalog *c;
    struct loom_arena arena;
    int32_t n;
    spec.forward_s = 0.1;
    ck_ok(make(&c), &error);
    ck_ok(loom_arena_init(&arena, (size_t)1 << 24, &error), &error);
    const struct loom_span *span = loom_catalog_spans(c, &n);
    const struct loom_series_want want = {.name = "code", .label = 1 + loom_catalog_label(c, "code")};
    ck_assert_int_eq(n, 2 * TRIALS);
    for (int32_t i = 0; i < n; i++) {
        const struct loom_sample s = {.recording = span[i].recording,
                                      .span = i,
                                      .trial = span[i].row,
                                      .origin_ns = span[i].window_ns,
                                      .length_s = 0.6};
        const struct loom_window_ask ask = {.series = &want, .series_count = 1};
        struct loom_window w;
        ck_ok(loom_window_fill(c, &s, &ask, &arena, &w, NULL, &error), &error);
        ck_assert_int_eq(w.bins, 12);
        const double due = code[span[i].recording][span[i].row % 4];
        ck_assert_int_eq(w.series[0].samples, due >= 0);
        if (due >= 0) {
            ck_assert_int_eq(w.series[0].dims, 1);
            ck_near(w.series[0].time_s[0], 0.49995, 1e-9);
            ck_near(w.series[0].value[0], due, 0);
        }
    }
    loom_arena_release(&arena);
    loom_catalog_free(c);
}
END_TEST

static int32_t count_rows(const struct loom_catalog *c, const char *side)
{
    int32_t n, found = 0;
    const struct loom_span *span = loom_catalog_spans(c, &n);
    for (int32_t i = 0; i < n; i++)
        found += strcmp((span[i].recording == 0 ? &a : &b)->side[span[i].row], side) == 0;
    return found;
}

/* Rows that all groups admit are trials; classes are of what is left. */
START_TEST(rows_are_selected)
{
    static const char *const sides[] = {"left", "right"}, *const codes[] = {"10", "-1.0"}, *const wrong[] = {"lift"};
    struct loom_select select[2] = {{"side", {2, sides}}, {"code", {2, codes}}};
    struct loom_catalog *c;
    int32_t n;
    spec.select = select;
    spec.selects = 1;
    ck_ok(make(&c), &error);
    loom_catalog_spans(c, &n);
    ck_assert_int_eq(n, 15);
    ck_assert_int_eq(count_rows(c, "left"), 9);
    ck_assert_int_eq(count_rows(c, "right"), 6);
    expect_classes(c, "side", 2, sides);
    loom_catalog_free(c);
    spec.selects = 2; /* left with 9 goes, and right with none */
    ck_ok(make(&c), &error);
    ck_assert_int_eq(count_rows(c, "left"), 6);
    ck_assert_int_eq(count_rows(c, "right"), 3);
    loom_catalog_free(c);
    select[1].value = (struct loom_words){1, wrong};
    select[1].column = "side";
    ck_fails(make(&c), LOOM_EDATA, &error, "there are \"left\", \"none\", \"right\"");
    select[1].column = "Side";
    ck_fails(make(&c), LOOM_EDATA, &error, "near: \"side\"");
    select[1].column = "foo";
    ck_fails(make(&c), LOOM_EDATA, &error, "it has \"code\", \"side\", \"onset\", \"same\"");
    spec.selects = 1;
    spec.window = LOOM_WINDOW_FIXED;
    ck_ok(make(&c), &error);
    ck_assert_int_eq(count_rows(c, "none"), 0);
    loom_catalog_free(c);
    spec.split.by = LOOM_BY_TIME;
    ck_fails(make(&c), LOOM_ECONFIG, &error, "neither windows nor splits are of trials");
}
END_TEST

/* A number is told by the name that messages give it, and a word without a digit is none. */
START_TEST(numbers_have_names)
{
    static const char *const thirds[] = {"0.333333333"}, *const empty[] = {""}, *const zero[] = {"-0.0"};
    struct loom_select select[1] = {{"code", {1, thirds}}};
    struct loom_catalog *c;
    for (int i = 0; i < TRIALS; i++)
        a.code[i] = b.code[i] = i % 3 / 3.0;
    spec.select = select;
    spec.selects = 1;
    for (int k = 0; k < 2; k++) {
        int32_t n;
        select[0].value.word = k == 0 ? thirds : zero;
        ck_ok(make(&c), &error);
        const struct loom_span *span = loom_catalog_spans(c, &n);
        ck_assert_int_eq(n, 8);
        for (int32_t i = 0; i < n; i++)
            ck_assert(span[i].row % 3 == 1 - k);
        loom_catalog_free(c);
    }
    select[0].value.word = empty;
    ck_fails(make(&c), LOOM_EDATA, &error, "are \"0\", \"0.333333333\", \"0.666666667\"");
    select[0].value.n = 0;
    ck_fails(make(&c), LOOM_ECONFIG, &error, "no values of the column \"code\"");
}
END_TEST

/* Angles that differ in their last digits are one class, numbers that count are not; and 1 is no "1". */
START_TEST(classes_are_told_apart_by_name)
{
    struct loom_catalog *c;
    for (int i = 0; i < TRIALS; i++) {
        a.code[i] = b.code[i] = (i % 2 ? 3 : 1) * 0.25 * M_PI * (1 + (i % 3 - 1) * 2.5e-16);
        a.onset[i] = b.onset[i] = 1234567890 + i % 2;
    }
    ck_assert(a.code[0] != a.code[2]);
    ck_ok(make(&c), &error);
    expect_classes(c, "code", 2, (const char *const[]){"0.785398163", "2.35619449"});
    expect_classes(c, "onset", 2, (const char *const[]){"1234567890", "1234567891"});
    ck_ok(loom_catalog_need_label(c, "code", &error), &error);
    loom_catalog_free(c);
    b.column[0] = (struct loom_column){"code", NULL, b.side};
    ck_ok(make(&c), &error);
    ck_fails(loom_catalog_need_label(c, "code", &error), LOOM_EDATA, &error,
             "texts in recording b and of numbers in a");
    loom_catalog_free(c);
}
END_TEST

/* Trials that hold others: a time is outside of training where no window of the train split may read it. */
START_TEST(outside_is_what_no_train_window_reads)
{
    struct loom_catalog *c;
    struct loom_outside o;
    int32_t n, outside = 0, inside = 0;
    for (int i = 0; i < TRIALS; i += 5)
        a.stop[i] = b.stop[i] = a.start[i] + 3;
    spec.split.order = LOOM_ORDER_CONTIGUOUS;
    ck_ok(make(&c), &error);
    ck_ok(loom_outside_init(&o, c, &error), &error);
    const struct loom_span *span = loom_catalog_spans(c, &n);
    for (int32_t r = 0; r < 2; r++)
        for (int64_t t = -1000000000; t < 8000000000; t += 7000000) {
            int due = 1;
            for (int32_t i = 0; i < n; i++)
                due &= span[i].recording != r || span[i].split != LOOM_TRAIN || t < span[i].begin_ns ||
                       t >= span[i].end_ns;
            ck_assert_int_eq(loom_is_outside(&o, r, 0, t), due);
            outside += due;
            inside += !due;
        }
    ck_assert(outside > 100 && inside > 100);
    loom_outside_release(&o);
    loom_catalog_free(c);
}
END_TEST

static const char pipeline[] =
    "tokenizer: { plugin = \"bins\"; }; backbone: { plugin = \"vit\"; width = 8; depth = 1; heads = 2; };"
    "objectives: ( { plugin = \"decode\"; target = \"code\"; %s } );";

static int model_new(struct loom_model **m, struct loom_registry *registry, struct loom_config **config,
                     const struct loom_catalog *c, const char *more)
{
    char text[512];
    snprintf(text, sizeof text, pipeline, more);
    ck_ok(loom_config_parse(config, text, "test.cfg", 0, NULL, &error), &error);
    struct loom_model_spec model = {.registry = registry,
                                    .catalog = c,
                                    .root = loom_config_root(*config),
                                    .stage = loom_config_root(*config),
                                    .seed = 5};
    return loom_model_new(m, &model, &error);
}

/* One question a window that has a class; its loss is the cross-entropy of one logit a class, and the class is nowhere
 * in what the model sees. The first window has none: that is no reason to leave parameters without a name. */
START_TEST(decode_asks_for_the_class)
{
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_catalog *c;
    struct loom_model *m;
    struct loom_shard *shard;
    struct loom_block block;
    struct loom_windows w;
    int asked = 0;
    spec.split.order = LOOM_ORDER_CONTIGUOUS;
    ck_ok(make(&c), &error);
    ck_ok(loom_registry_new(&registry, NULL, &error), &error);
    ck_fails(model_new(&m, registry, &config, c, "lag_ms = 20.0;"), LOOM_ECONFIG, &error, "no lag moves");
    loom_config_free(config);
    ck_ok(model_new(&m, registry, &config, c, ""), &error);
    ck_assert_str_eq(loom_model_likelihood(m, 1), "categorical");
    ck_ok(loom_shard_new(&shard, m, (size_t)1 << 30, &error), &error);
    ck_ok(loom_block_init(&block, loom_model_store(m), &error), &error);
    fit_windows(&w, c, LOOM_TRAIN, 0);
    for (int i = 0; i < w.n; i++) {
        ck_ok(loom_shard_plan(shard, &w.sample[i], 1, LOOM_EVALUATE, 0, &error), &error);
        loom_block_zero(&block, loom_model_store(m));
        ck_ok(loom_shard_build(shard, loom_shard_masses(shard), &block, 1, &error), &error);
        loom_shard_run(shard);
        const struct loom_view *v = loom_shard_view(shard, 0);
        for (int32_t r = 0; r < v->in.rows; r++)
            ck_assert_int_eq(v->in.modality[r], 0);
        const double code = (w.sample[i].recording == 0 ? &a : &b)->code[w.sample[i].trial];
        ck_assert_int_eq(v->ask[1].rows, isfinite(code));
        if (!isfinite(code))
            continue;
        const struct loom_reading *read = loom_shard_reading(shard, 0);
        ck_assert_int_eq(read->params_n, 3);
        const int due = code < 0 ? 0 : code < 10 ? 1 : 2;
        double sum = 0;
        for (int k = 0; k < 3; k++)
            sum += exp((double)read->params[k]);
        const struct loom_entry *term = loom_store_find(loom_model_store(m), LOOM_LIFE_TERM, "decode.code");
        ck_near(block.term[term->offset], log(sum) - (double)read->params[due], 1e-5);
        asked++;
    }
    ck_assert_int_gt(asked, 8);
    loom_windows_release(&w);
    loom_block_release(&block);
    loom_shard_free(shard);
    loom_model_free(m);
    loom_config_free(config);
    loom_registry_free(registry);
    loom_catalog_free(c);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {classes_are_values_in_order,
                                  a_time_is_no_class,
                                  windows_have_the_class_of_their_trial,
                                  rows_are_selected,
                                  numbers_have_names,
                                  outside_is_what_no_train_window_reads,
                                  classes_are_told_apart_by_name,
                                  decode_asks_for_the_class};
    return run_between("labels", sizeof tests / sizeof *tests, tests, 60, setup, teardown);
}
