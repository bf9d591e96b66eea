/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In units of the viewBox: a phone shows about one to one, a desk about 1.5 to one. */
enum { WIDTH = 360, HEIGHT = 210, TALL = 300, LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 36, MOST_POINTS = 360 };
enum { HEADING = 14, LETTER = 6 }; /* HEADING: of names above panels; LETTER: width */

struct scale {
    double from, to, at, length; /* data and drawing; length < 0 runs upwards */
};

static double place(const struct scale *s, double x)
{
    return s->at + (x - s->from) / (s->to - s->from) * s->length;
}

static void widen(double *low, double *high)
{
    if (!(*low <= *high)) {
        *low = 0.0;
        *high = 1.0;
    } else if (*low == *high) {
        double by = *low != 0.0 ? fabs(*low) * 0.1 : 1.0;
        *low -= by;
        *high += by;
    }
}

/* 1, 2 or 5 times a power of ten that gives about `ticks` steps. */
static double tick_step(double span, int ticks)
{
    double raw = span / ticks, power = pow(10.0, floor(log10(raw))), head = raw / power;
    return power * (head < 1.5 ? 1.0 : head < 3.5 ? 2.0 : head < 7.5 ? 5.0 : 10.0);
}

static void tick_text(struct loom_str *s, double x, double step)
{
    int decimals = step >= 1.0 ? 0 : (int)ceil(-log10(step) - 1e-9);
    loom_str_add(s, x < -step * 1e-6 ? "−" : "");
    x = fabs(x) < step * 1e-6 ? 0.0 : fabs(x);
    if (fabs(x) >= 1e6 || decimals > 5)
        loom_str_printf(s, "%.3g", x);
    else if (step >= 1000.0 && fabs(x) >= 1000.0)
        loom_str_printf(s, "%gk", x / 1000.0);
    else
        loom_str_printf(s, "%.*f", decimals, x);
}

static size_t letters(const char *name)
{
    size_t n = 0;
    for (; *name; name++)
        n += ((unsigned char)*name & 0xc0) != 0x80;
    return n;
}

/* Of the widest tick's text. */
static double tick_width(const struct scale *x, double step)
{
    struct loom_str low = LOOM_STR_INIT, high = LOOM_STR_INIT;
    tick_text(&low, x->from, step);
    tick_text(&high, x->to, step);
    size_t a = low.text != NULL ? letters(low.text) : 0, b = high.text != NULL ? letters(high.text) : 0;
    loom_str_release(&low);
    loom_str_release(&high);
    return LETTER * (double)((a > b ? a : b) + 1);
}

/* As many as have room, five at most; none behind `last`. */
static void x_ticks(struct loom_str *s, const struct scale *x, double last, int whole, int height)
{
    double span = x->to - x->from, step = tick_step(span, 5);
    for (int ticks = 4; ticks > 0 && tick_width(x, step) * span / step > x->length; ticks--)
        step = tick_step(span, ticks);
    step = whole ? fmax(step, 1.0) : step;
    for (double v = ceil(x->from / step - 1e-9) * step; v <= x->to + step * 1e-9; v += step) {
        double at = place(x, v);
        int edge = at > WIDTH - 14;
        if (at > last)
            break;
        loom_str_printf(s, "<text class=t x=\"%.1f\" y=\"%d\" text-anchor=%s>", edge ? WIDTH : at, height - BOTTOM + 14,
                        edge ? "end" : "middle");
        tick_text(s, v, step);
        loom_str_add(s, "</text>");
    }
}

static void x_label(struct loom_str *s, const char *label, int height)
{
    loom_str_printf(s, "<text class=l x=\"%d\" y=\"%d\" text-anchor=middle>", (LEFT + WIDTH - RIGHT) / 2, height - 6);
    loom_str_html(s, label);
    loom_str_add(s, "</text>");
}

static void x_axis(struct loom_str *s, const struct scale *x, const char *label, int height)
{
    x_ticks(s, x, INFINITY, 0, height);
    x_label(s, label, height);
}

static int top_of(const struct loom_figure *f)
{
    int names = 0;
    for (int i = 0; i < f->panels; i++)
        names |= f->panel[i].name != NULL && f->panel[i].name[0] != '\0';
    return names ? TOP + HEADING : TOP;
}

