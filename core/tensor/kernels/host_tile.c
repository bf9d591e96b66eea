/* SPDX-License-Identifier: Apache-2.0 */
/* Register tiles: one function for each number of rows, all made from one body so that the chains are the same. */
#include "tensor/kernels/tile.h"

enum {
    SLAB = 512,    /* k's at a time: a tile of x and a panel then pass through first-level cache */
    WIDE_ROWS = 3, /* so few rows take several panels at once: there reading b is what costs */
    WIDE_PANELS = LOOM_VEC_BYTES == 64 ? 4 : 2,
    WIDE_COLS = WIDE_PANELS * LOOM_TILE_COLS,
    AHEAD_ROWS = 8,                  /* asked for beside one tile */
    CACHE_ROWS = 4 * LOOM_TILE_ROWS, /* rows of x that are kept in second-level cache while the panels pass */
};

/* Where a tile reads and writes: all its columns exist. */
struct spot {
    int64_t k;
    const loom_real *x;
    int64_t step; /* the step of x that is not 1 */
    const loom_real *panel;
    int64_t panel_k, panel_step;
    loom_real *y;
    int64_t ldy;
    const loom_real *bias;
    int accumulate;
};

/* `rows`, `vectors` (to a row) and `by_k` are constants where this is expanded, so `sum` lives in registers. */
LOOM_INLINE void tile(const int rows, const int vectors, const int by_k, const struct spot *s)
{
    loom_vec sum[LOOM_TILE_ROWS][2 * WIDE_PANELS];
    const int64_t x_row = by_k ? 1 : s->step, x_k = by_k ? s->step : 1;
    const int64_t panel_k = s->panel_k, panel_step = s->panel_step;
    const loom_real *x = s->x, *panel = s->panel;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < vectors; c += 64 / LOOM_VEC_BYTES)
            __builtin_prefetch(s->y + r * s->ldy + c * LOOM_LANES, 1);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int c = 0; c < vectors; c++)
            sum[r][c] = s->accumulate ? loom_load(s->y + r * s->ldy + c * LOOM_LANES) : loom_splat(0);
    for (int64_t l = s->k; l > 0; l--, x += x_k, panel += panel_k) {
        loom_vec b[2 * WIDE_PANELS];
#pragma GCC unroll 8
        for (int c = 0; c < vectors; c++)
            b[c] = loom_load(panel + c / 2 * panel_step + c % 2 * LOOM_LANES);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const loom_vec a = loom_splat(x[r * x_row]);
#pragma GCC unroll 8
            for (int c = 0; c < vectors; c++)
                sum[r][c] = loom_fma(a, b[c], sum[r][c]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int c = 0; c < vectors; c++) {
            if (s->bias)
                sum[r][c] += loom_load(s->bias + c * LOOM_LANES);
            loom_store(s->y + r * s->ldy + c * LOOM_LANES, sum[r][c]);
        }
}

#define TILE(n)                                                                                                        \
    static void tile_##n(const struct spot *s)                                                                         \
    {                                                                                                                  \
        tile(n, 2, 0, s);                                                                                              \
    }                                                                                                                  \
    static void by_k_##n(const struct spot *s)                                                                         \
    {                                                                                                                  \
        tile(n, 2, 1, s);                                                                                              \
    }                                                                                                                  \
    static void half_##n(const struct spot *s)                                                                         \
    {                                                                                                                  \
        tile(n, 1, 0, s);                                                                                              \
    }                                                                                                                  \
    static void half_by_k_##n(const struct spot *s)                                                                    \
    {                                                                                                                  \
        tile(n, 1, 1, s);                                                                                              \
    }
