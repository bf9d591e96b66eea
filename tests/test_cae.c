/* SPDX-License-Identifier: Apache-2.0 */
/* The context autoencoder: what the decoder may see, what the alignment's target is and where its gradient goes. */
#include "world.h"

#include "train/optimizer.h"

#define NET(more)                                                                                                      \
    "tokenizer: { plugin = \"ndt2\"; patch_units = 16; dropout = 0.0; };"                                              \
    "backbone: { plugin = \"cae\"; width = 32; depth = 1; heads = 2; decoder_depth = 1; dropout = 0.0;"                \
    " attention_dropout = 0.0; layer_scale = 1.0; context = ( \"session\" ); " more " };"
#define CAE(more) "objectives: ( { plugin = \"cae\"; hide = 0.5; " more " } );"
#define BOTH NET("") CAE("")

struct bench {
    struct world *w;
    struct loom_store *store;
    struct loom_shard *s;
    struct loom_block block;
};

static struct bench bench_new(const char *pipeline, int shadow)
{
    struct bench b = {.w = world_shadowed(pipeline, 0.0, shadow)};
    b.store = loom_model_store(b.w->model);
    ck_ok(loom_shard_new(&b.s, b.w->model, 1 << 26, &b.w->e), &b.w->e);
    ck_ok(loom_block_init(&b.block, b.store, &b.w->e), &b.w->e);
    return b;
}

static void bench_free(struct bench *b)
{
    loom_block_release(&b->block);
    loom_shard_free(b->s);
    world_free(b->w);
}

static double term(const struct bench *b, const char *name)
{
    const struct loom_entry *n = loom_store_find(b->store, LOOM_LIFE_TERM, name);
    ck_assert_ptr_nonnull(n);
    return b->block.term[n->offset];
}

static loom_real *copy(const loom_real *x, int64_t n)
{
    loom_real *to = malloc((size_t)n * sizeof(*to) + 1);
    memcpy(to, x, (size_t)n * sizeof(*to));
    return to;
}

/* Counts that view 0 shows are changed, on disk. */
static void change_seen(struct bench *b)
{
    const struct loom_view *v = loom_shard_view(b->s, 0);
    int64_t origin = b->w->windows.sample[0].origin_ns / 20000000;
    for (int32_t i = 0; i < v->in.rows; i++) {
        int64_t bin = origin + (int64_t)floor(v->in.axis[0][i] / 0.02);
        const struct loom_layout *l = &v->in.layout_of[v->in.layout[i]];
        for (int32_t k = 0; k < l->n; k++)
            b->w->count[0][bin * UNITS + l->index[k]] = (uint16_t)(b->w->count[0][bin * UNITS + l->index[k]] + 2);
    }
}

/* Answers before and after the seen counts were changed: 1 if one bit differs. */
static int hangs_on_seen(const char *pipeline)
{
    struct bench b = bench_new(pipeline, 0);
    run(b.w, b.s, 0, 1, LOOM_EVALUATE, 0, &b.block);
    const struct loom_reading *r = loom_shard_reading(b.s, 0);
    int64_t n = r->ask->elems;
    loom_real *before = copy(r->params, n);
    change_seen(&b);
    run(b.w, b.s, 0, 1, LOOM_EVALUATE, 0, &b.block);
    r = loom_shard_reading(b.s, 0);
    ck_assert_int_eq(r->ask->elems, n);
    int differs = memcmp(before, r->params, (size_t)n * sizeof(*before)) != 0;
    free(before);
    bench_free(&b);
    return differs;
}

/* Where the regressor has no blocks its answer is that of places alone; the decoder, of any depth, then knows nothing
 * of what is seen. With a regressor it does. */
START_TEST(decoder_sees_the_regressor_alone)
{
    ck_assert(hangs_on_seen(NET("") CAE("")));
    ck_assert(!hangs_on_seen(NET("regressor_depth = 0;") CAE("")));
}
END_TEST

/* One block of the regressor: q, v and out with biases, k without; norms of q, k, v and of the sum; the MLP. */
START_TEST(counts_parameters)
{
    struct bench b = bench_new(BOTH, 0);
    int64_t block = 0, W = 32;
    for (int i = 0; i < b.store->count; i++) {
        const struct loom_entry *n = &b.store->entry[i];
        if (n->lifetime == LOOM_LIFE_PARAM && strstr(n->name, "backbone.spikes.regressor.block0."))
            block += n->size;
        ck_assert(!strstr(n->name, "attention.k.bias"));
    }
    ck_assert_int_eq(block, 3 * (W * W + W) + W * W + (4 * 2 + 2) * W + 2 * (W * W + W));
    bench_free(&b);
}
END_TEST

