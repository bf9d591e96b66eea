/* SPDX-License-Identifier: Apache-2.0 */
/* Products on packed panels. Activations run over rows that are still in cache. */
#include "tensor/kernels/kernels.h"
#include "tensor/kernels/tile.h"

enum { EPILOGUE_ROWS = 10 * LOOM_TILE_ROWS }; /* rows of y that the activation finds in cache */

size_t loom_host_packed_bytes(int64_t k, int64_t n)
{
    return (size_t)(loom_panels(n) * LOOM_TILE_COLS * (k > 0 ? k : 1)) * sizeof(loom_real);
}

void loom_host_gemm_pack(void *packed, int64_t k, int64_t n, const loom_real *b, int64_t ldb, int transposed)
{
    loom_pack(packed, k, n, b, transposed ? 1 : ldb, transposed ? ldb : 1);
}

void loom_host_gemm(int64_t r, int64_t n, int64_t k, const loom_real *x, int64_t ldx, const void *packed, loom_real *y,
                    int64_t ldy, const struct loom_epilogue *e)
{
    struct loom_block p = {
        .columns = n, .k = k, .x_row = ldx, .x_k = 1, .panels = packed, .panel_step = k * LOOM_TILE_COLS, .ldy = ldy};
    loom_real *sums = e && e->pre ? e->pre : y;
    const int64_t step = e && e->activation ? EPILOGUE_ROWS : r;
    p.panel_step = k * LOOM_TILE_COLS;
    if (e) {
        p.bias = e->bias;
        p.accumulate = e->accumulate;
    }
    for (int64_t first = 0; first < r; first += step) {
        p.rows = r - first < step ? r - first : step;
        p.x = x + first * ldx;
        p.y = sums + first * ldy;
        for (int64_t i = first; sums != y && p.accumulate && i < first + p.rows; i++)
            memcpy(sums + i * ldy, y + i * ldy, (size_t)n * sizeof *y);
        loom_block(&p);
        for (int64_t i = first; e && (sums != y || e->activation) && i < first + p.rows; i++)
            loom_host_activate(n, e->activation, sums + i * ldy, y + i * ldy);
    }
}

enum {
    STRIP = (LOOM_TILE_ROWS + LOOM_LANES - 1) / LOOM_LANES * LOOM_LANES
}; /* a row of a tile of aᵀ, in whole vectors */

/* Columns [0, rows) of a to [depth][STRIP]: in a they are far apart. */
static void copy_strip(loom_real *strip, int64_t depth, int64_t rows, const loom_real *a, int64_t lda)
{
    for (int64_t l = 0; l < depth; l++)
        for (int64_t r = 0; r < rows; r += LOOM_LANES)
            loom_store(strip + l * STRIP + r, loom_load_part(a + l * lda + r, rows - r));
}

size_t loom_host_gemm_tn_scratch(int64_t rows, int64_t m, int64_t n)
{
    (void)m;
    return loom_host_packed_bytes(rows < LOOM_TILE_DEPTH ? rows : LOOM_TILE_DEPTH, n);
}

/* Depth by depth: a slab of b is packed, and each tile of aᵀ passes by all its panels. */
void loom_host_gemm_tn(int64_t rows, int64_t m, int64_t n, const loom_real *a, int64_t lda, const loom_real *b,
                       int64_t ldb, loom_real *c, int64_t ldc, int accumulate, void *scratch)
{
    loom_real strip[LOOM_TILE_DEPTH * STRIP] __attribute__((aligned(64)));
    const int64_t tiles = (m + LOOM_TILE_ROWS - 1) / LOOM_TILE_ROWS;
    for (int64_t top = 0; top < rows || top == 0; top += LOOM_TILE_DEPTH) {
        const int64_t depth = rows - top < LOOM_TILE_DEPTH ? rows - top : LOOM_TILE_DEPTH;
        struct loom_block p = {.columns = n, .k = depth, .x = strip, .x_row = 1, .x_k = STRIP};
        p.panels = scratch;
        p.panel_step = depth * LOOM_TILE_COLS;
        p.ldy = ldc;
        p.accumulate = accumulate || top;
        loom_pack(scratch, depth, n, b + top * ldb, ldb, 1);
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t first = m * t / tiles;
            p.rows = m * (t + 1) / tiles - first;
            p.y = c + first * ldc;
            copy_strip(strip, depth, p.rows, a + top * lda + first, lda);
            loom_block(&p);
        }
    }
}

void loom_host_column_sums(int64_t rows, int64_t n, const loom_real *x, int64_t ld, loom_real *out, int accumulate)
{
    enum { ACROSS = 8 }; /* vectors summed side by side: their chains hide each other's latency */
    for (int64_t column = 0; column < n; column += ACROSS * LOOM_LANES) {
        loom_vec sum[ACROSS];
        for (int c = 0; c < ACROSS; c++) {
            const int64_t left = n - column - c * LOOM_LANES;
            sum[c] = accumulate && left > 0 ? loom_load_part(out + column + c * LOOM_LANES, left) : loom_splat(0);
        }
        for (int64_t r = 0; r < rows; r++)
            for (int c = 0; c < ACROSS; c++) {
                const int64_t left = n - column - c * LOOM_LANES;
                if (left > 0)
                    sum[c] += loom_load_part(x + r * ld + column + c * LOOM_LANES, left);
            }
        for (int c = 0; c < ACROSS; c++) {
            const int64_t left = n - column - c * LOOM_LANES;
            if (left > 0)
                loom_store_part(out + column + c * LOOM_LANES, sum[c], left);
        }
    }
}

size_t loom_host_bmm_scratch(const struct loom_bmm *p)
{
    return loom_host_packed_bytes(p->k, p->n);
}

void loom_host_bmm(const struct loom_bmm *p, void *scratch)
{
    struct loom_block block = {.rows = p->m, .columns = p->n, .k = p->k, .panels = scratch, .ldy = p->ldc};
    block.x_row = p->trans_a ? 1 : p->lda;
    block.x_k = p->trans_a ? p->lda : 1;
    block.panel_step = p->k * LOOM_TILE_COLS;
    block.accumulate = p->accumulate;
    for (int64_t t = 0; t < p->batch; t++) {
        if (t == 0 || p->stride_b)
            loom_pack(scratch, p->k, p->n, p->b + t * p->stride_b, p->trans_b ? 1 : p->ldb, p->trans_b ? p->ldb : 1);
        block.x = p->a + t * p->stride_a;
        block.y = p->c + t * p->stride_c;
        loom_block(&block);
    }
}
