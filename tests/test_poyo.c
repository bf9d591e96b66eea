/* SPDX-License-Identifier: Apache-2.0 */
/* POYO as a whole against its reference: sizes of the published configurations, outputs, loss and gradients of a tiny
 * model whose parameters are filled from one stream of numbers, and what becomes of spikes. */
#include "suite.h"

#include "model/internal.h"
#include <loom/config.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { UNITS = 3, SPIKES = 5, SAMPLES = 3 };

/* One second of three units, and a hand asked at three times, each of them in an interval table of its own. */
struct world {
    struct loom_recording r;
    struct loom_unit unit[UNITS];
    struct loom_series series;
    struct loom_intervals weigh[SAMPLES];
    struct loom_counts counts;
    uint16_t count[10 * UNITS];
    struct loom_catalog *catalog;
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_model *model;
    struct loom_windows windows;
    struct loom_selection selection;
    struct loom_shard *shard;
    struct loom_block block;
    struct loom_error e;
};

static const int64_t first_spike[] = {0, 2, 3, 5}, first_bin[] = {0, 10};
static const double spike_s[] = {0.0123, 0.7777, 0.5004, 0.25, 0.99}, origin = 0.0, observed[] = {0.0, 1.0};
static const double sample_s[] = {0.1, 0.5, 0.93};
static const float sample[] = {0.2f, -0.1f, 0.0f, 0.3f, -0.4f, 0.1f};
static const char *const dims[] = {"x", "y"}, *const names[] = {"u0", "u1", "u2"}, *const tables[] = {"a", "b", "c"};
static const double from_s[] = {0.05, 0.45, 0.9}, to_s[] = {0.15, 0.55, 0.95};

static void describe(struct world *w, int binned)
{
    for (int u = 0; u < UNITS; u++)
        w->unit[u] = (struct loom_unit){.name = names[u], .group = "", .region = "", .electrode = u};
    w->series = (struct loom_series){"vel", "cm/s", 2, dims, SAMPLES, 0.0, 0.0, sample_s, sample};
    for (int i = 0; i < SAMPLES; i++)
        w->weigh[i] = (struct loom_intervals){tables[i], 1, 0, &from_s[i], &to_s[i], NULL};
    w->count[4 * UNITS + 1] = 2;
    w->count[9 * UNITS + 2] = 1;
    w->counts = (struct loom_counts){0.1, 1, &origin, first_bin, w->count};
    w->r = (struct loom_recording){.id = "monday",
                                   .subject = "s",
                                   .session = "s0",
                                   .task = "t",
                                   .date = "",
                                   .file = "",
                                   .stop_s = 1.0,
                                   .units = UNITS,
                                   .unit = w->unit,
                                   .first_spike = binned ? NULL : first_spike,
                                   .spike_s = binned ? NULL : spike_s,
                                   .counts = binned ? &w->counts : NULL,
                                   .series_count = 1,
                                   .series = &w->series,
                                   .intervals_count = SAMPLES,
                                   .intervals = w->weigh,
                                   .observed_count = 1,
                                   .observed_s = observed};
}

static const struct loom_lora *adapt; /* of worlds made from now on */

static struct world *world_new(const char *pipeline, int binned)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    describe(&w, binned);
    const struct loom_recording *all = &w.r;
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    spec.bin_s = 0.1;
    spec.window_s = 1.0;
    spec.split.fraction[LOOM_TRAIN] = 1.0;
    spec.split.fraction[LOOM_VALID] = spec.split.fraction[LOOM_TEST] = 0.0;
    ck_ok(loom_catalog_new(&w.catalog, &all, 1, &spec, &w.e), &w.e);
    ck_ok(loom_registry_new(&w.registry, NULL, &w.e), &w.e);
    ck_ok(loom_config_parse(&w.config, pipeline, "test.cfg", 0, NULL, &w.e), &w.e);
    struct loom_model_spec m = {.registry = w.registry,
                                .catalog = w.catalog,
                                .root = loom_config_root(w.config),
                                .stage = loom_config_root(w.config),
                                .seed = 5,
                                .lora = adapt};
    ck_ok(loom_model_new(&w.model, &m, &w.e), &w.e);
    ck_ok(loom_selection_init(&w.selection, w.catalog, LOOM_TRAIN, (struct loom_words){0, NULL}, &w.e), &w.e);
    ck_ok(loom_windows_init(&w.windows, &w.selection, &(struct loom_tiling){0}, &w.e), &w.e);
    ck_ok(loom_shard_new(&w.shard, w.model, 1 << 26, &w.e), &w.e);
    ck_ok(loom_block_init(&w.block, loom_model_store(w.model), &w.e), &w.e);
    return &w;
}

