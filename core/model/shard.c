/* SPDX-License-Identifier: Apache-2.0 */
/* A shard: windows in, rows, plan, graph, gradients out. The unit of graph, of coupling between samples and of
 * reduction. */
#include "model/internal.h"
#include "tensor/node.h"
#include "tensor/packs.h"

#include <stdlib.h>
#include <string.h>

/* What reading, tokenizing and planning leave on the host. */
struct draft {
    struct loom_arena rows;
    struct loom_rows full;
    struct loom_plan plan;
};

struct loom_shard {
    struct loom_model *model;
    struct draft draft[2], *now, *ahead;  /* now: of the windows that are built and run */
    struct loom_graph *own, *graph;       /* graph: where it builds, its own or a lent one */
    double flops;                         /* of the graph it built last */
    const struct loom_stand_in *stand_in; /* NULL: none */
    struct loom_build build;
    struct loom_reading reading[LOOM_READS];
    int readings;
};

int loom_shard_new(struct loom_shard **out, struct loom_model *m, size_t bytes, struct loom_error *e)
{
    struct loom_shard *s = calloc(1, sizeof(*s));
    if (!s)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a shard");
    s->model = m;
    s->now = &s->draft[0];
    s->ahead = &s->draft[1];
    int status = loom_arena_init(&s->now->rows, bytes, e);
    if (status == LOOM_OK)
        status = loom_arena_init(&s->ahead->rows, bytes, e);
    if (status == LOOM_OK)
        status = loom_graph_new(&s->own, bytes, e);
    s->graph = s->own;
    if (status != LOOM_OK) {
        loom_shard_free(s);
        return status;
    }
    *out = s;
    return LOOM_OK;
}

void loom_shard_free(struct loom_shard *s)
{
    if (!s)
        return;
    loom_graph_free(s->own);
    loom_arena_release(&s->draft[0].rows);
    loom_arena_release(&s->draft[1].rows);
    free(s);
}

void loom_shard_share(struct loom_shard *s, struct loom_packs *packs)
{
    loom_graph_set_packs(s->own, packs);
}

void loom_shard_set_kernels(struct loom_shard *s, const struct loom_kernels *kernels)
{
    loom_graph_set_kernels(s->own, kernels);
}

void loom_shard_threads(struct loom_shard *s, struct loom_pool *pool)
{
    loom_graph_set_pool(s->own, pool);
}

struct loom_graph *loom_shard_graph(const struct loom_shard *s)
{
    return s->own;
}

void loom_shard_lend(struct loom_shard *s, struct loom_graph *graph)
{
    s->graph = graph ? graph : s->own;
}

static int call_tokenizer(struct loom_model *m, int i, const struct loom_window *w, struct loom_rows_builder *b,
                          struct loom_error *e)
{
    const struct loom_modality *at = &m->modality[i];
    int status = at->tokenizer->tokenize(at->at.self, w, b, e);
    if (status == LOOM_OK && b->failed)
        status = loom_fail(e, LOOM_ENOMEM, NULL, 0,
                           "the rows of one shard do not fit its memory; use a smaller batch or more shards");
    if (status != LOOM_OK && e && e->code == LOOM_OK)
        loom_fail(e, status, NULL, 0, "tokenizer '%s' failed without saying why", at->at.plugin->id);
    return status;
}

static int has_held(const struct loom_window *w)
{
    return w->held && memchr(w->held, LOOM_HELD_OUT, (size_t)w->bins * (size_t)w->units);
}

static int tokenize_window(struct loom_model *m, const struct loom_window *w, const struct loom_window *truth,
                           struct loom_rows_builder *b, struct loom_error *e)
{
    int status = LOOM_OK;
    for (int i = 0; i < m->modalities && status == LOOM_OK; i++) {
        struct loom_modality *at = &m->modality[i];
        int32_t row = b->rows;
        loom_rows_tokenizer(b, i, at->axes, at->axis);
        status = call_tokenizer(m, i, w, b, e);
        if (status == LOOM_OK && !at->behavior && has_held(w)) {
            loom_rows_reveal(b, row);
            status = call_tokenizer(m, i, truth, b, e);
        }
    }
    return status;
}

