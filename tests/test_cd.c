/* SPDX-License-Identifier: Apache-2.0 */
/* Coordinated dropout: what is hidden, what is scaled, what teaches, and what training never meets. */
#include "world.h"

#define NET                                                                                                            \
    "tokenizer: { plugin = \"bins\"; };"                                                                               \
    "backbone: { plugin = \"vit\"; width = 32; depth = 1; heads = 2; decoder_depth = 0; dropout = 0.0;"                \
    " attention_dropout = 0.0; };"
#define CD(more) NET "objectives: ( { plugin = \"cd\"; " more " } );"

enum { CELLS = 20 * UNITS };

struct bench {
    struct world *w;
    struct loom_shard *s;
    struct loom_block block;
};

static struct bench bench_new(const char *pipeline)
{
    struct bench b = {.w = world_new(pipeline, 0.0)};
    for (int k = 0; k < RECORDINGS; k++)
        for (int i = 0; i < BINS * UNITS; i++)
            b.w->count[k][i] = (uint16_t)(b.w->count[k][i] + 1);
    ck_ok(loom_shard_new(&b.s, b.w->model, 1 << 26, &b.w->e), &b.w->e);
    ck_ok(loom_block_init(&b.block, loom_model_store(b.w->model), &b.w->e), &b.w->e);
    return b;
}

static void bench_free(struct bench *b)
{
    loom_block_release(&b->block);
    loom_shard_free(b->s);
    world_free(b->w);
}

static void plan(struct bench *b, enum loom_mode mode, uint64_t step)
{
    ck_ok(loom_shard_plan(b->s, b->w->windows.sample, BATCH, mode, step, &b->w->e), &b->w->e);
}

static double term(const struct bench *b, const char *name)
{
    const struct loom_entry *n = loom_store_find(loom_model_store(b->w->model), LOOM_LIFE_TERM, name);
    ck_assert_ptr_nonnull(n);
    return b->block.term[n->offset];
}

START_TEST(hides_and_scales)
{
    struct bench b = bench_new(CD("rate = 0.3;"));
    int hidden = 0, all = 0;
    for (uint64_t step = 0; step < 10; step++) {
        plan(&b, LOOM_STEP, step);
        const struct loom_rows *full = loom_shard_rows(b.s), *in = &loom_shard_view(b.s, 0)->in,
                               *ask = &loom_shard_view(b.s, 0)->ask[0];
        ck_assert_int_eq(in->elems, full->elems);
        ck_assert_int_eq(ask->elems, full->elems);
        for (int32_t i = 0; i < full->elems; i++) {
            ck_assert(ask->weight[i] == 1);
            ck_assert(ask->target[i] == full->value[i]);
            if (ask->shown[i])
                ck_near(in->value[i], (double)full->value[i] / 0.7, 1e-5);
            else
                ck_assert(in->value[i] == 0);
            hidden += !ask->shown[i];
            all++;
        }
    }
    ck_near((double)hidden / all, 0.3, 0.015); /* 32,000 draws: six standard deviations */
    bench_free(&b);
}
END_TEST

/* With nothing hidden scored, nothing teaches, whatever is shown: every gradient is exactly 0, and the value over all
 * is still logged. */
START_TEST(what_is_shown_does_not_teach)
{
    struct bench b = bench_new(CD("rate = 0.3;"));
    const struct loom_store *store = loom_model_store(b.w->model);
    double values[2];
    for (int part = 0; part < 2; part++) { /* 0: nothing hidden is scored; 1: nothing shown is */
        plan(&b, LOOM_STEP, 1);
        const struct loom_rows *ask = &loom_shard_view(b.s, 0)->ask[0];
        loom_real *weight = (loom_real *)(uintptr_t)ask->weight;
        for (int32_t i = 0; i < ask->elems; i++)
            weight[i] = ask->shown[i] == part ? 0 : weight[i];
        loom_block_zero(&b.block, store);
        ck_ok(loom_shard_build(b.s, loom_shard_masses(b.s), &b.block, 1, &b.w->e), &b.w->e);
        loom_shard_run(b.s);
        double most = 0.0;
        for (int64_t i = 0; i < store->size[LOOM_LIFE_PARAM]; i++)
            most = fmax(most, fabs((double)b.block.grad[i]));
        ck_assert(part ? most > 1e-4 : most == 0.0);
        ck_assert(part ? term(&b, "cd") > 0.0 : term(&b, "cd") == 0.0);
        values[part] = term(&b, "cd.all");
        ck_assert(values[part] > 0.0);
    }
    run(b.w, b.s, 0, BATCH, LOOM_STEP, 1, &b.block);
    ck_near(term(&b, "cd.all"), values[0] + values[1], 1e-6);
    ck_near(term(&b, "cd"), values[1], 1e-6);
    bench_free(&b);
}
END_TEST

