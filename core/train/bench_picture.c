/* SPDX-License-Identifier: Apache-2.0 */
#include "train/bench.h"

#include "base/io.h"
#include "base/str.h"
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Units of the viewBox: pixels of a desk's screen. */
enum { WIDTH = 1120, MARGIN = 18, HEAD = 62, TOP_HEIGHT = 400, CURVE_HEIGHT = 270, CURVE_WIDTH = 354, LINE = 14 };

/* Axes of logarithms. */
struct plot {
    double left, top, width, height;
    double x_from, x_to, y_from, y_to;
};

static double x_at(const struct plot *p, double x)
{
    return p->left + log(x / p->x_from) / log(p->x_to / p->x_from) * p->width;
}

static double y_at(const struct plot *p, double y)
{
    return p->top + p->height - log(y / p->y_from) / log(p->y_to / p->y_from) * p->height;
}

/* `how`: attributes. */
static void put_text(struct loom_str *s, double x, double y, const char *how, const char *text)
{
    loom_str_printf(s, "<text x='%.1f' y='%.1f' %s>", x, y, how);
    loom_str_html(s, text);
    loom_str_add(s, "</text>\n");
}

static void card(struct loom_str *s, double left, double top, double width, double height, const char *title)
{
    loom_str_printf(s, "<rect class='card' x='%.1f' y='%.1f' width='%.1f' height='%.1f' rx='8'/>\n", left, top, width,
                    height);
    put_text(s, left + 14, top + 23, "class='h'", title);
}

/* Powers of ten, and 2 and 5 times them where few would stand there. */
static void ticks(struct loom_str *s, const struct plot *p, int vertical)
{
    double from = vertical ? p->y_from : p->x_from, to = vertical ? p->y_to : p->x_to;
    static const double head[] = {1, 2, 5};
    int every = log10(to / from) < 1.7 ? 1 : 3;
    char label[32];
    for (int k = (int)floor(log10(from)) * 3; k <= (int)ceil(log10(to)) * 3; k += every) {
        double v = pow(10, floor(k / 3.0)) * head[(k % 3 + 3) % 3];
        if (v < from * 0.999 || v > to * 1.001)
            continue;
        snprintf(label, sizeof label, "%g", v);
        if (vertical) {
            loom_str_printf(s, "<path class='g' d='M%.1f %.1fh%.1f'/>\n", p->left, y_at(p, v), p->width);
            put_text(s, p->left - 6, y_at(p, v) + 4, "class='t' text-anchor='end'", label);
        } else {
            loom_str_printf(s, "<path class='g' d='M%.1f %.1fv%.1f'/>\n", x_at(p, v), p->top, p->height);
            put_text(s, x_at(p, v), p->top + p->height + 16, "class='t' text-anchor='middle'", label);
        }
    }
}

static void axis_labels(struct loom_str *s, const struct plot *p, const char *x, const char *y)
{
    char how[96];
    put_text(s, p->left + p->width / 2, p->top + p->height + 34, "class='l' text-anchor='middle'", x);
    snprintf(how, sizeof how, "class='l' text-anchor='middle' transform='rotate(-90 %.1f %.1f)'", p->left - 38,
             p->top + p->height / 2);
    put_text(s, p->left - 38, p->top + p->height / 2, how, y);
}

/* ---- the roofline ---- */

struct mark {
    const char *name;
    double x, y, share; /* operations a byte, 1e9 operations a second, of the step's time */
    double label_y;
};

static int lower(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;
    return (x->label_y > y->label_y) - (x->label_y < y->label_y);
}

/* Ops that take a thousandth of the step or more. What makes no products is counted as one operation a number. */
static int marks_of(const struct loom_bench_step *step, const struct plot *p, struct mark *mark)
{
    double all = 0;
    int n = 0;
    for (int i = 0; i < step->parts; i++)
        all += step->part[i].forward_s + step->part[i].backward_s;
    for (int i = 0; i < step->parts; i++) {
        const struct loom_bench_part *a = &step->part[i];
        double seconds = a->forward_s + a->backward_s, work = a->flops > 0 ? a->flops : a->elements;
        if (!(a->bytes > 0) || seconds < 1e-3 * all)
            continue;
        struct mark m = {a->op, work / a->bytes, 1e-9 * work / seconds, seconds / all, 0};
        if (m.x < p->x_from || m.x > p->x_to || m.y < p->y_from || m.y > p->y_to)
            continue;
        m.label_y = y_at(p, m.y) + (m.x < 1 ? 0 : LINE); /* clear of the flat roof */
        mark[n++] = m;
    }
    return n;
}

