/* SPDX-License-Identifier: Apache-2.0 */
/* Products of bfloat16 operands with sums in float, on AVX512-BF16 (numerics.h).
 *
 * The instruction takes pairs: sum += a[2l] b[2l] + a[2l+1] b[2l+1]. A panel holds COLS columns of b as [k/2][COLS][2];
 * x is rounded row by row as it is read, once for all panels. Odd k is filled up with a 0. As in the tile of float
 * products an output is one chain over k ascending whatever is beside it, so the row law holds here too. */
#include "tensor/kernels/numerics.h"

#include <immintrin.h>
#include <string.h>

enum {
    LANES = 16,
    ROWS = 14, /* of a tile: 28 sums in 32 registers */
    COLS = 2 * LANES,
    WIDE_ROWS = 3, /* so few rows take several panels at once: there reading b is what costs */
    WIDE_PANELS = 4,
    SLAB = 512,            /* k's at a time */
    BLOCK_ROWS = 4 * ROWS, /* rows of x that are kept rounded while the panels pass */
    STEP = SLAB / 2 + LANES,
    EPILOGUE_ROWS = 10 * ROWS,
};

typedef uint32_t pair; /* two bfloat16: even k in the low half */

#define INLINE static inline __attribute__((always_inline))

static int64_t panels_of(int64_t n)
{
    return (n + COLS - 1) / COLS;
}

static int64_t pairs_of(int64_t k)
{
    return k > 0 ? (k + 1) / 2 : 1;
}

INLINE __mmask16 first_lanes(int64_t n)
{
    return n >= LANES ? 0xffff : n > 0 ? (__mmask16)((1u << n) - 1) : 0;
}

