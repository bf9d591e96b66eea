/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays for the tests of kernels, and their comparison. */
#ifndef LOOM_TESTS_KERNEL_DATA_H
#define LOOM_TESTS_KERNEL_DATA_H

#include <loom/types.h>

#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* n values in [−1, 1) of one fixed sequence; aligned, to be given to release. */
static inline loom_real *noise(int64_t n)
{
    static uint64_t state = 1;
    loom_real *x = aligned_alloc(64, ((size_t)n * sizeof *x + 64) / 64 * 64);
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (loom_real)((double)(int64_t)state / 9223372036854775808.0);
    }
    return x;
}

static inline loom_real *copy(const loom_real *from, int64_t n)
{
    loom_real *x = noise(n);
    return memcpy(x, from, (size_t)n * sizeof *x);
}

static inline void release(int n, ...)
{
    va_list list;
    va_start(list, n);
    for (int i = 0; i < n; i++)
        free(va_arg(list, void *));
    va_end(list);
}

/* |got − want| <= times × 1e-5 (1e-13 in double) × (1 + |want|), false for NaN; times = 0: equal bits. */
static inline void check_close(const loom_real *got, const loom_real *want, int64_t n, double times, const char *what)
{
    const double tol = times * (sizeof(loom_real) == 4 ? 1e-5 : 1e-13);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tol * (1 + fabs((double)want[i]))))
            ck_abort_msg("%s: element %lld of %lld is %.9g, not %.9g", what, (long long)i, (long long)n, (double)got[i],
                         (double)want[i]);
}

#endif
