/* SPDX-License-Identifier: Apache-2.0 */
#include "train/bench.h"

#include "base/threads.h"

#include <loom/graph.h>

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_MIB = 4096, HEAD = 64, MOST_ROUNDS = 9 };

/* ---- laws ---- */

struct loom_bench_law loom_bench_law(int n, const double *x, const double *y)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0, square = 0, points = 0;
    for (int i = 0; i < n; i++) {
        if (!(x[i] > 0) || !(y[i] > 0))
            continue;
        double u = log(x[i]), v = log(y[i]);
        points++;
        sx += u;
        sy += v;
        sxx += u * u;
        sxy += u * v;
    }
    double spread = points * sxx - sx * sx;
    if (points < 2 || !(spread > 0))
        return (struct loom_bench_law){NAN, NAN};
    double slope = (points * sxy - sx * sy) / spread, at = (sy - slope * sx) / points;
    for (int i = 0; i < n; i++)
        if (x[i] > 0 && y[i] > 0)
            square += pow(log(y[i]) - at - slope * log(x[i]), 2);
    return (struct loom_bench_law){slope, exp(sqrt(square / points)) - 1};
}

static void fit(struct loom_bench_curve *c, int from)
{
    c->fitted = from;
    c->time = loom_bench_law(c->points - from, c->x + from, c->seconds + from);
    c->memory = loom_bench_law(c->points - from, c->x + from, c->bytes + from);
}

/* ---- what is run ---- */

/* Segments of equally many tokens; a whole block, or its attention alone. Feed-forward as wide as the block. */
struct shape {
    int64_t segments, tokens, width;
    int block;
};

struct rig {
    struct loom_graph *graph;
    struct loom_node *root;
    loom_real *memory, *next; /* of leaves: values, gradients */
    size_t left;
};

static size_t leaves(const struct shape *s)
{
    size_t rows = (size_t)(s->segments * s->tokens), w = (size_t)s->width;
    return 2 * (s->block ? rows * w + 6 * w * w + 10 * w : 3 * rows * w);
}

/* Values of a spread that leaves every activation near 1. */
static struct loom_node *leaf(struct rig *r, int rank, int64_t rows, int64_t width)
{
    size_t n = (size_t)rows * (size_t)width;
    const int64_t dim[2] = {rows, width};
    if (2 * n > r->left)
        return loom_leaf(r->graph, "?", 0, NULL, NULL, NULL);
    loom_real *value = r->next, scale = (loom_real)(rank == 2 ? 1 / sqrt((double)width) : 1);
    r->next += 2 * n;
    r->left -= 2 * n;
    for (size_t i = 0; i < n; i++)
        value[i] = scale * ((loom_real)(i * 7919 % 1024) / 512 - 1);
    return loom_leaf(r->graph, "leaf", rank, dim + 2 - rank, value, value + n);
}

static struct loom_node *linear(struct rig *r, struct loom_node *x, int64_t out, int act)
{
    struct loom_node *w = leaf(r, 2, out, loom_node_dim(x, -1));
    return loom_linear(r->graph, x, w, leaf(r, 1, 1, out), act);
}

static struct loom_node *norm(struct rig *r, struct loom_node *x)
{
    struct loom_node *gain = leaf(r, 1, 1, loom_node_dim(x, -1));
    return loom_layer_norm(r->graph, x, gain, leaf(r, 1, 1, loom_node_dim(x, -1)), 1e-5);
}

static struct loom_node *attend(struct rig *r, struct loom_node *qkv, const struct shape *s)
{
    int32_t *first = loom_graph_alloc(r->graph, ((size_t)s->segments + 1) * sizeof *first);
    struct loom_attention a = {.heads = s->width > HEAD ? (int32_t)(s->width / HEAD) : 1,
                               .width = (int32_t)s->width,
                               .k_column = (int32_t)s->width,
                               .v_column = 2 * (int32_t)s->width,
                               .back_s = -1,
                               .ahead_s = -1};
    for (int64_t i = 0; first && i <= s->segments; i++)
        first[i] = (int32_t)(i * s->tokens);
    a.q_groups = (struct loom_groups){first ? (int32_t)s->segments : 0, first, NULL, NULL};
    a.k_groups = a.q_groups;
    return loom_attention(r->graph, qkv, qkv, qkv, &a);
}