static void world_free(struct world *w)
{
    loom_block_release(&w->block);
    loom_shard_free(w->shard);
    loom_model_free(w->model);
    loom_windows_release(&w->windows);
    loom_selection_release(&w->selection);
    loom_config_free(w->config);
    loom_registry_free(w->registry);
    loom_catalog_free(w->catalog);
}

static double run(struct world *w, enum loom_mode mode)
{
    const struct loom_store *store = loom_model_store(w->model);
    double loss = 0.0;
    ck_ok(loom_shard_plan(w->shard, w->windows.sample, 1, mode, 0, &w->e), &w->e);
    ck_ok(loom_shard_build(w->shard, loom_shard_masses(w->shard), &w->block, 1, &w->e), &w->e);
    loom_block_zero(&w->block, store);
    loom_shard_run(w->shard);
    for (int i = 0; i < store->count; i++)
        if (store->entry[i].lifetime == LOOM_LIFE_TERM)
            loss += w->block.term[store->entry[i].offset];
    return loss;
}

/* ---- the golden model ---- */

#define TINY                                                                                                           \
    "tokenizer: { plugin = \"poyo\"; };"                                                                               \
    "modalities: { vel: { plugin = \"series\"; normalize = false; query = \"session\"; }; };"                          \
    "backbone: { plugin = \"perceiver\"; width = 8; head_width = 8; depth = 1; latents = 2; cross_heads = 1;"          \
    " self_heads = 2; t_min_ms = 20.0; t_max_ms = 2000.0; dropout = 0.0; hidden_dropout = 0.0;"                        \
    " attention_dropout = 0.0; };"                                                                                     \
    "objectives: ( { plugin = \"decode\"; target = \"vel\"; weigh = ( \"a\", \"b\", \"c\" );"                          \
    " weigh_by = ( 1.0, 5.0, 0.1 ); } );"

static struct loom_entry *entry(const struct world *w, const char *name)
{
    struct loom_entry *n = loom_store_find(loom_model_store(w->model), LOOM_LIFE_PARAM, name);
    ck_assert_msg(n != NULL, "the model has no parameter %s", name);
    return n;
}

/* Numbers as the reference was filled with: a linear congruential generator, rounded to float once. */
static void fill(struct world *w, uint32_t *x, const char *name)
{
    const struct loom_entry *n = entry(w, name);
    const size_t length = strlen(name);
    const int table = n->vocabulary != NULL;
    const int gain = strstr(name, "norm") != NULL && length > 7 && strcmp(name + length - 7, ".weight") == 0;
    const int64_t skip = table ? n->dim[1] : 0; /* the reference's tables begin with a row for nobody */
    for (int64_t i = -skip; i < n->size; i++) {
        *x = 1664525u * *x + 1013904223u;
        double value = ((double)*x / 4294967296.0 - 0.5) * 0.6;
        if (i >= 0)
            loom_model_store(w->model)->param[n->offset + i] = (float)(value + gain);
    }
}

static const char *const linear_names[] = {".norm2.weight", ".norm2.bias",     ".mlp.in.weight",
                                           ".mlp.in.bias",  ".mlp.out.weight", ".mlp.out.bias"};
static const char *const cross_names[] = {".norm1.weight",         ".norm1.bias",         ".norm_memory.weight",
                                          ".norm_memory.bias",     ".attention.q.weight", ".attention.kv.weight",
                                          ".attention.out.weight", ".attention.out.bias"};
static const char *const self_names[] = {".norm1.weight", ".norm1.bias", ".attention.qkv.weight",
                                         ".attention.out.weight", ".attention.out.bias"};

static void fill_list(struct world *w, uint32_t *x, const char *scope, const char *const *name, size_t n)
{
    char full[128];
    for (size_t i = 0; i < n; i++) {
        snprintf(full, sizeof full, "%s%s", scope, name[i]);
        fill(w, x, full);
    }
}
#define FILL(scope, list) fill_list(w, &x, scope, list, sizeof list / sizeof *list)

static void fill_all(struct world *w)
{
    uint32_t x = 12345;
    fill(w, &x, "tokenizer.spikes.unit");
    fill(w, &x, "tokenizer.vel.session");
    fill(w, &x, "tokenizer.spikes.type");
    fill(w, &x, "backbone.latent");
    FILL("backbone.encoder", cross_names);
    FILL("backbone.encoder", linear_names);
    FILL("backbone.block0", self_names);
    FILL("backbone.block0", linear_names);
    FILL("backbone.vel.decoder", cross_names);
    FILL("backbone.vel.decoder", linear_names);
    fill(w, &x, "head.vel.weight");
    fill(w, &x, "head.vel.bias");
}

