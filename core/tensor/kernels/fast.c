/* SPDX-License-Identifier: Apache-2.0 */
/* Products by a library of the machine: oneDNN where this build has it, else OpenBLAS. One thread each: workers run
 * side by side. */
#include "config.h"

#include "tensor/kernels/numerics.h"

#include <cblas.h>
#include <string.h>
#if defined HAVE_ONEDNN && !defined LOOM_DOUBLE
#include <dnnl.h>
#include <omp.h>
#endif

#if defined HAVE_ONEDNN && !defined LOOM_DOUBLE

/* c[m,n] = op(a) · b + beta c, row-major. OpenMP keeps its number of threads for each calling thread. */
static void sgemm(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                  int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    omp_set_num_threads(1);
    dnnl_sgemm(trans_a ? 'T' : 'N', 'N', m, n, k, 1, a, lda, b, ldb, accumulate ? 1 : 0, c, ldc);
}

#else

#ifdef LOOM_DOUBLE
#define cblas_gemm cblas_dgemm
#else
#define cblas_gemm cblas_sgemm
#endif

static void sgemm(int trans_a, int64_t m, int64_t n, int64_t k, const loom_real *a, int64_t lda, const loom_real *b,
                  int64_t ldb, int accumulate, loom_real *c, int64_t ldc)
{
    cblas_gemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans, CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, 1,
               a, (blasint)lda, b, (blasint)ldb, accumulate ? 1 : 0, c, (blasint)ldc);
}

#endif

/* Libraries need not look at an empty sum. */
static void product(int trans_a, int64_t m, int64_t n, int64_t k, const loom_real *a, int64_t lda, const loom_real *b,
                    int64_t ldb, int accumulate, loom_real *c, int64_t ldc)
{
    if (m <= 0 || n <= 0)
        return;
    if (k > 0)
        sgemm(trans_a, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
    for (int64_t i = 0; k <= 0 && !accumulate && i < m; i++)
        memset(c + i * ldc, 0, (size_t)n * sizeof *c);
}

size_t loom_fast_packed_bytes(int64_t k, int64_t n)
{
    return loom_ref_packed_bytes(k, n);
}

void loom_fast_gemm_pack(void *packed, int64_t k, int64_t n, const loom_real *b, int64_t ldb, int transposed)
{
    loom_ref_gemm_pack(packed, k, n, b, ldb, transposed);
}

void loom_fast_gemm(int64_t r, int64_t n, int64_t k, const loom_real *x, int64_t ldx, const void *packed, loom_real *y,
                    int64_t ldy, const struct loom_epilogue *e)
{
    const struct loom_kernels *own = loom_kernels_all()[0];
    loom_real *sums = e && e->pre ? e->pre : y;
    for (int64_t i = 0; sums != y && e->accumulate && i < r; i++)
        memcpy(sums + i * ldy, y + i * ldy, (size_t)n * sizeof *y);
    product(0, r, n, k, x, ldx, packed, n, e && e->accumulate, sums, ldy);
    for (int64_t i = 0; e && i < r; i++) {
        if (e->bias)
            own->add(n, sums + i * ldy, e->bias, sums + i * ldy);
        if (sums != y || e->activation)
            own->activate(n, e->activation, sums + i * ldy, y + i * ldy);
    }
}

size_t loom_fast_gemm_tn_scratch(int64_t rows, int64_t m, int64_t n)
{
    return loom_ref_gemm_tn_scratch(rows, m, n);
}

void loom_fast_gemm_tn(int64_t rows, int64_t m, int64_t n, const loom_real *a, int64_t lda, const loom_real *b,
                       int64_t ldb, loom_real *c, int64_t ldc, int accumulate, void *scratch)
{
    (void)scratch;
    product(1, m, n, rows, a, lda, b, ldb, accumulate, c, ldc);
}
