/* SPDX-License-Identifier: Apache-2.0 */
/* Losses and sums in plain loops: the definition. */
#include "tensor/kernels/kernels.h"
#include <math.h>

/* e^z, above LOOM_LOG_RATE_MOST its tangent. */
static double bounded_exp(double z)
{
    const double most = LOOM_LOG_RATE_MOST;
    return z > most ? exp(most) * (1 + z - most) : exp(z);
}

double loom_ref_poisson_nll(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, int log_factorial)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (w && w[i] == 0)
            continue;
        double nll = bounded_exp((double)z[i]) - (double)y[i] * z[i] + (log_factorial ? lgamma(y[i] + 1.0) : 0);
        sum += (w ? w[i] : 1) * nll;
    }
    return sum;
}

void loom_ref_poisson_nll_back(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, double scale,
                               loom_real *dz, int accumulate)
{
    for (int64_t i = 0; i < n; i++) {
        double d =
            w && w[i] == 0 ? 0 : scale * (w ? w[i] : 1) * (exp(fmin((double)z[i], LOOM_LOG_RATE_MOST)) - (double)y[i]);
        dz[i] = (loom_real)d + (accumulate ? dz[i] : 0);
    }
}

double loom_ref_squared_error(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)z[i] - y[i];
        if (!w || w[i] != 0)
            sum += (w ? w[i] : 1) * d * d;
    }
    return sum;
}

void loom_ref_squared_error_back(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, double scale,
                                 loom_real *dz, int accumulate)
{
    for (int64_t i = 0; i < n; i++) {
        double d = w && w[i] == 0 ? 0 : scale * 2 * (w ? w[i] : 1) * ((double)z[i] - y[i]);
        dz[i] = (loom_real)d + (accumulate ? dz[i] : 0);
    }
}

double loom_ref_bce(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double nll = (z[i] > 0 ? z[i] : 0) - (double)y[i] * z[i] + log1p(exp(-fabs(z[i])));
        if (!w || w[i] != 0)
            sum += (w ? w[i] : 1) * nll;
    }
    return sum;
}

void loom_ref_bce_back(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, double scale,
                       loom_real *dz, int accumulate)
{
    for (int64_t i = 0; i < n; i++) {
        double d = w && w[i] == 0 ? 0 : scale * (w ? w[i] : 1) * (1 / (1 + exp(-z[i])) - y[i]);
        dz[i] = (loom_real)d + (accumulate ? dz[i] : 0);
    }
}

double loom_ref_cross_entropy(int64_t rows, int64_t classes, const loom_real *z, const int32_t *label,
                              const loom_real *w, double smoothing, loom_real *lse)
{
    double total = 0;
    for (int64_t r = 0; r < rows; r++, z += classes) {
        double top = z[0], sum = 0, mean = 0;
        for (int64_t c = 1; c < classes; c++)
            top = z[c] > top ? z[c] : top;
        for (int64_t c = 0; c < classes; c++) {
            sum += exp(z[c] - top);
            mean += z[c] / (double)classes;
        }
        lse[r] = (loom_real)(top + log(sum));
        if (label[r] >= 0 && (!w || w[r] != 0))
            total += (w ? w[r] : 1) * (top + log(sum) - (1 - smoothing) * z[label[r]] - smoothing * mean);
    }
    return total;
}

void loom_ref_cross_entropy_back(int64_t rows, int64_t classes, const loom_real *z, const int32_t *label,
                                 const loom_real *w, double smoothing, const loom_real *lse, double scale,
                                 loom_real *dz, int accumulate)
{
    for (int64_t r = 0; r < rows; r++, z += classes, dz += classes) {
        const int counts = label[r] >= 0 && (!w || w[r] != 0);
        for (int64_t c = 0; c < classes; c++) {
            double d = 0;
            if (counts)
                d = scale * (w ? w[r] : 1) *
                    (exp(z[c] - lse[r]) - (c == label[r]) * (1 - smoothing) - smoothing / (double)classes);
            dz[c] = (loom_real)d + (accumulate ? dz[c] : 0);
        }
    }
}

double loom_ref_sum(int64_t n, const loom_real *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

double loom_ref_sum_squares(int64_t n, const loom_real *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}
