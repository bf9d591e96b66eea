/* SPDX-License-Identifier: Apache-2.0 */
/* The part `stream` of `loom bench`, in both forms. */
#include "bench.h"

#include <stdio.h>

void loom_bench_stream_json(const struct loom_bench_stream *s, const char *title, int number)
{
    loom_bench_json_begin(title, number);
    printf("\"kernels\": \"%s\", \"threads\": %d, \"bins\": %d, \"parameters\": %lld, \"rows\": %lld, "
           "\"nodes\": %d, \"flops\": %.17g, ",
           s->set, s->threads, s->bins, (long long)s->parameters, (long long)s->rows, s->nodes, s->flops);
    printf("\"min_us\": %.6g, \"p50_us\": %.6g, \"p99_us\": %.6g, \"p999_us\": %.6g, \"max_us\": %.6g, \"mean_us\": "
           "%.6g, ",
           s->min_us, s->p50_us, s->p99_us, s->p999_us, s->max_us, s->mean_us);
    printf("\"plan_us\": %.6g, \"build_us\": %.6g, \"run_us\": %.6g, \"work_us\": %.6g, \"peak_bytes\": %zu, ",
           s->plan_us, s->build_us, s->run_us, s->work_us, s->peak_bytes);
    if (s->heap_allocations < 0)
        printf("\"heap_allocations\": null, \"parts\": [");
    else
        printf("\"heap_allocations\": %lld, \"parts\": [", (long long)s->heap_allocations);
    for (int i = 0; i < s->parts; i++)
        printf("%s\n      {\"op\": \"%s\", \"calls\": %lld, \"forward_us\": %.6g}", i ? "," : "", s->part[i].op,
               (long long)s->part[i].calls, 1e6 * s->part[i].forward_s);
    printf("]}");
}

void loom_bench_stream_text(const struct loom_bench_stream *s, const char *title, int number)
{
    double all = 0;
    (void)number;
    printf("\n%s: one window a bin, %d thread%s, kernels %s, %lld parameters, %lld rows, %d nodes, %d bins\n", title,
           s->threads, s->threads == 1 ? "" : "s", s->set, (long long)s->parameters, (long long)s->rows, s->nodes,
           s->bins);
    printf(
        "  step            %8.0f us    median; at best %.0f, 99 %% within %.0f, 99.9 %% within %.0f, all within %.0f\n",
        s->p50_us, s->min_us, s->p99_us, s->p999_us, s->max_us);
    printf("  plan, build     %8.0f us    %.0f, %.0f; then forward %.0f\n", s->plan_us + s->build_us, s->plan_us,
           s->build_us, s->run_us);
    printf("  work            %8.2f GFLOP, %.1f GFLOP/s in forward; %.0f us of processor time by one thread\n",
           1e-9 * s->flops, 1e-3 * s->flops / s->run_us, s->work_us);
    printf("  memory          %8.1f MiB\n", (double)s->peak_bytes / 1048576);
    if (s->heap_allocations >= 0)
        printf("  heap            %8lld allocations\n", (long long)s->heap_allocations);
    for (int i = 0; i < s->parts; i++)
        all += s->part[i].forward_s;
    printf("\n  %-20s %6s %11s %7s   processor time of a step on one thread\n", "op", "calls", "us", "share");
    for (int i = 0; i < s->parts; i++) {
        const struct loom_bench_part *p = &s->part[i];
        printf("  %-20s %6lld %11.1f %6.1f%%", p->op, (long long)p->calls, 1e6 * p->forward_s,
               100 * p->forward_s / all);
        if (p->flops > 0)
            printf("   %.1f GFLOP/s", 1e-9 * p->flops / p->forward_s);
        printf("\n");
    }
}