/* Labels stand to the right of their points, pushed apart; a hair leads back to the point. */
static void draw_marks(struct loom_str *s, const struct plot *p, struct mark *mark, int n)
{
    qsort(mark, (size_t)n, sizeof *mark, lower);
    for (int i = 1; i < n; i++)
        if (mark[i].label_y < mark[i - 1].label_y + LINE)
            mark[i].label_y = mark[i - 1].label_y + LINE;
    for (int i = n - 1; i >= 0; i--) {
        double most = i + 1 < n ? mark[i + 1].label_y - LINE : p->top + p->height - 6;
        mark[i].label_y = fmin(mark[i].label_y, most);
    }
    for (int i = 0; i < n; i++) {
        const struct mark *m = &mark[i];
        char label[96];
        double x = x_at(p, m->x), y = y_at(p, m->y), at = m->x < 1 ? x_at(p, 0.6) : x + 16;
        snprintf(label, sizeof label, "%s %.*f %%", m->name, m->share < 0.1 ? 1 : 0, 100 * m->share);
        loom_str_printf(s, "<path class='hair' d='M%.1f %.1fL%.1f %.1f'/>", x, y, at - 3, m->label_y);
        loom_str_printf(s, "<circle class='dot c1' cx='%.1f' cy='%.1f' r='%.1f'/>\n", x, y, 3 + 7 * sqrt(m->share));
        put_text(s, at, m->label_y + 4, "class='t'", label);
    }
}

static void draw_roofs(struct loom_str *s, const struct plot *p, const struct loom_bench_machine *m)
{
    char label[96];
    double top = m->sgemm_one_gflops, bend = top / m->level[0].triad_gbs;
    for (int i = 0; i < m->levels; i++) {
        double rate = m->level[i].triad_gbs, from = fmax(p->x_from, p->y_from / rate), to = top / rate;
        loom_str_printf(s, "<path class='p c%d' d='M%.1f %.1fL%.1f %.1f'/>\n",
                        i == 0   ? 2
                        : i == 1 ? 5
                                 : 0,
                        x_at(p, from), y_at(p, rate * from), x_at(p, to), y_at(p, top));
        snprintf(label, sizeof label, "%s %.0f GB/s", m->level[i].name, rate);
        /* Between the roofs' bends and the labels of ops, slanted as the line is. */
        double at = from * pow(to / from, 0.9),
               slope = atan2(p->height / log(p->y_to / p->y_from), p->width / log(p->x_to / p->x_from));
        loom_str_printf(s, "<g transform='translate(%.1f %.1f) rotate(%.1f)'>", x_at(p, at), y_at(p, rate * at),
                        -57.29578 * slope);
        put_text(s, 0, i + 1 < m->levels && i == 0 ? -5 : 13, "class='t' text-anchor='end'", label);
        loom_str_add(s, "</g>\n");
    }
    loom_str_printf(s, "<path class='p c0' d='M%.1f %.1fH%.1f'/>\n", x_at(p, bend), y_at(p, top), p->left + p->width);
    snprintf(label, sizeof label, "sgemm %.0f GFLOP/s", top);
    put_text(s, p->left + p->width - 4, y_at(p, top) - 6, "class='t' text-anchor='end'", label);
}

static void draw_roofline(struct loom_str *s, const struct loom_bench_picture *in, double top)
{
    const struct loom_bench_machine *m = in->machine;
    struct plot p = {MARGIN + 58, top + 38, 560, TOP_HEIGHT - 38 - 46, 0.03, 300, 0.3, 0};
    struct mark mark[LOOM_BENCH_PARTS];
    char title[160];
    p.y_to = 2 * m->sgemm_one_gflops;
    snprintf(title, sizeof title, "Roofline of one thread%s%.60s", in->steps > 0 ? ", with the ops of " : "",
             in->steps > 0 ? in->step[0].name : "");
    card(s, MARGIN, top, 640, TOP_HEIGHT, title);
    ticks(s, &p, 0);
    ticks(s, &p, 1);
    axis_labels(s, &p, "operations for each byte read or written", "1e9 operations a second");
    draw_roofs(s, &p, m);
    if (in->steps > 0)
        draw_marks(s, &p, mark, marks_of(&in->step[0], &p, mark));
}

