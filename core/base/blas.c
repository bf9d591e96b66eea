/* SPDX-License-Identifier: Apache-2.0 */
#include "base/blas.h"

#include <cblas.h>

/* There when OpenBLAS, or another library, has brought an OpenMP runtime; the program is not built with one. */
extern void omp_set_num_threads(int n) __attribute__((weak));
extern int omp_get_max_threads(void) __attribute__((weak));

static int has_openmp(void)
{
    return openblas_get_parallel() == OPENBLAS_OPENMP && omp_set_num_threads && omp_get_max_threads;
}

int loom_blas_threads(void)
{
    return has_openmp() ? omp_get_max_threads() : openblas_get_num_threads();
}

void loom_blas_set_threads(int n)
{
    if (has_openmp())
        omp_set_num_threads(n);
    else
        openblas_set_num_threads(n);
}

void loom_blas_alone(void)
{
    if (omp_set_num_threads)
        omp_set_num_threads(1);
}

const char *loom_blas_kind(void)
{
    static const char *const kinds[] = {
        [OPENBLAS_SEQUENTIAL] = "none", [OPENBLAS_THREAD] = "pthread", [OPENBLAS_OPENMP] = "OpenMP"};
    int kind = openblas_get_parallel();
    return kind >= 0 && kind <= OPENBLAS_OPENMP ? kinds[kind] : "unknown";
}
