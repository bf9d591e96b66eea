/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on a small real model: bits for any number of workers, no heap. */
#include "model/internal.h"
#include "tensor/kernels/numerics.h"
#include "train/optimizer.h"
#include "train/step.h"

#include <loom/rng.h>

#include <cblas.h>
#include <dirent.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/blas.h"
#include "stepping.h"

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

/* ---- the tree alone ---- */

struct lot {
    struct loom_tree tree;
    int shards;
};

/* Values of very different size, so that another order of additions shows. */
static void fill_leaf(void *payload, int i, int worker)
{
    struct lot *lot = payload;
    struct loom_block *b = loom_tree_take(&lot->tree);
    struct loom_rng g;
    ck_assert_ptr_nonnull(b);
    loom_rng_init(&g, 1, "leaf", 0, (uint64_t)i);
    for (int k = 0; k < 64; k++)
        b->grad[k] = (loom_real)(loom_rng_normal(&g) * pow(10, 6 * loom_rng_uniform(&g)));
    b->term[0] = loom_rng_normal(&g);
    usleep((unsigned)(loom_hash(&worker, sizeof worker, (uint64_t)i) % 500));
    loom_tree_give(&lot->tree, i, b);
}

START_TEST(tree_joins_alike_for_any_workers)
{
    struct loom_store *store;
    ck_ok(loom_store_new(&store, 1, &e), &e);
    ck_assert_ptr_nonnull(loom_store_declare(store, LOOM_LIFE_PARAM, "w", 1, (int64_t[]){64}, "zeros", 0, &e));
    ck_assert_ptr_nonnull(loom_store_declare(store, LOOM_LIFE_TERM, "t", 1, (int64_t[]){1}, "zeros", 0, &e));
    ck_ok(loom_store_seal(store, 0, &e), &e);
    for (int shards = 1; shards <= 13; shards += shards < 8 ? 1 : 5) {
        loom_real first[64];
        double term = 0;
        for (int workers = 1; workers <= 8; workers += workers < 4 ? 1 : 4) {
            struct lot lot = {.shards = shards};
            struct loom_pool *pool;
            ck_ok(loom_pool_new(&pool, workers, &e), &e);
            ck_ok(loom_tree_init(&lot.tree, store, shards, workers, &e), &e);
            for (int times = 0; times < 3; times++) {
                loom_tree_start(&lot.tree);
                loom_pool_run(pool, shards, fill_leaf, &lot);
                const struct loom_block *root = loom_tree_root(&lot.tree);
                if (workers == 1 && times == 0) {
                    memcpy(first, root->grad, sizeof first);
                    term = root->term[0];
                }
                ck_assert_mem_eq(first, root->grad, sizeof first);
                ck_assert(term == root->term[0]);
            }
            loom_tree_release(&lot.tree);
            loom_pool_free(pool);
        }
    }
    loom_store_free(store);
}
END_TEST

/* ---- steps ---- */

enum { STEPS = 6 };
enum announcing { NOT_AHEAD, AHEAD, WRONGLY }; /* WRONGLY: now and then another batch than the one that comes */

static void announce(struct loom_stepper *stepper, const struct world *w, int t, enum announcing how)
{
    int wrong = how == WRONGLY && t % 2 == 1;
    if (how != NOT_AHEAD && t + 1 < STEPS)
        loom_stepper_announce(stepper, w->windows.sample + t + 1 + wrong, WINDOWS, 1, LOOM_STEP, (uint64_t)t + 1);
}

/* Some steps from fresh weights, each with other windows; returns the loss of the last. */
static double train(struct world *w, const struct loom_kernels *kernels, int workers, enum announcing how,
                    loom_real *weights, int *heap)
{
    struct loom_store *store = loom_model_store(w->model);
    struct loom_stepper *stepper;
    struct loom_optimizer o;
    struct loom_pool *pool;
    struct loom_step_result result;
    const struct loom_optimizer_spec spec = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip = 1};
    double norm;
    ck_ok(loom_pool_new(&pool, workers, &e), &e);
    ck_ok(loom_stepper_new(&stepper, w->model, pool, 5, 64 << 20, &e), &e);
    loom_stepper_set_kernels(stepper, kernels);
    ck_ok(loom_optimizer_init(&o, store, &spec, &e), &e);
    for (int t = 0; t < STEPS; t++) {
        int before = atomic_load(&allocations);
        announce(stepper, w, t, how);
        ck_ok(loom_stepper_run(stepper, w->windows.sample + t, WINDOWS, 1, LOOM_STEP, (uint64_t)t, &result, &e), &e);
        ck_ok(loom_optimizer_step(&o, result.root->grad, 1, 0.01, pool, &norm, &e), &e);
        if (t > 0)
            *heap += atomic_load(&allocations) - before;
        ck_assert(norm > 0);
    }
    memcpy(weights, store->param, (size_t)store->size[LOOM_LIFE_PARAM] * sizeof *weights);
    loom_optimizer_release(&o);
    loom_stepper_free(stepper);
    loom_pool_free(pool);
    return result.loss;
}