static void upright(struct loom_str *s, const char *class, double at, int top, int bottom)
{
    loom_str_printf(s, "<path class=%s d=\"M%.1f %dV%d\"/>", class, at, top, bottom);
}

/* A panel's own axis. A tick too near the next panel's first is left out, and so is a name that is too wide. */
static void panel_axis(struct loom_str *s, const struct loom_panel *b, const struct scale *x, int top, int height,
                       int last)
{
    double left = place(x, b->from), right = place(x, b->to);
    const struct scale own = {b->reads, b->reads + (b->to - b->from), left, right - left};
    x_ticks(s, &own, last ? INFINITY : right - LETTER, 0, height);
    const double zero = place(&own, 0.0);
    if (zero > left + LETTER && zero < right) /* a trial that begins within its first bin begins at its edge */
        upright(s, "z", zero, top, height - BOTTOM);
    if (isfinite(b->unseen) && b->unseen > own.from && b->unseen < own.to)
        upright(s, "u", place(&own, b->unseen), top, height - BOTTOM);
    if (b->name != NULL && (double)(letters(b->name) * LETTER) <= right - left + LETTER) {
        loom_str_printf(s, "<text class=t x=\"%.1f\" y=\"%d\" text-anchor=middle>", 0.5 * (left + right), top - 5);
        loom_str_html(s, b->name);
        loom_str_add(s, "</text>");
    }
}

/* The figure's x axis: one, or each panel's. */
static void x_axes(struct loom_str *s, const struct loom_figure *f, const struct scale *x, int height)
{
    if (f->panels == 0)
        x_ticks(s, x, INFINITY, f->whole, height);
    for (int i = 0; i < f->panels; i++)
        panel_axis(s, &f->panel[i], x, top_of(f), height, i + 1 == f->panels);
    x_label(s, f->x_label, height);
}

static void y_axis(struct loom_str *s, const struct scale *y, const char *label, int grid)
{
    double step = tick_step(fabs(y->to - y->from), 4), low = fmin(y->from, y->to), high = fmax(y->from, y->to);
    for (double v = ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) {
        double at = place(y, v);
        if (grid)
            loom_str_printf(s, "<path class=g d=\"M%d %.1fH%d\"/>", LEFT, at, WIDTH - RIGHT);
        loom_str_printf(s, "<text class=t x=\"%d\" y=\"%.1f\" text-anchor=end>", LEFT - 5, at + 3.5);
        tick_text(s, v, step);
        loom_str_add(s, "</text>");
    }
    loom_str_printf(s, "<text class=l transform=\"translate(10 %d) rotate(-90)\" text-anchor=middle>",
                    (int)(y->at + 0.5 * y->length));
    loom_str_html(s, label);
    loom_str_add(s, "</text>");
}

static void open_figure(struct loom_str *s, const struct loom_figure *f)
{
    loom_str_add(s, "<figure><figcaption><b>");
    loom_str_html(s, f->title);
    loom_str_add(s, "</b>");
    if (f->csv != NULL) {
        loom_str_add(s, " <a href=\"");
        loom_str_html(s, f->csv);
        loom_str_add(s, "\">csv</a>");
    }
    if (f->note != NULL) {
        loom_str_add(s, "<br><small>");
        loom_str_html(s, f->note);
        loom_str_add(s, "</small>");
    }
}

static void open_svg(struct loom_str *s, const struct loom_figure *f, int height)
{
    loom_str_printf(s, "</figcaption><svg viewBox=\"0 0 %d %d\" role=img aria-label=\"", WIDTH, height);
    loom_str_html(s, f->title);
    loom_str_add(s, "\">");
}

static const char *const stroke_class[] = {"p", "p thin", "p dash", "p true", "dots", "p"};

static void dot(struct loom_str *s, const char *class, int colour, double x, double y, double r)
{
    loom_str_printf(s, "<circle class=\"%s c%d\" cx=\"%.1f\" cy=\"%.1f\" r=%g />", class, colour, x, y, r);
}

static int has_dots(const struct loom_line *l)
{
    return l->stroke == LOOM_STROKE_POINTS || l->stroke == LOOM_STROKE_MARKED;
}

