/* SPDX-License-Identifier: Apache-2.0 */
/* Masks: what each word of hide_by hides and asks, exactly how much, what stands in its place, what is refused. */
#include "world.h"

#include <loom/mask.h>

enum { FRAMES = 20, CELLS = FRAMES * UNITS }; /* of one window */

#define IN_PLACE                                                                                                       \
    "tokenizer: { plugin = \"bins\"; };"                                                                               \
    "backbone: { plugin = \"vit\"; width = 16; depth = 1; heads = 2; decoder_depth = 0; dropout = 0.0;"                \
    " attention_dropout = 0.0; };"
#define MAE(more) "objectives: ( { plugin = \"mae\"; " more " } );"
#define ZEROED(more) IN_PLACE MAE("hide_how = \"zero\"; " more)

/* One window as it was drawn: cells [FRAMES, UNITS]. */
struct drawn {
    uint8_t asked[CELLS], shown[CELLS], zero[CELLS], gone[FRAMES];
    int causal, prompts, prompt, n;
};

/* Every count is made positive, so that a zero in the view is a hidden one. */
static void lift(struct world *w)
{
    for (int k = 0; k < RECORDINGS; k++)
        for (int i = 0; i < BINS * UNITS; i++)
            w->count[k][i] = (uint16_t)(w->count[k][i] + 1);
}

static void look(struct world *w, struct loom_shard *s, int segment, enum loom_mode mode, uint64_t step,
                 struct drawn *d)
{
    ck_ok(loom_shard_plan(s, w->windows.sample, BATCH, mode, step, &w->e), &w->e);
    const struct loom_view *v = loom_shard_view(s, 0);
    const struct loom_rows *full = loom_shard_rows(s), *ask = &v->ask[0];
    memset(d, 0, sizeof(*d));
    memset(d->gone, 1, sizeof(d->gone));
    d->causal = v->causal;
    d->prompts = v->prompts;
    d->prompt = v->prompt[0];
    for (int32_t r = v->in.first_row[segment]; r < v->in.first_row[segment + 1]; r++) {
        int frame = v->in.source[r] - full->first_row[segment];
        d->gone[frame] = 0;
        for (int u = 0; u < UNITS; u++)
            d->zero[frame * UNITS + u] = v->in.value[v->in.first_elem[r] + u] == 0;
    }
    for (int32_t r = ask->first_row[segment]; r < ask->first_row[segment + 1]; r++)
        for (int u = 0, frame = ask->source[r] - full->first_row[segment]; u < UNITS; u++) {
            int at = ask->first_elem[r] + u;
            d->asked[frame * UNITS + u] = ask->weight[at] > 0;
            d->shown[frame * UNITS + u] = ask->shown[at];
            d->n += ask->weight[at] > 0;
        }
}

static struct loom_shard *open_shard(struct world *w)
{
    struct loom_shard *s;
    lift(w);
    ck_ok(loom_shard_new(&s, w->model, 1 << 26, &w->e), &w->e);
    return s;
}

/* 1 if bin `frame` of the window is asked whole, 0 if not at all; anything else fails. */
static int frame_asked(const struct drawn *d, int frame)
{
    int n = 0;
    for (int u = 0; u < UNITS; u++)
        n += d->asked[frame * UNITS + u];
    ck_assert(n == 0 || n == UNITS);
    return n == UNITS;
}

static int unit_asked(const struct drawn *d, int u)
{
    int n = 0;
    for (int f = 0; f < FRAMES; f++)
        n += d->asked[f * UNITS + u];
    ck_assert(n == 0 || n == FRAMES);
    return n == FRAMES;
}

/* Every asked cell is zero in the view, and where `else_seen`, no other is. */
static void check_zeroed(const struct drawn *d, int else_seen)
{
    for (int i = 0; i < CELLS; i++)
        ck_assert(d->zero[i] == d->asked[i] || (!else_seen && d->zero[i]));
}

