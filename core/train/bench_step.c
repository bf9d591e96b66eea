/* SPDX-License-Identifier: Apache-2.0 */
#include "train/bench.h"

#include "tensor/node.h"
#include "train/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 3, PROFILED = 3 };

/* Everything a training step of a pipeline needs, and the times of the steps done. */
struct bench {
    struct loom_run_spec spec;
    struct loom_running running;
    const struct loom_stage *stage;
    struct loom_model *model;
    struct loom_stepper *stepper;
    struct loom_optimizer optimizer;
    struct loom_selection selection;
    struct loom_sampler *sampler;
    struct loom_sample *sample; /* [windows] of a batch */
    struct loom_yardstick yardstick;
    int windows, arity;
    double lr;
    uint64_t step;
    struct loom_step_result result;
    double wall[LOOM_BENCH_ROUNDS], cpu[LOOM_BENCH_ROUNDS], plan[LOOM_BENCH_ROUNDS], optimize[LOOM_BENCH_ROUNDS];
    double yard_wall[LOOM_BENCH_ROUNDS], yard_cpu[LOOM_BENCH_ROUNDS]; /* seconds for each FLOP */
};

/* ---- set-up ---- */

static const struct loom_stage *first_training(const struct loom_pipeline *p)
{
    for (int i = 0; i < p->stages; i++)
        if (!p->stage[i].evaluates)
            return &p->stage[i];
    return NULL;
}

static int open_data(struct bench *b, struct loom_error *e)
{
    const struct loom_options *o = b->stage->options;
    const char *pattern[256];
    struct loom_words words = loom_option_words(o, "recordings", pattern, 256);
    b->arity = loom_model_arity(b->model);
    struct loom_sampler_spec spec = {.seed = b->running.pipeline.seed,
                                     .batch = (int32_t)loom_opt_int(o, "batch"),
                                     .arity = b->arity,
                                     .partner_s = loom_opt_real(o, "partner_s")};
    int code = loom_selection_init(&b->selection, b->running.runner.catalog, LOOM_TRAIN, words, e);
    if (code == LOOM_OK)
        code = loom_sampler_new(&b->sampler, &b->selection, &spec, e);
    if (code != LOOM_OK)
        return code;
    b->windows = loom_sampler_batch(b->sampler) * b->arity;
    b->sample = calloc((size_t)b->windows, sizeof *b->sample);
    return b->sample ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a batch: make it smaller");
}

static int set_up(struct bench *b, int side, struct loom_error *e)
{
    struct loom_pipeline *p = &b->running.pipeline;
    struct loom_runner *r = &b->running.runner;
    const struct loom_kernels *kernels = NULL;
    b->stage = first_training(p);
    if (!b->stage)
        return loom_fail(e, LOOM_ECONFIG, b->spec.pipeline, 0, "no stage of it trains: name a pipeline with one");
    struct loom_optimizer_spec rule = loom_stage_optimizer(b->stage);
    b->lr = loom_opt_real(b->stage->optimizer, "lr");
    int code = loom_runner_model(r, b->stage, rule.shadow_decay > 0, &b->model, e);
    if (code == LOOM_OK)
        code = loom_stage_scale(b->stage, loom_model_store(b->model), 0, e);
    if (code == LOOM_OK)
        code = loom_optimizer_init(&b->optimizer, loom_model_store(b->model), &rule, e);
    if (code == LOOM_OK)
        code = loom_stepper_new(&b->stepper, b->model, r->pool, p->shards, p->arena, e);
    if (code == LOOM_OK)
        code = loom_stage_kernels(b->stage, &kernels, e);
    if (code == LOOM_OK)
        loom_stepper_set_kernels(b->stepper, kernels);
    if (code == LOOM_OK)
        code = open_data(b, e);
    return code == LOOM_OK ? loom_yardstick_init(&b->yardstick, r->pool, side, e) : code;
}

static void tear_down(struct bench *b)
{
    loom_yardstick_release(&b->yardstick);
    loom_sampler_free(b->sampler);
    loom_selection_release(&b->selection);
    loom_stepper_free(b->stepper);
    loom_optimizer_release(&b->optimizer);
    loom_model_free(b->model);
    loom_running_release(&b->running);
    free(b->sample);
    free(b);
}

