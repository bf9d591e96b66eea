/* SPDX-License-Identifier: Apache-2.0 */
#include "train/bench.h"

#include "tensor/cases/cases.h"
#include "tensor/kernels/kernels.h"
#include "tensor/node.h"
#include "train/optimizer.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAPH_MIB = 512, REFERENCE_ROUNDS = 3 };
static const double LONGEST_S = 0.2, QUICK_FLOPS = 2e7; /* of what the reference is run for */

/* Time of one op in one graph, call by call. */
struct series {
    struct loom_graph *graph;
    struct loom_case_run run;
    const char *op;
    size_t length; /* of its name */
    double forward[LOOM_BENCH_ROUNDS], backward[LOOM_BENCH_ROUNDS];
};

/* A case bears its op's name, with a variant behind a dot; what else its graph holds serves to measure. */
static const struct loom_profile *entry_of(const struct series *s)
{
    const struct loom_profile *entry;
    int n = loom_graph_profiled(s->graph, &entry);
    for (int i = 0; i < n; i++)
        if (strlen(entry[i].op->name) == s->length && strncmp(entry[i].op->name, s->op, s->length) == 0)
            return &entry[i];
    return NULL;
}

static int measure(struct series *s, int round)
{
    loom_graph_profile(s->graph, 1);
    loom_graph_forward(s->graph);
    loom_graph_backward(s->graph, 1, &s->run.root, &(double){1.0});
    const struct loom_profile *entry = entry_of(s);
    if (!entry || entry->calls == 0)
        return 0;
    s->forward[round] = entry->forward_s / (double)entry->calls;
    s->backward[round] = entry->backward_s / (double)entry->calls;
    return 1;
}

static int open_series(struct series *s, const struct loom_case *c, int reference, struct loom_error *e)
{
    s->op = c->name;
    s->length = strcspn(c->name, ".");
    loom_graph_set_kernels(s->graph, loom_kernels_named(reference ? "reference" : getenv("LOOM_KERNELS"), NULL));
    int code = loom_case_build(&s->run, s->graph, c, NULL, 0);
    if (code != LOOM_OK)
        loom_graph_error(s->graph, e);
    return code;
}

double loom_bench_node_bytes(const struct loom_node *n)
{
    double bytes = (double)loom_node_bytes(n);
    for (int32_t i = 0; i < n->inputs; i++)
        if (i == 0 || n->in[i] != n->in[i - 1])
            bytes += (double)loom_node_bytes(n->in[i]);
    return bytes;
}

/* FLOPs and bytes of the op's first node. */
static void count_work(const struct series *s, struct loom_bench_op *op)
{
    for (const struct loom_node *n = s->graph->first; n; n = n->next) {
        if (!n->op || strlen(n->op->name) != s->length || strncmp(n->op->name, s->op, s->length) != 0)
            continue;
        op->flops = n->op->flops ? n->op->flops(n) : 0;
        op->bytes = loom_bench_node_bytes(n);
        return;
    }
}

static void judge(struct loom_bench_op *op, const struct loom_bench_machine *m)
{
    struct loom_bench_bound bound = loom_bench_bound(m, op->flops, op->bytes);
    op->bound = bound.by;
    op->forward_share = op->forward_s > 0 ? bound.seconds / op->forward_s : 0;
    op->backward_share = op->backward_s > 0 ? 2 * bound.seconds / op->backward_s : 0;
}

/* The fast kernel in every round, the reference in a few of them between, for about so many seconds. */
static int measure_case(struct series *fast, struct series *reference, const struct loom_case *c,
                        const struct loom_bench_machine *m, const struct loom_bench_spec *spec,
                        struct loom_bench_op *op, struct loom_error *e)
{
    int code = open_series(fast, c, 0, e), rounds = spec->rounds, slow_rounds = 0;
    double slow_s = 0;
    *op = (struct loom_bench_op){.name = c->name, .rows = c->rows, .width = c->width, .more = c->more};
    if (code == LOOM_OK)
        code = open_series(reference, c, 1, e);
    if (code != LOOM_OK)
        return code;
    count_work(fast, op);
    if (spec->quick && op->flops > QUICK_FLOPS)
        slow_s = LONGEST_S;
    for (int i = -1; i < rounds; i++) { /* the first round warms up */
        int at = i < 0 ? 0 : i;
        if (!measure(fast, at))
            return loom_fail(e, LOOM_EINVAL, NULL, 0, "case '%s' does not run the op of its name: rename it", c->name);
        if (i >= 0 && slow_rounds < REFERENCE_ROUNDS && slow_s < LONGEST_S && measure(reference, slow_rounds)) {
            slow_s += reference->forward[slow_rounds] + reference->backward[slow_rounds];
            slow_rounds++;
        }
    }
    op->forward_s = loom_bench_median(rounds, fast->forward);
    op->backward_s = loom_bench_median(rounds, fast->backward);
    op->reference_forward_s = slow_rounds > 0 ? loom_bench_median(slow_rounds, reference->forward) : NAN;
    op->reference_backward_s = slow_rounds > 0 ? loom_bench_median(slow_rounds, reference->backward) : NAN;
    judge(op, m);
    return LOOM_OK;
}