static void legend(struct loom_str *s, const struct loom_line *line, int lines)
{
    int named = 0;
    for (int i = 0; i < lines; i++)
        named += line[i].name != NULL;
    loom_str_add(s, named > 0 ? "<div class=legend>" : "");
    for (int i = 0; i < lines; i++) {
        if (line[i].name == NULL)
            continue;
        loom_str_add(s, "<span><svg class=key viewBox=\"0 0 22 8\">");
        if (line[i].stroke != LOOM_STROKE_POINTS)
            loom_str_printf(s, "<path class=\"%s c%d\" d=\"M1 4H21\"/>", stroke_class[line[i].stroke], line[i].colour);
        if (has_dots(&line[i]))
            dot(s, "dot", line[i].colour, 11, 4, 3);
        loom_str_add(s, "</svg>");
        loom_str_html(s, line[i].name);
        loom_str_add(s, "</span>");
    }
    loom_str_add(s, named > 0 ? "</div>" : "");
}

/* Means over up to `by` neighbours, never over a gap. */
static void draw(struct loom_str *s, const struct loom_line *l, const struct scale *x, const struct scale *y)
{
    int64_t by = (l->n + MOST_POINTS - 1) / MOST_POINTS, drawn = 0;
    double last_x = 0.0, last_y = 0.0;
    int pen = 0;
    loom_str_printf(s, "<path class=\"%s c%d\" d=\"", stroke_class[l->stroke], l->colour);
    for (int64_t i = 0; i < l->n;) {
        double sum_x = 0.0, sum_y = 0.0;
        int64_t n = 0;
        for (; i < l->n && n < by && isfinite(l->y[i]); i++, n++) {
            sum_x += l->x[i];
            sum_y += l->y[i];
        }
        if (n > 0) {
            last_x = place(x, sum_x / (double)n);
            last_y = place(y, sum_y / (double)n);
            loom_str_printf(s, "%c%.1f %.1f", pen ? 'L' : 'M', last_x, last_y);
            drawn++;
        }
        pen = i < l->n && isfinite(l->y[i]);
        i += i < l->n && !pen;
    }
    loom_str_add(s, "\"/>");
    if (drawn == 1)
        dot(s, "dot", l->colour, last_x, last_y, 3);
}

/* What stands `spread` above and below a line, stretch by stretch. */
static void draw_band(struct loom_str *s, const struct loom_line *l, const struct scale *x, const struct scale *y)
{
    for (int64_t i = 0, end; i < l->n; i = end + 1) {
        for (end = i; end < l->n && isfinite(l->y[end]) && isfinite(l->spread[end]);)
            end++;
        if (end - i < 2)
            continue;
        loom_str_printf(s, "<path class=\"dot band c%d\" d=\"", l->colour);
        for (int64_t k = i; k < end; k++)
            loom_str_printf(s, "%c%.1f %.1f", k == i ? 'M' : 'L', place(x, l->x[k]), place(y, l->y[k] + l->spread[k]));
        for (int64_t k = end - 1; k >= i; k--)
            loom_str_printf(s, "L%.1f %.1f", place(x, l->x[k]), place(y, l->y[k] - l->spread[k]));
        loom_str_add(s, "Z\"/>");
    }
}

/* Of what stands at x >= from. */
static void y_range(const struct loom_line *line, int lines, double from, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int i = 0; i < lines; i++)
        for (int64_t k = 0; k < line[i].n; k++)
            if (isfinite(line[i].y[k]) && line[i].x[k] >= from) {
                double spread = line[i].spread != NULL ? fmax(line[i].spread[k], 0.0) : 0.0;
                *low = fmin(*low, line[i].y[k] - spread);
                *high = fmax(*high, line[i].y[k] + spread);
            }
    widen(low, high);
    double margin = 0.04 * (*high - *low);
    *low -= margin;
    *high += margin;
}

static void x_range(const struct loom_figure *f, const struct loom_line *line, int lines, struct scale *x)
{
    for (int i = 0; i < f->panels; i++) {
        x->from = fmin(x->from, f->panel[i].from);
        x->to = fmax(x->to, f->panel[i].to);
    }
    for (int i = 0; i < lines && f->panels == 0; i++)
        if (line[i].n > 0) {
            x->from = fmin(x->from, line[i].x[0]);
            x->to = fmax(x->to, line[i].x[line[i].n - 1]);
        }
    widen(&x->from, &x->to);
}