static int wants_events(const struct loom_model *m)
{
    for (int i = 0; i < m->modalities; i++)
        if (m->modality[i].at.traits.events)
            return 1;
    return 0;
}

int loom_shard_tokenize(struct loom_model *m, const struct loom_sample *sample, int n, enum loom_mode mode,
                        uint64_t step, struct loom_arena *a, struct loom_rows *full, struct loom_error *e)
{
    struct loom_rows_builder b;
    struct loom_window_ask ask = {.series = m->need,
                                  .series_count = m->needs,
                                  .events = wants_events(m),
                                  .training = mode == LOOM_STEP,
                                  .unknown = mode == LOOM_EVALUATE,
                                  .seed = m->seed,
                                  .step = step};
    loom_rows_begin(&b, a, m->axes, n);
    for (int i = 0; i < n; i++) {
        const struct loom_sample *s = &sample[i];
        struct loom_window w, truth;
        int status = loom_window_fill(m->catalog, s, &ask, a, &w, &truth, e);
        if (status != LOOM_OK)
            return status;
        struct loom_segment segment = {.key = s->key,
                                       .recording = s->recording,
                                       .tuple = s->tuple,
                                       .slot = s->slot,
                                       .fold = s->fold,
                                       .origin_ns = s->origin_ns,
                                       .begin_s = s->begin_s,
                                       .end_s = s->end_s};
        loom_rows_segment(&b, i, &segment);
        status = tokenize_window(m, &w, &truth, &b, e);
        if (status != LOOM_OK)
            return status;
    }
    return loom_rows_finish(&b, m->axis_name, full, e);
}

static int read_into(struct loom_model *m, struct draft *d, const struct loom_sample *sample, int n,
                     enum loom_mode mode, uint64_t step, struct loom_error *e)
{
    loom_arena_rewind(&d->rows, 0);
    return loom_shard_tokenize(m, sample, n, mode, step, &d->rows, &d->full, e);
}

static int plan_rows(struct loom_model *m, struct draft *d, enum loom_mode mode, uint64_t step, struct loom_error *e)
{
    int status;
    loom_plan_begin(&d->plan, m, &d->rows, mode, step, &d->full);
    for (int i = 0; i < m->objectives; i++) {
        const struct loom_objective *o = (const struct loom_objective *)m->objective_at[i].part;
        d->plan.objective = i;
        status = o->plan(m->objective_at[i].self, &d->full, &d->plan, e);
        if (status < 0) {
            loom_fail(e, status, NULL, 0, "objective '%s' could not plan", m->objective_at[i].plugin->id);
            return status;
        }
    }
    return LOOM_OK;
}

static int plan_into(struct loom_model *m, struct draft *d, const struct loom_sample *sample, int n,
                     enum loom_mode mode, uint64_t step, struct loom_error *e)
{
    int status = read_into(m, d, sample, n, mode, step, e);
    return status == LOOM_OK ? plan_rows(m, d, mode, step, e) : status;
}

void loom_shard_stand_in(struct loom_shard *s, const struct loom_stand_in *x)
{
    s->stand_in = x;
}

int loom_shard_plan_altered(struct loom_shard *s, const struct loom_sample *sample, int n, enum loom_mode mode,
                            uint64_t step, void (*alter)(void *payload, struct loom_rows *full), void *payload,
                            struct loom_error *e)
{
    int status = read_into(s->model, s->now, sample, n, mode, step, e);
    if (status != LOOM_OK)
        return status;
    alter(payload, &s->now->full);
    return plan_rows(s->model, s->now, mode, step, e);
}

const struct loom_view *loom_shard_view(const struct loom_shard *s, int view)
{
    return loom_plan_get(&s->now->plan, view);
}

const struct loom_rows *loom_shard_rows(const struct loom_shard *s)
{
    return &s->now->full;
}

int loom_shard_plan(struct loom_shard *s, const struct loom_sample *sample, int n, enum loom_mode mode, uint64_t step,
                    struct loom_error *e)
{
    return plan_into(s->model, s->now, sample, n, mode, step, e);
}

int loom_shard_plan_ahead(struct loom_shard *s, const struct loom_sample *sample, int n, enum loom_mode mode,
                          uint64_t step, struct loom_error *e)
{
    return plan_into(s->model, s->ahead, sample, n, mode, step, e);
}

