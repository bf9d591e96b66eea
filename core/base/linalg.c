/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/linalg.h>

#include "base/blas.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

/* OpenBLAS changes bits with its number of threads. Where workers run it is one already, so nothing is written there.
 */
static int one_thread(void)
{
    int threads = loom_blas_threads();
    if (threads != 1)
        loom_blas_set_threads(1);
    return threads;
}

static void threads_back(int threads)
{
    if (threads != 1)
        loom_blas_set_threads(threads);
}

void loom_gram_add(double *g, int64_t n, const double *x, int64_t rows)
{
    if (n == 0 || rows == 0)
        return;
    int threads = one_thread();
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)n, (int)rows, 1.0, x, (int)n, 1.0, g, (int)n);
    threads_back(threads);
}

void loom_product(double *c, const double *a, const double *b, int64_t m, int64_t k, int64_t n)
{
    if (m == 0 || n == 0)
        return;
    int threads = one_thread();
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1.0, a, k > 0 ? (int)k : 1, b,
                (int)n, 0.0, c, (int)n);
    threads_back(threads);
}

int64_t loom_triangle_size(int64_t n)
{
    return n * (n + 1) / 2;
}

void loom_triangle_pack(double *to, const double *symmetric, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(to, symmetric + i * n + i, (size_t)(n - i) * sizeof *to);
        to += n - i;
    }
}

void loom_triangle_unpack(double *symmetric, const double *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(symmetric + i * n + i, from, (size_t)(n - i) * sizeof *from);
        from += n - i;
    }
}

static int factor_block(double *a, int64_t stride, int64_t n, int64_t first, struct loom_error *e)
{
    for (int64_t j = 0; j < n; j++) {
        double pivot = a[j * stride + j];
        for (int64_t k = 0; k < j; k++)
            pivot -= a[k * stride + j] * a[k * stride + j];
        if (!(pivot > 0.0) || !isfinite(pivot))
            return loom_fail(e, LOOM_ENUMERIC, NULL, 0,
                             "matrix is not positive definite (pivot %lld is %g); use a larger ridge penalty",
                             (long long)(first + j), pivot);
        pivot = sqrt(pivot);
        a[j * stride + j] = pivot;
        for (int64_t i = j + 1; i < n; i++) {
            double sum = a[j * stride + i];
            for (int64_t k = 0; k < j; k++)
                sum -= a[k * stride + j] * a[k * stride + i];
            a[j * stride + i] = sum / pivot;
        }
    }
    return LOOM_OK;
}

/* Blocked, right-looking (Golub & Van Loan, Matrix Computations, 4.2.6): the diagonal block in plain loops, its row by
 * a triangular solve, what remains by a rank update, where nearly all the work is. No LAPACK is needed for it. */
int loom_cholesky(double *a, int64_t n, struct loom_error *e)
{
    enum { BLOCK = 48 };
    int rc = LOOM_OK, threads = one_thread();
    for (int64_t k = 0; k < n && rc == LOOM_OK; k += BLOCK) {
        int64_t block = n - k < BLOCK ? n - k : BLOCK, rest = n - k - block;
        double *corner = a + k * n + k, *row = corner + block, *below = row + block * n;
        rc = factor_block(corner, n, block, k, e);
        if (rc != LOOM_OK || rest == 0)
            continue;
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasTrans, CblasNonUnit, (int)block, (int)rest, 1.0, corner,
                    (int)n, row, (int)n);
        cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)rest, (int)block, -1.0, row, (int)n, 1.0, below,
                    (int)n);
    }
    threads_back(threads);
    return rc;
}

void loom_cholesky_solve(const double *u, int64_t n, double *b, int64_t m)
{
    if (n == 0 || m == 0)
        return;
    int threads = one_thread();
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasTrans, CblasNonUnit, (int)n, (int)m, 1.0, u, (int)n, b,
                (int)m);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, (int)n, (int)m, 1.0, u, (int)n, b,
                (int)m);
    threads_back(threads);
}

static void swap_rows(double *x, int64_t i, int64_t j, int64_t n)
{
    for (int64_t k = 0; k < n && i != j; k++) {
        double was = x[i * n + k];
        x[i * n + k] = x[j * n + k];
        x[j * n + k] = was;
    }
}

void loom_solve(double *a, int64_t n, double *b, int64_t m)
{
    for (int64_t k = 0; k < n; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
                best = i;
        swap_rows(a, k, best, n);
        swap_rows(b, k, best, m);
        const double pivot = a[k * n + k] != 0.0 ? a[k * n + k] : (double)NAN;
        for (int64_t i = k + 1; i < n; i++) {
            const double f = a[i * n + k] / pivot;
            for (int64_t j = k + 1; j < n; j++)
                a[i * n + j] -= f * a[k * n + j];
            for (int64_t j = 0; j < m; j++)
                b[i * m + j] -= f * b[k * m + j];
        }
        a[k * n + k] = pivot;
    }
    for (int64_t i = n - 1; i >= 0; i--)
        for (int64_t j = 0; j < m; j++) {
            double sum = b[i * m + j];
            for (int64_t k = i + 1; k < n; k++)
                sum -= a[i * n + k] * b[k * m + j];
            b[i * m + j] = sum / a[i * n + i];
        }
}

/* Rotates coordinates p and q so that a[p, q] becomes 0. */
static void rotate(double *a, double *vector, int64_t n, int64_t p, int64_t q)
{
    const double theta = (a[q * n + q] - a[p * n + p]) / (2.0 * a[p * n + q]);
    const double t = (theta >= 0.0 ? 1.0 : -1.0) / (fabs(theta) + sqrt(theta * theta + 1.0));
    const double c = 1.0 / sqrt(t * t + 1.0), s = t * c;
    for (int64_t k = 0; k < n; k++) {
        const double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for (int64_t k = 0; k < n; k++) {
        const double x = a[p * n + k], y = a[q * n + k], u = vector[p * n + k], v = vector[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
        vector[p * n + k] = c * u - s * v;
        vector[q * n + k] = s * u + c * v;
    }
}

static double off_diagonal(const double *a, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++)
            sum += a[i * n + j] * a[i * n + j];
    return sum;
}

static void sort_pairs(double *value, double *vector, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t best = i;
        for (int64_t j = i + 1; j < n; j++)
            if (value[j] > value[best])
                best = j;
        const double was = value[i];
        value[i] = value[best];
        value[best] = was;
        swap_rows(vector, i, best, n);
    }
}

void loom_eigen(double *a, int64_t n, double *value, double *vector)
{
    enum { SWEEPS = 60 };
    double size = 0.0;
    memset(vector, 0, (size_t)(n * n) * sizeof *vector);
    for (int64_t i = 0; i < n; i++) {
        vector[i * n + i] = 1.0;
        size += a[i * n + i] * a[i * n + i];
        for (int64_t j = 0; j < i; j++)
            a[i * n + j] = a[j * n + i];
    }
    size += 2.0 * off_diagonal(a, n);
    for (int sweep = 0; sweep < SWEEPS && off_diagonal(a, n) > 1e-28 * size; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++)
                if (a[p * n + q] != 0.0)
                    rotate(a, vector, n, p, q);
    for (int64_t i = 0; i < n; i++)
        value[i] = a[i * n + i];
    sort_pairs(value, vector, n);
}
