/* SPDX-License-Identifier: Apache-2.0 */
/* Products in plain loops: the definition. */
#include "tensor/kernels/numerics.h"

#include <math.h>
#include <string.h>

size_t loom_ref_packed_bytes(int64_t k, int64_t n)
{
    return (size_t)(k * n) * sizeof(loom_real);
}

/* To the nearest bfloat16, ties to even; infinities and NaN stay. */
static loom_real rounded(loom_real x)
{
    float f = (float)x;
    uint32_t bits;
    if (!isfinite(x))
        return x;
    memcpy(&bits, &f, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static loom_real as_is(loom_real x)
{
    return x;
}

static void pack(loom_real *packed, int64_t k, int64_t n, const loom_real *b, int64_t ldb, int transposed,
                 loom_real (*as)(loom_real))
{
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < n; j++)
            packed[i * n + j] = as(transposed ? b[j * ldb + i] : b[i * ldb + j]);
}

static void product(int64_t r, int64_t n, int64_t k, const loom_real *x, int64_t ldx, const loom_real *packed,
                    loom_real *y, int64_t ldy, const struct loom_epilogue *e, loom_real (*as)(loom_real))
{
    for (int64_t i = 0; i < r; i++) {
        for (int64_t j = 0; j < n; j++) {
            loom_real sum = e && e->accumulate ? y[i * ldy + j] : 0;
            for (int64_t l = 0; l < k; l++)
                sum += as(x[i * ldx + l]) * packed[l * n + j];
            if (e && e->bias)
                sum += e->bias[j];
            if (e && e->pre)
                e->pre[i * ldy + j] = sum;
            y[i * ldy + j] = sum;
            if (e && e->activation)
                loom_ref_activate(1, e->activation, &sum, &y[i * ldy + j]);
        }
    }
}

static void product_tn(int64_t rows, int64_t m, int64_t n, const loom_real *a, int64_t lda, const loom_real *b,
                       int64_t ldb, loom_real *c, int64_t ldc, int accumulate, loom_real (*as)(loom_real))
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            loom_real sum = accumulate ? c[i * ldc + j] : 0;
            for (int64_t r = 0; r < rows; r++)
                sum += as(a[r * lda + i]) * as(b[r * ldb + j]);
            c[i * ldc + j] = sum;
        }
    }
}

void loom_ref_gemm_pack(void *packed, int64_t k, int64_t n, const loom_real *b, int64_t ldb, int transposed)
{
    pack(packed, k, n, b, ldb, transposed, as_is);
}

void loom_ref_bf16_gemm_pack(void *packed, int64_t k, int64_t n, const loom_real *b, int64_t ldb, int transposed)
{
    pack(packed, k, n, b, ldb, transposed, rounded);
}

void loom_ref_gemm(int64_t r, int64_t n, int64_t k, const loom_real *x, int64_t ldx, const void *packed, loom_real *y,
                   int64_t ldy, const struct loom_epilogue *e)
{
    product(r, n, k, x, ldx, packed, y, ldy, e, as_is);
}

void loom_ref_bf16_gemm(int64_t r, int64_t n, int64_t k, const loom_real *x, int64_t ldx, const void *packed,
                        loom_real *y, int64_t ldy, const struct loom_epilogue *e)
{
    product(r, n, k, x, ldx, packed, y, ldy, e, rounded);
}

size_t loom_ref_bf16_packed_bytes(int64_t k, int64_t n)
{
    return loom_ref_packed_bytes(k, n);
}

size_t loom_ref_gemm_tn_scratch(int64_t rows, int64_t m, int64_t n)
{
    (void)rows, (void)m, (void)n;
    return 0;
}

size_t loom_ref_bf16_gemm_tn_scratch(int64_t rows, int64_t m, int64_t n)
{
    return loom_ref_gemm_tn_scratch(rows, m, n);
}

void loom_ref_gemm_tn(int64_t rows, int64_t m, int64_t n, const loom_real *a, int64_t lda, const loom_real *b,
                      int64_t ldb, loom_real *c, int64_t ldc, int accumulate, void *scratch)
{
    (void)scratch;
    product_tn(rows, m, n, a, lda, b, ldb, c, ldc, accumulate, as_is);
}

void loom_ref_bf16_gemm_tn(int64_t rows, int64_t m, int64_t n, const loom_real *a, int64_t lda, const loom_real *b,
                           int64_t ldb, loom_real *c, int64_t ldc, int accumulate, void *scratch)
{
    (void)scratch;
    product_tn(rows, m, n, a, lda, b, ldb, c, ldc, accumulate, rounded);
}

void loom_ref_column_sums(int64_t rows, int64_t n, const loom_real *x, int64_t ld, loom_real *out, int accumulate)
{
    for (int64_t j = 0; j < n; j++) {
        loom_real sum = accumulate ? out[j] : 0;
        for (int64_t r = 0; r < rows; r++)
            sum += x[r * ld + j];
        out[j] = sum;
    }
}

size_t loom_ref_bmm_scratch(const struct loom_bmm *p)
{
    (void)p;
    return 0;
}

void loom_ref_bmm(const struct loom_bmm *p, void *scratch)
{
    (void)scratch;
    for (int64_t t = 0; t < p->batch; t++) {
        const loom_real *a = p->a + t * p->stride_a, *b = p->b + t * p->stride_b;
        loom_real *c = p->c + t * p->stride_c;
        for (int64_t i = 0; i < p->m; i++) {
            for (int64_t j = 0; j < p->n; j++) {
                loom_real sum = p->accumulate ? c[i * p->ldc + j] : 0;
                for (int64_t l = 0; l < p->k; l++)
                    sum += (p->trans_a ? a[l * p->lda + i] : a[i * p->lda + l]) *
                           (p->trans_b ? b[j * p->ldb + l] : b[l * p->ldb + j]);
                c[i * p->ldc + j] = sum;
            }
        }
    }
}