void loom_figure_lines(struct loom_str *s, const struct loom_figure *f, const struct loom_line *line, int lines)
{
    const int top = top_of(f);
    struct scale x = {INFINITY, -INFINITY, LEFT, WIDTH - LEFT - RIGHT};
    struct scale y = {0, 1, HEIGHT - BOTTOM, -(HEIGHT - BOTTOM - top)};
    x_range(f, line, lines, &x);
    y_range(line, lines, x.from + f->run_in * (x.to - x.from), &y.from, &y.to);
    open_figure(s, f);
    legend(s, line, lines);
    open_svg(s, f, HEIGHT);
    y_axis(s, &y, f->y_label, 1);
    for (int i = 1; i < f->panels; i++)
        upright(s, "g", place(&x, 0.5 * (f->panel[i - 1].to + f->panel[i].from)), top, HEIGHT - BOTTOM);
    x_axes(s, f, &x, HEIGHT);
    for (int i = 0; i < lines; i++)
        if (line[i].spread != NULL)
            draw_band(s, &line[i], &x, &y);
    for (int i = 0; i < lines; i++) {
        draw(s, &line[i], &x, &y);
        for (int64_t k = 0; k < line[i].n && line[i].n > 1 && has_dots(&line[i]); k++)
            if (isfinite(line[i].y[k]))
                dot(s, "dot", line[i].colour, place(&x, line[i].x[k]), place(&y, line[i].y[k]), 3);
    }
    loom_str_add(s, "</svg></figure>\n");
}

/* ---- planes ---- */

static void take_in(struct scale *x, double v)
{
    if (isfinite(v)) {
        x->from = fmin(x->from, v);
        x->to = fmax(x->to, v);
    }
}

/* Enough room around, and on the side that has too much of it more, until a unit is as long on both. */
static void fit_plane(struct scale *x, struct scale *y, int square)
{
    widen(&x->from, &x->to);
    widen(&y->from, &y->to);
    double per_x = (x->to - x->from) / fabs(x->length), per_y = (y->to - y->from) / fabs(y->length);
    double per = fmax(per_x, per_y) * 1.08;
    struct scale *const both[] = {x, y};
    for (int i = 0; i < 2; i++) {
        double middle = 0.5 * (both[i]->from + both[i]->to), span = both[i]->to - both[i]->from;
        double half = 0.5 * (square ? per * fabs(both[i]->length) : span * 1.08);
        both[i]->from = middle - half;
        both[i]->to = middle + half;
    }
}

static void draw_in_plane(struct loom_str *s, const struct loom_line *l, const struct scale *x, const struct scale *y,
                          int begins)
{
    int pen = 0;
    if (l->stroke != LOOM_STROKE_POINTS)
        loom_str_printf(s, "<path class=\"%s c%d\" d=\"", stroke_class[l->stroke], l->colour);
    for (int64_t i = 0; i < l->n && l->stroke != LOOM_STROKE_POINTS; i++) {
        int there = isfinite(l->x[i]) && isfinite(l->y[i]);
        if (there)
            loom_str_printf(s, "%c%.1f %.1f", pen ? 'L' : 'M', place(x, l->x[i]), place(y, l->y[i]));
        pen = there;
    }
    loom_str_add(s, l->stroke != LOOM_STROKE_POINTS ? "\"/>" : "");
    for (int64_t i = 0; i < l->n; i++) {
        int first = begins && l->stroke != LOOM_STROKE_POINTS && (i == 0 || !isfinite(l->y[i - 1]));
        if ((first || has_dots(l)) && isfinite(l->x[i]) && isfinite(l->y[i]))
            dot(s, l->stroke == LOOM_STROKE_POINTS ? "dot faint" : "dot", l->colour, place(x, l->x[i]),
                place(y, l->y[i]), l->stroke == LOOM_STROKE_MARKED ? 3 : 1.8);
    }
}