/* The loss after some steps, the same for 1 to 4 workers and for plans made ahead, right or wrong, as the weights are.
 */
static double loss_of(const struct loom_kernels *kernels)
{
    loom_real *first = NULL;
    double loss = 0;
    for (int k = 0; k < 4 * 3; k++) {
        struct world w;
        open_world(&w, RECORDINGS, 0);
        size_t n = (size_t)loom_model_store(w.model)->size[LOOM_LIFE_PARAM];
        loom_real *weights = calloc(n, sizeof *weights);
        int heap = 0;
        double last = train(&w, kernels, 1 + k % 4, (enum announcing)(k / 4), weights, &heap);
        if (COUNTS_ALLOCATIONS)
            ck_assert(heap == 0 && atomic_load(&allocations) > 0);
        if (!first) {
            first = weights;
            loss = last;
        } else {
            ck_assert_mem_eq(first, weights, n * sizeof *weights);
            ck_assert(loss == last);
            free(weights);
        }
        close_world(&w);
    }
    free(first);
    return loss;
}

START_TEST(steps_are_alike_for_any_workers_ahead_or_not_and_take_no_heap)
{
    const struct loom_kernels *exact = loom_kernels_default(&e);
    const struct loom_kernels *bf16 = loom_kernels_numeric(exact, LOOM_NUMERICS_BF16, NULL);
    const double loss = loss_of(exact), rounded = bf16 ? loss_of(bf16) : loss * (1 + 1e-4);
    ck_assert(rounded != loss); /* and not because it learns less */
    ck_near(rounded, loss, 0.02 * fabs(loss));
}
END_TEST

/* Blocks are not zeroed between steps: what stands in them from the last one must not show. */
START_TEST(blocks_forget_the_last_step)
{
    struct world w;
    struct loom_pool *pool;
    struct loom_stepper *stepper;
    struct loom_step_result result;
    struct loom_block block;
    struct loom_shard *shard;
    open_world(&w, RECORDINGS, 0);
    const struct loom_store *store = loom_model_store(w.model);
    ck_ok(loom_pool_new(&pool, 1, &e), &e);
    ck_ok(loom_stepper_new(&stepper, w.model, pool, 1, 64 << 20, &e), &e);
    ck_ok(loom_shard_new(&shard, w.model, 64 << 20, &e), &e);
    ck_ok(loom_block_init(&block, store, &e), &e);
    for (int t = 0; t < 3; t++) {
        double norm = 0;
        ck_ok(loom_stepper_run(stepper, w.windows.sample + t, 4, 1, LOOM_STEP, (uint64_t)t, &result, &e), &e);
        loom_block_zero(&block, store);
        ck_ok(loom_shard_plan(shard, w.windows.sample + t, 4, LOOM_STEP, (uint64_t)t, &e), &e);
        ck_ok(loom_shard_build(shard, loom_shard_masses(shard), &block, 1, &e), &e);
        loom_shard_run(shard);
        for (int64_t i = 0; i < store->size[LOOM_LIFE_PARAM]; i++) {
            ck_assert_msg(result.root->grad[i] == block.grad[i], "gradient %lld of step %d: %g, zeroed first %g",
                          (long long)i, t, (double)result.root->grad[i], (double)block.grad[i]);
            norm += fabs((double)block.grad[i]);
        }
        ck_assert(norm > 0);
        for (int i = 0; i < store->count; i++)
            for (int64_t k = 0; store->entry[i].lifetime == LOOM_LIFE_PARAM && k < store->entry[i].size; k++)
                result.root->grad[store->entry[i].offset + k] = (loom_real)NAN;
    }
    loom_block_release(&block);
    loom_shard_free(shard);
    loom_stepper_free(stepper);
    loom_pool_free(pool);
    close_world(&w);
}
END_TEST