static void build(struct rig *r, const struct shape *s)
{
    int64_t rows = s->segments * s->tokens;
    struct loom_node *x = leaf(r, 2, rows, s->block ? s->width : 3 * s->width);
    if (s->block) {
        struct loom_node *h = attend(r, linear(r, norm(r, x), 3 * s->width, LOOM_ACT_NONE), s);
        x = loom_add(r->graph, x, linear(r, h, s->width, LOOM_ACT_NONE));
        h = linear(r, norm(r, x), s->width, LOOM_ACT_GELU);
        x = loom_add(r->graph, x, linear(r, h, s->width, LOOM_ACT_NONE));
    } else {
        x = attend(r, x, s);
    }
    r->root = loom_sum(r->graph, x);
}

static void close_rig(struct rig *r)
{
    loom_graph_free(r->graph);
    free(r->memory);
    *r = (struct rig){0};
}

static int open_rig(struct rig *r, const struct shape *s, struct loom_error *e)
{
    *r = (struct rig){.left = leaves(s)};
    r->memory = r->next = calloc(r->left, sizeof *r->memory);
    if (!r->memory)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to measure scaling with: free some");
    int code = loom_graph_new(&r->graph, (size_t)ARENA_MIB << 20, e);
    if (code == LOOM_OK) {
        build(r, s);
        code = loom_graph_error(r->graph, e);
    }
    return code;
}

static void pass(struct rig *r)
{
    loom_graph_forward(r->graph);
    loom_graph_backward(r->graph, 1, &r->root, &(double){1.0});
}

/* ---- curves of one thread ---- */

/* Rounds until a quarter of a second has gone by, two at least unless one is longer than that by itself. */
static int measure(const struct shape *s, double *seconds, double *bytes, double *flops, struct loom_error *e)
{
    struct rig r;
    double time[MOST_ROUNDS], all = 0;
    int rounds = 0, code = open_rig(&r, s, e);
    if (code == LOOM_OK)
        pass(&r);
    while (code == LOOM_OK && rounds < MOST_ROUNDS && (all < 0.25 || (rounds < 2 && all < 0.6))) {
        double began = loom_bench_thread();
        pass(&r);
        time[rounds] = loom_bench_thread() - began;
        all += time[rounds++];
    }
    if (code == LOOM_OK) {
        *seconds = loom_bench_median(rounds, time);
        *bytes = (double)loom_graph_peak(r.graph);
        *flops = loom_graph_flops(r.graph, 1);
    }
    close_rig(&r);
    return code;
}

/* How a curve's shape follows from x. */
struct plan {
    const char *name, *varies, *what;
    int64_t from, to, quick_to;
    struct shape (*shape)(int64_t x, int quick);
};

static struct shape attention_split(int64_t x, int quick)
{
    return (struct shape){(quick ? 1024 : 4096) / x, x, 256, 0};
}

static struct shape attention_length(int64_t x, int quick)
{
    (void)quick;
    return (struct shape){1, x, 256, 0};
}

static struct shape block_split(int64_t x, int quick)
{
    return (struct shape){(quick ? 1024 : 4096) / x, x, 256, 1};
}

static struct shape block_segments(int64_t x, int quick)
{
    (void)quick;
    return (struct shape){x, 75, 256, 1};
}

static struct shape block_width(int64_t x, int quick)
{
    (void)quick;
    return (struct shape){8, 75, x, 1};
}

static const struct plan plans[] = {
    {"attention.split", "tokens a segment", "attention of width 256 over a constant number of tokens", 64, 4096, 1024,
     attention_split},
    {"attention.length", "tokens of one segment", "attention of width 256 in one segment", 64, 4096, 2048,
     attention_length},
    {"block.split", "tokens a segment", "block of width 256 over a constant number of tokens", 64, 4096, 1024,
     block_split},
    {"block.segments", "segments", "block of width 256 over segments of 75 tokens", 1, 256, 16, block_segments},
    {"block.width", "width", "block over 8 segments of 75 tokens", 64, 1024, 256, block_width},
};

