/* SPDX-License-Identifier: Apache-2.0 */
#include "train/step.h"

#include "base/beside.h"
#include "base/blas.h"
#include "tensor/node.h"
#include "tensor/packs.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Windows that go through the walk together, and what became of each shard's part of them. */
struct batch {
    const struct loom_sample *sample;
    int tuples, arity;
    enum loom_mode mode;
    uint64_t step;
    struct loom_error *error; /* [shards] */
    int *code;                /* [shards] */
    struct loom_sample *copy; /* [capacity] what `sample` of a batch planned ahead points to */
    int capacity;
};

/* `ahead` is planned by the thread beside while workers run `now`; `announced` is what it will be next. They change
 * places when the next run wants just these windows. */
struct loom_stepper {
    struct loom_model *model;
    struct loom_pool *pool;
    struct loom_beside *beside; /* NULL: nothing is planned ahead */
    int shards;
    int blas_threads; /* before */
    struct loom_shard **shard;
    struct loom_graph **graph; /* [workers of the pool] where shards that keep no readings build */
    struct loom_tree tree;
    struct loom_packs *packs; /* weights as products read them, made once a run for all shards */
    struct loom_masses masses;
    struct batch now, ahead, announced;
    int planning; /* `ahead` is under way or done */
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Forward and backward layouts of every weight, rounded up by the kernels' tiles. */
static size_t packs_bytes(const struct loom_model *model)
{
    return (size_t)loom_model_store(model)->size[LOOM_LIFE_PARAM] * sizeof(loom_real) * 4 + (1 << 20);
}

static int make_batch(struct batch *b, int shards)
{
    b->error = calloc((size_t)shards, sizeof *b->error);
    b->code = calloc((size_t)shards, sizeof *b->code);
    return b->error && b->code;
}

static void release_batch(struct batch *b)
{
    free(b->error);
    free(b->code);
    free(b->copy);
}

static int plans_ahead(void)
{
    const char *set = getenv("LOOM_PREFETCH");
    return !set || strcmp(set, "0") != 0;
}

int loom_stepper_new(struct loom_stepper **out, struct loom_model *model, struct loom_pool *pool, int shards,
                     size_t arena, struct loom_error *e)
{
    struct loom_stepper *s = calloc(1, sizeof *s);
    int code = LOOM_OK;
    *out = NULL;
    if (!s)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a step: free some");
    s->model = model;
    s->pool = pool;
    s->shards = shards;
    s->blas_threads = loom_blas_threads();
    loom_blas_set_threads(1);
    s->shard = calloc((size_t)shards, sizeof *s->shard);
    s->graph = calloc((size_t)loom_pool_workers(pool), sizeof *s->graph);
    if (!s->shard || !s->graph || !make_batch(&s->now, shards) || !make_batch(&s->ahead, shards))
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d shards: use fewer", shards);
    for (int i = 0; i < shards && code == LOOM_OK; i++)
        code = loom_shard_new(&s->shard[i], model, arena, e);
    if (code == LOOM_OK)
        code = loom_packs_new(&s->packs, packs_bytes(model), e);
    for (int i = 0; i < shards && code == LOOM_OK; i++)
        loom_shard_share(s->shard[i], s->packs);
    for (int i = 0; i < loom_pool_workers(pool) && code == LOOM_OK; i++) {
        code = loom_graph_new(&s->graph[i], arena, e);
        if (code == LOOM_OK)
            loom_graph_set_packs(s->graph[i], s->packs);
    }
    if (code == LOOM_OK)
        code = loom_tree_init(&s->tree, loom_model_store(model), shards, loom_pool_workers(pool), e);
    if (code == LOOM_OK && plans_ahead())
        code = loom_beside_new(&s->beside, e);
    if (code == LOOM_OK)
        *out = s;
    else
        loom_stepper_free(s);
    return code;
}

void loom_stepper_free(struct loom_stepper *s)
{
    if (!s)
        return;
    loom_beside_free(s->beside);
    for (int i = 0; i < s->shards && s->shard; i++)
        loom_shard_free(s->shard[i]);
    for (int i = 0; i < loom_pool_workers(s->pool) && s->graph; i++)
        loom_graph_free(s->graph[i]);
    loom_packs_free(s->packs);
    loom_tree_release(&s->tree);
    loom_blas_set_threads(s->blas_threads);
    free(s->shard);
    free(s->graph);
    release_batch(&s->now);
    release_batch(&s->ahead);
    free(s);
}

void loom_stepper_set_kernels(struct loom_stepper *s, const struct loom_kernels *kernels)
{
    for (int i = 0; i < s->shards; i++)
        loom_shard_set_kernels(s->shard[i], kernels);
    for (int i = 0; i < loom_pool_workers(s->pool); i++)
        loom_graph_set_kernels(s->graph[i], kernels);
}

const struct loom_kernels *loom_stepper_kernels(const struct loom_stepper *s)
{
    return s->graph[0]->kernels;
}

/* ---- plans ---- */

/* First window of shard i: tuples are dealt in order, as evenly as they go, the first shard never empty. */
static int first_window(const struct loom_stepper *s, const struct batch *b, int i)
{
    return (int)(((int64_t)i * b->tuples + s->shards - 1) / s->shards) * b->arity;
}

static int windows_of(const struct loom_stepper *s, const struct batch *b, int i)
{
    return first_window(s, b, i + 1) - first_window(s, b, i);
}

typedef int plan_fn(struct loom_shard *s, const struct loom_sample *sample, int n, enum loom_mode mode, uint64_t step,
                    struct loom_error *e);

static void plan_part(struct loom_stepper *s, struct batch *b, int i, plan_fn *plan)
{
    int n = windows_of(s, b, i);
    b->code[i] = LOOM_OK;
    loom_error_clear(&b->error[i]);
    if (n > 0)
        b->code[i] = plan(s->shard[i], b->sample + first_window(s, b, i), n, b->mode, b->step, &b->error[i]);
}

static void plan_shard(void *payload, int i, int worker)
{
    struct loom_stepper *s = payload;
    (void)worker;
    plan_part(s, &s->now, i, loom_shard_plan);
}

static void plan_shard_ahead(void *payload, int i, int worker)
{
    struct loom_stepper *s = payload;
    (void)worker;
    plan_part(s, &s->ahead, i, loom_shard_plan_ahead);
}

static void aim(struct batch *b, const struct loom_sample *sample, int n, int arity, enum loom_mode mode, uint64_t step)
{
    b->sample = sample;
    b->tuples = n / arity;
    b->arity = arity;
    b->mode = mode;
    b->step = step;
}

static int same_sample(const struct loom_sample *a, const struct loom_sample *b)
{
    return a->key == b->key && a->recording == b->recording && a->span == b->span && a->tuple == b->tuple &&
           a->slot == b->slot && a->fold == b->fold && a->origin_ns == b->origin_ns && a->length_s == b->length_s &&
           a->begin_s == b->begin_s && a->end_s == b->end_s;
}

static int same_batch(const struct batch *a, const struct batch *b)
{
    int same = a->tuples == b->tuples && a->arity == b->arity && a->mode == b->mode && a->step == b->step;
    for (int i = 0; same && i < a->tuples * a->arity; i++)
        same = same_sample(&a->sample[i], &b->sample[i]);
    return same;
}

static int reserve(struct batch *b, int n)
{
    struct loom_sample *copy = n > b->capacity ? realloc(b->copy, (size_t)n * sizeof *copy) : b->copy;
    if (!copy)
        return 0;
    b->copy = copy;
    b->capacity = n > b->capacity ? n : b->capacity;
    return 1;
}

void loom_stepper_announce(struct loom_stepper *s, const struct loom_sample *sample, int n, int arity,
                           enum loom_mode mode, uint64_t step)
{
    if (s->beside)
        aim(&s->announced, sample, n, arity, mode, step);
}

/* Have `now` planned: by the thread beside if it was announced, else here. */
static void plan_now(struct loom_stepper *s)
{
    if (s->planning && same_batch(&s->ahead, &s->now)) {
        struct batch was = s->now;
        loom_beside_end(s->beside, s->pool);
        s->now = s->ahead;
        s->ahead = was;
        for (int i = 0; i < s->shards; i++)
            loom_shard_turn(s->shard[i]);
    } else {
        if (s->planning)
            loom_beside_drop(s->beside);
        loom_pool_run(s->pool, s->shards, plan_shard, s);
    }
    s->planning = 0;
}

/* Without memory for a copy of the samples nothing is planned ahead, and the next run plans for itself. */
static void plan_ahead(struct loom_stepper *s)
{
    const struct batch *a = &s->announced;
    int n = a->tuples * a->arity;
    if (n > 0 && reserve(&s->ahead, n) && reserve(&s->now, n)) {
        memcpy(s->ahead.copy, a->sample, (size_t)n * sizeof *a->sample);
        aim(&s->ahead, s->ahead.copy, n, a->arity, a->mode, a->step);
        s->planning = 1;
        loom_beside_begin(s->beside, s->shards, plan_shard_ahead, s);
    }
    s->announced = (struct batch){0};
}

/* ---- runs ---- */

/* Readings live as long as the shard's own graph; without them the worker's memory serves one shard after the other.
 * A shard that fails gives its block all the same, or its neighbours would wait for ever. */
static void run_shard(void *payload, int i, int worker)
{
    struct loom_stepper *s = payload;
    struct batch *now = &s->now;
    struct loom_block *b = loom_tree_take(&s->tree);
    if (windows_of(s, now, i) > 0) {
        loom_shard_lend(s->shard[i], now->mode == LOOM_EVALUATE ? NULL : s->graph[worker]);
        now->code[i] = loom_shard_build(s->shard[i], &s->masses, b, i == 0, &now->error[i]);
        if (now->code[i] == LOOM_OK)
            loom_shard_run(s->shard[i]);
    }
    loom_block_finish(b, loom_model_store(s->model));
    loom_tree_give(&s->tree, i, b);
}

static int first_failure(const struct loom_stepper *s, struct loom_error *e)
{
    for (int i = 0; i < s->shards; i++)
        if (s->now.code[i] != LOOM_OK) {
            if (e && e->code == LOOM_OK)
                *e = s->now.error[i];
            return s->now.code[i];
        }
    return LOOM_OK;
}

static int read_terms(const struct loom_stepper *s, struct loom_step_result *out, struct loom_error *e)
{
    const struct loom_store *store = loom_model_store(s->model);
    /* a baseline that could not be fitted to a recording has no answer there, which is no reason to stop */
    const int may_lack =
        s->now.mode == LOOM_EVALUATE && (loom_model_traits(s->model, LOOM_BACKBONE)->offers & LOOM_TARGET_SPACE) != 0;
    out->loss = 0;
    for (int i = 0; i < store->count; i++) {
        const struct loom_entry *n = &store->entry[i];
        if (n->lifetime != LOOM_LIFE_TERM)
            continue;
        double value = out->root->term[n->offset];
        if (!isfinite(value) && !(may_lack && isnan(value)))
            return loom_fail(e, LOOM_ENUMERIC, NULL, 0,
                             "the term '%s' is %s at step %llu: lower optimizer.lr or optimizer.clip, or look at the "
                             "data for wild values",
                             n->name, isnan(value) ? "not a number" : "infinite", (unsigned long long)s->now.step);
        if (!(n->flags & LOOM_LOG_ONLY))
            out->loss += value;
    }
    return LOOM_OK;
}

int loom_stepper_run(struct loom_stepper *s, const struct loom_sample *sample, int n, int arity, enum loom_mode mode,
                     uint64_t step, struct loom_step_result *out, struct loom_error *e)
{
    double began = now_s();
    aim(&s->now, sample, n, arity, mode, step);
    *out = (struct loom_step_result){0};
    plan_now(s);
    out->plan_s = now_s() - began;
    int code = first_failure(s, e);
    if (code != LOOM_OK) {
        s->announced = (struct batch){0};
        return code;
    }
    s->masses.n = 0;
    for (int i = 0; i < s->shards; i++)
        if (windows_of(s, &s->now, i) > 0)
            loom_masses_add(&s->masses, loom_shard_masses(s->shard[i]));
    plan_ahead(s);
    loom_packs_stale(s->packs);
    loom_tree_start(&s->tree);
    loom_pool_run(s->pool, s->shards, run_shard, s);
    code = first_failure(s, e);
    if (code != LOOM_OK)
        return code;
    for (int i = 0; i < s->shards; i++)
        if (windows_of(s, &s->now, i) > 0) {
            out->tokens += loom_shard_tokens(s->shard[i]);
            out->flops += loom_shard_flops(s->shard[i]);
        }
    out->root = loom_tree_root(&s->tree);
    code = read_terms(s, out, e);
    out->run_s = now_s() - began - out->plan_s;
    return code;
}

int loom_stepper_shards(const struct loom_stepper *s)
{
    return s->shards;
}

struct loom_shard *loom_stepper_shard(const struct loom_stepper *s, int i)
{
    return windows_of(s, &s->now, i) > 0 ? s->shard[i] : NULL;
}

struct loom_graph *loom_stepper_graph(const struct loom_stepper *s, int worker)
{
    return s->graph[worker];
}

size_t loom_stepper_peak(struct loom_stepper *s)
{
    const struct loom_store *store = loom_model_store(s->model);
    size_t block = (size_t)store->size[LOOM_LIFE_PARAM] * sizeof(loom_real) +
                   (size_t)(store->size[LOOM_LIFE_SUM] + store->size[LOOM_LIFE_TERM]) * sizeof(double);
    size_t bytes = block * (size_t)s->tree.blocks;
    if (s->planning)
        loom_beside_end(s->beside, s->pool);
    for (int i = 0; i < s->shards; i++)
        bytes += loom_shard_peak(s->shard[i]);
    for (int i = 0; i < loom_pool_workers(s->pool); i++)
        bytes += loom_graph_peak(s->graph[i]);
    return bytes;
}
