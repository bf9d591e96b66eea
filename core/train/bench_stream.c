/* SPDX-License-Identifier: Apache-2.0 */
#include "train/bench_stream.h"

#include "tensor/kernels/numerics.h"
#include "tensor/node.h"
#include "train/run.h"
#include "train/stream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 30, PROFILED = 31 };

struct bench {
    struct loom_run_spec spec;
    struct loom_running running;
    const struct loom_stage *stage;
    struct loom_model *model;
    struct loom_stream *stream;
    struct loom_selection selection;
    struct loom_windows windows;
    int count;                        /* windows that are streamed */
    double *all, *plan, *build, *run; /* [bins] */
    double answer;                    /* what was read, so that it is */
};

static const struct loom_stage *last_training(const struct loom_pipeline *p)
{
    const struct loom_stage *found = NULL;
    for (int i = 0; i < p->stages; i++)
        if (!p->stage[i].evaluates)
            found = &p->stage[i];
    return found;
}

/* Tiles a bin apart ask their last bin alone, but for the first of each span: that one asks its whole window. */
static int open_windows(struct bench *b, struct loom_error *e)
{
    const struct loom_catalog *c = b->running.runner.catalog;
    const struct loom_tiling tiling = {.stride_s = loom_catalog_spec(c)->bin_s};
    const char *pattern[256];
    struct loom_words words = loom_option_words(b->stage->options, "recordings", pattern, 256);
    int n = 0, code = loom_selection_init(&b->selection, c, LOOM_TEST, words, NULL);
    if (code != LOOM_OK)
        code = loom_selection_init(&b->selection, c, LOOM_TRAIN, words, e);
    if (code == LOOM_OK)
        code = loom_windows_init(&b->windows, &b->selection, &tiling, e);
    for (int i = 0; code == LOOM_OK && i < b->windows.n; i++)
        if (b->windows.sample[i].begin_s > 0)
            b->windows.sample[n++] = b->windows.sample[i];
    b->count = n ? n : b->windows.n;
    return code;
}

int loom_bench_has_bf16(void)
{
    return loom_kernels_numeric(loom_kernels_default(NULL), LOOM_NUMERICS_BF16, NULL) != NULL;
}

static int set_up(struct bench *b, int bins, struct loom_error *e)
{
    struct loom_runner *r = &b->running.runner;
    const struct loom_kernels *kernels;
    b->stage = last_training(&b->running.pipeline);
    if (!b->stage)
        return loom_fail(e, LOOM_ECONFIG, b->spec.pipeline, 0, "no stage of it trains: name a pipeline with one");
    b->all = calloc(4 * (size_t)bins, sizeof *b->all);
    if (!b->all)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the times of %d bins: ask for fewer", bins);
    b->plan = b->all + bins;
    b->build = b->plan + bins;
    b->run = b->build + bins;
    int code = loom_runner_model(r, b->stage, 0, &b->model, e);
    if (code == LOOM_OK)
        code = loom_stream_new(&b->stream, b->model, r->pool, b->running.pipeline.arena, e);
    if (code == LOOM_OK)
        code = loom_stage_kernels(b->stage, &kernels, e);
    if (code == LOOM_OK)
        loom_stream_set_kernels(b->stream, kernels);
    return code == LOOM_OK ? open_windows(b, e) : code;
}

static void tear_down(struct bench *b)
{
    loom_windows_release(&b->windows);
    loom_selection_release(&b->selection);
    loom_stream_free(b->stream);
    loom_model_free(b->model);
    loom_running_release(&b->running);
    free(b->all);
    free(b);
}

/* The last answer of each reading: what a decoder hands on. */
static void read_answer(struct bench *b)
{
    const struct loom_shard *shard = loom_stream_shard(b->stream);
    for (int i = 0; i < loom_shard_readings(shard); i++) {
        const struct loom_reading *x = loom_shard_reading(shard, i);
        if (x->predicted && x->ask->elems)
            b->answer += (double)x->predicted[x->ask->elems - 1];
    }
}

static int time_bins(struct bench *b, int bins, const struct loom_bench_spec *spec, struct loom_bench_stream *out,
                     struct loom_error *e)
{
    uint64_t heap = 0;
    int code = LOOM_OK;
    for (int i = -WARM_UP; i < bins && code == LOOM_OK; i++) {
        const struct loom_sample *window = &b->windows.sample[(i + WARM_UP) % b->count];
        struct loom_stream_times t;
        if (i == 0 && spec->allocations)
            heap = spec->allocations();
        double began = loom_bench_wall();
        code = loom_stream_step(b->stream, window, &t, e);
        read_answer(b);
        if (i < 0)
            continue;
        b->all[i] = loom_bench_wall() - began;
        b->plan[i] = t.plan_s;
        b->build[i] = t.build_s;
        b->run[i] = t.run_s;
    }
    if (spec->allocations)
        out->heap_allocations = (int64_t)(spec->allocations() - heap);
    return code;
}