void loom_figure_plane(struct loom_str *s, const struct loom_figure *f, const struct loom_plane *p,
                       const struct loom_line *line, int lines)
{
    int height = p->square ? TALL : HEIGHT;
    struct scale x = {INFINITY, -INFINITY, LEFT, WIDTH - LEFT - RIGHT};
    struct scale y = {INFINITY, -INFINITY, height - BOTTOM, -(height - BOTTOM - TOP)};
    for (int i = 0; i < lines; i++)
        for (int64_t k = 0; k < line[i].n; k++)
            if (isfinite(line[i].x[k]) && isfinite(line[i].y[k])) {
                take_in(&x, line[i].x[k]);
                take_in(&y, line[i].y[k]);
            }
    for (int k = 0; p->frame != NULL && k < 4; k++)
        take_in(k < 2 ? &x : &y, p->frame[k]);
    const double least = fmin(x.from, y.from), most = fmax(x.to, y.to);
    fit_plane(&x, &y, p->square);
    open_figure(s, f);
    legend(s, line, lines);
    open_svg(s, f, height);
    y_axis(s, &y, f->y_label, 1);
    x_axis(s, &x, f->x_label, height);
    double low = fmax(fmax(x.from, y.from), least), high = fmin(fmin(x.to, y.to), most);
    if (p->diagonal && low < high)
        loom_str_printf(s, "<path class=\"p dash true\" d=\"M%.1f %.1fL%.1f %.1f\"/>", place(&x, low), place(&y, low),
                        place(&x, high), place(&y, high));
    for (int i = 0; i < lines; i++)
        draw_in_plane(s, &line[i], &x, &y, p->begins);
    loom_str_add(s, "</svg></figure>\n");
}

/* ---- cells ---- */

enum { SHADES = 254 };

/* The colours with what their ends say, and what dashes mean. */
static void cells_legend(struct loom_str *s, const struct loom_cells *c)
{
    uint8_t shade[SHADES];
    for (int i = 0; i < SHADES; i++)
        shade[i] = (uint8_t)(1 + i);
    loom_str_printf(s,
                    "<div class=legend><span>%.3g <svg class=bar viewBox=\"0 0 60 8\"><image width=60 height=8 "
                    "preserveAspectRatio=none href=\"",
                    c->low);
    loom_png_uri(s, shade, SHADES, 1);
    loom_str_printf(s, "\"/></svg> %.3g and more%s", c->high, c->unit != NULL ? " " : "");
    loom_str_html(s, c->unit != NULL ? c->unit : "");
    loom_str_add(s, "</span>");
    if (c->mark != NULL) {
        loom_str_add(s, "<span><svg class=key viewBox=\"0 0 22 8\"><path class=m d=\"M8 4H14\"/></svg>");
        loom_str_html(s, c->marked);
        loom_str_add(s, "</span>");
    }
    loom_str_add(s, "</div>");
}

/* Columns from … from + columns - 1 as a picture between two places. */
static void picture(struct loom_str *s, const struct loom_cells *c, int from, int columns, double left, double right,
                    int top)
{
    uint8_t *index = calloc((size_t)c->rows * (size_t)columns + 1, 1);
    if (index == NULL) {
        s->failed = 1;
        return;
    }
    for (int r = 0; r < c->rows; r++)
        for (int k = 0; k < columns; k++) {
            double at = (c->value[(size_t)r * (size_t)c->columns + (size_t)(from + k)] - c->low) /
                        (c->high > c->low ? c->high - c->low : 1.0);
            index[(size_t)r * (size_t)columns + (size_t)k] =
                isnan(at) ? 0 : (uint8_t)(1.0 + 254.0 * fmin(fmax(at, 0.0), 1.0));
        }
    loom_str_printf(s, "<image x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" preserveAspectRatio=none href=\"", left,
                    top, right - left, HEIGHT - BOTTOM - top);
    loom_png_uri(s, index, (uint32_t)columns, (uint32_t)c->rows);
    loom_str_add(s, "\"/>");
    free(index);
}

void loom_figure_cells(struct loom_str *s, const struct loom_figure *f, const struct loom_cells *c)
{
    const int top = top_of(f), from = f->panels > 0;
    struct scale x = {from ? f->panel[0].from : c->x_from, from ? f->panel[f->panels - 1].to : c->x_to, LEFT,
                      WIDTH - LEFT - RIGHT};
    struct scale y = {0, c->rows > 0 ? c->rows : 1, top, HEIGHT - BOTTOM - top};
    int column = 0;
    widen(&x.from, &x.to);
    open_figure(s, f);
    cells_legend(s, c);
    open_svg(s, f, HEIGHT);
    if (f->panels == 0)
        picture(s, c, 0, c->columns, x.at, x.at + x.length, top);
    for (int i = 0; i < f->panels; column += f->panel[i++].columns)
        picture(s, c, column, f->panel[i].columns, place(&x, f->panel[i].from), place(&x, f->panel[i].to), top);
    for (int r = 0; c->mark != NULL && r < c->rows; r++)
        if (c->mark[r])
            loom_str_printf(s, "<path class=m d=\"M%d %.1fH%d\"/>", WIDTH - RIGHT + 1, place(&y, r + 0.5), WIDTH - 2);
    y_axis(s, &y, f->y_label, 0);
    x_axes(s, f, &x, HEIGHT);
    loom_str_add(s, "</svg></figure>\n");
}