void loom_shard_turn(struct loom_shard *s)
{
    struct draft *was = s->now;
    s->now = s->ahead;
    s->ahead = was;
}

const struct loom_masses *loom_shard_masses(const struct loom_shard *s)
{
    return &s->now->plan.masses;
}

int loom_shard_build(struct loom_shard *s, const struct loom_masses *joined, struct loom_block *block, int first,
                     struct loom_error *e)
{
    s->readings = 0;
    loom_graph_reset(s->graph);
    loom_build_begin(&s->build, s->model, s->graph, &s->now->plan, joined, block, first);
    s->build.stand_in = s->stand_in;
    loom_build_objectives(&s->build);
    s->flops = loom_graph_flops(s->graph, s->build.mode == LOOM_STEP);
    return loom_graph_error(s->graph, e);
}

static double value_of(const struct loom_node *n)
{
    return *(const double *)loom_node_host(n);
}

static void add_terms(struct loom_build *b)
{
    for (int i = 0; i < b->terms; i++)
        b->block->term[b->term[i].entry->offset] += b->term[i].scale * value_of(b->term[i].sum);
}

static void add_sums(struct loom_build *b)
{
    for (int i = 0; i < b->sums; i++) {
        const double *from = loom_node_host(b->sum[i].node);
        double *to = b->block->sum + b->sum[i].entry->offset;
        for (int64_t k = 0; k < b->sum[i].entry->size; k++)
            to[k] += from[k];
    }
}

static void backward(struct loom_build *b)
{
    struct loom_node *root[LOOM_TERMS];
    double scale[LOOM_TERMS];
    int n = 0;
    for (int i = 0; i < b->terms; i++)
        if (!(b->term[i].flags & LOOM_LOG_ONLY)) {
            root[n] = b->term[i].sum;
            scale[n++] = b->term[i].scale;
        }
    loom_graph_backward(b->graph, n, root, scale);
}

static int has_answers(const struct loom_read_note *n)
{
    return n->answers && loom_node_dtype(n->answers) == LOOM_REAL && loom_node_rank(n->answers) == 2 &&
           loom_node_dim(n->answers, 0) == n->ask->rows;
}

static void note_readings(struct loom_shard *s)
{
    for (int i = 0; i < s->build.reads; i++) {
        const struct loom_read_note *n = &s->build.read[i];
        const struct loom_modality *at = &s->model->modality[n->modality];
        s->reading[s->readings++] =
            (struct loom_reading){.modality = n->modality,
                                  .likelihood = at->likelihood->name,
                                  .ask = n->ask,
                                  .target = n->ask->target,
                                  .weight = n->ask->weight,
                                  .predicted = n->rendered ? loom_node_host(n->rendered) : NULL,
                                  .params = loom_node_host(n->params),
                                  .params_n = (int)(n->ask->elems ? loom_node_size(n->params) / n->ask->elems : 0)};
        if (s->build.mode == LOOM_EVALUATE && has_answers(n)) {
            s->reading[i].answers = loom_node_host(n->answers);
            s->reading[i].width = (int)loom_node_dim(n->answers, 1);
        }
    }
}

void loom_shard_run(struct loom_shard *s)
{
    struct loom_build *b = &s->build;
    loom_graph_forward(s->graph);
    if (b->block) {
        add_terms(b);
        add_sums(b);
        if (b->mode == LOOM_STEP)
            backward(b);
    }
    if (s->graph == s->own)
        note_readings(s);
}

double loom_shard_flops(const struct loom_shard *s)
{
    return s->flops;
}

size_t loom_shard_peak(const struct loom_shard *s)
{
    return s->draft[0].rows.peak + s->draft[1].rows.peak + loom_graph_peak(s->own);
}

int64_t loom_shard_tokens(const struct loom_shard *s)
{
    int64_t n = 0;
    for (int v = 0; v < s->now->plan.views; v++) {
        const struct loom_view *view = s->now->plan.view[v];
        n += view->in.rows;
        for (int m = 0; m < s->model->modalities; m++)
            n += view->ask[m].rows;
    }
    return n;
}

int loom_shard_readings(const struct loom_shard *s)
{
    return s->readings;
}

const struct loom_reading *loom_shard_reading(const struct loom_shard *s, int i)
{
    return &s->reading[i];
}
