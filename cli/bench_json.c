/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include "words.h"

#include <math.h>
#include <stdio.h>

/* "name": x; null where there is no such figure. */
static void real(const char *name, double x, const char *behind)
{
    if (isfinite(x))
        printf("\"%s\": %.6g%s", name, x, behind);
    else
        printf("\"%s\": null%s", name, behind);
}

/* Counts are written to the last digit. */
static void count(const char *name, double x, const char *behind)
{
    if (isfinite(x))
        printf("\"%s\": %.17g%s", name, x, behind);
    else
        printf("\"%s\": null%s", name, behind);
}

void loom_bench_json_begin(const char *title, int number)
{
    printf("%s\n    ", number ? "," : "");
    loom_print_json(title);
    printf(": {");
}

static void open_section(enum loom_bench_section section, int measured)
{
    static const char *const head[] = {"{\n  \"machine\": {", "  \"ops\": [", "  \"steps\": {", "  \"scaling\": {",
                                       "  \"stream\": {"};
    (void)measured;
    fputs(head[section], stdout);
}

static void close_section(enum loom_bench_section section, int measured)
{
    static const char *const tail[] = {"},\n", "],\n", "},\n", "},\n", "}\n}\n"};
    (void)measured;
    fputs(tail[section], stdout);
}

static void machine(const struct loom_bench_machine *m)
{
    printf("\"cpu\": ");
    loom_print_json(m->cpu);
    printf(", \"blas\": ");
    loom_print_json(m->blas);
    printf(", \"threads\": %d, \"sgemm_side\": %d, ", m->threads, m->sgemm_best);
    real("sgemm_gflops", m->sgemm_gflops, ", ");
    real("sgemm_one_gflops", m->sgemm_one_gflops, ", ");
    real("bandwidth_gbs", m->bandwidth_gbs, ", ");
    real("bandwidth_one_gbs", m->bandwidth_one_gbs, ",\n    \"limits\": [");
    for (int i = 0; i < m->limits; i++) {
        const struct loom_bench_limit *l = &m->limit[i];
        printf("%s\n      {\"threads\": %d, ", i ? "," : "", l->threads);
        real("triad_gbs", l->triad_gbs, ", ");
        real("read_gbs", l->read_gbs, ", \"sgemm\": [");
        for (int k = 0; k < m->sizes; k++) {
            printf("%s\n        {\"side\": %d, ", k ? "," : "", m->size[k]);
            real("together_gflops", l->together_gflops[k], ", ");
            real("apart_gflops", l->apart_gflops[k], "}");
        }
        printf("]}");
    }
    printf("],\n    \"levels\": [");
    for (int i = 0; i < m->levels; i++) {
        printf("%s\n      {\"name\": ", i ? "," : "");
        loom_print_json(m->level[i].name);
        printf(", \"bytes\": %lld, \"used_bytes\": %lld, ", (long long)m->level[i].size, (long long)m->level[i].used);
        real("triad_gbs", m->level[i].triad_gbs, ", ");
        real("read_gbs", m->level[i].read_gbs, "}");
    }
    printf("]");
}

static void op(const struct loom_bench_op *o, int number)
{
    printf("%s\n    {\"op\": ", number ? "," : "");
    loom_print_json(o->name);
    printf(", \"rows\": %lld, \"width\": %lld, \"more\": %lld, \"bound\": ", (long long)o->rows, (long long)o->width,
           (long long)o->more);
    loom_print_json(o->bound);
    printf(", ");
    real("flops", o->flops, ", ");
    real("bytes", o->bytes, ", ");
    real("forward_us", 1e6 * o->forward_s, ", ");
    real("backward_us", 1e6 * o->backward_s, ", ");
    real("forward_share", o->forward_share, ", ");
    real("backward_share", o->backward_share, ", ");
    real("reference_forward_us", 1e6 * o->reference_forward_s, ", ");
    real("reference_backward_us", 1e6 * o->reference_backward_s, "}");
}

static void step(const struct loom_bench_step *s, const char *title, int number)
{
    loom_bench_json_begin(title, number);
    printf("\"threads\": %d, \"shards\": %d, \"steps\": %d, \"parameters\": %lld, \"tokens\": %lld, ", s->threads,
           s->shards, s->steps, (long long)s->parameters, (long long)s->tokens);
    real("ms", s->ms, ", ");
    real("cpu_ms", s->cpu_ms, ", ");
    real("plan_ms", s->plan_ms, ", ");
    real("optimizer_ms", s->optimizer_ms, ", ");
    count("flops", s->flops, ", ");
    real("sgemm_gflops", s->sgemm_gflops, ", ");
    real("sgemm_cpu_gflops", s->sgemm_cpu_gflops, ", ");
    real("sgemm_share", s->sgemm_share, ", ");
    real("sgemm_cpu_share", s->sgemm_cpu_share, ", ");
    real("tokens_per_s", s->tokens_per_s, ", ");
    printf("\"peak_bytes\": %zu, ", s->peak_bytes);
    count("heap_allocations", s->heap_allocations < 0 ? NAN : (double)s->heap_allocations, ", \"parts\": [");
    for (int i = 0; i < s->parts; i++) {
        printf("%s\n      {\"op\": ", i ? "," : "");
        loom_print_json(s->part[i].op);
        printf(", \"calls\": %lld, ", (long long)s->part[i].calls);
        real("forward_ms", 1e3 * s->part[i].forward_s, ", ");
        real("backward_ms", 1e3 * s->part[i].backward_s, ", ");
        count("flops", s->part[i].flops, ", ");
        real("bytes", s->part[i].bytes, "}");
    }
    printf("]}");
}

static void skipped(const char *title, const char *why, int number)
{
    loom_bench_json_begin(title, number);
    printf("\"skipped\": ");
    loom_print_json(why);
    printf("}");
}

static void curve(const struct loom_bench_curve *c, int number)
{
    loom_bench_json_begin(c->name, number);
    printf("\"varies\": ");
    loom_print_json(c->varies);
    printf(", \"what\": ");
    loom_print_json(c->what);
    printf(", \"clock\": ");
    loom_print_json(c->clock);
    printf(", \"fitted_from\": %.17g, ", c->x[c->fitted]);
    real("time_exponent", c->time.exponent, ", ");
    real("time_residual", c->time.residual, ", ");
    real("memory_exponent", c->memory.exponent, ", ");
    real("memory_residual", c->memory.residual, ", \"points\": [");
    for (int i = 0; i < c->points; i++) {
        printf("%s\n      {", i ? "," : "");
        count("x", c->x[i], ", ");
        real("ms", 1e3 * c->seconds[i], ", ");
        real("gflops", 1e-9 * c->flops[i] / c->seconds[i], ", ");
        count("bytes", c->bytes[i], "}");
    }
    printf("]}");
}

const struct loom_bench_form loom_bench_json = {
    .open = open_section,
    .close = close_section,
    .machine = machine,
    .op = op,
    .step = step,
    .skipped = skipped,
    .curve = curve,
    .stream = loom_bench_stream_json,
};
