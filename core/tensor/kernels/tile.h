/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile of products, and the panels that feed it.
 *
 * A panel holds LOOM_TILE_COLS columns of b as [k][LOOM_TILE_COLS], missing columns 0, so that the inner loop reads one
 * stream. A tile is up to LOOM_TILE_ROWS rows of x times one panel, its sums in registers for the whole of k: each
 * output is one chain of multiply-adds over k ascending, whatever the number of rows in the tile (the row law). */
#ifndef LOOM_TENSOR_TILE_H
#define LOOM_TENSOR_TILE_H

#include "tensor/kernels/set.h"
#include "tensor/kernels/vec.h"

enum {
    LOOM_TILE_ROWS = LOOM_VEC_BYTES == 64 ? 14 : 6, /* 28 sums of 32 registers, or 12 of 16 */
    LOOM_TILE_COLS = 2 * LOOM_LANES,
    LOOM_TILE_DEPTH = 512, /* rows that a weight gradient takes at a time: its panels then stay in cache */
};

/* Panels that n columns fill. */
static inline int64_t loom_panels(int64_t n)
{
    return (n + LOOM_TILE_COLS - 1) / LOOM_TILE_COLS;
}

/* Rows that a later step reads or writes: products ask for them in passing, so that they come while the machine
 * multiplies. Row i of a run stands `row[first + i]` (row NULL: first + i) steps behind `at`. */
struct loom_ahead {
    struct loom_ahead_run {
        const char *at;
        int64_t step, bytes; /* from row to row; of a row */
        const int32_t *row;
        int64_t first, count;
    } run[8];
    int runs;
    int64_t next; /* row of run[runs − 1] that is asked for next */
};

/* Ask for up to n rows. */
LOOM_INLINE void loom_ahead(struct loom_ahead *a, int n)
{
    for (; n && a->runs; n--) {
        const struct loom_ahead_run *r = &a->run[a->runs - 1];
        if (a->next >= r->count) {
            a->runs--;
            a->next = 0;
            continue;
        }
        const int64_t i = r->first + a->next++;
        const char *row = r->at + (r->row ? r->row[i] : i) * r->step;
        for (int64_t b = 0; b < r->bytes; b += 64)
            __builtin_prefetch(row + b, 0, 2);
    }
}

/* y[rows, columns] = x · b (+ bias): element l of row r of x stands at x[r · x_row + l · x_k]; one of the two steps
 * is 1. */
struct loom_block {
    int64_t rows, columns, k;
    const loom_real *x;
    int64_t x_row, x_k;
    const loom_real *panels; /* first panel; it has k rows of LOOM_TILE_COLS, or more than are summed */
    int64_t panel_k;         /* elements from one row of a panel to the next; 0: LOOM_TILE_COLS, as packed */
    int64_t panel_step;      /* elements from one panel to the next */
    loom_real *y;
    int64_t ldy;
    const loom_real *bias;    /* [columns] or NULL */
    int accumulate;           /* chains start at y */
    struct loom_ahead *ahead; /* or NULL */
};
void loom_block(const struct loom_block *p) LOOM_OF_SET("block");

/* Panels of b[k,n]: element (l, j) at b[l · b_k + j · b_n]; one of the steps is 1. `panels` holds loom_panels(n) · COLS
 * · k. */
void loom_pack(loom_real *panels, int64_t k, int64_t n, const loom_real *b, int64_t b_k, int64_t b_n)
    LOOM_OF_SET("pack");

#endif