/* ---- the optimizer ---- */

/* Parameters in a store of their own, as many as the reference step has. */
enum { OPTIMIZED = 3200000 };

struct optimized {
    struct loom_store *store;
    struct loom_optimizer rule;
    struct loom_pool *one;
    loom_real *grad;
};

static int open_optimizer(struct optimized *o, struct loom_error *e)
{
    const struct loom_optimizer_spec spec = {
        .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .clip = 1.0};
    int code = loom_pool_new(&o->one, 1, e);
    if (code == LOOM_OK)
        code = loom_store_new(&o->store, 1, e);
    if (code == LOOM_OK &&
        !loom_store_declare(o->store, LOOM_LIFE_PARAM, "all", 2, (int64_t[]){OPTIMIZED / 256, 256}, "fan_in", 0, e))
        code = LOOM_ENOMEM;
    if (code == LOOM_OK)
        code = loom_store_seal(o->store, 0, e);
    if (code == LOOM_OK)
        code = loom_optimizer_init(&o->rule, o->store, &spec, e);
    o->grad = calloc(OPTIMIZED, sizeof *o->grad);
    if (code == LOOM_OK && !o->grad)
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to measure the optimizer with: free some");
    for (size_t i = 0; o->grad && i < OPTIMIZED; i++)
        o->grad[i] = (loom_real)(i % 13) / 16 - (loom_real)0.375;
    return code;
}

static void close_optimizer(struct optimized *o)
{
    loom_optimizer_release(&o->rule);
    loom_store_free(o->store);
    if (o->one)
        loom_pool_free(o->one);
    free(o->grad);
}

/* Clipping by global norm and AdamW: the gradient is read twice; values and both moments are read and written. */
static int measure_optimizer(const struct loom_bench_machine *m, int rounds, struct loom_bench_op *op,
                             struct loom_error *e)
{
    struct optimized o = {0};
    double fast[LOOM_BENCH_ROUNDS], reference[REFERENCE_ROUNDS], norm, sum = 0;
    int slow_rounds = rounds < REFERENCE_ROUNDS ? rounds : REFERENCE_ROUNDS, code = open_optimizer(&o, e);
    for (int i = -1; i < rounds && code == LOOM_OK; i++) {
        double began = loom_bench_thread();
        code = loom_optimizer_step(&o.rule, o.grad, 1.0, 1e-3, o.one, &norm, e);
        double between = loom_bench_thread();
        const struct loom_adamw h = {
            .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.01, .grad_scale = 1, .step = 1};
        if (i >= 0)
            fast[i] = between - began;
        if (code != LOOM_OK || i < 0 || i >= slow_rounds)
            continue;
        between = loom_bench_thread();
        sum += loom_ref_sum_squares(OPTIMIZED, o.grad);
        loom_ref_adamw(&h, OPTIMIZED, o.grad, o.store->param, o.rule.m, o.rule.v, NULL);
        reference[i] = loom_bench_thread() - between;
    }
    *op = (struct loom_bench_op){
        .name = "adamw.clip", .rows = OPTIMIZED / 256, .width = 256, .bytes = 8.0 * OPTIMIZED * sizeof(loom_real)};
    if (code == LOOM_OK) {
        op->forward_s = loom_bench_median(rounds, fast);
        op->reference_forward_s = sum > 0 ? loom_bench_median(slow_rounds, reference) : 0;
        judge(op, m);
    }
    close_optimizer(&o);
    return code;
}

int loom_bench_ops(const struct loom_bench_machine *machine, const struct loom_bench_spec *spec,
                   void (*each)(void *payload, const struct loom_bench_op *op), void *payload, struct loom_error *e)
{
    static _Thread_local struct series fast, reference;
    const struct loom_case *c;
    struct loom_bench_op op;
    int before = openblas_get_num_threads();
    int code = loom_graph_new(&fast.graph, (size_t)GRAPH_MIB << 20, e);
    reference.graph = NULL;
    if (code == LOOM_OK)
        code = loom_graph_new(&reference.graph, (size_t)GRAPH_MIB << 20, e);
    openblas_set_num_threads(1);
    for (size_t i = 0; code == LOOM_OK && (c = loom_case_at(i)); i++) {
        if (!(c->flags & LOOM_CASE_TIMING))
            continue;
        code = measure_case(&fast, &reference, c, machine, spec, &op, e);
        if (code == LOOM_OK)
            each(payload, &op);
    }
    if (code == LOOM_OK)
        code = measure_optimizer(machine, spec->rounds, &op, e);
    if (code == LOOM_OK)
        each(payload, &op);
    openblas_set_num_threads(before);
    loom_graph_free(fast.graph);
    loom_graph_free(reference.graph);
    return code;
}