static double gradient_norm(const struct world *w, const char *name)
{
    const struct loom_entry *n = entry(w, name);
    double sum = 0.0;
    for (int64_t i = 0; i < n->size; i++)
        sum += (double)w->block.grad[n->offset + i] * (double)w->block.grad[n->offset + i];
    return sqrt(sum);
}

START_TEST(answers_as_published)
{
    static const double expected[] = {0.0716595426, 0.2469018527, 0.0726576201,
                                      0.2468801114, 0.0777133523, 0.2440030638};
    struct world *w = world_new(TINY, 0);
    const loom_real *param = loom_model_store(w->model)->param;
    fill_all(w);
    ck_near(param[entry(w, "tokenizer.spikes.unit")->offset], 0.0576600693, 1e-8);
    ck_near(param[entry(w, "backbone.encoder.norm1.weight")->offset], 0.8658640981, 1e-7);
    ck_near(param[entry(w, "head.vel.bias")->offset + 1], 0.2920713723, 1e-7);
    run(w, LOOM_EVALUATE);
    ck_assert_int_eq(loom_shard_view(w->shard, 0)->in.rows, 2 * UNITS + SPIKES);
    const struct loom_reading *read = loom_shard_reading(w->shard, 0);
    for (int i = 0; i < 2 * SAMPLES; i++)
        ck_near(read->predicted[i], expected[i], sizeof(loom_real) == 8 ? 1e-9 : 2e-7);
    world_free(w);
}
END_TEST

START_TEST(learns_as_published)
{
    static const struct {
        const char *name;
        double norm;
    } expected[] = {
        {"tokenizer.spikes.unit", 0.0016864344},
        {"tokenizer.vel.session", 0.0222762165},
        {"backbone.latent", 0.0053322961},
        {"backbone.encoder.attention.q.weight", 0.0002850975},
        {"backbone.block0.attention.qkv.weight", 0.0107754744},
        {"backbone.vel.decoder.mlp.in.weight", 0.0154684235},
        {"head.vel.bias", 0.0489307961},
    };
    struct world *w = world_new(TINY, 0);
    fill_all(w);
    ck_near(run(w, LOOM_STEP), 0.01657468220, sizeof(loom_real) == 8 ? 1e-10 : 1e-8);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        ck_near(gradient_norm(w, expected[i].name), expected[i].norm, sizeof(loom_real) == 8 ? 1e-9 : 2e-8);
    ck_near(w->block.grad[entry(w, "head.vel.bias")->offset + 1], 1.5688969888e-02,
            sizeof(loom_real) == 8 ? 1e-10 : 1e-7);
    world_free(w);
}
END_TEST

/* ---- sizes ---- */

static int64_t own_parameters(const struct world *w)
{
    const struct loom_store *store = loom_model_store(w->model);
    int64_t n = loom_store_parameters(store);
    for (int i = 0; i < store->count; i++)
        n -= store->entry[i].vocabulary ? store->entry[i].size : 0;
    return n;
}

START_TEST(is_as_large_as_published)
{
    struct world *w = world_new("tokenizer: { plugin = \"poyo\"; };"
                                "modalities: { vel: { plugin = \"series\"; query = \"session\"; }; };"
                                "backbone: { plugin = \"perceiver\"; };"
                                "objectives: ( { plugin = \"decode\"; target = \"vel\"; } );",
                                0);
    ck_assert_int_eq(own_parameters(w), 1254018);
    world_free(w);
    w = world_new("tokenizer: { plugin = \"poyo\"; };"
                  "modalities: { vel: { plugin = \"series\"; query = \"session\"; }; };"
                  "backbone: { plugin = \"perceiver\"; width = 128; depth = 24; latents = 32; cross_heads = 4; };"
                  "objectives: ( { plugin = \"decode\"; target = \"vel\"; } );",
                  0);
    ck_assert_int_eq(own_parameters(w), 11717378);
    world_free(w);
}
END_TEST

/* ---- low-rank factors ---- */

