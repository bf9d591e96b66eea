/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pixels. Panels stand one below the other over one axis of time. */
enum { WIDTH = 1100, LEFT = 110, RIGHT = 90, TOP = 64, RASTER = 380, PANEL = 84, GAP = 34, BOTTOM = 44 };
enum { MOST_PANELS = 6, MOST_LINES = 4, MOST_POINTS = 1500, MOST_MARKS = 60000 };

static const char *const color[MOST_LINES] = {"#0a6ebd", "#d1495b", "#2e8b57", "#8e6c8a"};

struct picture {
    FILE *out;
    const struct loom_recording *r;
    double from_s, to_s;
    double height; /* of all panels */
};

static double x_of(const struct picture *p, double t)
{
    return LEFT + (t - p->from_s) / (p->to_s - p->from_s) * (WIDTH - LEFT - RIGHT);
}

static void put_text(FILE *out, double x, double y, const char *how, const char *text)
{
    fprintf(out, "<text x='%.1f' y='%.1f' %s>", x, y, how);
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '<' || *c == '>' || *c == '&')
            fprintf(out, *c == '<' ? "&lt;" : *c == '>' ? "&gt;" : "&amp;");
        else if ((unsigned char)*c >= ' ')
            fputc(*c, out);
    fprintf(out, "</text>\n");
}

/* 1, 2 or 5 times a power of ten, so that about n steps fill the span. */
static double round_step(double span, int n)
{
    double raw = span / n, ten = pow(10, floor(log10(raw)));
    return raw <= ten ? ten : raw <= 2 * ten ? 2 * ten : raw <= 5 * ten ? 5 * ten : 10 * ten;
}

/* Grey where nothing was observed, lines where trials begin. */
static void draw_ground(const struct picture *p)
{
    const struct loom_recording *r = p->r;
    double seen = p->from_s, bottom = TOP + p->height;
    for (int32_t i = 0; i <= r->observed_count; i++) {
        double start = i < r->observed_count ? r->observed_s[2 * i] : p->to_s;
        double to = fmin(start, p->to_s);
        if (to - seen > 1e-3 * (p->to_s - p->from_s))
            fprintf(p->out, "<rect x='%.2f' y='%d' width='%.2f' height='%.1f' fill='#eceef1'/>\n", x_of(p, seen), TOP,
                    x_of(p, to) - x_of(p, seen), p->height);
        if (i < r->observed_count)
            seen = fmax(seen, r->observed_s[2 * i + 1]);
        if (seen >= p->to_s)
            break;
    }
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    for (int32_t i = 0; t != NULL && i < t->rows; i++)
        if (t->start_s[i] >= p->from_s && t->start_s[i] <= p->to_s)
            fprintf(p->out, "<path d='M%.2f %d V%.1f' stroke='#b9852f' stroke-width='1' stroke-dasharray='3 3'/>\n",
                    x_of(p, t->start_s[i]), TOP - 6, bottom);
}

static void draw_time_axis(const struct picture *p)
{
    double step = round_step(p->to_s - p->from_s, 10), y = TOP + p->height;
    for (double t = ceil(p->from_s / step) * step; t <= p->to_s + 1e-9; t += step) {
        char label[32];
        snprintf(label, sizeof label, "%.6g", fabs(t) < 1e-9 ? 0 : t);
        fprintf(p->out, "<path d='M%.2f %.1f v5' stroke='#444'/>\n", x_of(p, t), y);
        put_text(p->out, x_of(p, t), y + 19, "text-anchor='middle'", label);
    }
    fprintf(p->out, "<path d='M%d %.1f H%d' stroke='#444'/>\n", LEFT, y, WIDTH - RIGHT);
    put_text(p->out, (WIDTH + LEFT - RIGHT) / 2.0, y + 37, "text-anchor='middle'", "time (s)");
}

static void draw_times(const struct picture *p)
{
    const struct loom_recording *r = p->r;
    double row = (double)RASTER / r->units;
    int64_t all = 0, shown = 0;
    for (int32_t u = 0; u < r->units; u++)
        for (int64_t i = r->first_spike[u]; i < r->first_spike[u + 1]; i++)
            all += r->spike_s[i] >= p->from_s && r->spike_s[i] <= p->to_s;
    int64_t stride = all / MOST_MARKS + 1;
    fprintf(p->out, "<path stroke='#1b1f24' stroke-width='%.2f' d='", row > 3 ? 1.1 : 0.8);
    for (int32_t u = 0; u < r->units; u++)
        for (int64_t i = r->first_spike[u]; i < r->first_spike[u + 1]; i++)
            if (r->spike_s[i] >= p->from_s && r->spike_s[i] <= p->to_s && shown++ % stride == 0)
                fprintf(p->out, "M%.1f %.2fv%.2f", x_of(p, r->spike_s[i]), TOP + (u + 0.1) * row, fmax(0.8 * row, 0.7));
    fprintf(p->out, "'/>\n");
    if (stride > 1) {
        char note[64];
        snprintf(note, sizeof note, "one spike in %d is drawn", (int)stride);
        put_text(p->out, WIDTH - RIGHT, TOP - 10, "text-anchor='end'", note);
    }
}

