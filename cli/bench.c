/* SPDX-License-Identifier: Apache-2.0 */
#include "allocations.h"
#include "commands.h"
#include "words.h"

#include "train/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: loom bench [PIPELINE.cfg …] [--only machine|ops|steps] [--steps N] [--threads N] [--json]\n"
    "\n"
    "This machine's limits, and how close each op and the training steps of pipelines come to them.\n"
    "Without a pipeline the reference step, bench-ndt2.cfg, is measured. Other programs on the\n"
    "machine make all figures worse, shares less so than times.\n"
    "  --only PART      one part alone\n"
    "  --steps N        timed steps of each pipeline, 1 to 1001; default 20\n"
    "  --threads N      workers; default: the pipeline's, or one for each processor\n"
    "  --json           for programs\n"
    "  --plugin-path    folders, ':' between them, searched before $LOOM_PLUGIN_PATH\n";

static const char default_pipeline[] = "bench-ndt2.cfg";

enum part { MACHINE = 1, OPS = 2, STEPS = 4 };

struct request {
    const char *only, *steps, *threads, *path, *wrong;
    const char **pipeline;
    int pipelines, json, parts;
    struct loom_bench_spec spec;
};

/* ---- words ---- */

static int take_text(int argc, char **argv, int *i, const char *name, const char **out)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0)
        return 0;
    if (argv[*i][n] == '=')
        *out = argv[*i] + n + 1;
    else if (argv[*i][n] == '\0' && *i + 1 < argc)
        *out = argv[++*i];
    else
        return 0;
    return 1;
}

static int read_words(int argc, char **argv, struct request *q)
{
    for (int i = 1; i < argc; i++) {
        q->wrong = argv[i];
        if (strcmp(argv[i], "--json") == 0)
            q->json = 1;
        else if (take_text(argc, argv, &i, "--only", &q->only) || take_text(argc, argv, &i, "--steps", &q->steps) ||
                 take_text(argc, argv, &i, "--threads", &q->threads) ||
                 take_text(argc, argv, &i, "--plugin-path", &q->path))
            continue;
        else if (argv[i][0] == '-')
            return 1;
        else
            q->pipeline[q->pipelines++] = argv[i];
    }
    return 0;
}

static int understand(struct request *q)
{
    static const struct {
        const char *name;
        int parts;
    } only[] = {{"machine", MACHINE}, {"ops", OPS}, {"steps", STEPS}};
    int steps = q->steps ? loom_words_threads(q->steps) : 20;
    q->parts = q->only ? 0 : MACHINE | OPS | STEPS;
    for (size_t i = 0; q->only && i < sizeof only / sizeof *only; i++)
        if (strcmp(q->only, only[i].name) == 0)
            q->parts = only[i].parts;
    q->wrong = q->parts == 0 ? q->only : NULL;
    if (steps < 1 || steps > LOOM_BENCH_ROUNDS)
        q->wrong = q->steps;
    if (q->threads && loom_words_threads(q->threads) < 0)
        q->wrong = q->threads;
    q->spec = (struct loom_bench_spec){.threads = q->threads ? loom_words_threads(q->threads) : 0,
                                       .rounds = 9,
                                       .steps = steps,
                                       .plugin_path = q->path,
                                       .allocations = loom_allocations()};
    return q->wrong != NULL;
}

/* ---- JSON ---- */

static void json_text(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == '"' || *c == '\\')
            printf("\\u%04x", *c);
        else
            putchar(*c);
    putchar('"');
}

/* "name": x; null where there is no such figure. */
static void json_real(const char *name, double x, const char *behind)
{
    if (isfinite(x))
        printf("\"%s\": %.6g%s", name, x, behind);
    else
        printf("\"%s\": null%s", name, behind);
}

static void json_machine(const struct loom_bench_machine *m)
{
    printf("  \"machine\": {\"cpu\": ");
    json_text(m->cpu);
    printf(", \"blas\": ");
    json_text(m->blas);
    printf(", \"threads\": %d, ", m->threads);
    json_real("sgemm_gflops", m->sgemm_gflops, ", ");
    json_real("sgemm_one_gflops", m->sgemm_one_gflops, ", ");
    json_real("bandwidth_gbs", m->bandwidth_gbs, ", ");
    json_real("bandwidth_one_gbs", m->bandwidth_one_gbs, ", \"sgemm\": [");
    for (int i = 0; i < LOOM_BENCH_SIZES; i++) {
        printf("%s\n    {\"side\": %d, ", i ? "," : "", m->size[i]);
        json_real("one_gflops", m->size_one[i], ", ");
        json_real("blas_gflops", m->size_blas[i], ", ");
        json_real("side_by_side_gflops", m->size_side[i], "}");
    }
    printf("]},\n");
}