/* View 1 holds what view 0 left out, and nothing else. */
START_TEST(views_are_complements)
{
    struct bench b = bench_new(BOTH, 0);
    run(b.w, b.s, 0, BATCH, LOOM_STEP, 3, &b.block);
    const struct loom_view *seen = loom_shard_view(b.s, 0), *other = loom_shard_view(b.s, 1);
    const struct loom_rows *full = loom_shard_rows(b.s);
    ck_assert_int_eq(other->in.rows, seen->ask[0].rows);
    ck_assert_int_eq(other->in.rows + seen->in.rows, full->rows);
    for (int32_t r = 0; r < other->in.rows; r++) {
        ck_assert_int_eq(other->in.source[r], seen->ask[0].source[r]);
        for (int32_t k = 0; k < seen->in.rows; k++)
            ck_assert_int_ne(other->in.source[r], seen->in.source[k]);
        int32_t at = other->in.first_elem[r], from = full->first_elem[other->in.source[r]];
        for (int32_t i = at; i < other->in.first_elem[r + 1]; i++)
            ck_assert(other->in.value[i] == full->value[from + i - at]);
    }
    bench_free(&b);
}
END_TEST

/* Without a moving average the target is the encoder's own; with one that equals the weights, the same bits. */
START_TEST(target_is_the_encoder)
{
    struct bench own = bench_new(BOTH, 0);
    double loss = run(own.w, own.s, 0, BATCH, LOOM_STEP, 0, &own.block), align = term(&own, "cae.align");
    int64_t n = own.store->size[LOOM_LIFE_PARAM];
    loom_real *grad = copy(own.block.grad, n);
    ck_assert(align > 0.0);
    bench_free(&own);
    struct bench b = bench_new(BOTH, 1);
    ck_assert_int_eq(memcmp(b.store->shadow, b.store->param, (size_t)n * sizeof(loom_real)), 0);
    ck_assert(run(b.w, b.s, 0, BATCH, LOOM_STEP, 0, &b.block) == loss);
    ck_assert(term(&b, "cae.align") == align);
    ck_assert_int_eq(memcmp(b.block.grad, grad, (size_t)n * sizeof(*grad)), 0);
    for (int64_t i = 0; i < n; i++)
        b.store->shadow[i] = (loom_real)(0.5 * b.store->shadow[i]);
    run(b.w, b.s, 0, BATCH, LOOM_STEP, 0, &b.block);
    ck_assert(term(&b, "cae.align") != align);
    free(grad);
    bench_free(&b);
}
END_TEST

/* Row by row, align × the mean squared error stands beside the sum of the row's losses. Behind a norm that has not
 * learned yet, the error is twice what the cosine lacks of 1. */
START_TEST(weighs_rows)
{
    struct bench b = bench_new(NET("") CAE("align = 3.0;"), 0);
    run(b.w, b.s, 0, BATCH, LOOM_STEP, 0, &b.block);
    const struct loom_rows *ask = &loom_shard_view(b.s, 0)->ask[0];
    double elements = loom_rows_scored(ask), rows = loom_shard_view(b.s, 1)->in.rows;
    ck_assert(elements > 4.0 * rows);
    ck_near(term(&b, "cae.align"), 3.0 * 2.0 * (1.0 - term(&b, "cae.cosine")) * rows / elements, 1e-4);
    bench_free(&b);
}
END_TEST

