/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of a report: inline SVG whose colours are the page's (light and dark), drawn for a phone's width and scaled
 * up. */
#ifndef LOOM_EVAL_FIGURE_H
#define LOOM_EVAL_FIGURE_H

#include "base/str.h"

/* A part of the x axis with ticks of its own: a trial beside others, a panel. */
struct loom_panel {
    double from, to;  /* where it stands, in x of what is drawn; ascending, without overlap */
    double reads;     /* what its axis says at `from`; its unit is as long as that of what is drawn */
    double unseen;    /* where a line stands, as the axis says it; NaN = nowhere */
    const char *name; /* above it; NULL = nothing */
    int columns;      /* of cells: how many it shows */
};
struct loom_figure {
    const char *title, *note;      /* note: a sentence under the title, or NULL */
    const char *x_label, *y_label; /* with units */
    const char *csv;               /* relative path of the figure's data, or NULL */
    double run_in;                 /* share of the x axis, from its beginning, that the y axis need not hold */
    int whole;                     /* 1: x are whole numbers */
    const struct loom_panel *panel;
    int panels; /* 0: one axis. Where a panel's axis has 0 within, beyond its edge, a dotted line stands there */
};

/* POINTS: dots and no line; MARKED: both. */
enum loom_stroke {
    LOOM_STROKE_PLAIN,
    LOOM_STROKE_THIN,
    LOOM_STROKE_DASHED,
    LOOM_STROKE_TRUTH,
    LOOM_STROKE_POINTS,
    LOOM_STROKE_MARKED
};
/* Colours 0 … 5 tell lines apart; LOOM_WHEEL + 0 … 7 are conditions, in the order of a colour wheel. */
enum { LOOM_WHEEL = 6, LOOM_WHEEL_COLOURS = 8 };
struct loom_line {
    const char *name;     /* in the legend; NULL = not there */
    const double *x, *y;  /* [n]; x ascending; NaN in y breaks the line */
    const double *spread; /* [n] half the height of a band around it, in figures of lines; NULL = none */
    int64_t n;
    int colour;
    int stroke; /* enum loom_stroke */
};
/* Long lines are drawn as means of neighbours. A line of one point is a dot. */
void loom_figure_lines(struct loom_str *html, const struct loom_figure *f, const struct loom_line *line, int lines);

/* Lines in a plane: x in any order, NaN in y breaks them, every point is drawn. */
struct loom_plane {
    int square;          /* 1: a unit is as long on both axes */
    int diagonal;        /* 1: a dashed line where y = x */
    const double *frame; /* x from, to, y from, to that must be seen; NULL = what the lines need */
    int begins;          /* 1: a dot where each line begins */
};
void loom_figure_plane(struct loom_str *html, const struct loom_figure *f, const struct loom_plane *p,
                       const struct loom_line *line, int lines);

struct loom_cells {
    const double *value; /* [rows, columns], NaN = blank; row 0 is drawn on top */
    int rows, columns;
    double low, high;    /* of the colours */
    double x_from, x_to; /* edges of the first and last column, where the figure has no panels */
    const char *unit;    /* of the values, beside the colours */
    const uint8_t *mark; /* [rows] 1 = a dash at its right end; NULL = none */
    const char *marked;  /* what the dashes mean */
};
void loom_figure_cells(struct loom_str *html, const struct loom_figure *f, const struct loom_cells *c);

struct loom_figure_row {
    const char *name;
    double mean, low, high; /* low, high: interval; NaN = none */
    const double *point;    /* [points] what the mean is of; NULL = not drawn */
    int points;
    int colour; /* 0 … 5 */
    int strong; /* 1: its name stands out */
};
/* One row below the other over a common axis: means with their intervals, points under them. mark: where a dashed line
 * stands; NaN = nowhere. */
void loom_figure_rows(struct loom_str *html, const struct loom_figure *f, const struct loom_figure_row *row, int rows,
                      double mark);

/* An indexed PNG as a data: URI; index 0 is transparent, the others run through the palette. `index` [height, width].
 */
void loom_png_uri(struct loom_str *out, const uint8_t *index, uint32_t width, uint32_t height);

#endif
