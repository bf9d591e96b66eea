/* SPDX-License-Identifier: Apache-2.0 */
/* For terminals of 100 columns. */
#include "bench.h"

#include <math.h>
#include <stdio.h>

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

/* A number with one decimal, or a dash. */
static void cell(int width, double x)
{
    if (isfinite(x) && x > 0)
        printf("%*.1f", width, x);
    else
        printf("%*s", width, "-");
}

static void open_section(enum loom_bench_section section, int measured)
{
    if (measured && section == LOOM_BENCH_OPS)
        printf("ops of one thread: times in us; rates in GFLOP/s where compute bounds, in GB/s elsewhere, and their\n"
               "share of that bound; how many times as long the reference kernel takes\n\n"
               "%-33s %-7s %9s %6s %5s %9s %6s %5s %9s\n",
               "op", "bound", "forward", "rate", "", "backward", "rate", "", "reference");
    if (measured && section == LOOM_BENCH_SCALING)
        printf("scaling of forward and backward: exponents by least squares between logarithms, over the upper half\n"
               "of the points, and how far these lie off\n");
}

static void close_section(enum loom_bench_section section, int measured)
{
    if (measured && section != LOOM_BENCH_SCALING)
        printf("\n");
    fflush(stdout);
}

/* ---- machine ---- */

static void bytes_text(char *out, size_t size, double bytes)
{
    if (bytes >= 1 << 20)
        snprintf(out, size, "%.4g MiB", bytes / (1 << 20));
    else
        snprintf(out, size, "%.4g KiB", bytes / (1 << 10));
}

static void machine(const struct loom_bench_machine *m)
{
    char size[32];
    printf("machine    %s\n", m->cpu[0] ? m->cpu : "unknown");
    printf("products   %s\n", m->blas);
    printf("product    %.1f GFLOP/s with %d thread%s, %.1f with one\n", m->sgemm_gflops, m->threads, plural(m->threads),
           m->sgemm_one_gflops);
    printf("bandwidth  %.1f GB/s with %d thread%s, %.1f with one\n\n", m->bandwidth_gbs, m->threads, plural(m->threads),
           m->bandwidth_one_gbs);
    printf("  products of n x n matrices, GFLOP/s%*smemory, GB/s\n  threads          ", 11 * m->sizes - 8, "");
    for (int k = 0; k < m->sizes; k++)
        printf("   n = %-4d", m->size[k]);
    printf("    triad    read\n");
    for (int i = 0; i < m->limits; i++) {
        const struct loom_bench_limit *l = &m->limit[i];
        printf("  %7d  %-8s", l->threads, l->threads == 1 ? "" : "together");
        for (int k = 0; k < m->sizes; k++)
            cell(10, l->together_gflops[k]);
        cell(9, l->triad_gbs);
        cell(8, l->read_gbs);
        printf("\n");
        if (l->threads == 1)
            continue;
        printf("  %7s  %-8s", "", "one each");
        for (int k = 0; k < m->sizes; k++)
            cell(10, l->apart_gflops[k]);
        printf("\n");
    }
    printf("\n  %-8s %9s %9s %8s %7s   GB/s of one thread\n", "level", "size", "used", "triad", "read");
    for (int i = 0; i < m->levels; i++) {
        const struct loom_bench_level *l = &m->level[i];
        bytes_text(size, sizeof size, (double)l->size);
        printf("  %-8s %9s", l->name, i + 1 < m->levels ? size : "");
        bytes_text(size, sizeof size, (double)l->used);
        printf(" %9s", size);
        cell(9, l->triad_gbs);
        cell(8, l->read_gbs);
        printf("\n");
    }
}

/* ---- ops ---- */