START_TEST(exact_counts)
{
    static const struct {
        const char *by;
        int cells;
    } cases[] = {{"row", 6 * UNITS},  {"time", 6 * UNITS},   {"causal", 6 * UNITS}, {"block", 6 * UNITS},
                 {"last", 6 * UNITS}, {"unit", 12 * FRAMES}, {"element", 240}};
    for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
        char text[800];
        struct drawn d, other;
        snprintf(text, sizeof(text), ZEROED("hide = 0.3; hide_by = \"%s\";"), cases[k].by);
        struct world *w = world_new(text, 0.0);
        struct loom_shard *s = open_shard(w);
        int moved = 0;
        for (uint64_t step = 0; step < 4; step++) {
            look(w, s, (int)step, LOOM_STEP, step, &d);
            ck_assert_int_eq(d.n, cases[k].cells);
            check_zeroed(&d, 1);
            look(w, s, 0, LOOM_STEP, step + 1, &other);
            moved += memcmp(d.asked, other.asked, sizeof(d.asked)) != 0;
        }
        ck_assert(moved == 0 ? strcmp(cases[k].by, "last") == 0 : moved > 2);
        ck_assert_int_eq(d.causal, strcmp(cases[k].by, "causal") == 0);
        loom_shard_free(s);
        world_free(w);
    }
}
END_TEST

START_TEST(stretches)
{
    static const char *const by[] = {"block", "last", "after"};
    for (int k = 0; k < 3; k++) {
        char text[800];
        struct drawn d;
        int starts[FRAMES] = {0}, different = 0;
        snprintf(text, sizeof(text), ZEROED("hide = 0.5; hide_by = \"%s\";"), by[k]);
        struct world *w = world_new(text, 0.0);
        struct loom_shard *s = open_shard(w);
        for (uint64_t step = 0; step < 40; step++) {
            int first = -1, n = 0, last = -1;
            look(w, s, 1, LOOM_STEP, step, &d);
            for (int f = 0; f < FRAMES; f++)
                if (frame_asked(&d, f)) {
                    first = first < 0 ? f : first;
                    last = f;
                    n++;
                }
            ck_assert_int_eq(last - first + 1, n); /* one stretch */
            ck_assert(k == 2 ? n >= 1 && n <= 10 : n == 10);
            ck_assert(k == 0 || last == FRAMES - 1);
            starts[first]++;
        }
        for (int f = 0; f < FRAMES; f++)
            different += starts[f] > 0;
        ck_assert(k == 1 ? different == 1 : different > 5);
        loom_shard_free(s);
        world_free(w);
    }
}
END_TEST

/* Two regions of 24 and 16 units. */
START_TEST(regions)
{
    struct drawn d;
    int seen[2] = {0, 0};
    struct world *w = world_new(ZEROED("hide = 0.25; hide_by = \"inter_region\";"), 0.0);
    struct loom_shard *s = open_shard(w);
    for (uint64_t step = 0; step < 40; step++) {
        look(w, s, 0, LOOM_STEP, step, &d);
        int back = unit_asked(&d, UNITS - 1);
        for (int u = 0; u < UNITS; u++)
            ck_assert_int_eq(unit_asked(&d, u), (u >= FRONT) == back);
        check_zeroed(&d, 1);
        seen[back]++;
    }
    ck_assert(seen[0] > 8 && seen[1] > 8);
    loom_shard_free(s);
    world_free(w);
    w = world_new(ZEROED("hide = 0.25; hide_by = \"intra_region\";"), 0.0);
    s = open_shard(w);
    for (uint64_t step = 0; step < 20; step++) {
        look(w, s, 0, LOOM_STEP, step, &d);
        int asked[2] = {0, 0};
        for (int u = 0; u < UNITS; u++)
            asked[u >= FRONT] += unit_asked(&d, u);
        int back = asked[1] > 0;
        ck_assert_int_eq(asked[back], back ? 4 : 6); /* a quarter of the region's units */
        ck_assert_int_eq(asked[!back], 0);
        for (int i = 0; i < CELLS; i++) /* the other region is hidden, this one's other units are seen */
            ck_assert_int_eq(d.zero[i], (i % UNITS >= FRONT) != back || d.asked[i]);
    }
    loom_shard_free(s);
    world_free(w);
}
END_TEST