/* Darkness of a bin: its count against the unit's own largest in the picture. Neighbours of one shade are one stroke.
 */
static void draw_counts(const struct picture *p)
{
    enum { SHADES = 4 };
    const struct loom_counts *c = p->r->counts;
    double row = (double)RASTER / p->r->units;
    uint16_t *most = calloc((size_t)p->r->units + 1, sizeof *most);
    for (int shade = 0; shade <= SHADES && most != NULL; shade++) {
        if (shade > 0)
            fprintf(p->out, "<path stroke='#1b1f24' stroke-opacity='%.2f' stroke-width='%.2f' d='",
                    (double)shade / SHADES, fmax(0.9 * row, 0.7));
        for (int32_t k = 0; k < c->blocks; k++)
            for (int64_t b = c->first_bin[k]; b < c->first_bin[k + 1]; b++) {
                double t = c->block_start_s[k] + (double)(b - c->first_bin[k]) * c->bin_s;
                if (t < p->from_s || t + c->bin_s > p->to_s + 1e-9)
                    continue;
                for (int32_t u = 0; u < p->r->units; u++) {
                    uint16_t n = c->count[b * p->r->units + u];
                    if (shade == 0)
                        most[u] = n > most[u] ? n : most[u];
                    else if (n > 0 && (n * SHADES + most[u] - 1) / most[u] == shade)
                        fprintf(p->out, "M%.1f %.2fH%.1f", x_of(p, t), TOP + (u + 0.5) * row, x_of(p, t + c->bin_s));
                }
            }
        if (shade > 0)
            fprintf(p->out, "'/>\n");
    }
    free(most);
}

static void draw_raster(const struct picture *p)
{
    char label[64];
    fprintf(p->out, "<rect x='%d' y='%d' width='%d' height='%d' fill='none' stroke='#c8ccd2'/>\n", LEFT, TOP,
            WIDTH - LEFT - RIGHT, RASTER);
    if (p->r->units == 0) {
        put_text(p->out, LEFT + 12, TOP + 24, "", "no units");
        return;
    }
    if (p->r->counts != NULL)
        draw_counts(p);
    else
        draw_times(p);
    snprintf(label, sizeof label, "%d units", p->r->units);
    put_text(p->out, LEFT - 34, TOP + RASTER / 2.0, "text-anchor='end'", label);
    put_text(p->out, LEFT - 8, TOP + 12, "text-anchor='end' fill='#666'", "0");
    snprintf(label, sizeof label, "%d", p->r->units - 1);
    put_text(p->out, LEFT - 8, TOP + RASTER, "text-anchor='end' fill='#666'", label);
}

static double time_of(const struct loom_series *s, int64_t i)
{
    return s->rate_hz > 0 ? s->start_s + (double)i / s->rate_hz : s->time_s[i];
}