/* ---- rows: means with intervals, one below the other ---- */

enum { ROW = 26, NAME = 112, MOST_NAME = 178 };

/* Names of cells differ in their last words, so that these are not cut as long as the means keep half the width. */
static int name_width(const struct loom_figure_row *list, int rows)
{
    size_t most = 0;
    for (int i = 0; i < rows; i++)
        most = letters(list[i].name) > most ? letters(list[i].name) : most;
    most = most * LETTER + 8;
    return most < NAME ? NAME : most > MOST_NAME ? MOST_NAME : (int)most;
}

static void row_name(struct loom_str *s, const struct loom_figure_row *r, int width, double y)
{
    size_t most = (size_t)(width / LETTER), n = strlen(r->name);
    char name[64];
    if (n > most) /* not within a letter of several bytes */
        for (n = most - 1; n > 0 && ((unsigned char)r->name[n] & 0xc0) == 0x80;)
            n--;
    snprintf(name, sizeof name, "%.*s%s", (int)(n < 56 ? n : 56), r->name, r->name[n < 56 ? n : 56] ? "…" : "");
    loom_str_printf(s, "<text class=\"l%s\" x=\"%d\" y=\"%.1f\" text-anchor=end>", r->strong ? " own" : "", width - 8,
                    y + 3.5);
    loom_str_html(s, name);
    loom_str_add(s, "</text>");
}

static void row(struct loom_str *s, const struct loom_figure_row *r, const struct scale *x, int width, double y)
{
    row_name(s, r, width, y);
    for (int i = 0; i < r->points; i++)
        if (isfinite(r->point[i]))
            dot(s, "dot faint", r->colour, place(x, r->point[i]), y + 5.5, 2.6);
    if (isfinite(r->low) && isfinite(r->high))
        loom_str_printf(s, "<path class=\"p c%d\" d=\"M%.1f %.1fH%.1f\"/>", r->colour, place(x, r->low), y - 2.5,
                        place(x, r->high));
    if (isfinite(r->mean))
        dot(s, "dot", r->colour, place(x, r->mean), y - 2.5, 3.6);
}

void loom_figure_rows(struct loom_str *s, const struct loom_figure *f, const struct loom_figure_row *list, int rows,
                      double mark)
{
    const int names = name_width(list, rows), height = TOP + rows * ROW + BOTTOM;
    struct scale x = {INFINITY, -INFINITY, names, WIDTH - names - RIGHT};
    take_in(&x, mark);
    for (int i = 0; i < rows; i++) {
        const double ends[] = {list[i].mean, list[i].low, list[i].high};
        for (int k = 0; k < 3; k++)
            take_in(&x, ends[k]);
        for (int k = 0; k < list[i].points; k++)
            take_in(&x, list[i].point[k]);
    }
    widen(&x.from, &x.to);
    double margin = 0.05 * (x.to - x.from);
    x.from -= margin;
    x.to += margin;
    open_figure(s, f);
    open_svg(s, f, *f->x_label ? height : height - 18);
    for (int i = 0; i < rows; i++)
        loom_str_printf(s, "<path class=g d=\"M%d %.1fH%d\"/>", names, TOP + (i + 0.5) * ROW, WIDTH - RIGHT);
    if (isfinite(mark))
        loom_str_printf(s, "<path class=\"p dash true\" d=\"M%.1f %dV%d\"/>", place(&x, mark), TOP, height - BOTTOM);
    for (int i = 0; i < rows; i++)
        row(s, &list[i], &x, names, TOP + (i + 0.5) * ROW);
    x_axis(s, &x, f->x_label, height);
    loom_str_add(s, "</svg></figure>\n");
}