static void json_op(void *payload, const struct loom_bench_op *op)
{
    int *count = payload;
    printf("%s\n    {\"op\": ", (*count)++ ? "," : "");
    json_text(op->name);
    printf(", \"rows\": %lld, \"width\": %lld, \"more\": %lld, ", (long long)op->rows, (long long)op->width,
           (long long)op->more);
    json_real("flops", op->flops, ", ");
    json_real("bytes", op->bytes, ", ");
    json_real("forward_us", 1e6 * op->forward_s, ", ");
    json_real("backward_us", 1e6 * op->backward_s, ", ");
    json_real("forward_share", op->forward_share, ", ");
    json_real("backward_share", op->backward_share, ", ");
    json_real("reference_forward_us", 1e6 * op->reference_forward_s, ", ");
    json_real("reference_backward_us", 1e6 * op->reference_backward_s, "}");
}

static void json_step(const struct loom_bench_step *s)
{
    json_text(s->name);
    printf(": {\"threads\": %d, \"shards\": %d, \"steps\": %d, \"parameters\": %lld, \"tokens\": %lld, ", s->threads,
           s->shards, s->steps, (long long)s->parameters, (long long)s->tokens);
    json_real("ms", s->ms, ", ");
    json_real("cpu_ms", s->cpu_ms, ", ");
    json_real("plan_ms", s->plan_ms, ", ");
    json_real("optimizer_ms", s->optimizer_ms, ", ");
    printf("\"flops\": %.17g, ", s->flops);
    json_real("sgemm_gflops", s->sgemm_gflops, ", ");
    json_real("sgemm_share", s->sgemm_share, ", ");
    json_real("sgemm_cpu_share", s->sgemm_cpu_share, ", ");
    json_real("tokens_per_s", s->tokens_per_s, ", ");
    printf("\"peak_bytes\": %zu, ", s->peak_bytes);
    if (s->heap_allocations < 0)
        printf("\"heap_allocations\": null, ");
    else
        printf("\"heap_allocations\": %lld, ", (long long)s->heap_allocations);
    printf("\"parts\": [");
    for (int i = 0; i < s->parts; i++) {
        printf("%s\n      {\"op\": ", i ? "," : "");
        json_text(s->part[i].op);
        printf(", \"calls\": %lld, ", (long long)s->part[i].calls);
        json_real("forward_ms", 1e3 * s->part[i].forward_s, ", ");
        json_real("backward_ms", 1e3 * s->part[i].backward_s, "}");
    }
    printf("]}");
}

/* ---- text ---- */

static void text_machine(const struct loom_bench_machine *m)
{
    printf("machine    %s\n", m->cpu[0] ? m->cpu : "unknown");
    printf("BLAS       %s\n", m->blas);
    printf("product    %.1f GFLOP/s with %d thread%s, %.1f with one\n", m->sgemm_gflops, m->threads,
           m->threads == 1 ? "" : "s", m->sgemm_one_gflops);
    printf("bandwidth  %.1f GB/s with %d thread%s, %.1f with one\n\n", m->bandwidth_gbs, m->threads,
           m->threads == 1 ? "" : "s", m->bandwidth_one_gbs);
    printf("  side  one thread  OpenBLAS, all  one each   GFLOP/s\n");
    for (int i = 0; i < LOOM_BENCH_SIZES; i++)
        printf("  %4d  %10.1f  %13.1f  %8.1f\n", m->size[i], m->size_one[i], m->size_blas[i], m->size_side[i]);
    printf("\n");
}

/* A rate in the unit that limits the op. */
static void text_rate(const struct loom_bench_op *op, double times, double seconds, double share)
{
    if (!(seconds > 0))
        printf("  %9s %15s %5s", "-", "", "");
    else if (op->flops > 0)
        printf("  %9.1f %8.1f GFLOP/s %3.0f%%", 1e6 * seconds, 1e-9 * times * op->flops / seconds, 100 * share);
    else
        printf("  %9.1f %8.1f GB/s    %3.0f%%", 1e6 * seconds, 1e-9 * times * op->bytes / seconds, 100 * share);
}

static void text_op(void *payload, const struct loom_bench_op *op)
{
    int *count = payload;
    char title[96];
    if ((*count)++ == 0)
        printf("%-36s  %-31s  %-31s  %s\n", "op (one thread)", "forward us, rate, share", "backward us, rate, share",
               "reference us");
    snprintf(title, sizeof title, "%s %lld x %lld x %lld", op->name, (long long)op->rows, (long long)op->width,
             (long long)op->more);
    printf("%-36s", title);
    text_rate(op, 1, op->forward_s, op->forward_share);
    text_rate(op, 2, op->backward_s, op->backward_share);
    printf("  %9.0f %9.0f\n", 1e6 * op->reference_forward_s, 1e6 * op->reference_backward_s);
}

