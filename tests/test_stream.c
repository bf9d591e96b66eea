/* SPDX-License-Identifier: Apache-2.0 */
/* A stream answers window by window what evaluation answers in batches: the same bits, whatever the number of threads,
 * and without the heap. */
#include "tensor/node.h"
#include "train/step.h"
#include "train/stream.h"

#include <loom/config.h>

#include <stdatomic.h>
#include <string.h>

#include "fake.h"
#include "suite.h"

/* ---- counting allocations ---- */

static atomic_int allocations;
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define COUNTS_ALLOCATIONS 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(p, n);
}
#else
#define COUNTS_ALLOCATIONS 0
#endif

/* ---- a model large enough for work to be dealt out ---- */

enum { WINDOWS = 7, READS = 4, ANSWERS = 2048 };

static const char pipeline[] =
    "tokenizer: { plugin = \"ndt2\"; patch_units = 4; };"
    "backbone: { plugin = \"vit\"; width = 64; depth = 2; heads = 2; decoder_depth = 1; context = ( \"session\" ); };"
    "objectives: ( { plugin = \"mae\"; hide = 0.5; }, { plugin = \"decode\"; target = \"position\"; } );";

static struct loom_error e;
static struct {
    struct fake *fake;
    struct loom_catalog *catalog;
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_model *model;
    struct loom_selection selection;
    struct loom_windows windows;
} w;

/* What was said about one window, reading by reading. */
struct answers {
    int n[READS];
    loom_real value[READS][ANSWERS];
};
static struct answers batch[WINDOWS], streamed;

static void setup(void)
{
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    spec.bin_s = 0.02;
    spec.window_s = 1;
    w.fake = fake_new(3, 0, 0);
    const struct loom_recording *all[] = {&w.fake->r};
    ck_ok(loom_catalog_new(&w.catalog, all, 1, &spec, &e), &e);
    ck_ok(loom_registry_new(&w.registry, NULL, &e), &e);
    ck_ok(loom_config_parse(&w.config, pipeline, "test.cfg", 0, NULL, &e), &e);
    const struct loom_group *root = loom_config_root(w.config);
    struct loom_model_spec m = {.registry = w.registry, .catalog = w.catalog, .root = root, .stage = root, .seed = 5};
    ck_ok(loom_model_new(&w.model, &m, &e), &e);
    ck_ok(loom_selection_init(&w.selection, w.catalog, LOOM_TRAIN, (struct loom_words){0, NULL}, &e), &e);
    ck_ok(loom_windows_init(&w.windows, &w.selection, &(struct loom_tiling){.stride_s = 0.02}, &e), &e);
    ck_assert_int_ge(w.windows.n, WINDOWS);
}

static void teardown(void)
{
    loom_model_free(w.model);
    loom_windows_release(&w.windows);
    loom_selection_release(&w.selection);
    loom_config_free(w.config);
    loom_registry_free(w.registry);
    loom_catalog_free(w.catalog);
    free(w.fake);
}

static void note(struct answers *a, int k, const struct loom_reading *x, int32_t row)
{
    ck_assert_int_lt(k, READS);
    for (int32_t i = x->ask->first_elem[row]; i < x->ask->first_elem[row + 1]; i++) {
        ck_assert_int_lt(a->n[k], ANSWERS);
        a->value[k][a->n[k]++] = x->predicted[i];
    }
}

/* All windows at once, in three shards. */
static void evaluate(void)
{
    struct loom_stepper *stepper;
    struct loom_step_result result;
    struct loom_pool *pool;
    int first = 0;
    memset(batch, 0, sizeof batch);
    ck_ok(loom_pool_new(&pool, 2, &e), &e);
    ck_ok(loom_stepper_new(&stepper, w.model, pool, 3, 256 << 20, &e), &e);
    ck_ok(loom_stepper_run(stepper, w.windows.sample, WINDOWS, 1, LOOM_EVALUATE, 0, &result, &e), &e);
    for (int i = 0; i < loom_stepper_shards(stepper); i++) {
        const struct loom_shard *shard = loom_stepper_shard(stepper, i);
        int here = 0;
        for (int k = 0; shard && k < loom_shard_readings(shard); k++) {
            const struct loom_reading *x = loom_shard_reading(shard, k);
            here = x->ask->segments;
            for (int32_t r = 0; r < x->ask->rows; r++)
                note(&batch[first + x->ask->segment_of[r]], k, x, r);
        }
        first += here;
    }
    ck_assert_int_eq(first, WINDOWS);
    loom_stepper_free(stepper);
    loom_pool_free(pool);
}

