/* SPDX-License-Identifier: Apache-2.0 */
#include "discriminant.h"

#include <loom/linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t discriminant_sums(int64_t n, int64_t classes)
{
    return classes * (1 + n) + loom_triangle_size(n);
}

int64_t discriminant_states(int64_t n, int64_t classes)
{
    return classes * (n + 1);
}

void discriminant_add(double *sums, const double *x, int64_t n, int64_t classes, int64_t is)
{
    double *mean = sums + classes + is * n, *triangle = sums + classes * (1 + n);
    sums[is] += 1.0;
    for (int64_t i = 0; i < n; i++) {
        mean[i] += x[i];
        for (int64_t j = i; j < n; j++)
            *triangle++ += x[i] * x[j];
    }
}

/* What they share is of no use and may be large: without it single precision keeps how they differ. */
void discriminant_say(const double *state, const double *x, int64_t n, int64_t classes, double *out)
{
    double most = -INFINITY;
    for (int64_t k = 0; k < classes; k++) {
        out[k] = state[classes * n + k];
        for (int64_t i = 0; i < n; i++)
            out[k] += state[k * n + i] * x[i];
        most = fmax(most, out[k]);
    }
    for (int64_t k = 0; k < classes; k++)
        out[k] -= most;
}

/* The shrunk covariance within classes, upper triangle of s [n, n], from means [classes, n]; the identity where nothing
 * varies but by rounding, as with one case of each class. */
static void covariance(const double *sums, const double *mean, int64_t n, int64_t classes, double all, double shrinkage,
                       double *s)
{
    const double rounding = 1e-12; /* of squares, when their own mean is taken from them */
    double trace = 0.0, power = 0.0;
    loom_triangle_unpack(s, sums + classes * (1 + n), n);
    for (int64_t i = 0; i < n; i++)
        power += s[i * n + i] / all;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++) {
            for (int64_t k = 0; k < classes; k++)
                s[i * n + j] -= sums[k] * mean[k * n + i] * mean[k * n + j];
            s[i * n + j] /= all;
        }
    for (int64_t i = 0; i < n; i++)
        trace += s[i * n + i];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++)
            s[i * n + j] = trace > rounding * power
                               ? (1.0 - shrinkage) * s[i * n + j] + (i == j ? shrinkage * trace / (double)n : 0.0)
                               : (double)(i == j);
}

int discriminant_solve(const double *sums, int64_t n, int64_t classes, double shrinkage, double *state,
                       struct loom_error *e)
{
    enum { NEVER = -700 }; /* exp of it is next to nothing, and a number */
    double all = 0.0, *bias = state + classes * n;
    int64_t is = 0;
    for (int64_t k = 0; k < classes; k++)
        all += sums[k];
    if (all == 0.0)
        return LOOM_OK;
    double *mean = calloc((size_t)(classes * n + 1), sizeof *mean), *s = calloc((size_t)(n * n + 1), sizeof *s);
    struct loom_error why = {0};
    int rc = mean != NULL && s != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to fit a baseline");
    for (int64_t i = 0; rc == LOOM_OK && i < classes * n; i++)
        mean[i] = sums[i / n] > 0.0 ? sums[classes + i] / sums[i / n] : 0.0;
    if (rc == LOOM_OK) {
        covariance(sums, mean, n, classes, all, shrinkage, s);
        rc = loom_cholesky(s, n, &why);
        if (rc != LOOM_OK)
            loom_fail(e, rc, NULL, 0,
                      "the covariance of %lld features within classes is singular with shrinkage %g: shrink more (%s)",
                      (long long)n, shrinkage, why.message);
    }
    for (int64_t k = 0; k < classes && rc == LOOM_OK; k++) {
        double *weight = state + k * n;
        memcpy(weight, mean + k * n, (size_t)n * sizeof *weight);
        loom_cholesky_solve(s, n, weight, 1);
        bias[k] = sums[k] > 0.0 ? log(sums[k] / all) : 0.0;
        for (int64_t i = 0; i < n; i++)
            bias[k] -= 0.5 * weight[i] * mean[k * n + i];
        is = sums[is] > 0.0 ? is : k;
    }
    /* As the first that has cases, but hardly ever: wherever x is, it is behind that one. */
    for (int64_t k = 0; k < classes && rc == LOOM_OK; k++)
        if (!(sums[k] > 0.0)) {
            memcpy(state + k * n, state + is * n, (size_t)n * sizeof *state);
            bias[k] = bias[is] + NEVER;
        }
    free(mean);
    free(s);
    return rc;
}