/* Lane i of `even` and of `odd` become pair i. */
INLINE __m512i paired(__m512 even, __m512 odd)
{
    const __m512i places = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                            21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(places, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

/* k values of a row as pairs. */
INLINE void round_row(pair *to, const float *x, int64_t k)
{
    for (int64_t l = 0; l < k; l += 2 * LANES) {
        const __m512 low = _mm512_maskz_loadu_ps(first_lanes(k - l), x + l);
        const __m512 high = _mm512_maskz_loadu_ps(first_lanes(k - l - LANES), x + l + LANES);
        const __mmask16 keep = first_lanes((k - l + 1) / 2);
        _mm512_mask_storeu_epi32(to + l / 2, keep, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}

/* Columns [0, n) of two rows of b, 0 beyond. */
INLINE __m512i pair_of_rows(const float *even, const float *odd, int64_t n)
{
    const __mmask16 mask = first_lanes(n);
    return paired(_mm512_maskz_loadu_ps(mask, even), odd ? _mm512_maskz_loadu_ps(mask, odd) : _mm512_setzero_ps());
}

/* ---- packing ---- */

size_t loom_bf16_packed_bytes(int64_t k, int64_t n)
{
    return (size_t)(panels_of(n) * COLS * pairs_of(k)) * sizeof(pair);
}

static void pack_rows(pair *panel, int64_t k, int64_t n, const float *b, int64_t ldb)
{
    for (int64_t column = 0; column < n; column += COLS)
        for (int64_t l = 0; l < k; l += 2, panel += COLS)
            for (int64_t j = 0; j < COLS; j += LANES) {
                const float *at = b + l * ldb + column + j;
                _mm512_storeu_si512(panel + j, pair_of_rows(at, l + 1 < k ? at + ldb : NULL, n - column - j));
            }
}

static void pack_columns(pair *panel, int64_t k, int64_t n, const float *b, int64_t ldb)
{
    pair row[SLAB / 2];
    const int64_t pairs = pairs_of(k);
    memset(panel, 0, loom_bf16_packed_bytes(k, n));
    for (int64_t j = 0; j < n; j++)
        for (int64_t top = 0; top < k; top += SLAB) {
            const int64_t depth = k - top < SLAB ? k - top : SLAB;
            pair *to = panel + j / COLS * COLS * pairs + top / 2 * COLS + j % COLS;
            round_row(row, b + j * ldb + top, depth);
            for (int64_t l = 0; l < (depth + 1) / 2; l++)
                to[l * COLS] = row[l];
        }
}

void loom_bf16_gemm_pack(void *packed, int64_t k, int64_t n, const loom_real *b, int64_t ldb, int transposed)
{
    if (transposed)
        pack_columns(packed, k, n, b, ldb);
    else
        pack_rows(packed, k, n, b, ldb);
}

/* ---- the tile ---- */

struct spot {
    int64_t pairs;
    const pair *x;
    int64_t step; /* of x from row to row, or by_k from pair to pair */
    const pair *panel;
    int64_t panel_step;
    float *y;
    int64_t ldy, columns;
    const float *bias;
    int accumulate;
};

/* `rows`, `panels` and `by_k` are constants where this is expanded. */
INLINE void tile(const int rows, const int panels, const int by_k, const struct spot *s)
{
    __m512 sum[ROWS][2 * WIDE_PANELS];
    const int64_t x_row = by_k ? 1 : s->step, x_pair = by_k ? s->step : 1;
    const pair *x = s->x, *panel = s->panel;
    const int whole = s->columns >= panels * COLS;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int c = 0; c < 2 * panels; c++)
            sum[r][c] = !s->accumulate ? _mm512_setzero_ps()
                        : whole
                            ? _mm512_loadu_ps(s->y + r * s->ldy + c * LANES)
                            : _mm512_maskz_loadu_ps(first_lanes(s->columns - c * LANES), s->y + r * s->ldy + c * LANES);
    for (int64_t l = s->pairs; l > 0; l--, x += x_pair, panel += COLS) {
        __m512bh b[2 * WIDE_PANELS];
#pragma GCC unroll 8
        for (int c = 0; c < 2 * panels; c++)
            b[c] = (__m512bh)_mm512_loadu_si512(panel + c / 2 * s->panel_step + c % 2 * LANES);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const __m512bh a = (__m512bh)_mm512_set1_epi32((int)x[r * x_row]);
#pragma GCC unroll 8
            for (int c = 0; c < 2 * panels; c++)
                sum[r][c] = _mm512_dpbf16_ps(sum[r][c], a, b[c]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int c = 0; c < 2 * panels; c++) {
            const __mmask16 mask = first_lanes(s->columns - c * LANES);
            if (s->bias)
                sum[r][c] = _mm512_add_ps(sum[r][c], _mm512_maskz_loadu_ps(mask, s->bias + c * LANES));
            if (whole)
                _mm512_storeu_ps(s->y + r * s->ldy + c * LANES, sum[r][c]);
            else
                _mm512_mask_storeu_ps(s->y + r * s->ldy + c * LANES, mask, sum[r][c]);
        }
}

#define TILE(n)                                                                                                        \
    static void tile_##n(const struct spot *s)                                                                         \
    {                                                                                                                  \
        tile(n, 1, 0, s);                                                                                              \
    }                                                                                                                  \
    static void by_k_##n(const struct spot *s)                                                                         \
    {                                                                                                                  \
        tile(n, 1, 1, s);                                                                                              \
    }
#define WIDE(n)                                                                                                        \
    static void wide_##n(const struct spot *s)                                                                         \
    {                                                                                                                  \
        tile(n, WIDE_PANELS, 0, s);                                                                                    \
    }
/* clang-format off */
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
WIDE(1) WIDE(2) WIDE(3)
#define ALL(f) f##1, f##2, f##3, f##4, f##5, f##6, f##7, f##8, f##9, f##10, f##11, f##12, f##13, f##14
typedef void (*tile_fn)(const struct spot *s);
static const tile_fn tiles[2][ROWS] = {{ALL(tile_)}, {ALL(by_k_)}};
static const tile_fn wide[WIDE_ROWS] = {wide_1, wide_2, wide_3};
/* clang-format on */

/* ---- y[r,n] = x[r,k] · b ---- */

struct product {
    int64_t rows, n, k, pairs;
    const float *x;
    int64_t ldx;
    const pair *packed;
    float *y;
    int64_t ldy;
    const float *bias;
    int accumulate;
};

/* All panels by rows [0, rows) of x from `top` on, which stand rounded in `x`. */
static void pass_panels(const struct product *p, int64_t rows, int64_t top, int64_t depth, const pair *x, float *y)
{
    const int64_t count = (rows + ROWS - 1) / ROWS;
    struct spot s = {.pairs = (depth + 1) / 2, .step = STEP, .panel_step = p->pairs * COLS, .ldy = p->ldy};
    s.accumulate = p->accumulate || top;
    for (int64_t column = 0; column < p->n;) {
        const int many = rows <= WIDE_ROWS && p->n - column >= WIDE_PANELS * COLS;
        s.columns = p->n - column;
        s.panel = p->packed + column / COLS * s.panel_step + top / 2 * COLS;
        s.bias = p->bias && top + depth == p->k ? p->bias + column : NULL;
        for (int64_t t = 0; t < count; t++) {
            const int64_t from = rows * t / count, to = rows * (t + 1) / count;
            s.x = x + from * STEP;
            s.y = y + from * p->ldy + column;
            const tile_fn pass = many ? wide[to - from - 1] : tiles[0][to - from - 1];
            pass(&s);
        }
        column += many ? WIDE_PANELS * COLS : COLS;
    }
}

static void product(const struct product *p)
{
    pair x[BLOCK_ROWS * STEP] __attribute__((aligned(64)));
    const int64_t blocks = (p->rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t first = p->rows * i / blocks, rows = p->rows * (i + 1) / blocks - first;
        for (int64_t top = 0; top < p->k || top == 0; top += SLAB) {
            const int64_t depth = p->k - top < SLAB ? p->k - top : SLAB;
            for (int64_t r = 0; r < rows; r++)
                round_row(x + r * STEP, p->x + (first + r) * p->ldx + top, depth);
            pass_panels(p, rows, top, depth, x, p->y + first * p->ldy);
        }
    }
}

void loom_bf16_gemm(int64_t r, int64_t n, int64_t k, const loom_real *x, int64_t ldx, const void *packed, loom_real *y,
                    int64_t ldy, const struct loom_epilogue *e)
{
    struct product p = {.n = n, .k = k, .pairs = pairs_of(k), .packed = packed, .ldx = ldx, .ldy = ldy};
    loom_real *sums = e && e->pre ? e->pre : y;
    const int64_t step = e && e->activation ? EPILOGUE_ROWS : r;
    const struct loom_kernels *own = loom_kernels_all()[0];
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
        product(&p);
        for (int64_t i = first; e && (sums != y || e->activation) && i < first + p.rows; i++)
            own->activate(n, e->activation, sums + i * ldy, y + i * ldy);
    }
}

/* ---- c[m,n] = aᵀ · b ---- */

enum { DEPTH = 512, STRIP = LANES };

size_t loom_bf16_gemm_tn_scratch(int64_t rows, int64_t m, int64_t n)
{
    (void)m;
    return loom_bf16_packed_bytes(rows < DEPTH ? rows : DEPTH, n);
}

void loom_bf16_gemm_tn(int64_t rows, int64_t m, int64_t n, const loom_real *a, int64_t lda, const loom_real *b,
                       int64_t ldb, loom_real *c, int64_t ldc, int accumulate, void *scratch)
{
    pair strip[DEPTH / 2 * STRIP] __attribute__((aligned(64)));
    const int64_t count = (m + ROWS - 1) / ROWS;
    for (int64_t top = 0; top < rows || top == 0; top += DEPTH) {
        const int64_t depth = rows - top < DEPTH ? rows - top : DEPTH;
        struct spot s = {.pairs = (depth + 1) / 2, .x = strip, .step = STRIP, .ldy = ldc};
        s.accumulate = accumulate || top;
        pack_rows(scratch, depth, n, b + top * ldb, ldb);
        for (int64_t t = 0; t < count; t++) {
            const int64_t from = m * t / count, to = m * (t + 1) / count;
            for (int64_t l = 0; l < depth; l += 2) {
                const float *at = a + (top + l) * lda + from;
                _mm512_store_si512(strip + l / 2 * STRIP, pair_of_rows(at, l + 1 < depth ? at + lda : NULL, to - from));
            }
            for (int64_t column = 0; column < n; column += COLS) {
                s.columns = n - column;
                s.panel = (const pair *)scratch + column * s.pairs;
                s.y = c + from * ldc + column;
                tiles[1][to - from - 1](&s);
            }
        }
    }
}
