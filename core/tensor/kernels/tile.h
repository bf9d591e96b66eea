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

/* y[rows, columns] = x · b (+ bias): element l of row r of x stands at x[r · x_row + l · x_k]; one of the two steps
 * is 1. */
struct loom_block {
    int64_t rows, columns, k;
    const loom_real *x;
    int64_t x_row, x_k;
    const loom_real *panels; /* first panel; it has k rows of LOOM_TILE_COLS, or more than are summed */
    int64_t panel_step;      /* elements from one panel to the next */
    loom_real *y;
    int64_t ldy;
    const loom_real *bias; /* [columns] or NULL */
    int accumulate;        /* chains start at y */
};
void loom_block(const struct loom_block *p) LOOM_OF_SET("block");

/* Panels of b[k,n]: element (l, j) at b[l · b_k + j · b_n]; one of the steps is 1. `panels` holds loom_panels(n) · COLS
 * · k. */
void loom_pack(loom_real *panels, int64_t k, int64_t n, const loom_real *b, int64_t b_k, int64_t b_n)
    LOOM_OF_SET("pack");

#endif