/* ---- slow and failing sources ---- */

static const struct loom_tokenizer *true_tokenizer;
static atomic_uint nap_us;
static _Atomic uint64_t bad_key;
static atomic_int multiplies, most_threads, most_asked; /* asked: that OpenBLAS would use for a call */

static void raise_to(atomic_int *most, int n)
{
    for (int is = atomic_load(most); n > is;)
        if (atomic_compare_exchange_weak(most, &is, n))
            break;
}

static int count_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    for (struct dirent *f; d && (f = readdir(d));)
        n += f->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

/* A product that OpenBLAS would share out among threads, from whatever thread is here. */
static void multiply(void)
{
    enum { N = 256 };
    float *a = calloc(3 * (size_t)N * N, sizeof *a);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, a + N * N, N, 0, a + 2 * N * N, N);
    free(a);
    raise_to(&most_threads, count_threads());
    raise_to(&most_asked, loom_blas_threads());
}

static int odd_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *out,
                        struct loom_error *err)
{
    if (atomic_load(&nap_us))
        usleep(atomic_load(&nap_us));
    if (atomic_load(&multiplies))
        multiply();
    if (w->key == atomic_load(&bad_key))
        return loom_fail(err, LOOM_EDATA, "disk", 7, "window %llu cannot be read: look at the disk",
                         (unsigned long long)w->key);
    return true_tokenizer->tokenize(self, w, out, err);
}

