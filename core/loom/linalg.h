/* SPDX-License-Identifier: Apache-2.0 */
/* Dense algebra in double precision for what is solved rather than descended: normal equations, ridge, EM.
 *
 * Matrices are row-major. Symmetric ones are given and returned by their upper triangle; what stands below is neither
 * read nor kept. Every function runs on one thread and gives the same bits for the same input, however many threads the
 * process has. Nothing allocates unless it says so. */
#ifndef LOOM_LINALG_H
#define LOOM_LINALG_H

#include <loom/types.h>

/* g[n,n] += xᵀ x for x [rows, n]. */
LOOM_API void loom_gram_add(double *g, int64_t n, const double *x, int64_t rows);
/* c[m,n] = a[m,k] b[k,n]. */
LOOM_API void loom_product(double *c, const double *a, const double *b, int64_t m, int64_t k, int64_t n);
/* Upper triangle, row by row, into n(n+1)/2 numbers and back. `to` of the second is [n,n]. */
LOOM_API int64_t loom_triangle_size(int64_t n);
LOOM_API void loom_triangle_pack(double *to, const double *symmetric, int64_t n);
LOOM_API void loom_triangle_unpack(double *symmetric, const double *from, int64_t n);
/* a = uᵀ u in place (Cholesky). LOOM_ENUMERIC when `a` is not positive definite; the message names the pivot. */
LOOM_API int loom_cholesky(double *a, int64_t n, struct loom_error *e);
/* Solve a x = b for b [n, m] in place, `u` as loom_cholesky left it. */
LOOM_API void loom_cholesky_solve(const double *u, int64_t n, double *b, int64_t m);
/* Solve a x = b for b [n, m] in place, any square `a` of small size, which is overwritten (Gaussian elimination with
 * partial pivoting): its diagonal holds the pivots, whose product is the determinant but for its sign. Where `a` is
 * singular b becomes NaN. */
LOOM_API void loom_solve(double *a, int64_t n, double *b, int64_t m);
/* Eigenvalues of a symmetric `a`, which is overwritten, in descending order, and eigenvectors of unit length, one a row
 * of vector [n, n] (cyclic Jacobi: Golub & Van Loan, 8.5). */
LOOM_API void loom_eigen(double *a, int64_t n, double *value, double *vector);

/* Sums of a regression of y [rows, m] on x [rows, n]: the Gram matrix of z = (1, x, y), packed, [loom_moments_size]. */
LOOM_API int64_t loom_moments_size(int64_t n, int64_t m);

/* Ridge regression (Hoerl & Kennard 1970) from such sums. Features are centred and the intercept is not penalised. λ is
 * free of units: the weights w of features in units of a deviation minimise mean((y - ŷ)²) + λ |w|². The deviation is
 * one for all features (root of their mean variance), which keeps features that hardly vary from being blown up, or,
 * with `standardize`, each feature's own. A feature without variance gets weight 0. */
struct loom_ridge {
    int64_t n, m;
    int standardize;
    const double *lambda; /* [lambdas] > 0 to choose from, for each dimension of y by itself */
    int32_t lambdas;
    int32_t folds; /* contiguous parts for cross-validation; with fewer than two the middle λ is taken */
    const double *const *moments; /* [folds][loom_moments_size(n, m)] sums of each part; NULL = part without data */
    double *weight;               /* out [m, n] on the features as they came */
    double *intercept;            /* out [m] */
    double *mean;                 /* out [n] of the features; NULL = not wanted */
    double *chosen;               /* out [m] λ; NULL = not wanted */
    double *score;                /* out [m] cross-validated R² at that λ, NaN without; NULL = not wanted */
};
/* Allocates about 3 (n+m)² doubles meanwhile. LOOM_EDATA when there are fewer than two rows, LOOM_ENUMERIC for sums
 * that are not finite, LOOM_ENOMEM. */
LOOM_API int loom_ridge_solve(const struct loom_ridge *r, struct loom_error *e);

#endif
