/* SPDX-License-Identifier: Apache-2.0 */
/* Losses and sums: terms vector by vector, added in double lane by lane, lanes joined in order at the end. */
#include "tensor/kernels/kernels.h"
#include "tensor/kernels/vecmath.h"

#define EACH_VECTOR for (int64_t i = 0, left = n; left > 0; i += LOOM_LANES, left -= LOOM_LANES)

/* Sums by lane. */
struct lanes {
    double sum[LOOM_LANES];
};

LOOM_INLINE void add_lanes(struct lanes *s, loom_vec v)
{
    for (int i = 0; i < LOOM_LANES; i++)
        s->sum[i] += (double)v[i];
}

static double total(const struct lanes *s)
{
    double sum = 0;
    for (int i = 0; i < LOOM_LANES; i++)
        sum += s->sum[i];
    return sum;
}

static loom_vec weight(const loom_real *w, int64_t i, int64_t left)
{
    return w ? loom_load_part(w + i, left) : loom_splat(1);
}

/* w v where w is not 0, else 0: what a weight of 0 hides may be NaN. */
LOOM_INLINE loom_vec weigh(loom_vec w, loom_vec v)
{
    return loom_select(w != 0, w * v, loom_splat(0));
}

/* ln(1 + exp(−|z|)). */
static loom_vec softplus_tail(loom_vec z)
{
    loom_vec e = loom_vexp(-loom_abs(z));
    for (int i = 0; i < LOOM_LANES; i++)
        e[i] = (loom_real)log1p((double)e[i]);
    return e;
}

enum loss { POISSON, SQUARED, BCE };

LOOM_INLINE loom_vec term(const enum loss loss, loom_vec z, loom_vec y)
{
    if (loss == POISSON) {
        const loom_vec most = loom_splat((loom_real)LOOM_LOG_RATE_MOST);
        return loom_vexp(loom_min(most, z)) * (1 + loom_max(loom_splat(0), z - most)) - y * z;
    }
    if (loss == SQUARED)
        return (z - y) * (z - y);
    return loom_max(loom_splat(0), z) - y * z + softplus_tail(z);
}

LOOM_INLINE loom_vec slope(const enum loss loss, loom_vec z, loom_vec y)
{
    if (loss == POISSON)
        return loom_vexp(loom_min(loom_splat((loom_real)LOOM_LOG_RATE_MOST), z)) - y;
    if (loss == SQUARED)
        return 2 * (z - y);
    return loom_vsigmoid(z) - y;
}

LOOM_INLINE double loss_sum(const enum loss loss, int64_t n, const loom_real *z, const loom_real *y, const loom_real *w)
{
    struct lanes sum = {{0}};
    EACH_VECTOR
    {
        const loom_vec t = term(loss, loom_load_part(z + i, left), loom_load_part(y + i, left));
        add_lanes(&sum, loom_first(weigh(weight(w, i, left), t), left));
    }
    return total(&sum);
}

LOOM_INLINE void loss_back(const enum loss loss, int64_t n, const loom_real *z, const loom_real *y, const loom_real *w,
                           double scale, loom_real *dz, int accumulate)
{
    EACH_VECTOR
    {
        const loom_vec d = slope(loss, loom_load_part(z + i, left), loom_load_part(y + i, left));
        const loom_vec from = accumulate ? loom_load_part(dz + i, left) : loom_splat(0);
        loom_store_part(dz + i, weigh(weight(w, i, left), d) * (loom_real)scale + from, left);
    }
}

/* ln y! of the counts that bins hold; lgamma_r, which keeps no state, for the rest. */
static double log_factorial_of(double y)
{
    static const double known[] = {0.0,
                                   0.0,
                                   0.693147180559945,
                                   1.7917594692280554,
                                   3.178053830347945,
                                   4.787491742782047,
                                   6.579251212010102,
                                   8.525161361065415,
                                   10.604602902745249,
                                   12.801827480081467,
                                   15.104412573075514,
                                   17.502307845873887,
                                   19.987214495661885,
                                   22.55216385312342,
                                   25.191221182738683,
                                   27.89927138384089,
                                   30.671860106080672,
                                   33.50507345013689,
                                   36.39544520803305,
                                   39.339884187199495,
                                   42.335616460753485,
                                   45.38013889847691,
                                   48.47118135183522,
                                   51.60667556776438,
                                   54.78472939811232,
                                   58.00360522298052,
                                   61.26170176100201,
                                   64.55753862700634,
                                   67.88974313718153,
                                   71.257038967168,
                                   74.65823634883017,
                                   78.0922235533153};
    int sign;
    if (y >= 0 && y < (double)(sizeof known / sizeof *known) && y == floor(y))
        return known[(int)y];
    return lgamma_r(y + 1, &sign);
}