/* First sample at or after t. */
static int64_t sample_at(const struct loom_series *s, double t)
{
    int64_t low = 0, high = s->samples;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        if (time_of(s, mid) < t)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void range_of(const struct loom_series *s, int64_t from, int64_t to, int32_t dims, double range[2])
{
    range[0] = INFINITY;
    range[1] = -INFINITY;
    for (int64_t i = from; i < to; i++)
        for (int32_t d = 0; d < dims; d++) {
            double v = (double)s->value[i * s->dims + d];
            if (!isnan(v)) {
                range[0] = fmin(range[0], v);
                range[1] = fmax(range[1], v);
            }
        }
    if (!(range[0] < range[1])) {
        double middle = isfinite(range[0]) ? range[0] : 0;
        range[0] = middle - 1;
        range[1] = middle + 1;
    }
}

/* A step of more than three usual ones, or across time that nobody observed, is a gap and not a line. */
static int is_gap(const struct picture *p, const struct loom_series *s, int64_t i, int64_t j, double usual)
{
    double a = time_of(s, i), b = time_of(s, j);
    if (b - a > 3 * usual)
        return 1;
    for (int32_t k = 0; k + 1 < p->r->observed_count && p->r->observed_s[2 * k + 1] < b; k++)
        if (p->r->observed_s[2 * k + 1] > a - 1e-9 && p->r->observed_s[2 * k + 2] > p->r->observed_s[2 * k + 1] + 1e-6)
            return 1;
    return 0;
}

static void draw_line(const struct picture *p, const struct loom_series *s, int32_t d, int64_t from, int64_t to,
                      double top, const double range[2])
{
    int64_t stride = (to - from) / MOST_POINTS + 1, before = -1;
    double usual = INFINITY;
    for (int64_t i = from; i + stride < to; i += stride)
        usual = fmin(usual, time_of(s, i + stride) - time_of(s, i));
    fprintf(p->out, "<path fill='none' stroke='%s' stroke-width='1.3' stroke-linecap='round' d='", color[d]);
    for (int64_t i = from; i < to; i += stride) {
        double v = (double)s->value[i * s->dims + d];
        if (isnan(v)) {
            before = -1;
            continue;
        }
        double y = top + PANEL - (v - range[0]) / (range[1] - range[0]) * PANEL;
        int apart = before < 0 || is_gap(p, s, before, i, usual);
        fprintf(p->out, apart ? "M%.1f %.1fh.1" : "L%.1f %.1f", x_of(p, time_of(s, i)), y);
        before = i;
    }
    fprintf(p->out, "'/>\n");
}

static void draw_series(const struct picture *p, const struct loom_series *s, double top)
{
    char label[160];
    int64_t from = sample_at(s, p->from_s), to = sample_at(s, p->to_s);
    int32_t dims = s->dims < MOST_LINES ? s->dims : MOST_LINES;
    double range[2];
    range_of(s, from, to, dims, range);
    fprintf(p->out, "<rect x='%d' y='%.1f' width='%d' height='%d' fill='none' stroke='#c8ccd2'/>\n", LEFT, top,
            WIDTH - LEFT - RIGHT, PANEL);
    for (int32_t d = 0; d < dims; d++) {
        char how[64];
        draw_line(p, s, d, from, to, top, range);
        snprintf(how, sizeof how, "fill='%s'", color[d]);
        snprintf(label, sizeof label, "%.10s", s->dim_name[d]);
        put_text(p->out, WIDTH - RIGHT + 10, top + 16 + 17 * d, how, label);
    }
    snprintf(label, sizeof label, "%.60s%s%.20s%s%s", s->name, s->unit[0] != '\0' ? " (" : "", s->unit,
             s->unit[0] != '\0' ? ")" : "", s->dims > dims ? ", the first dimensions" : "");
    put_text(p->out, LEFT, top - 7, "font-weight='600'", label);
    snprintf(label, sizeof label, "%.3g", range[1]);
    put_text(p->out, LEFT - 8, top + 11, "text-anchor='end' fill='#666'", label);
    snprintf(label, sizeof label, "%.3g", range[0]);
    put_text(p->out, LEFT - 8, top + PANEL, "text-anchor='end' fill='#666'", label);
}

static void choose_span(struct picture *p, double from_s, double seconds)
{
    const struct loom_recording *r = p->r;
    p->from_s = isfinite(from_s) ? from_s : r->observed_count > 0 ? r->observed_s[0] : r->start_s;
    double last = r->observed_count > 0 ? r->observed_s[2 * r->observed_count - 1] : r->stop_s;
    p->to_s = fmin(p->from_s + (seconds > 0 ? seconds : 20), fmax(last, p->from_s));
    if (!(p->to_s > p->from_s))
        p->to_s = p->from_s + (seconds > 0 ? seconds : 20);
}

void loom_data_picture(FILE *out, const struct loom_recording *r, double from_s, double seconds)
{
    struct picture p = {.out = out, .r = r};
    int32_t panels = r->series_count < MOST_PANELS ? r->series_count : MOST_PANELS;
    char title[320];
    choose_span(&p, from_s, seconds);
    p.height = RASTER + panels * (PANEL + GAP);
    double height = TOP + p.height + BOTTOM;
    fprintf(out,
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %.0f' width='%d' height='%.0f' "
            "font-family='system-ui, sans-serif' font-size='13' fill='#1b1f24'>\n"
            "<rect width='%d' height='%.0f' fill='#fff'/>\n",
            WIDTH, height, WIDTH, height, WIDTH, height);
    put_text(out, LEFT, 26, "font-size='17' font-weight='600'", r->id);
    snprintf(title, sizeof title, "%.80s%s%d units, %.4g s of %.4g s%s", r->subject, r->subject[0] != '\0' ? ", " : "",
             r->units, p.to_s - p.from_s, r->stop_s - r->start_s,
             loom_recording_intervals(r, "trials") != NULL ? "; dashed: trials begin; grey: not observed" : "");
    put_text(out, LEFT, 46, "fill='#555'", title);
    draw_ground(&p);
    draw_raster(&p);
    for (int32_t i = 0; i < panels; i++)
        draw_series(&p, &r->series[i], TOP + RASTER + GAP + i * (PANEL + GAP));
    draw_time_axis(&p);
    fprintf(out, "</svg>\n");
}