static void expect_batch(const struct loom_stream *s, int window)
{
    const struct loom_shard *shard = loom_stream_shard(s);
    memset(&streamed, 0, sizeof streamed);
    ck_assert_int_eq(loom_shard_readings(shard), 2);
    for (int k = 0; k < loom_shard_readings(shard); k++) {
        const struct loom_reading *x = loom_shard_reading(shard, k);
        for (int32_t r = 0; r < x->ask->rows; r++)
            note(&streamed, k, x, r);
        ck_assert_int_gt(streamed.n[k], 0);
    }
    ck_assert_mem_eq(&streamed, &batch[window], sizeof streamed);
}

START_TEST(answers_are_those_of_a_batch)
{
    evaluate();
    for (int threads = 1; threads <= 4; threads++) {
        struct loom_stream *s;
        struct loom_pool *pool;
        struct loom_stream_times t;
        ck_ok(loom_pool_new(&pool, threads, &e), &e);
        ck_ok(loom_stream_new(&s, w.model, pool, 64 << 20, &e), &e);
        for (int i = 0; i < WINDOWS; i++) {
            ck_ok(loom_stream_step(s, &w.windows.sample[i], &t, &e), &e);
            ck_assert(t.plan_s > 0 && t.build_s > 0 && t.run_s > 0);
            expect_batch(s, i);
        }
        ck_assert(threads == 1 || loom_split_shares(loom_stream_graph(s)) > 2 * threads);
        loom_stream_free(s);
        loom_pool_free(pool);
    }
}
END_TEST

/* Weights stay packed from bin to bin; when they change the stream is told. */
START_TEST(weights_stay_packed)
{
    struct loom_store *store = loom_model_store(w.model);
    struct loom_stream *s;
    struct loom_pool *pool;
    ck_ok(loom_pool_new(&pool, 2, &e), &e);
    ck_ok(loom_stream_new(&s, w.model, pool, 64 << 20, &e), &e);
    ck_ok(loom_stream_step(s, &w.windows.sample[0], NULL, &e), &e);
    uint64_t made = loom_stream_packed(s);
    ck_assert_uint_gt(made, 8);
    for (int i = 0; i < WINDOWS; i++)
        ck_ok(loom_stream_step(s, &w.windows.sample[i], NULL, &e), &e);
    ck_assert_uint_eq(loom_stream_packed(s), made);
    for (int64_t i = 0; i < store->size[LOOM_LIFE_PARAM]; i++)
        store->param[i] *= (loom_real)1.25;
    loom_stream_stale(s);
    evaluate();
    ck_ok(loom_stream_step(s, &w.windows.sample[3], NULL, &e), &e);
    expect_batch(s, 3);
    ck_assert_uint_eq(loom_stream_packed(s), 2 * made);
    loom_stream_free(s);
    loom_pool_free(pool);
}
END_TEST

START_TEST(steps_take_no_heap)
{
    for (int threads = 1; threads <= 3 && COUNTS_ALLOCATIONS; threads++) {
        struct loom_stream *s;
        struct loom_pool *pool;
        ck_ok(loom_pool_new(&pool, threads, &e), &e);
        ck_ok(loom_stream_new(&s, w.model, pool, 64 << 20, &e), &e);
        ck_ok(loom_stream_step(s, &w.windows.sample[0], NULL, &e), &e);
        int before = atomic_load(&allocations), failed = 0;
        for (int i = 0; i < WINDOWS; i++)
            failed |= loom_stream_step(s, &w.windows.sample[i], NULL, &e);
        ck_assert_int_eq(atomic_load(&allocations), before);
        ck_assert(!failed && before > 0);
        loom_stream_free(s);
        loom_pool_free(pool);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stream");
    TCase *t = tcase_create("stream");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, answers_are_those_of_a_batch);
    tcase_add_test(t, weights_stay_packed);
    tcase_add_test(t, steps_take_no_heap);
    suite_add_tcase(s, t);
    return run_tap(s);
}