/* decay 0: the average is the weights after every step; decay 0.75: three parts of it stay. */
START_TEST(target_follows_the_weights)
{
    struct bench b = bench_new(BOTH, 1);
    int64_t n = b.store->size[LOOM_LIFE_PARAM];
    double norm;
    for (int k = 0; k < 2; k++) {
        struct loom_optimizer o = {0};
        const struct loom_optimizer_spec spec = {
            .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .clip = 1.0, .shadow_decay = k ? 0.75 : 0.0};
        loom_real *old = copy(b.store->shadow, n);
        struct loom_pool *pool;
        ck_ok(loom_pool_new(&pool, 1, &b.w->e), &b.w->e);
        ck_ok(loom_optimizer_init(&o, b.store, &spec, &b.w->e), &b.w->e);
        run(b.w, b.s, 0, BATCH, LOOM_STEP, 0, &b.block);
        ck_ok(loom_optimizer_step(&o, b.block.grad, 1.0, 1e-2, pool, &norm, &b.w->e), &b.w->e);
        int moved = 0;
        for (int64_t i = 0; i < n; i++) {
            double due = k ? 0.75 * (double)old[i] + 0.25 * (double)b.store->param[i] : (double)b.store->param[i];
            ck_near(b.store->shadow[i], due, k ? 1e-6 : 0.0);
            moved += b.store->param[i] != old[i];
        }
        ck_assert(moved > n / 2);
        loom_optimizer_release(&o);
        loom_pool_free(pool);
        free(old);
    }
    bench_free(&b);
}
END_TEST

/* The loss's slope, with the target's weights held still, against its differences: were there a gradient through the
 * target, or none through the latents, they would part. */
START_TEST(no_gradient_into_the_target)
{
    struct bench b = bench_new(NET("") CAE("align = 50.0;"), 1);
    const double eps = sizeof(loom_real) == 8 ? 1e-6 : 3e-3, tol = sizeof(loom_real) == 8 ? 1e-6 : 2e-3;
    int64_t n = b.store->size[LOOM_LIFE_PARAM];
    run(b.w, b.s, 0, 2, LOOM_STEP, 0, &b.block);
    loom_real *origin = copy(b.store->param, n), *grad = copy(b.block.grad, n);
    double length = 0.0, loss[2], own = 0.0;
    for (int64_t i = 0; i < n; i++)
        length += (double)grad[i] * (double)grad[i];
    length = sqrt(length);
    for (int follow = 0; follow < 2; follow++) { /* 1: the target's weights go along */
        for (int side = 0; side < 2; side++) {
            for (int64_t i = 0; i < n; i++)
                b.store->param[i] = (loom_real)((double)origin[i] + (side ? 1 : -1) * eps * (double)grad[i] / length);
            memcpy(b.store->shadow, follow ? b.store->param : origin, (size_t)n * sizeof(*origin));
            loss[side] =
                run(b.w, b.s, 0, 2, LOOM_STEP, 0, &b.block) - term(&b, "cae.cosine") - term(&b, "cae.variance");
        }
        double slope = (loss[1] - loss[0]) / (2.0 * eps);
        if (follow)
            ck_assert(fabs(slope - own) > 2.0 * tol * (length + 0.05));
        else
            ck_near(slope, length, tol * (length + 0.05));
        own = slope;
    }
    free(origin);
    free(grad);
    bench_free(&b);
}
END_TEST

/* Both terms fall on one batch, and every parameter gets a gradient. */
START_TEST(learns)
{
    struct bench b = bench_new(NET("") CAE("align = 30.0;"), 1);
    double cae = 0.0, align = 0.0;
    for (int i = 0; i < 80; i++) {
        run(b.w, b.s, 0, BATCH, LOOM_STEP, 0, &b.block);
        cae = i ? cae : term(&b, "cae");
        align = i ? align : term(&b, "cae.align");
        for (int64_t k = 0; k < b.store->size[LOOM_LIFE_PARAM]; k++)
            b.store->param[k] -= (loom_real)0.02 * b.block.grad[k] / (loom_real)(1.0 + fabs((double)b.block.grad[k]));
    }
    ck_assert(term(&b, "cae") < 0.95 * cae);
    ck_assert(term(&b, "cae.align") < 0.6 * align);
    for (int i = 0; i < b.store->count; i++) {
        const struct loom_entry *n = &b.store->entry[i];
        double most = 0.0;
        for (int64_t k = 0; n->lifetime == LOOM_LIFE_PARAM && k < n->size; k++)
            most = fmax(most, fabs((double)b.block.grad[n->offset + k]));
        if (n->lifetime == LOOM_LIFE_PARAM && !(most > 0.0))
            ck_abort_msg("'%s' got no gradient", n->name);
    }
    bench_free(&b);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {decoder_sees_the_regressor_alone,
                                  counts_parameters,
                                  views_are_complements,
                                  target_is_the_encoder,
                                  weighs_rows,
                                  target_follows_the_weights,
                                  no_gradient_into_the_target,
                                  learns};
    return run_suite("cae", (int)(sizeof(tests) / sizeof(tests[0])), tests, 120.0);
}