/* Step 0 is the base's to the bit; afterwards the answers are those of the weight W + alpha / rank · B A. */
START_TEST(factors_add_to_weights)
{
    static const char *const word[] = {"backbone.*.attention.*", "head.*"};
    static const struct loom_lora lora = {.rank = 2, .alpha = 3.0, .match = {2, word}};
    loom_real base[2 * SAMPLES], adapted[2 * SAMPLES];
    struct world *w = world_new(TINY, 0);
    fill_all(w);
    run(w, LOOM_EVALUATE);
    memcpy(base, loom_shard_reading(w->shard, 0)->predicted, sizeof base);
    int64_t parameters = own_parameters(w);
    world_free(w);
    adapt = &lora;
    w = world_new(TINY, 0);
    adapt = NULL;
    fill_all(w);
    /* q, kv, out of both ways, qkv, out, head: rank × (in + out) each */
    ck_assert_int_eq(own_parameters(w), parameters + 2 * (2 * (16 + 24 + 16) + (56 + 24) + 10));
    run(w, LOOM_EVALUATE);
    ck_assert(memcmp(base, loom_shard_reading(w->shard, 0)->predicted, sizeof base) == 0);
    const struct loom_entry *a = entry(w, "lora.backbone.block0.attention.qkv.weight.a");
    const struct loom_entry *b = entry(w, "lora.backbone.block0.attention.qkv.weight.b");
    struct loom_store *store = loom_model_store(w->model);
    for (int64_t i = 0; i < b->size; i++) {
        ck_near(store->param[b->offset + i], 0.0, 0.0);
        store->param[b->offset + i] = (loom_real)(0.1 * (double)(i % 7) - 0.3);
    }
    run(w, LOOM_EVALUATE);
    memcpy(adapted, loom_shard_reading(w->shard, 0)->predicted, sizeof adapted);
    ck_assert(fabs((double)(adapted[0] - base[0])) > 1e-6);
    run(w, LOOM_STEP);
    ck_assert(gradient_norm(w, a->name) > 0 && gradient_norm(w, b->name) > 0);
    const struct loom_entry *n = entry(w, "backbone.block0.attention.qkv.weight");
    for (int64_t o = 0; o < n->dim[0]; o++)
        for (int64_t i = 0; i < n->dim[1]; i++)
            for (int64_t r = 0; r < 2; r++)
                store->param[n->offset + o * n->dim[1] + i] +=
                    (loom_real)(1.5 * (double)store->param[b->offset + 2 * o + r] *
                                (double)store->param[a->offset + r * n->dim[1] + i]);
    memset(store->param + b->offset, 0, (size_t)b->size * sizeof *store->param);
    run(w, LOOM_EVALUATE);
    for (int i = 0; i < 2 * SAMPLES; i++)
        ck_near(loom_shard_reading(w->shard, 0)->predicted[i], adapted[i], 1e-6);
    world_free(w);
}
END_TEST

/* ---- tokens ---- */

START_TEST(counts_become_tokens)
{
    static const double time[] = {0, 0, 0, 0.45, 0.45, 0.95, 1, 1, 1};
    static const int32_t who[] = {1, 5, 9, 4, 4, 8, 2, 6, 10};
    struct world *w = world_new(TINY, 1);
    run(w, LOOM_EVALUATE);
    const struct loom_rows *rows = &loom_shard_view(w->shard, 0)->in;
    ck_assert_int_eq(rows->rows, 9);
    for (int r = 0; r < 9; r++) {
        ck_near(rows->axis[0][r], time[r], 1e-12);
        ck_assert_int_eq(rows->layout_of[rows->layout[r]].index[0], who[r]);
    }
    world_free(w);
}
END_TEST

/* ---- weights of times ---- */

START_TEST(weights_follow_intervals)
{
    struct world *w = world_new(TINY, 0);
    run(w, LOOM_STEP);
    const struct loom_rows *ask = &loom_shard_view(w->shard, 0)->ask[1];
    ck_near(ask->weight[1], 1.0, 0.0);
    ck_near(ask->weight[2], 5.0, 0.0);
    ck_near(ask->weight[5], (double)(loom_real)0.1, 0.0);
    run(w, LOOM_EVALUATE);
    ask = &loom_shard_view(w->shard, 0)->ask[1];
    for (int i = 0; i < 2 * SAMPLES; i++)
        ck_near(ask->weight[i], 1.0, 0.0);
    world_free(w);
    w = world_new("tokenizer: { plugin = \"poyo\"; };"
                  "backbone: { plugin = \"perceiver\"; width = 8; head_width = 8; depth = 0; latents = 1; };"
                  "objectives: ( { plugin = \"decode\"; target = \"vel\"; weigh = ( \"a\" ); weigh_by = ( 0.0 );"
                  " score = \"b\"; } );",
                  0);
    run(w, LOOM_STEP);
    ask = &loom_shard_view(w->shard, 0)->ask[1];
    ck_near(ask->weight[0], 0.0, 0.0);
    ck_near(ask->weight[4], 1.0, 0.0);
    run(w, LOOM_EVALUATE);
    ask = &loom_shard_view(w->shard, 0)->ask[1];
    ck_near(ask->weight[0], 0.0, 0.0);
    ck_near(ask->weight[2], 1.0, 0.0);
    ck_near(ask->weight[4], 0.0, 0.0);
    world_free(w);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {answers_as_published,   learns_as_published,  is_as_large_as_published,
                                  factors_add_to_weights, counts_become_tokens, weights_follow_intervals};
    return run_suite("poyo", (int)(sizeof(tests) / sizeof(tests[0])), tests, 120.0);
}