/* ---- shares ---- */

static void draw_shares(struct loom_str *s, const struct loom_bench_picture *in, double left, double top)
{
    enum { MOST = 8, NAME = 24 };
    double width = WIDTH - MARGIN - left, bar = left + 165, full = width - 165 - 24, y = top + 66;
    int n = in->steps < MOST ? in->steps : MOST;
    char label[96];
    card(s, left, top, width, TOP_HEIGHT, "Share of sgemm that training steps reach");
    put_text(s, left + 14, top + 42, "class='t'", "by processor time; thin: by wall time");
    for (int k = 0; k <= 4; k++) {
        double at = bar + full * k / 4;
        snprintf(label, sizeof label, "%d %%", 25 * k);
        loom_str_printf(s, "<path class='g' d='M%.1f %.1fV%.1f'/>\n", at, y - 8, top + TOP_HEIGHT - 34);
        put_text(s, at, top + TOP_HEIGHT - 18, "class='t' text-anchor='middle'", label);
    }
    double each = fmin(56, (TOP_HEIGHT - 66 - 40) / (double)n);
    for (int i = 0; i < n; i++, y += each) {
        const struct loom_bench_step *step = &in->step[i];
        double share = fmin(step->sgemm_cpu_share, 1.02), wall = fmin(step->sgemm_share, 1.02);
        snprintf(label, sizeof label, "%.*s%s", NAME, step->name, strlen(step->name) > NAME ? "…" : "");
        put_text(s, bar - 8, y + 13, "class='l' text-anchor='end'", label);
        snprintf(label, sizeof label, "%.1f ms a step", step->ms);
        put_text(s, bar - 8, y + 28, "class='t' text-anchor='end'", label);
        loom_str_printf(s, "<rect class='dot c0' x='%.1f' y='%.1f' width='%.1f' height='16' rx='2'/>\n", bar, y,
                        share * full);
        loom_str_printf(s, "<rect class='dot c5' x='%.1f' y='%.1f' width='%.1f' height='5' rx='2'/>\n", bar, y + 19,
                        wall * full);
        snprintf(label, sizeof label, "%.0f %%", 100 * step->sgemm_cpu_share);
        put_text(s, bar + 8, y + 12.5, "class='on'", label);
    }
}

/* ---- scaling ---- */

static void draw_series(struct loom_str *s, const struct plot *p, const struct loom_bench_curve *c, const double *y,
                        const char *stroke)
{
    loom_str_printf(s, "<path class='p %s' d='", stroke);
    for (int i = 0; i < c->points; i++)
        loom_str_printf(s, "%c%.1f %.1f", i ? 'L' : 'M', x_at(p, c->x[i]), y_at(p, y[i] / y[0]));
    loom_str_add(s, "'/>\n");
    for (int i = 0; i < c->points; i++)
        loom_str_printf(s, "<circle class='dot %s' cx='%.1f' cy='%.1f' r='3'/>", stroke, x_at(p, c->x[i]),
                        y_at(p, y[i] / y[0]));
    loom_str_add(s, "\n");
}

static void range_of(const struct loom_bench_curve *c, double *low, double *high)
{
    for (int i = 0; i < c->points; i++) {
        double t = c->seconds[i] / c->seconds[0], b = c->bytes[i] / c->bytes[0];
        *low = fmin(*low, fmin(t, b));
        *high = fmax(*high, fmax(t, b));
    }
    if (*high < 4 * *low) /* what hardly changes is not blown up */
        *high = 4 * *low;
    *low /= 1.2;
    *high *= 1.3;
}