/* A time in us, and the rate in the unit that bounds the op. */
static void rate(const struct loom_bench_op *o, double times, double seconds, double share)
{
    double work = o->bound[0] == 'c' ? o->flops : o->bytes;
    if (!(seconds > 0))
        printf(" %9s %6s %5s", "-", "", "");
    else
        printf(" %9.1f %6.1f %4.0f%%", 1e6 * seconds, 1e-9 * times * work / seconds, 100 * share);
}

static void op(const struct loom_bench_op *o, int number)
{
    char title[96];
    double fast = o->forward_s + o->backward_s, slow = o->reference_forward_s + o->reference_backward_s;
    (void)number;
    snprintf(title, sizeof title, o->more ? "%s %lld x %lld x %lld" : "%s %lld x %lld", o->name, (long long)o->rows,
             (long long)o->width, (long long)o->more);
    printf("%-33s %-7s", title, o->bound);
    rate(o, 1, o->forward_s, o->forward_share);
    rate(o, 2, o->backward_s, o->backward_share);
    if (slow > 0)
        printf(" %8.1fx", slow / fast);
    printf("\n");
    fflush(stdout);
}

/* ---- steps ---- */

static void parts(const struct loom_bench_step *s)
{
    double total = 0;
    for (int i = 0; i < s->parts; i++)
        total += s->part[i].forward_s + s->part[i].backward_s;
    printf("\n  %-20s %6s %11s %12s %7s   processor time of a step\n", "op", "calls", "forward ms", "backward ms",
           "share");
    for (int i = 0; i < s->parts; i++) {
        const struct loom_bench_part *p = &s->part[i];
        double seconds = p->forward_s + p->backward_s;
        printf("  %-20s %6lld %11.2f %12.2f %6.1f%%", p->op, (long long)p->calls, 1e3 * p->forward_s,
               1e3 * p->backward_s, 100 * seconds / total);
        if (p->flops > 0)
            printf("   %.1f GFLOP/s", 1e-9 * p->flops / seconds);
        else if (p->bytes > 0)
            printf("   %.1f GB/s", 1e-9 * p->bytes / seconds);
        printf("\n");
    }
    printf("  %-20s %6s %24.2f\n\n", "all", "", 1e3 * total);
}

static void step(const struct loom_bench_step *s, const char *title, int number)
{
    (void)number;
    printf("%s: %d thread%s, %d shards, %lld parameters, %lld rows, medians of %d steps\n", title, s->threads,
           plural(s->threads), s->shards, (long long)s->parameters, (long long)s->tokens, s->steps);
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
    parts(s);
    fflush(stdout);
}

static void skipped(const char *title, const char *why, int number)
{
    (void)number;
    printf("%s: skipped: %s\n\n", title, why);
}

/* ---- scaling ---- */

static void law(const char *of, struct loom_bench_law l)
{
    if (!isfinite(l.exponent))
        return;
    printf("%s ~ x^%.2f (off by %.1f %%)", of, l.exponent, 100 * l.residual);
}

static void curve(const struct loom_bench_curve *c, int number)
{
    (void)number;
    printf("\n%s: %s\n ", c->name, c->what);
    law(" time", c->time);
    law(",  memory", c->memory);
    printf("\n\n  %*s %11s %9s %11s%s\n", 22, c->varies, "ms", "GFLOP/s", "MiB",
           c->clock[0] == 'w' ? "   speed-up" : "");
    for (int i = 0; i < c->points; i++) {
        printf("  %22.0f %11.3f %9.1f %11.2f", c->x[i], 1e3 * c->seconds[i], 1e-9 * c->flops[i] / c->seconds[i],
               c->bytes[i] / 1048576);
        if (c->clock[0] == 'w')
            printf(" %10.2f", c->seconds[0] / c->seconds[i]);
        printf("\n");
    }
    fflush(stdout);
}

const struct loom_bench_form loom_bench_text = {
    .open = open_section,
    .close = close_section,
    .machine = machine,
    .op = op,
    .step = step,
    .skipped = skipped,
    .curve = curve,
    .stream = loom_bench_stream_text,
};