double loom_host_poisson_nll(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, int log_factorial)
{
    double sum = loss_sum(POISSON, n, z, y, w), factorials = 0;
    for (int64_t i = 0; i < n && log_factorial; i++)
        if (!w || w[i] != 0)
            factorials += (w ? (double)w[i] : 1) * log_factorial_of((double)y[i]);
    return sum + factorials;
}

void loom_host_poisson_nll_back(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, double scale,
                                loom_real *dz, int accumulate)
{
    loss_back(POISSON, n, z, y, w, scale, dz, accumulate);
}

double loom_host_squared_error(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w)
{
    return loss_sum(SQUARED, n, z, y, w);
}

void loom_host_squared_error_back(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, double scale,
                                  loom_real *dz, int accumulate)
{
    loss_back(SQUARED, n, z, y, w, scale, dz, accumulate);
}

double loom_host_bce(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w)
{
    return loss_sum(BCE, n, z, y, w);
}

void loom_host_bce_back(int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, double scale,
                        loom_real *dz, int accumulate)
{
    loss_back(BCE, n, z, y, w, scale, dz, accumulate);
}

/* ln Σ exp(z) of one row, its top taken out first, and the mean of z. */
static double row_lse(int64_t n, const loom_real *z, double *mean)
{
    loom_vec most = loom_splat(z[0]);
    struct lanes exps = {{0}}, values = {{0}};
    EACH_VECTOR
    most = loom_max(loom_select(loom_first_mask(left), loom_load_part(z + i, left), most), most);
    const loom_real top = loom_lanes_max(most);
    EACH_VECTOR
    {
        const loom_vec v = loom_load_part(z + i, left);
        add_lanes(&exps, loom_first(loom_vexp(v - top), left));
        add_lanes(&values, v);
    }
    *mean = total(&values) / (double)n;
    return (double)top + log(total(&exps));
}

double loom_host_cross_entropy(int64_t rows, int64_t classes, const loom_real *z, const int32_t *label,
                               const loom_real *w, double smoothing, loom_real *lse)
{
    double sum = 0;
    for (int64_t r = 0; r < rows; r++, z += classes) {
        double mean, l = row_lse(classes, z, &mean);
        lse[r] = (loom_real)l;
        if (label[r] >= 0 && (!w || w[r] != 0))
            sum += (w ? (double)w[r] : 1) * (l - (1 - smoothing) * (double)z[label[r]] - smoothing * mean);
    }
    return sum;
}

void loom_host_cross_entropy_back(int64_t rows, int64_t classes, const loom_real *z, const int32_t *label,
                                  const loom_real *w, double smoothing, const loom_real *lse, double scale,
                                  loom_real *dz, int accumulate)
{
    const int64_t n = classes;
    for (int64_t r = 0; r < rows; r++, z += n, dz += n) {
        const int counts = label[r] >= 0 && (!w || w[r] != 0);
        const loom_real by = counts ? (loom_real)(scale * (w ? (double)w[r] : 1)) : 0;
        if (!accumulate)
            memset(dz, 0, (size_t)n * sizeof *dz);
        if (!counts)
            continue;
        EACH_VECTOR
        {
            const loom_vec p = loom_vexp(loom_load_part(z + i, left) - lse[r]) - (loom_real)(smoothing / (double)n);
            loom_store_part(dz + i, p * by + loom_load_part(dz + i, left), left);
        }
        dz[label[r]] -= by * (loom_real)(1 - smoothing);
    }
}

double loom_host_sum(int64_t n, const loom_real *x)
{
    struct lanes sum = {{0}};
    EACH_VECTOR
    add_lanes(&sum, loom_load_part(x + i, left));
    return total(&sum);
}

double loom_host_sum_squares(int64_t n, const loom_real *x)
{
    struct lanes sum = {{0}};
    EACH_VECTOR
    {
        const loom_vec v = loom_load_part(x + i, left);
        for (int j = 0; j < LOOM_LANES; j++)
            sum.sum[j] += (double)v[j] * (double)v[j];
    }
    return total(&sum);
}