/* Over what was hidden, the loss is larger by the share that was; rate 0 hides nothing, and everything teaches. */
START_TEST(denominators)
{
    struct bench b = bench_new(CD("rate = 0.3;"));
    run(b.w, b.s, 0, BATCH, LOOM_STEP, 1, &b.block);
    double over_all = term(&b, "cd"), hidden = 0.0;
    const struct loom_rows *ask = &loom_shard_view(b.s, 0)->ask[0];
    for (int32_t i = 0; i < ask->elems; i++)
        hidden += !ask->shown[i];
    double share = hidden / ask->elems;
    bench_free(&b);
    b = bench_new(CD("rate = 0.3; over = \"hidden\";"));
    run(b.w, b.s, 0, BATCH, LOOM_STEP, 1, &b.block);
    ck_near(term(&b, "cd"), over_all / share, 1e-5);
    bench_free(&b);
    b = bench_new(CD("rate = 0.0;"));
    run(b.w, b.s, 0, BATCH, LOOM_STEP, 1, &b.block);
    ck_near(term(&b, "cd"), term(&b, "cd.all"), 1e-9);
    ck_assert(term(&b, "cd") > over_all);
    bench_free(&b);
}
END_TEST

/* The samples are the same cells in every step and in evaluation: never shown, asked in evaluation alone. */
START_TEST(samples_are_never_met)
{
    struct bench b = bench_new(CD("rate = 0.2; sample = 0.25;"));
    static uint8_t sample[BATCH * CELLS];
    int n = 0;
    plan(&b, LOOM_EVALUATE, 0);
    const struct loom_rows *ask = &loom_shard_view(b.s, 0)->ask[0];
    ck_assert_int_eq(ask->elems, BATCH * CELLS);
    for (int32_t i = 0; i < ask->elems; i++)
        n += sample[i] = ask->weight[i] > 0;
    ck_near((double)n / ask->elems, 0.25, 0.05);
    for (int32_t i = 0; i < ask->elems; i++) {
        double value = (double)loom_shard_view(b.s, 0)->in.value[i];
        ck_near(value, sample[i] ? 0.0 : (double)loom_shard_rows(b.s)->value[i] / 0.75, 1e-5);
        ck_assert(!ask->shown[i]);
    }
    for (uint64_t step = 0; step < 5; step++) {
        plan(&b, LOOM_STEP, step);
        const struct loom_view *v = loom_shard_view(b.s, 0);
        for (int32_t r = 0; r < v->ask[0].rows; r++)
            for (int32_t i = v->ask[0].first_elem[r], u = 0; u < UNITS; i++, u++) {
                int cell = v->ask[0].source[r] * UNITS + u;
                ck_assert(!sample[cell] || v->ask[0].weight[i] == 0);
                ck_assert(!sample[cell] || v->in.value[cell] == 0);
                ck_assert(sample[cell] || v->ask[0].weight[i] == 1);
            }
    }
    bench_free(&b);
}
END_TEST

/* evaluate = "hidden" draws as training does and scores that alone; "seen" shows all and scores all. */
START_TEST(evaluations)
{
    struct bench b = bench_new(CD("rate = 0.3;"));
    plan(&b, LOOM_EVALUATE, 0);
    const struct loom_rows *ask = &loom_shard_view(b.s, 0)->ask[0];
    int scored = 0;
    for (int32_t i = 0; i < ask->elems; i++) {
        ck_assert(!(ask->weight[i] > 0) || loom_shard_view(b.s, 0)->in.value[i] == 0);
        scored += ask->weight[i] > 0;
    }
    ck_near((double)scored / ask->elems, 0.3, 0.05);
    bench_free(&b);
    b = bench_new(CD("rate = 0.3; evaluate = \"seen\";"));
    plan(&b, LOOM_EVALUATE, 0);
    ask = &loom_shard_view(b.s, 0)->ask[0];
    for (int32_t i = 0; i < ask->elems; i++) {
        ck_assert(ask->weight[i] == 1 && ask->shown[i]);
        ck_assert(loom_shard_view(b.s, 0)->in.value[i] == loom_shard_rows(b.s)->value[i]);
    }
    bench_free(&b);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {hides_and_scales, what_is_shown_does_not_teach, denominators, samples_are_never_met,
                                  evaluations};
    return run_suite("cd", (int)(sizeof(tests) / sizeof(tests[0])), tests, 120.0);
}