#define WIDE(n)                                                                                                        \
    static void wide_##n(const struct spot *s)                                                                         \
    {                                                                                                                  \
        tile(n, 2 * WIDE_PANELS, 0, s);                                                                                \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
WIDE(1)
WIDE(2)
WIDE(3)
#if defined __AVX512F__
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
TILE(14)
#define UP_TO_TOP(f) f##1, f##2, f##3, f##4, f##5, f##6, f##7, f##8, f##9, f##10, f##11, f##12, f##13, f##14
#else
#define UP_TO_TOP(f) f##1, f##2, f##3, f##4, f##5, f##6
#endif

typedef void (*tile_fn)(const struct spot *s);
/* By half (one vector to a row instead of two) and by_k. */
static const tile_fn tiles[2][2][LOOM_TILE_ROWS] = {{{UP_TO_TOP(tile_)}, {UP_TO_TOP(by_k_)}},
                                                    {{UP_TO_TOP(half_)}, {UP_TO_TOP(half_by_k_)}}};
static const tile_fn wide[WIDE_ROWS] = {wide_1, wide_2, wide_3};

/* A tile of which the last columns do not exist goes through a buffer in which they do. */
static void run_part(int rows, int64_t columns, tile_fn sum, const struct spot *s)
{
    loom_real buffer[LOOM_TILE_ROWS + 1][LOOM_TILE_COLS] __attribute__((aligned(LOOM_VEC_BYTES)));
    const size_t bytes = (size_t)columns * sizeof(loom_real);
    struct spot t = *s;
    memset(buffer, 0, sizeof buffer);
    t.y = buffer[0];
    t.ldy = LOOM_TILE_COLS;
    if (s->bias) {
        memcpy(buffer[LOOM_TILE_ROWS], s->bias, bytes);
        t.bias = buffer[LOOM_TILE_ROWS];
    }
    for (int r = 0; r < rows && s->accumulate; r++)
        memcpy(buffer[r], s->y + r * s->ldy, bytes);
    sum(&t);
    for (int r = 0; r < rows; r++)
        memcpy(s->y + r * s->ldy, buffer[r], bytes);
}

static void run(int rows, int64_t columns, int by_k, const struct spot *s)
{
    const tile_fn sum = tiles[columns <= LOOM_LANES][by_k][rows - 1];
    if (columns >= LOOM_TILE_COLS || columns == LOOM_LANES)
        sum(s);
    else
        run_part(rows, columns, sum, s);
}

/* Rows [row, row + rows) of the block by the columns from `column` on that fit in `columns`. */
static struct spot spot_of(const struct loom_block *p, int64_t row, int64_t column)
{
    return (struct spot){
        .k = p->k,
        .x = p->x + row * p->x_row,
        .step = p->x_k == 1 ? p->x_row : p->x_k,
        .panel = p->panels + column / LOOM_TILE_COLS * p->panel_step,
        .panel_k = p->panel_k ? p->panel_k : LOOM_TILE_COLS,
        .panel_step = p->panel_step,
        .y = p->y + row * p->ldy + column,
        .ldy = p->ldy,
        .bias = p->bias ? p->bias + column : NULL,
        .accumulate = p->accumulate,
    };
}

/* A strip of few rows: several panels at a time while there are as many. */
static void few_rows(const struct loom_block *p)
{
    for (int64_t column = 0; column < p->columns;) {
        const struct spot s = spot_of(p, 0, column);
        if (p->columns - column >= WIDE_COLS) {
            wide[p->rows - 1](&s);
            column += WIDE_COLS;
        } else {
            run((int)p->rows, p->columns - column, 0, &s);
            column += LOOM_TILE_COLS;
        }
    }
}

/* Rows that lie a multiple of 2 KiB apart crowd into a few sets of the first-level cache: such a tile is copied first.
 */
static void copied(int rows, int64_t columns, const struct spot *s)
{
    enum { STEP = SLAB + LOOM_LANES };
    loom_real x[LOOM_TILE_ROWS * STEP] __attribute__((aligned(LOOM_VEC_BYTES)));
    struct spot t = *s;
    for (int r = 0; r < rows; r++)
        memcpy(x + r * STEP, s->x + r * s->step, (size_t)s->k * sizeof *x);
    t.x = x;
    t.step = STEP;
    run(rows, columns, 0, &t);
}

/* Blocks of rows stay in cache while the panels pass; each panel serves all tiles of the block. Rows are dealt to tiles
 * as evenly as can be, so that no tile is left with a few. */
static void many_rows(const struct loom_block *p)
{
    const int by_k = p->x_k != 1, crowded = !by_k && p->k > 1 && p->x_row * (int64_t)sizeof *p->x % 2048 == 0;
    const int64_t blocks = (p->rows + CACHE_ROWS - 1) / CACHE_ROWS;
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t first = p->rows * i / blocks, rows = p->rows * (i + 1) / blocks - first;
        const int64_t count = (rows + LOOM_TILE_ROWS - 1) / LOOM_TILE_ROWS;
        for (int64_t column = 0; column < p->columns; column += LOOM_TILE_COLS) {
            for (int64_t t = 0; t < count; t++) {
                const int64_t from = rows * t / count, to = rows * (t + 1) / count;
                const struct spot s = spot_of(p, first + from, column);
                if (p->ahead)
                    loom_ahead(p->ahead, AHEAD_ROWS);
                if (crowded)
                    copied((int)(to - from), p->columns - column, &s);
                else
                    run((int)(to - from), p->columns - column, by_k, &s);
            }
        }
    }
}