static int measure_plan(const struct plan *p, int quick, struct loom_bench_curve *c, struct loom_error *e)
{
    int code = LOOM_OK;
    int64_t to = quick ? p->quick_to : p->to;
    *c = (struct loom_bench_curve){.name = p->name, .varies = p->varies, .what = p->what, .clock = "processor"};
    for (int64_t x = p->from; x <= to && code == LOOM_OK && c->points < LOOM_BENCH_POINTS; x *= 2) {
        struct shape s = p->shape(x, quick);
        int i = c->points++;
        c->x[i] = (double)x;
        code = measure(&s, &c->seconds[i], &c->bytes[i], &c->flops[i], e);
    }
    fit(c, c->points > 5 ? c->points / 2 : c->points > 3 ? c->points - 3 : 0);
    return code;
}

/* ---- threads ---- */

struct crew {
    int shards, rigs;
    struct rig *rig; /* [rigs] one for each worker */
    double (*time)[MOST_ROUNDS];
};

static void shard_task(void *payload, int task, int worker)
{
    struct crew *c = payload;
    (void)task;
    pass(&c->rig[worker]);
}

/* Wall time of all shards, in turn with every number of threads so that all meet the same machine. */
static void time_crew(struct crew *c, struct loom_bench_curve *curve, struct loom_pool **pool, int rounds)
{
    for (int r = -1; r < rounds; r++)
        for (int i = 0; i < curve->points; i++) {
            double began = loom_bench_wall();
            loom_pool_run(pool[i], c->shards, shard_task, c);
            c->time[i][r < 0 ? 0 : r] = loom_bench_wall() - began;
        }
    for (int i = 0; i < curve->points; i++) {
        curve->seconds[i] = loom_bench_median(rounds, c->time[i]);
        curve->flops[i] = c->shards * loom_graph_flops(c->rig[0].graph, 1);
        curve->bytes[i] = curve->x[i] * (double)loom_graph_peak(c->rig[0].graph);
    }
}

static int measure_threads(const struct loom_bench_spec *spec, struct loom_bench_curve *curve, struct loom_error *e)
{
    const struct shape s = {8, 75, 256, 1};
    struct loom_pool *pool[LOOM_BENCH_POINTS] = {NULL};
    int most = spec->threads > 0 ? spec->threads : loom_cpu_count(), code = LOOM_OK;
    struct crew c = {.shards = most < 4 ? 8 : most < 64 ? 2 * most : 128};
    *curve = (struct loom_bench_curve){.name = "shards.threads",
                                       .varies = "threads",
                                       .what = "shards side by side, each a block over 600 tokens",
                                       .clock = "wall"};
    c.rig = calloc((size_t)most, sizeof *c.rig);
    c.time = calloc(LOOM_BENCH_POINTS, sizeof *c.time);
    if (!c.rig || !c.time)
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to measure threads with: free some");
    for (; code == LOOM_OK && c.rigs < most; c.rigs++)
        code = open_rig(&c.rig[c.rigs], &s, e);
    for (int n = 1; code == LOOM_OK && curve->points < LOOM_BENCH_POINTS; n *= 2) {
        n = n > most ? most : n;
        curve->x[curve->points] = n;
        code = loom_pool_new(&pool[curve->points++], n, e);
        if (n == most)
            break;
    }
    if (code == LOOM_OK)
        time_crew(&c, curve, pool, spec->quick ? 3 : MOST_ROUNDS);
    fit(curve, 0);
    for (int i = 0; i < LOOM_BENCH_POINTS; i++)
        if (pool[i])
            loom_pool_free(pool[i]);
    for (int i = 0; i < c.rigs; i++)
        close_rig(&c.rig[i]);
    free(c.rig);
    free(c.time);
    return code;
}

int loom_bench_scaling(const struct loom_bench_spec *spec,
                       void (*each)(void *payload, const struct loom_bench_curve *curve), void *payload,
                       struct loom_error *e)
{
    struct loom_bench_curve curve;
    int code = LOOM_OK, before = openblas_get_num_threads();
    openblas_set_num_threads(1);
    for (size_t i = 0; i < sizeof plans / sizeof *plans && code == LOOM_OK; i++) {
        code = measure_plan(&plans[i], spec->quick, &curve, e);
        if (code == LOOM_OK)
            each(payload, &curve);
    }
    if (code == LOOM_OK)
        code = measure_threads(spec, &curve, e);
    if (code == LOOM_OK)
        each(payload, &curve);
    openblas_set_num_threads(before);
    return code;
}