/* The tokenizer of the first modality, with naps and failures put before it. */
static void make_odd(struct world *w, struct loom_tokenizer *odd)
{
    struct loom_modality *m = &w->model->modality[0];
    true_tokenizer = m->tokenizer;
    *odd = *true_tokenizer;
    odd->tokenize = odd_tokenize;
    m->tokenizer = odd;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds that a step waited for its plan, the median over steps; between them the caller is busy for `pause_us`. */
static double waited(struct world *w, enum announcing how, unsigned pause_us)
{
    struct loom_stepper *stepper;
    struct loom_step_result result;
    struct loom_pool *pool;
    double s[STEPS];
    ck_ok(loom_pool_new(&pool, 2, &e), &e);
    ck_ok(loom_stepper_new(&stepper, w->model, pool, 5, 64 << 20, &e), &e);
    for (int t = 0; t < STEPS; t++) {
        announce(stepper, w, t, how);
        ck_ok(loom_stepper_run(stepper, w->windows.sample + t, WINDOWS, 1, LOOM_STEP, (uint64_t)t, &result, &e), &e);
        s[t] = result.plan_s;
        usleep(pause_us);
    }
    loom_stepper_free(stepper);
    loom_pool_free(pool);
    qsort(s + 1, STEPS - 1, sizeof *s, ascending); /* the first is never announced */
    return s[1 + (STEPS - 1) / 2];
}

/* 10 windows at 5 ms: two workers plan for 25 ms or more, the thread beside them for 50. It is done where there are
 * 100; where there is nothing to hide behind, all three plan. */
START_TEST(slow_sources_are_read_beside_the_step)
{
    struct world w;
    struct loom_tokenizer odd;
    open_world(&w, RECORDINGS, 0);
    make_odd(&w, &odd);
    atomic_store(&nap_us, 5000);
    double in_turn = waited(&w, NOT_AHEAD, 100000), beside = waited(&w, AHEAD, 100000);
    double rushed = waited(&w, AHEAD, 0);
    atomic_store(&nap_us, 0);
    ck_assert(in_turn >= 0.025);
    ck_assert_msg(beside <= 0.25 * in_turn, "waited %g s with plans made ahead, %g s without", beside, in_turn);
    ck_assert_msg(rushed <= 1.5 * in_turn, "waited %g s in a rush, %g s in turn", rushed, in_turn);
    close_world(&w);
}
END_TEST

/* Workers, and the thread beside them: whatever they call, and whichever OpenBLAS is loaded. main has the libraries
 * told to use three threads. */
START_TEST(libraries_make_no_threads)
{
    struct world w;
    struct loom_tokenizer odd;
    open_world(&w, RECORDINGS, 0);
    make_odd(&w, &odd);
    ck_assert_str_eq(getenv("OMP_NUM_THREADS"), "3");
    openblas_set_num_threads(openblas_get_num_threads()); /* those it keeps and puts to sleep are there from here on */
    int before = count_threads();
    atomic_store(&multiplies, 1);
    waited(&w, AHEAD, 1000);
    atomic_store(&multiplies, 0);
    ck_assert_int_ge(before, 1);
    int most = atomic_load(&most_threads), asked = atomic_load(&most_asked);
    ck_assert_int_eq(most, before + 2);
    ck_assert_int_eq(asked, 1);
    close_world(&w);
}
END_TEST

/* The step whose window is bad fails, in the same words, and those before and after it do not. */
START_TEST(failures_belong_to_their_step)
{
    struct world w;
    struct loom_tokenizer odd;
    struct loom_step_result result;
    struct loom_pool *pool;
    char said[2][1400];
    open_world(&w, RECORDINGS, 0);
    make_odd(&w, &odd);
    ck_ok(loom_pool_new(&pool, 2, &e), &e);
    atomic_store(&bad_key, w.windows.sample[WINDOWS + 2].key);
    for (int how = NOT_AHEAD; how <= AHEAD; how++) {
        struct loom_stepper *stepper;
        ck_ok(loom_stepper_new(&stepper, w.model, pool, 5, 64 << 20, &e), &e);
        for (int t = 0; t < STEPS; t++) {
            announce(stepper, &w, t, (enum announcing)how);
            int code = loom_stepper_run(stepper, w.windows.sample + t, WINDOWS, 1, LOOM_STEP, (uint64_t)t, &result, &e);
            ck_assert_int_eq(code, t >= 3 ? LOOM_EDATA : LOOM_OK);
            if (t == 3)
                loom_error_text(&e, said[how], sizeof said[how]);
            loom_error_clear(&e);
        }
        ck_ok(loom_stepper_run(stepper, w.windows.sample, WINDOWS, 1, LOOM_STEP, 0, &result, &e), &e);
        announce(stepper, &w, 1, (enum announcing)how);
        ck_ok(loom_stepper_run(stepper, w.windows.sample, WINDOWS, 1, LOOM_EVALUATE, 0, &result, &e), &e);
        loom_stepper_free(stepper); /* with a plan under way */
    }
    atomic_store(&bad_key, 0);
    ck_assert_str_eq(said[0], said[1]);
    ck_assert_ptr_nonnull(strstr(said[1], "look at the disk"));
    loom_pool_free(pool);
    close_world(&w);
}
END_TEST

/* More shards than windows: some hold none, and the sums stay those of the batch. */
START_TEST(empty_shards_do_not_count)
{
    struct world w;
    struct loom_pool *pool;
    double loss[2];
    open_world(&w, RECORDINGS, 0);
    ck_ok(loom_pool_new(&pool, 2, &e), &e);
    for (int k = 0; k < 2; k++) {
        struct loom_stepper *stepper;
        struct loom_step_result result;
        ck_ok(loom_stepper_new(&stepper, w.model, pool, k ? 9 : 1, 64 << 20, &e), &e);
        ck_ok(loom_stepper_run(stepper, w.windows.sample, 4, 1, LOOM_EVALUATE, 0, &result, &e), &e);
        loss[k] = result.loss;
        loom_stepper_free(stepper);
    }
    ck_near(loss[0], loss[1], 1e-6 * fabs(loss[0]));
    loom_pool_free(pool);
    close_world(&w);
}
END_TEST

/* Libraries read their number of threads when they are loaded. */
int main(int argc, char **argv)
{
    const char *set = getenv("OMP_NUM_THREADS");
    if (argc == 1 && (!set || strcmp(set, "3") != 0)) {
        setenv("OMP_NUM_THREADS", "3", 1);
        setenv("OPENBLAS_NUM_THREADS", "3", 1);
        execv("/proc/self/exe", argv);
    }
    const TTest *const tests[] = {
        tree_joins_alike_for_any_workers, steps_are_alike_for_any_workers_ahead_or_not_and_take_no_heap,
        blocks_forget_the_last_step,      slow_sources_are_read_beside_the_step,
        libraries_make_no_threads,        failures_belong_to_their_step,
        empty_shards_do_not_count};
    return run_on_fakes("step", sizeof tests / sizeof *tests, tests);
}