static void text_step(const struct loom_bench_step *s)
{
    printf("\n%s: %d thread%s, %d shards, %lld parameters, %lld rows, medians of %d steps\n", s->name, s->threads,
           s->threads == 1 ? "" : "s", s->shards, (long long)s->parameters, (long long)s->tokens, s->steps);
    printf("  step            %8.1f ms    (planning %.2f, optimizer %.2f; processor time %.1f)\n", s->ms, s->plan_ms,
           s->optimizer_ms, s->cpu_ms);
    printf("  work            %8.2f GFLOP, %.1f GFLOP/s\n", 1e-9 * s->flops, 1e-6 * s->flops / s->ms);
    printf("  share of sgemm  %8.1f %%     by wall time, of %.1f GFLOP/s measured between the steps\n",
           100 * s->sgemm_share, s->sgemm_gflops);
    printf("                  %8.1f %%     by processor time\n", 100 * s->sgemm_cpu_share);
    printf("  rows            %8.0f /s\n", s->tokens_per_s);
    printf("  memory          %8.1f MiB\n", (double)s->peak_bytes / 1048576);
    if (s->heap_allocations >= 0)
        printf("  heap            %8lld allocations\n", (long long)s->heap_allocations);
    double total = 0;
    for (int i = 0; i < s->parts; i++)
        total += s->part[i].forward_s + s->part[i].backward_s;
    printf("\n  %-20s %6s %11s %12s %7s   processor time of a step\n", "op", "calls", "forward ms", "backward ms",
           "share");
    for (int i = 0; i < s->parts; i++) {
        const struct loom_bench_part *p = &s->part[i];
        printf("  %-20s %6lld %11.2f %12.2f %6.1f%%", p->op, (long long)p->calls, 1e3 * p->forward_s,
               1e3 * p->backward_s, 100 * (p->forward_s + p->backward_s) / total);
        if (p->flops > 0)
            printf("   %.1f GFLOP/s", 1e-9 * p->flops / (p->forward_s + p->backward_s));
        printf("\n");
    }
    printf("  %-20s %6s %24.2f\n", "all", "", 1e3 * total);
}

/* ---- parts ---- */

/* The reference pipeline: here, in pipelines/, or where it was installed. */
static const char *find_default(void)
{
    static const char *const place[] = {"pipelines/bench-ndt2.cfg", LOOM_PIPELINE_DIR "/bench-ndt2.cfg", NULL};
    for (int i = 0; place[i]; i++)
        if (access(place[i], R_OK) == 0)
            return place[i];
    return NULL;
}

static int bench_steps(struct request *q, struct loom_error *e)
{
    int code = LOOM_OK;
    if (q->pipelines == 0) {
        q->pipeline[0] = find_default();
        if (!q->pipeline[0])
            return loom_fail(e, LOOM_ECONFIG, default_pipeline, 0,
                             "the reference pipeline is neither in pipelines/ nor in %s: name a pipeline file",
                             LOOM_PIPELINE_DIR);
        q->pipelines = 1;
    }
    for (int i = 0; i < q->pipelines && code == LOOM_OK; i++) {
        struct loom_bench_step s;
        code = loom_bench_step(&s, q->pipeline[i], &q->spec, e);
        if (code == LOOM_OK && q->json) {
            printf("%s\n    ", i ? "," : "");
            json_step(&s);
        } else if (code == LOOM_OK) {
            text_step(&s);
        }
    }
    return code;
}

static int bench(struct request *q, struct loom_error *e)
{
    struct loom_bench_machine m = {0};
    int count = 0, code = LOOM_OK;
    if (q->parts & (MACHINE | OPS))
        code = loom_bench_machine(&m, &q->spec, e);
    if (code != LOOM_OK)
        return code;
    if (q->json) {
        printf("{\n");
        if (q->parts & (MACHINE | OPS))
            json_machine(&m);
        else
            printf("  \"machine\": {},\n");
        printf("  \"ops\": [");
    } else if (q->parts & (MACHINE | OPS)) {
        text_machine(&m);
    }
    if (q->parts & OPS)
        code = loom_bench_ops(&m, &q->spec, q->json ? json_op : text_op, &count, e);
    if (code == LOOM_OK && q->json)
        printf("],\n  \"steps\": {");
    if (code == LOOM_OK && (q->parts & STEPS))
        code = bench_steps(q, e);
    if (code == LOOM_OK && q->json)
        printf("},\n  \"stream\": {}\n}\n");
    return code;
}

int loom_cmd_bench(int argc, char **argv)
{
    struct request q = {0};
    struct loom_error e = {0};
    int code = 0;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    q.pipeline = calloc((size_t)argc + 1, sizeof *q.pipeline);
    if (!q.pipeline)
        return 1;
    if (read_words(argc, argv, &q) || understand(&q)) {
        fprintf(stderr, "loom bench: %s does not fit here\n%s", q.wrong, usage);
        code = 2;
    } else if (bench(&q, &e) != LOOM_OK) {
        fflush(stdout);
        code = loom_report_error("loom bench", &e);
    }
    free(q.pipeline);
    return code;
}
