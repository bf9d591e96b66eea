/* SPDX-License-Identifier: Apache-2.0 */
/* The walk: masks, views, leaks, batch independence, gradients of a whole model, learning. */
#include "world.h"

#define JOINT                                                                                                          \
    "tokenizer: { plugin = \"ndt2\"; patch_units = 16; dropout = 0.0; };"                                              \
    "backbone: { plugin = \"vit\"; width = 32; depth = 2; heads = 2; decoder_depth = 1; dropout = 0.0;"                \
    " attention_dropout = 0.0; context = ( \"session\", \"subject\" ); };"                                             \
    "objectives: ( { plugin = \"mae\"; hide = 0.5; }, { plugin = \"decode\"; target = \"vel\"; } );"

START_TEST(hides_exactly_half)
{
    struct world *w = world_new(JOINT, 0.0);
    struct loom_shard *s;
    struct loom_block block;
    ck_ok(loom_shard_new(&s, w->model, 1 << 26, &w->e), &w->e);
    ck_ok(loom_block_init(&block, loom_model_store(w->model), &w->e), &w->e);
    run(w, s, 0, BATCH, LOOM_STEP, 0, &block);
    /* 20 bins of 3 patches (40 units of 16): 60 rows a window, 30 of them hidden; the mass is what is asked */
    double mass = -1.0, segments = -1.0;
    const struct loom_masses *m = loom_shard_masses(s);
    for (int i = 0; i < m->n; i++) {
        mass = strcmp(m->name[i], "mae.elements") == 0 ? m->amount[i] : mass;
        segments = strcmp(m->name[i], "segments") == 0 ? m->amount[i] : segments;
    }
    ck_near(segments, BATCH, 0.0);
    ck_assert(mass > 8.0 * 30 * BATCH && mass <= 16.0 * 30 * BATCH);
    ck_assert_int_eq(loom_shard_tokens(s), BATCH * (30 + 30 + 20));
    loom_block_release(&block);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* NDT2's encoder block of width 256 and feed-forward factor 1 has 395,776 parameters. */
START_TEST(counts_parameters)
{
    struct world *w = world_new("tokenizer: { plugin = \"ndt2\"; patch_units = 32; };"
                                "backbone: { plugin = \"vit\"; width = 256; depth = 6; heads = 4; decoder_depth = 2; };"
                                "objectives: ( { plugin = \"mae\"; } );",
                                0.0);
    int64_t block = 0, blocks = 0;
    const struct loom_store *s = loom_model_store(w->model);
    for (int i = 0; i < s->count; i++) {
        if (s->entry[i].lifetime != LOOM_LIFE_PARAM)
            continue;
        if (strncmp(s->entry[i].name, "backbone.block0.", 16) == 0)
            block += s->entry[i].size;
        if (strstr(s->entry[i].name, ".block"))
            blocks += s->entry[i].size;
    }
    ck_assert_int_eq(block, 395776);
    ck_assert_int_eq(blocks, 8 * 395776);
    world_free(w);
}
END_TEST

/* What is hidden cannot change what is predicted; what is seen does. */
START_TEST(mask_does_not_leak)
{
    struct world *w = world_new(JOINT, 0.0);
    struct loom_shard *s;
    struct loom_block block;
    ck_ok(loom_shard_new(&s, w->model, 1 << 26, &w->e), &w->e);
    ck_ok(loom_block_init(&block, loom_model_store(w->model), &w->e), &w->e);
    run(w, s, 0, 1, LOOM_EVALUATE, 0, &block);
    const struct loom_reading *r = loom_shard_reading(s, 0);
    const int n = r->ask->elems;
    loom_real *before = malloc((size_t)n * sizeof(*before));
    memcpy(before, r->params, (size_t)n * sizeof(*before));
    /* Change the counts of every asked element on disk, and of nothing else. */
    int64_t origin = (int64_t)(w->windows.sample[0].origin_ns / 20000000);
    int changed = 0;
    for (int32_t i = 0; i < r->ask->rows; i++) {
        int64_t bin = origin + (int64_t)floor(r->ask->axis[0][i] / 0.02);
        const struct loom_layout *l = &r->ask->layout_of[r->ask->layout[i]];
        for (int32_t k = 0; k < l->n; k++, changed++)
            w->count[0][bin * UNITS + l->index[k]] = (uint16_t)(w->count[0][bin * UNITS + l->index[k]] + 3);
    }
    ck_assert_int_gt(changed, 100);
    run(w, s, 0, 1, LOOM_EVALUATE, 0, &block);
    r = loom_shard_reading(s, 0);
    ck_assert_int_eq(r->ask->elems, n);
    ck_assert(memcmp(before, r->params, (size_t)n * sizeof(*before)) == 0);
    for (int i = 0; i < BINS * UNITS; i++)
        w->count[0][i] = (uint16_t)(w->count[0][i] + 1);
    run(w, s, 0, 1, LOOM_EVALUATE, 0, &block);
    r = loom_shard_reading(s, 0);
    ck_assert(memcmp(before, r->params, (size_t)n * sizeof(*before)) != 0);
    free(before);
    loom_block_release(&block);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* Held-out units are asked with their true counts, and read 0 in every input. */
START_TEST(held_out_is_asked_and_not_seen)
{
    struct world *w = world_new(JOINT, 0.25);
    struct loom_shard *s;
    struct loom_block block;
    ck_ok(loom_shard_new(&s, w->model, 1 << 26, &w->e), &w->e);
    ck_ok(loom_block_init(&block, loom_model_store(w->model), &w->e), &w->e);
    run(w, s, 0, 1, LOOM_EVALUATE, 0, &block);
    const struct loom_reading *r = loom_shard_reading(s, 0);
    int held = 0;
    double spikes = 0.0;
    for (int32_t i = 0; i < r->ask->elems; i++)
        if (r->ask->held[i] == 1) {
            held++;
            ck_assert(r->weight[i] == 1);
            ck_assert(r->ask->value[i] == 0);
            spikes += (double)r->target[i];
        }
    ck_assert_int_eq(held, 20 * 10); /* every bin of 10 units */
    ck_assert(spikes > 50.0);
    int n = r->ask->elems;
    loom_real *before = malloc((size_t)n * sizeof(*before));
    memcpy(before, r->params, (size_t)n * sizeof(*before));
    const uint8_t *held_unit = loom_catalog_held(w->catalog, 0);
    for (int i = 0; i < BINS * UNITS; i++)
        if (held_unit[i % UNITS])
            w->count[0][i] = 50;
    run(w, s, 0, 1, LOOM_EVALUATE, 0, &block);
    ck_assert(memcmp(before, loom_shard_reading(s, 0)->params, (size_t)n * sizeof(*before)) == 0);
    free(before);
    loom_block_release(&block);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* A window's predictions have the same bits alone and in any company. */
START_TEST(batch_independence)
{
    struct world *w = world_new(JOINT, 0.0);
    struct loom_shard *s;
    struct loom_block block;
    ck_ok(loom_shard_new(&s, w->model, 1 << 26, &w->e), &w->e);
    ck_ok(loom_block_init(&block, loom_model_store(w->model), &w->e), &w->e);
    run(w, s, 0, BATCH, LOOM_EVALUATE, 0, &block);
    loom_real kept[4][4096];
    int32_t count[4];
    for (int i = 0; i < 2; i++) {
        const struct loom_reading *r = loom_shard_reading(s, i);
        int32_t from = r->ask->first_elem[r->ask->first_row[2]], to = r->ask->first_elem[r->ask->first_row[3]];
        count[i] = to - from;
        memcpy(kept[i], r->params + from, (size_t)count[i] * sizeof(loom_real));
    }
    run(w, s, 2, 1, LOOM_EVALUATE, 0, &block);
    for (int i = 0; i < 2; i++) {
        const struct loom_reading *r = loom_shard_reading(s, i);
        ck_assert_int_eq(r->ask->elems, count[i]);
        ck_assert(memcmp(kept[i], r->params, (size_t)count[i] * sizeof(loom_real)) == 0);
    }
    loom_block_release(&block);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* The loss's slope along its gradient, and along random directions, against differences of the loss. */
START_TEST(gradient_of_the_whole)
{
    struct world *w = world_new(JOINT, 0.0);
    struct loom_store *store = loom_model_store(w->model);
    struct loom_shard *s;
    struct loom_block block, scratch;
    struct loom_rng g;
    const double eps = sizeof(loom_real) == 8 ? 1e-6 : 3e-3, tol = sizeof(loom_real) == 8 ? 1e-6 : 2e-2;
    int64_t n = store->size[LOOM_LIFE_PARAM];
    loom_real *origin = malloc((size_t)n * sizeof(*origin));
    double *direction = malloc((size_t)n * sizeof(*direction));
    ck_ok(loom_shard_new(&s, w->model, 1 << 26, &w->e), &w->e);
    ck_ok(loom_block_init(&block, store, &w->e), &w->e);
    ck_ok(loom_block_init(&scratch, store, &w->e), &w->e);
    run(w, s, 0, 2, LOOM_STEP, 0, &block);
    memcpy(origin, store->param, (size_t)n * sizeof(*origin));
    loom_rng_init(&g, 1, "direction", 0, 0);
    for (int trial = 0; trial < 3; trial++) {
        double length = 0.0, slope = 0.0;
        for (int64_t i = 0; i < n; i++) {
            direction[i] = trial == 0 ? (double)block.grad[i] : loom_rng_normal(&g);
            length += direction[i] * direction[i];
        }
        length = sqrt(length);
        ck_assert(length > 0.0);
        double loss[2];
        for (int side = 0; side < 2; side++) {
            for (int64_t i = 0; i < n; i++)
                store->param[i] = (loom_real)((double)origin[i] + (side ? 1 : -1) * eps * direction[i] / length);
            loss[side] = run(w, s, 0, 2, LOOM_STEP, 0, &scratch);
        }
        for (int64_t i = 0; i < n; i++)
            slope += (double)block.grad[i] * direction[i] / length;
        ck_near((loss[1] - loss[0]) / (2.0 * eps), slope, tol * (fabs(slope) + 0.05));
    }
    free(origin);
    free(direction);
    loom_block_release(&block);
    loom_block_release(&scratch);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* Plain descent on one batch: the loss falls, and every parameter that took part got a gradient. */
START_TEST(learns)
{
    struct world *w = world_new(JOINT, 0.0);
    struct loom_store *store = loom_model_store(w->model);
    struct loom_shard *s;
    struct loom_block block;
    ck_ok(loom_shard_new(&s, w->model, 1 << 26, &w->e), &w->e);
    ck_ok(loom_block_init(&block, store, &w->e), &w->e);
    double first = 0.0, last = 0.0;
    for (int i = 0; i < 60; i++) {
        last = run(w, s, 0, BATCH, LOOM_STEP, 0, &block);
        first = i == 0 ? last : first;
        for (int64_t k = 0; k < store->size[LOOM_LIFE_PARAM]; k++)
            store->param[k] -= (loom_real)0.02 * block.grad[k] / (loom_real)(1.0 + fabs((double)block.grad[k]));
    }
    ck_assert(last < 0.8 * first);
    for (int i = 0; i < store->count; i++) {
        const struct loom_entry *n = &store->entry[i];
        double most = 0.0;
        for (int64_t k = 0; n->lifetime == LOOM_LIFE_PARAM && k < n->size; k++)
            most = fmax(most, fabs((double)block.grad[n->offset + k]));
        if (n->lifetime == LOOM_LIFE_PARAM && !(most > 0.0))
            ck_abort_msg("'%s' got no gradient", n->name);
    }
    loom_block_release(&block);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

/* One-bin rows with units by name (NDT1): in place, masked by zeros, no decoder. */
START_TEST(bins_in_place)
{
    struct world *w =
        world_new("tokenizer: { plugin = \"bins\"; };"
                  "backbone: { plugin = \"vit\"; width = 32; depth = 2; heads = 2; decoder_depth = 0; };"
                  "objectives: ( { plugin = \"mae\"; hide = 0.2; hide_by = \"time\"; hide_how = \"zero\"; } );",
                  0.0);
    struct loom_shard *s;
    struct loom_block block;
    ck_ok(loom_shard_new(&s, w->model, 1 << 26, &w->e), &w->e);
    ck_ok(loom_block_init(&block, loom_model_store(w->model), &w->e), &w->e);
    double loss = run(w, s, 0, BATCH, LOOM_EVALUATE, 0, &block);
    ck_assert(loss > 0.0 && loss < 10.0);
    ck_assert_int_eq(loom_shard_reading(s, 0)->ask->rows, BATCH * 4);
    loom_block_release(&block);
    loom_shard_free(s);
    world_free(w);
}
END_TEST

static int refused(const char *pipeline, struct loom_error *e)
{
    struct world *w = world_new(JOINT, 0.0);
    struct loom_config *c;
    struct loom_model *m = NULL;
    ck_ok(loom_config_parse(&c, pipeline, "bad.cfg", 0, NULL, e), e);
    struct loom_model_spec spec = {.registry = w->registry,
                                   .catalog = w->catalog,
                                   .root = loom_config_root(c),
                                   .stage = loom_config_root(c),
                                   .seed = 5};
    int status = loom_model_new(&m, &spec, e);
    loom_model_free(m);
    loom_config_free(c);
    world_free(w);
    return status;
}

START_TEST(refuses_with_a_remedy)
{
    struct loom_error e = {0};
#define TOK "tokenizer: { plugin = \"ndt2\"; patch_units = 16; };"
#define VIT(more) "backbone: { plugin = \"vit\"; width = 32; heads = 2; depth = 1; " more " };"
#define MAE "objectives: ( { plugin = \"mae\"; } );"
    ck_fails(refused(VIT("") MAE, &e), LOOM_ECONFIG, &e, "no tokenizer");
    ck_fails(refused(TOK MAE, &e), LOOM_ECONFIG, &e, "no backbone");
    ck_fails(refused(TOK VIT(""), &e), LOOM_ECONFIG, &e, "objectives");
    ck_fails(refused(TOK VIT("decoder_depth = 0;") MAE, &e), LOOM_ECONFIG, &e, "decoder_depth >= 1");
    ck_fails(refused(TOK VIT("") "objectives: ( { plugin = \"mae\"; hyde = 0.5; } );", &e), LOOM_ECONFIG, &e, "'hide'");
    ck_fails(refused(TOK VIT("") "objectives: ( { plugin = \"may\"; } );", &e), LOOM_EPLUGIN, &e, "mae");
    ck_fails(refused(TOK VIT("") "objectives: ( { plugin = \"decode\"; target = \"vell\"; } );", &e), LOOM_EDATA, &e,
             "vel");
    ck_fails(refused("tokenizer: { plugin = \"ndt2\"; patch_units = 24; };" VIT("") MAE, &e), LOOM_ECONFIG, &e,
             "patch_units");
    ck_fails(refused(TOK "backbone: { plugin = \"vit\"; width = 30; heads = 4; };" MAE, &e), LOOM_ECONFIG, &e,
             "multiple");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {hides_exactly_half,
                                  counts_parameters,
                                  mask_does_not_leak,
                                  held_out_is_asked_and_not_seen,
                                  batch_independence,
                                  gradient_of_the_whole,
                                  learns,
                                  bins_in_place,
                                  refuses_with_a_remedy};
    return run_suite("model", (int)(sizeof(tests) / sizeof(tests[0])), tests, 120.0);
}