static int slower(const void *a, const void *b)
{
    double x = ((const struct loom_bench_part *)a)->forward_s, y = ((const struct loom_bench_part *)b)->forward_s;
    return (x < y) - (x > y);
}

/* A few steps more on one thread, op by op. */
static int profile_bins(struct bench *b, struct loom_bench_stream *out, struct loom_error *e)
{
    struct loom_graph *g = loom_stream_graph(b->stream);
    const struct loom_profile *entry;
    double work[PROFILED], before = 0;
    int code = LOOM_OK;
    loom_graph_profile(g, 1);
    for (int i = 0; i < PROFILED && code == LOOM_OK; i++) {
        code = loom_stream_step(b->stream, &b->windows.sample[i % b->count], NULL, e);
        double sum = 0;
        out->parts = loom_graph_profiled(g, &entry);
        for (int k = 0; k < out->parts; k++)
            sum += entry[k].forward_s;
        work[i] = sum - before;
        before = sum;
    }
    loom_graph_profile(g, 0);
    if (code != LOOM_OK)
        return code;
    out->parts = out->parts < LOOM_BENCH_PARTS ? out->parts : LOOM_BENCH_PARTS;
    for (int k = 0; k < out->parts; k++)
        out->part[k] = (struct loom_bench_part){.op = entry[k].op->name,
                                                .calls = entry[k].calls / PROFILED,
                                                .forward_s = entry[k].forward_s / PROFILED,
                                                .flops = entry[k].flops / PROFILED};
    qsort(out->part, (size_t)out->parts, sizeof *out->part, slower);
    out->work_us = 1e6 * loom_bench_median(PROFILED, work);
    out->nodes = loom_graph_nodes(g);
    snprintf(out->set, sizeof out->set, "%s", g->kernels->set);
    return LOOM_OK;
}

/* The smallest time that at least the share q of all did not exceed; x is sorted. */
static double quantile(const double *x, int n, double q)
{
    int i = (int)ceil(q * n) - 1;
    return 1e6 * x[i < 0 ? 0 : i];
}

static void summarise(struct bench *b, int bins, struct loom_bench_stream *out)
{
    const struct loom_shard *shard = loom_stream_shard(b->stream);
    double sum = 0;
    for (int i = 0; i < bins; i++)
        sum += b->all[i];
    snprintf(out->name, sizeof out->name, "%s", b->running.pipeline.name);
    out->threads = loom_pool_workers(b->running.runner.pool);
    out->bins = bins;
    out->parameters = loom_store_parameters(loom_model_store(b->model));
    out->rows = loom_shard_tokens(shard);
    out->flops = loom_shard_flops(shard);
    out->plan_us = 1e6 * loom_bench_median(bins, b->plan);
    out->build_us = 1e6 * loom_bench_median(bins, b->build);
    out->run_us = 1e6 * loom_bench_median(bins, b->run);
    out->mean_us = 1e6 * sum / bins;
    out->p50_us = 1e6 * loom_bench_median(bins, b->all); /* sorts */
    out->min_us = 1e6 * b->all[0];
    out->p99_us = quantile(b->all, bins, 0.99);
    out->p999_us = quantile(b->all, bins, 0.999);
    out->max_us = 1e6 * b->all[bins - 1];
    out->peak_bytes = loom_stream_peak(b->stream);
}

int loom_bench_stream(struct loom_bench_stream *out, const char *pipeline, const char *const *override, int n, int bins,
                      const struct loom_bench_spec *spec, struct loom_error *e)
{
    struct bench *b = calloc(1, sizeof *b);
    *out = (struct loom_bench_stream){.heap_allocations = -1};
    if (!b)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to measure a stream: free some");
    b->spec = (struct loom_run_spec){.size = sizeof b->spec,
                                     .pipeline = pipeline,
                                     .override = override,
                                     .overrides = n,
                                     .plugin_path = spec->plugin_path,
                                     .threads = spec->threads};
    int code = loom_running_open(&b->running, &b->spec, e);
    if (code == LOOM_OK)
        code = set_up(b, bins, e);
    if (code == LOOM_OK)
        code = time_bins(b, bins, spec, out, e);
    if (code == LOOM_OK) {
        summarise(b, bins, out);
        code = profile_bins(b, out, e);
    }
    tear_down(b);
    return code;
}