static void draw_curve(struct loom_str *s, const struct loom_bench_curve *c, double left, double top)
{
    struct plot p = {left + 52, top + 66, CURVE_WIDTH - 52 - 18, CURVE_HEIGHT - 66 - 44, 0, 0, 1, 1};
    char label[96];
    card(s, left, top, CURVE_WIDTH, CURVE_HEIGHT, c->name);
    put_text(s, left + 14, top + 40, "class='t'", c->what);
    p.x_from = c->x[0];
    p.x_to = c->x[c->points - 1] > c->x[0] ? c->x[c->points - 1] : 2 * c->x[0];
    range_of(c, &p.y_from, &p.y_to);
    ticks(s, &p, 1);
    for (int i = 0; i < c->points; i++) {
        snprintf(label, sizeof label, "%g", c->x[i]);
        put_text(s, x_at(&p, c->x[i]), p.top + p.height + 15, "class='t' text-anchor='middle'", label);
    }
    put_text(s, p.left + p.width / 2, p.top + p.height + 33, "class='l' text-anchor='middle'", c->varies);
    draw_series(s, &p, c, c->bytes, "c2");
    draw_series(s, &p, c, c->seconds, "c1");
    snprintf(label, sizeof label, "time ~ x^%.2f", c->time.exponent);
    put_text(s, left + 14, top + 58, "class='t k1'", label);
    snprintf(label, sizeof label, "memory ~ x^%.2f", c->memory.exponent);
    put_text(s, left + 120, top + 58, "class='t k2'", label);
    put_text(s, left + CURVE_WIDTH - 14, top + 58, "class='t' text-anchor='end'", "times the first");
}

/* ---- the whole ---- */

static const char own_style[] = ".card{fill:var(--card);stroke:var(--line)}.ground{fill:var(--bg)}"
                                ".h{font:600 14px system-ui,sans-serif;fill:var(--fg)}"
                                ".on{font:600 11px system-ui,sans-serif;fill:var(--bg)}"
                                ".hair{stroke:var(--soft);stroke-width:.6;fill:none}"
                                ".k1{fill:var(--c1)}.k2{fill:var(--c2)}.l{fill:var(--fg)}svg .t{font-size:11px}";

static void draw(struct loom_str *s, const struct loom_bench_picture *in)
{
    int both = in->machine && in->steps > 0, upper = in->machine || in->steps > 0, rows = (in->curves + 2) / 3;
    double top = HEAD, height = HEAD + (upper ? TOP_HEIGHT + MARGIN : 0) + rows * (CURVE_HEIGHT + MARGIN);
    char line[320];
    loom_str_printf(s, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %.0f' width='%d' height='%.0f'>\n",
                    WIDTH, height, WIDTH, height);
    loom_str_printf(s, "<style>%s%s</style>\n<rect class='ground' width='%d' height='%.0f'/>\n", loom_report_style,
                    own_style, WIDTH, height);
    put_text(s, MARGIN, 30, "class='h' style='font-size:19px'", "loom bench");
    if (in->machine) {
        const struct loom_bench_machine *m = in->machine;
        snprintf(line, sizeof line, "%s, %d thread%s: %.0f GFLOP/s, %.0f GB/s",
                 m->cpu[0] ? m->cpu : "unknown processor", m->threads, m->threads == 1 ? "" : "s", m->sgemm_gflops,
                 m->bandwidth_gbs);
        put_text(s, MARGIN, 50, "class='t'", line);
        draw_roofline(s, in, top);
    }
    if (in->steps > 0)
        draw_shares(s, in, both ? MARGIN + 640 + MARGIN : MARGIN, top);
    top += upper ? TOP_HEIGHT + MARGIN : 0;
    for (int i = 0; i < in->curves; i++)
        draw_curve(s, &in->curve[i], MARGIN + i % 3 * (CURVE_WIDTH + 11), top + i / 3 * (CURVE_HEIGHT + MARGIN));
    loom_str_add(s, "</svg>\n");
}

int loom_bench_picture(const struct loom_bench_picture *p, const char *path, struct loom_error *e)
{
    struct loom_str s = LOOM_STR_INIT;
    draw(&s, p);
    int code = s.failed ? loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for a picture: free some")
                        : loom_file_write(path, s.text, s.length, e);
    loom_str_release(&s);
    return code;
}