/* ---- steps ---- */

/* One training step as loom_train takes it. *optimize_s: wall time of the optimizer. */
static int one_step(struct bench *b, double *optimize_s, struct loom_error *e)
{
    double norm;
    for (int i = 0; i < b->windows; i++)
        loom_sampler_draw(b->sampler, b->step, i / b->arity, i % b->arity, &b->sample[i]);
    int code = loom_stepper_run(b->stepper, b->sample, b->windows, b->arity, LOOM_STEP, b->step, &b->result, e);
    if (code != LOOM_OK)
        return code;
    double began = loom_bench_wall();
    code = loom_optimizer_step(&b->optimizer, b->result.root->grad, 1.0, b->lr, b->running.runner.pool, &norm, e);
    *optimize_s = loom_bench_wall() - began;
    if (code == LOOM_OK && loom_model_wants_fitting(b->model))
        code = loom_model_update(b->model, b->result.root->sum, 0, 0, e);
    b->step++;
    return code < 0 ? code : LOOM_OK;
}

/* Steps and products in turn, as much of the one as of the other, so that both meet the same machine: what is short may
 * slip through between the turns of other programs. */
static int time_steps(struct bench *b, const struct loom_bench_spec *spec, struct loom_bench_step *out,
                      struct loom_error *e)
{
    int code = LOOM_OK;
    double ignored;
    for (int i = 0; i < WARM_UP && code == LOOM_OK; i++) {
        code = one_step(b, &ignored, e);
        loom_yardstick_run(&b->yardstick, 0, &ignored, &ignored);
    }
    for (int i = 0; i < spec->steps && code == LOOM_OK; i++) {
        uint64_t heap = spec->allocations ? spec->allocations() : 0;
        double wall = loom_bench_wall(), cpu = loom_bench_cpu();
        code = one_step(b, &b->optimize[i], e);
        b->wall[i] = loom_bench_wall() - wall;
        b->cpu[i] = loom_bench_cpu() - cpu;
        b->plan[i] = b->result.plan_s;
        if (spec->allocations)
            out->heap_allocations += (int64_t)(spec->allocations() - heap);
        double flops = loom_yardstick_run(&b->yardstick, b->result.flops, &b->yard_wall[i], &b->yard_cpu[i]);
        b->yard_wall[i] /= flops;
        b->yard_cpu[i] /= flops;
    }
    return code;
}

/* ---- where the time goes ---- */

static struct loom_bench_part *part_of(struct loom_bench_step *out, const char *op)
{
    for (int i = 0; i < out->parts; i++)
        if (strcmp(out->part[i].op, op) == 0)
            return &out->part[i];
    if (out->parts == LOOM_BENCH_PARTS)
        return &out->part[LOOM_BENCH_PARTS - 1];
    out->part[out->parts] = (struct loom_bench_part){.op = op};
    return &out->part[out->parts++];
}

/* Bytes that one call of an op moves, and numbers it makes: means over the nodes of the graph, which holds the last
 * shard it ran. Inputs are read once and outputs written once; backward does both twice. */
static void mean_work(const struct loom_graph *g, const struct loom_op *op, double *bytes, double *elements)
{
    int64_t nodes = 0;
    *bytes = *elements = 0;
    for (const struct loom_node *n = g->first; n; n = n->next) {
        if (n->op != op)
            continue;
        *bytes += 3 * loom_bench_node_bytes(n);
        *elements += 3 * (double)n->size;
        nodes++;
    }
    *bytes /= nodes > 0 ? (double)nodes : 1;
    *elements /= nodes > 0 ? (double)nodes : 1;
}

static void add_profile(struct loom_bench_step *out, const struct loom_graph *g)
{
    const struct loom_profile *entry;
    int n = loom_graph_profiled(g, &entry);
    for (int i = 0; i < n; i++) {
        struct loom_bench_part *p = part_of(out, entry[i].op->name);
        double bytes, elements;
        mean_work(g, entry[i].op, &bytes, &elements);
        p->calls += entry[i].calls;
        p->forward_s += entry[i].forward_s;
        p->backward_s += entry[i].backward_s;
        p->flops += 3 * entry[i].flops;
        p->bytes += (double)entry[i].calls * bytes;
        p->elements += (double)entry[i].calls * elements;
    }
}

