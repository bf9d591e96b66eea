/* SPDX-License-Identifier: Apache-2.0 */
#include "train/bench.h"

#include "tensor/cases/cases.h"
#include "tensor/kernels/kernels.h"
#include "tensor/node.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAPH_MIB = 512, REFERENCE_ROUNDS = 3 };

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

/* FLOPs and bytes of the op's first node: inputs read and output written once. */
static void count_work(const struct series *s, struct loom_bench_op *op)
{
    for (const struct loom_node *n = s->graph->first; n; n = n->next) {
        if (!n->op || strlen(n->op->name) != s->length || strncmp(n->op->name, s->op, s->length) != 0)
            continue;
        op->flops = n->op->flops ? n->op->flops(n) : 0;
        op->bytes = (double)loom_node_bytes(n);
        for (int32_t i = 0; i < n->inputs; i++)
            if (i == 0 || n->in[i] != n->in[i - 1])
                op->bytes += (double)loom_node_bytes(n->in[i]);
        return;
    }
}

static double share(const struct loom_bench_machine *m, const struct loom_bench_op *op, double work, double seconds)
{
    double least = fmax(op->flops / (1e9 * m->sgemm_one_gflops), op->bytes / (1e9 * m->bandwidth_one_gbs));
    return seconds > 0 ? work * least / seconds : 0;
}

/* The fast kernel in every round, the reference in a few of them between. */
static int measure_case(struct series *fast, struct series *reference, const struct loom_case *c,
                        const struct loom_bench_machine *m, int rounds, struct loom_bench_op *op, struct loom_error *e)
{
    int code = open_series(fast, c, 0, e), slow_rounds = rounds < REFERENCE_ROUNDS ? rounds : REFERENCE_ROUNDS;
    *op = (struct loom_bench_op){.name = c->name, .rows = c->rows, .width = c->width, .more = c->more};
    if (code == LOOM_OK)
        code = open_series(reference, c, 1, e);
    if (code != LOOM_OK)
        return code;
    count_work(fast, op);
    for (int i = -1; i < rounds; i++) { /* the first round warms up */
        int at = i < 0 ? 0 : i;
        if (!measure(fast, at) || (i < slow_rounds && !measure(reference, at)))
            return loom_fail(e, LOOM_EINVAL, NULL, 0, "case '%s' does not run the op of its name: rename it", c->name);
    }
    op->forward_s = loom_bench_median(rounds, fast->forward);
    op->backward_s = loom_bench_median(rounds, fast->backward);
    op->reference_forward_s = loom_bench_median(slow_rounds, reference->forward);
    op->reference_backward_s = loom_bench_median(slow_rounds, reference->backward);
    op->forward_share = share(m, op, 1, op->forward_s);
    op->backward_share = share(m, op, 2, op->backward_s);
    return LOOM_OK;
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
        code = measure_case(&fast, &reference, c, machine, spec->rounds, &op, e);
        if (code == LOOM_OK)
            each(payload, &op);
    }
    openblas_set_num_threads(before);
    loom_graph_free(fast.graph);
    loom_graph_free(reference.graph);
    return code;
}