START_TEST(mixes)
{
    struct drawn d;
    int zero = 0, shown = 0, other = 0, asked = 0;
    struct world *w = world_new(ZEROED("hide = 0.5; hide_by = \"time\"; hide_mix = ( 0.6, 0.3, 0.1 );"), 0.0);
    struct loom_shard *s = open_shard(w);
    for (uint64_t step = 0; step < 50; step++) {
        look(w, s, 2, LOOM_STEP, step, &d);
        ck_assert_int_eq(d.n, 10 * UNITS);
        for (int i = 0; i < CELLS; i++) {
            ck_assert(d.asked[i] || (!d.zero[i] && !d.shown[i]));
            ck_assert(!(d.zero[i] && d.shown[i]));
            asked += d.asked[i];
            zero += d.zero[i];
            shown += d.shown[i];
            other += d.asked[i] && !d.zero[i] && !d.shown[i];
        }
    }
    /* 20,000 draws: six standard deviations are 0.021 at most */
    ck_near((double)zero / asked, 0.6, 0.021);
    ck_near((double)other / asked, 0.3, 0.021);
    ck_near((double)shown / asked, 0.1, 0.021);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* What hide_mix leaves as it is carries its count into the view, and says so; whole rows are mixed with mask vectors.
 */
START_TEST(mixes_whole_rows)
{
    struct world *w = world_new(IN_PLACE MAE("hide_how = \"replace\"; hide = 0.5; hide_mix = ( 0.5, 0.0, 0.5 );"), 0.0);
    struct loom_shard *s = open_shard(w);
    int hidden = 0, shown = 0;
    for (uint64_t step = 0; step < 20; step++) {
        ck_ok(loom_shard_plan(s, w->windows.sample, BATCH, LOOM_STEP, step, &w->e), &w->e);
        const struct loom_view *v = loom_shard_view(s, 0);
        const struct loom_rows *full = loom_shard_rows(s), *ask = &v->ask[0];
        ck_assert_int_eq(v->in.rows, full->rows);
        for (int32_t r = 0; r < ask->rows; r++) {
            int32_t at = ask->source[r];
            int is_shown = ask->shown[ask->first_elem[r]];
            ck_assert_int_eq(v->in.state[at], is_shown ? LOOM_SEEN : LOOM_HIDDEN);
            for (int u = 0; u < UNITS; u++) {
                ck_assert_int_eq(ask->shown[ask->first_elem[r] + u], is_shown);
                ck_assert(v->in.value[v->in.first_elem[at] + u] ==
                          (is_shown ? full->value[full->first_elem[at] + u] : 0));
            }
            hidden += !is_shown;
            shown += is_shown;
        }
    }
    ck_assert_int_eq(hidden + shown, 20 * BATCH * 10);
    ck_near((double)shown / (hidden + shown), 0.5, 0.11);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* One scheme a step, the same for all segments and shards; its prompt and causality travel in the view. */
START_TEST(schemes)
{
    static const int number[] = {2, 7, 9, 8}; /* rows of the prompt table, in the order of the option's words */
    int seen[10] = {0};
    struct world *w = world_new(ZEROED("hide_by = ( \"unit\", \"causal\", \"intra_region\", \"inter_region\" );"
                                       " hide_each = ( 0.3, 0.6, 0.25, 1.0 ); hide_prompt = true;"),
                                0.0);
    struct loom_shard *s = open_shard(w);
    struct drawn d;
    for (uint64_t step = 0; step < 60; step++) {
        look(w, s, 0, LOOM_STEP, step, &d);
        ck_assert_int_eq(d.prompts, 1);
        ck_assert(d.prompt >= 0 && d.prompt < 10);
        ck_assert_int_eq(d.causal, d.prompt == 7);
        ck_assert(d.prompt == 2   ? d.n == 12 * FRAMES
                  : d.prompt == 7 ? d.n == 12 * UNITS
                  : d.prompt == 9 ? d.n == 6 * FRAMES || d.n == 4 * FRAMES
                                  : d.n == 24 * FRAMES || d.n == 16 * FRAMES);
        seen[d.prompt]++;
        int now = d.prompt;
        look(w, s, 3, LOOM_STEP, step, &d); /* another segment of the same step */
        ck_assert_int_eq(d.prompt, now);
    }
    for (int k = 0; k < 4; k++)
        ck_assert(seen[number[k]] > 5);
    for (uint64_t draw = 0; draw < 5; draw++) {
        look(w, s, 0, LOOM_EVALUATE, draw, &d);
        ck_assert_int_eq(d.prompt, 2);
    }
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* A window's mask hangs on its key: alone or in company, first or last, it is the same. */
START_TEST(masks_hang_on_keys)
{
    struct world *w = world_new(ZEROED("hide = 0.4; hide_by = \"element\";"), 0.0);
    struct loom_shard *s = open_shard(w);
    struct drawn all, one;
    look(w, s, 2, LOOM_STEP, 3, &all);
    struct loom_sample third = w->windows.sample[2];
    w->windows.sample[0] = third;
    look(w, s, 0, LOOM_STEP, 3, &one);
    ck_assert(memcmp(all.asked, one.asked, sizeof(all.asked)) == 0);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* In the scheme that holds to the past, what is said of a bin stays when later bins change, prompt and all layers
 * included; in the same model asked by times it does not. */
START_TEST(causal_scheme_holds_to_the_past)
{
    for (int causal = 0; causal < 2; causal++) {
        char text[800];
        snprintf(text, sizeof(text),
                 "tokenizer: { plugin = \"bins\"; };"
                 "backbone: { plugin = \"vit\"; width = 16; depth = 3; heads = 2; decoder_depth = 0; };" MAE(
                     "hide_how = \"zero\"; hide = 0.4; hide_prompt = true; hide_by = \"%s\";"),
                 causal ? "causal" : "time");
        struct world *w = world_new(text, 0.0);
        struct loom_shard *s = open_shard(w);
        struct loom_block block;
        ck_ok(loom_block_init(&block, loom_model_store(w->model), &w->e), &w->e);
        run(w, s, 0, 1, LOOM_EVALUATE, 0, &block);
        const struct loom_reading *r = loom_shard_reading(s, 0);
        int32_t n = r->ask->elems, early = 0, late = 0;
        loom_real *before = malloc((size_t)n * sizeof(*before));
        memcpy(before, r->params, (size_t)n * sizeof(*before));
        int64_t origin = w->windows.sample[0].origin_ns / 20000000;
        for (int i = FRAMES / 2; i < FRAMES; i++)
            for (int u = 0; u < UNITS; u++)
                w->count[0][(origin + i) * UNITS + u] = (uint16_t)(w->count[0][(origin + i) * UNITS + u] + 5);
        run(w, s, 0, 1, LOOM_EVALUATE, 0, &block);
        r = loom_shard_reading(s, 0);
        ck_assert_int_eq(r->ask->elems, n);
        for (int32_t row = 0; row < r->ask->rows; row++)
            for (int32_t i = r->ask->first_elem[row]; i < r->ask->first_elem[row + 1]; i++) {
                int differs = memcmp(&before[i], &r->params[i], sizeof(*before)) != 0;
                if (r->ask->axis[0][row] < 0.02 * FRAMES / 2)
                    early += differs;
                else
                    late += differs;
            }
        ck_assert(late > 0);
        ck_assert(causal ? early == 0 : early > 0);
        free(before);
        loom_block_release(&block);
        loom_shard_free(s);
        world_free(w);
    }
}
END_TEST

static int refused(const char *pipeline, struct loom_error *e)
{
    struct world *w = world_new(ZEROED(""), 0.0);
    struct loom_config *c;
    struct loom_model *m = NULL;
    ck_ok(loom_config_parse(&c, pipeline, "bad.cfg", 0, NULL, e), e);
    struct loom_model_spec spec = {.registry = w->registry,
                                   .catalog = w->catalog,
                                   .root = loom_config_root(c),
                                   .stage = loom_config_root(c),
                                   .seed = 5};
    w->unit[3].region = ""; /* one unit without a region */
    int status = loom_model_new(&m, &spec, e);
    loom_model_free(m);
    loom_config_free(c);
    world_free(w);
    return status;
}

START_TEST(refuses_with_the_nearest_choice)
{
    static const char *const bad[][2] = {
        {IN_PLACE MAE("hide_by = \"unit\";"), "hide_how = \"zero\""},
        {IN_PLACE MAE("hide_by = \"element\"; hide_how = \"replace\";"), "hide_how = \"zero\""},
        {ZEROED("hide_by = \"inter_region\";"), "region"},
        {ZEROED("hide_by = ( \"time\", \"row\" ); hide_span = 3;"), "hide_span = 1"},
        {ZEROED("hide_by = ( \"time\", \"row\" ); hide_each = ( 0.5 );"), "one for each"},
        {ZEROED("hide_mix = ( 0.8, 0.1 );"), "three"},
        {ZEROED("hide_mix = ( 0.8, 0.1, 0.3 );"), "1.2"},
        {IN_PLACE MAE("hide_mix = ( 0.8, 0.1, 0.1 );"), "\"replace\""},
        {ZEROED("hide_by = \"region\";"), "inter_region"},
        {ZEROED("hide_by = ();"), "hide_by = \"row\""},
        {IN_PLACE MAE(""), "decoder_depth >= 1"},
    };
    struct loom_error e = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_fails(refused(bad[i][0], &e), LOOM_ECONFIG, &e, bad[i][1]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {exact_counts,
                                  stretches,
                                  regions,
                                  mixes,
                                  mixes_whole_rows,
                                  schemes,
                                  masks_hang_on_keys,
                                  causal_scheme_holds_to_the_past,
                                  refuses_with_the_nearest_choice};
    return run_suite("mask", (int)(sizeof(tests) / sizeof(tests[0])), tests, 120.0);
}