static int slower(const void *a, const void *b)
{
    const struct loom_bench_part *x = a, *y = b;
    double s = x->forward_s + x->backward_s, t = y->forward_s + y->backward_s;
    return (s < t) - (s > t);
}

static int profile_steps(struct bench *b, struct loom_bench_step *out, struct loom_error *e)
{
    int code = LOOM_OK, workers = loom_pool_workers(b->running.runner.pool);
    double ignored;
    for (int i = 0; i < workers; i++)
        loom_graph_profile(loom_stepper_graph(b->stepper, i), 1);
    for (int i = 0; i < PROFILED && code == LOOM_OK; i++)
        code = one_step(b, &ignored, e);
    for (int i = 0; i < workers && code == LOOM_OK; i++)
        add_profile(out, loom_stepper_graph(b->stepper, i));
    for (int i = 0; i < out->parts; i++) {
        out->part[i].calls /= PROFILED;
        out->part[i].forward_s /= PROFILED;
        out->part[i].backward_s /= PROFILED;
        out->part[i].flops /= PROFILED;
        out->part[i].bytes /= PROFILED;
        out->part[i].elements /= PROFILED;
    }
    qsort(out->part, (size_t)out->parts, sizeof *out->part, slower);
    return code;
}

/* ---- the figures ---- */

static void summarise(struct bench *b, struct loom_bench_step *out, int n)
{
    const struct loom_store *store = loom_model_store(b->model);
    double wall = loom_bench_median(n, b->wall), cpu = loom_bench_median(n, b->cpu);
    double yard_wall = loom_bench_median(n, b->yard_wall), yard_cpu = loom_bench_median(n, b->yard_cpu);
    snprintf(out->name, sizeof out->name, "%s", b->running.pipeline.name);
    out->threads = loom_pool_workers(b->running.runner.pool);
    out->shards = b->running.pipeline.shards;
    out->steps = n;
    out->parameters = loom_store_parameters(store);
    out->tokens = b->result.tokens;
    out->flops = b->result.flops;
    out->ms = 1e3 * wall;
    out->cpu_ms = 1e3 * cpu;
    out->plan_ms = 1e3 * loom_bench_median(n, b->plan);
    out->optimizer_ms = 1e3 * loom_bench_median(n, b->optimize);
    out->sgemm_gflops = 1e-9 / yard_wall;
    out->sgemm_cpu_gflops = 1e-9 / yard_cpu;
    out->sgemm_share = out->flops * yard_wall / wall;
    out->sgemm_cpu_share = out->flops * yard_cpu / cpu;
    out->tokens_per_s = (double)out->tokens / wall;
    out->peak_bytes = loom_stepper_peak(b->stepper) +
                      3 * (size_t)store->size[LOOM_LIFE_PARAM] * sizeof(loom_real); /* values and moments */
}

int loom_bench_step(struct loom_bench_step *out, const char *pipeline, const char *const *override, int n,
                    const struct loom_bench_spec *spec, struct loom_error *e)
{
    enum { SIDE = 1024 };
    struct bench *b = calloc(1, sizeof *b);
    *out = (struct loom_bench_step){.heap_allocations = spec->allocations ? 0 : -1};
    if (!b)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to measure a step: free some");
    b->spec = (struct loom_run_spec){.size = sizeof b->spec,
                                     .pipeline = pipeline,
                                     .overrides = n,
                                     .override = override,
                                     .plugin_path = spec->plugin_path,
                                     .threads = spec->threads};
    int code = loom_running_open(&b->running, &b->spec, e);
    if (code == LOOM_OK)
        code = set_up(b, SIDE, e);
    if (code == LOOM_OK)
        code = time_steps(b, spec, out, e);
    if (code == LOOM_OK) {
        summarise(b, out, spec->steps);
        code = profile_steps(b, out, e);
    }
    tear_down(b);
    return code;
}