/* A long k is taken slab by slab: the sums are stored and loaded in between, which leaves each chain as it is. */
void loom_block(const struct loom_block *p)
{
    struct loom_block part = *p;
    if (p->rows <= 0)
        return;
    if (p->rows <= WIDE_ROWS && p->x_k == 1) {
        few_rows(p);
        return;
    }
    for (int64_t top = 0; top < p->k || top == 0; top += SLAB) {
        part.k = p->k - top < SLAB ? p->k - top : SLAB;
        part.bias = top + SLAB < p->k ? NULL : p->bias;
        part.accumulate = p->accumulate || top;
        many_rows(&part);
        part.x += SLAB * p->x_k;
        part.panels += SLAB * (p->panel_k ? p->panel_k : LOOM_TILE_COLS);
    }
}

#if LOOM_LANES == 16
#define LOWER 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LOOM_LANES == 8
#define LOWER 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER 4, 12, 5, 13, 6, 14, 7, 15
#elif LOOM_LANES == 4
#define LOWER 0, 4, 1, 5
#define UPPER 2, 6, 3, 7
#else
#define LOWER 0, 2
#define UPPER 1, 3
#endif

/* A square of vectors turned over: as many rounds of interleaving the first half with the second as halves can be
 * taken. */
LOOM_INLINE void transpose(loom_vec v[LOOM_LANES])
{
#pragma GCC unroll 4
    for (int round = 1; round < LOOM_LANES; round *= 2) {
        loom_vec t[LOOM_LANES];
#pragma GCC unroll 8
        for (int i = 0; i < LOOM_LANES / 2; i++) {
            t[2 * i] = __builtin_shufflevector(v[i], v[i + LOOM_LANES / 2], LOWER);
            t[2 * i + 1] = __builtin_shufflevector(v[i], v[i + LOOM_LANES / 2], UPPER);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LOOM_LANES; i++)
            v[i] = t[i];
    }
}

/* One panel of `width` columns out of columns that lie b_n apart: square by square, what is missing is 0. */
static void pack_across(loom_real *panel, int64_t k, int64_t width, const loom_real *b, int64_t b_n)
{
    for (int64_t top = 0; top < k; top += LOOM_LANES)
        for (int64_t side = 0; side < LOOM_TILE_COLS; side += LOOM_LANES) {
            loom_vec v[LOOM_LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LOOM_LANES; i++)
                v[i] = side + i < width ? loom_load_part(b + (side + i) * b_n + top, k - top) : loom_splat(0);
            transpose(v);
            for (int i = 0; i < LOOM_LANES && top + i < k; i++)
                loom_store(panel + (top + i) * LOOM_TILE_COLS + side, v[i]);
        }
}

void loom_pack(loom_real *panels, int64_t k, int64_t n, const loom_real *b, int64_t b_k, int64_t b_n)
{
    for (int64_t column = 0; column < n; column += LOOM_TILE_COLS, panels += k * LOOM_TILE_COLS) {
        const int64_t width = n - column < LOOM_TILE_COLS ? n - column : LOOM_TILE_COLS;
        const loom_real *from = b + column * b_n;
        if (b_n != 1) {
            pack_across(panels, k, width, from, b_n);
            continue;
        }
        for (int64_t l = 0; l < k; l++)
            for (int64_t j = 0; j < LOOM_TILE_COLS; j += LOOM_LANES) {
                const int64_t left = width - j > 0 ? width - j : 0;
                loom_store(panels + l * LOOM_TILE_COLS + j, loom_load_part(from + l * b_k + j, left));
            }
    }
}
