/* SPDX-License-Identifier: Apache-2.0 */
#include "train/step.h"

#include "tensor/packs.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

struct loom_stepper {
    struct loom_model *model;
    struct loom_pool *pool;
    int shards;
    int blas_threads; /* before */
    struct loom_shard **shard;
    struct loom_graph **graph; /* [workers of the pool] where shards that keep no readings build */
    struct loom_error *error;  /* [shards] */
    int *code;                 /* [shards] */
    struct loom_tree tree;
    struct loom_packs *packs; /* weights as products read them, made once a run for all shards */
    struct loom_masses masses;
    /* of the step now running */
    const struct loom_sample *sample;
    int tuples, arity;
    enum loom_mode mode;
    uint64_t step;
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
    s->blas_threads = openblas_get_num_threads();
    openblas_set_num_threads(1);
    s->shard = calloc((size_t)shards, sizeof *s->shard);
    s->error = calloc((size_t)shards, sizeof *s->error);
    s->code = calloc((size_t)shards, sizeof *s->code);
    s->graph = calloc((size_t)loom_pool_workers(pool), sizeof *s->graph);
    if (!s->shard || !s->error || !s->code || !s->graph)
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
    for (int i = 0; i < s->shards && s->shard; i++)
        loom_shard_free(s->shard[i]);
    for (int i = 0; i < loom_pool_workers(s->pool) && s->graph; i++)
        loom_graph_free(s->graph[i]);
    loom_packs_free(s->packs);
    loom_tree_release(&s->tree);
    openblas_set_num_threads(s->blas_threads);
    free(s->shard);
    free(s->graph);
    free(s->error);
    free(s->code);
    free(s);
}

/* First window of shard i: tuples are dealt in order, as evenly as they go, the first shard never empty. */
static int first_window(const struct loom_stepper *s, int i)
{
    return (int)(((int64_t)i * s->tuples + s->shards - 1) / s->shards) * s->arity;
}

static int windows_of(const struct loom_stepper *s, int i)
{
    return first_window(s, i + 1) - first_window(s, i);
}

static void plan_shard(void *payload, int i, int worker)
{
    struct loom_stepper *s = payload;
    (void)worker;
    s->code[i] = LOOM_OK;
    loom_error_clear(&s->error[i]);
    if (windows_of(s, i) > 0)
        s->code[i] = loom_shard_plan(s->shard[i], s->sample + first_window(s, i), windows_of(s, i), s->mode, s->step,
                                     &s->error[i]);
}

/* Readings live as long as the shard's own graph; without them the worker's memory serves one shard after the other.
 * A shard that fails gives its block all the same, or its neighbours would wait for ever. */
static void run_shard(void *payload, int i, int worker)
{
    struct loom_stepper *s = payload;
    struct loom_block *b = loom_tree_take(&s->tree);
    if (windows_of(s, i) > 0) {
        loom_shard_lend(s->shard[i], s->mode == LOOM_EVALUATE ? NULL : s->graph[worker]);
        s->code[i] = loom_shard_build(s->shard[i], &s->masses, b, i == 0, &s->error[i]);
        if (s->code[i] == LOOM_OK)
            loom_shard_run(s->shard[i]);
    }
    loom_tree_give(&s->tree, i, b);
}

static int first_failure(const struct loom_stepper *s, struct loom_error *e)
{
    for (int i = 0; i < s->shards; i++)
        if (s->code[i] != LOOM_OK) {
            if (e && e->code == LOOM_OK)
                *e = s->error[i];
            return s->code[i];
        }
    return LOOM_OK;
}

static int read_terms(const struct loom_stepper *s, struct loom_step_result *out, struct loom_error *e)
{
    const struct loom_store *store = loom_model_store(s->model);
    out->loss = 0;
    for (int i = 0; i < store->count; i++) {
        const struct loom_entry *n = &store->entry[i];
        if (n->lifetime != LOOM_LIFE_TERM)
            continue;
        double value = out->root->term[n->offset];
        if (!isfinite(value))
            return loom_fail(e, LOOM_ENUMERIC, NULL, 0,
                             "the term '%s' is %s at step %llu: lower optimizer.lr or optimizer.clip, or look at the "
                             "data for wild values",
                             n->name, isnan(value) ? "not a number" : "infinite", (unsigned long long)s->step);
        if (!(n->flags & LOOM_LOG_ONLY))
            out->loss += value;
    }
    return LOOM_OK;
}

int loom_stepper_run(struct loom_stepper *s, const struct loom_sample *sample, int n, int arity, enum loom_mode mode,
                     uint64_t step, struct loom_step_result *out, struct loom_error *e)
{
    double began = now_s();
    s->sample = sample;
    s->tuples = n / arity;
    s->arity = arity;
    s->mode = mode;
    s->step = step;
    *out = (struct loom_step_result){0};
    loom_pool_run(s->pool, s->shards, plan_shard, s);
    int code = first_failure(s, e);
    if (code != LOOM_OK)
        return code;
    s->masses.n = 0;
    for (int i = 0; i < s->shards; i++)
        if (windows_of(s, i) > 0)
            loom_masses_add(&s->masses, loom_shard_masses(s->shard[i]));
    out->plan_s = now_s() - began;
    loom_packs_stale(s->packs);
    loom_tree_start(&s->tree);
    loom_pool_run(s->pool, s->shards, run_shard, s);
    code = first_failure(s, e);
    if (code != LOOM_OK)
        return code;
    for (int i = 0; i < s->shards; i++)
        if (windows_of(s, i) > 0) {
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
    return windows_of(s, i) > 0 ? s->shard[i] : NULL;
}

struct loom_graph *loom_stepper_graph(const struct loom_stepper *s, int worker)
{
    return s->graph[worker];
}

size_t loom_stepper_peak(const struct loom_stepper *s)
{
    const struct loom_store *store = loom_model_store(s->model);
    size_t block = (size_t)store->size[LOOM_LIFE_PARAM] * sizeof(loom_real) +
                   (size_t)(store->size[LOOM_LIFE_SUM] + store->size[LOOM_LIFE_TERM]) * sizeof(double);
    size_t bytes = block * (size_t)s->tree.blocks;
    for (int i = 0; i < s->shards; i++)
        bytes += loom_shard_peak(s->shard[i]);
    for (int i = 0; i < loom_pool_workers(s->pool); i++)
        bytes += loom_graph_peak(s->graph[i]);
    return bytes;
}
