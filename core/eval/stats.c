/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/stats.h"

#include "base/order.h"

#include <loom/rng.h>

#include <math.h>
#include <stdlib.h>

double loom_sign_test(int64_t wins, int64_t losses)
{
    int64_t n = wins + losses, few = wins < losses ? wins : losses;
    double tail = 0.0;
    for (int64_t k = 0; k <= few; k++)
        tail += exp(lgamma((double)n + 1.0) - lgamma((double)k + 1.0) - lgamma((double)(n - k) + 1.0) -
                    (double)n * log(2.0));
    return fmin(1.0, 2.0 * tail);
}

/* Linear between order statistics (Hyndman & Fan 1996, type 7). */
static double quantile(const double *sorted, int64_t n, double q)
{
    double at = q * (double)(n - 1);
    int64_t below = (int64_t)at;
    double above = below + 1 < n ? sorted[below + 1] : sorted[below];
    return sorted[below] + (at - (double)below) * (above - sorted[below]);
}

void loom_percentiles(double *x, int64_t n, double confidence, double *low, double *high)
{
    int64_t known = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            x[known++] = x[i];
    qsort(x, (size_t)known, sizeof *x, loom_ascending);
    *low = known > 1 ? quantile(x, known, (1.0 - confidence) / 2.0) : NAN;
    *high = known > 1 ? quantile(x, known, (1.0 + confidence) / 2.0) : NAN;
}

static void interval(struct loom_paired *out, const double *gap, double *mean, int32_t draws, uint64_t seed)
{
    struct loom_rng rng;
    for (int32_t k = 0; k < draws; k++) {
        double sum = 0.0;
        loom_rng_init(&rng, seed, "bootstrap", (uint64_t)k, 0);
        for (int64_t i = 0; i < out->n; i++)
            sum += gap[loom_rng_below(&rng, (uint32_t)out->n)];
        mean[k] = sum / (double)out->n;
    }
    loom_percentiles(mean, draws, out->confidence, &out->low, &out->high);
}

int loom_paired_compare(struct loom_paired *out, const double *a, const double *b, int64_t n, double confidence,
                        int32_t draws, uint64_t seed, struct loom_error *e)
{
    double *gap = malloc((size_t)(n + 1) * sizeof *gap), *mean = malloc((size_t)(draws + 1) * sizeof *mean);
    double sum_a = 0.0, sum_b = 0.0;
    *out = (struct loom_paired){.confidence = confidence, .low = NAN, .high = NAN};
    if (gap == NULL || mean == NULL) {
        free(gap);
        free(mean);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to compare %lld pairs; free some", (long long)n);
    }
    for (int64_t i = 0; i < n; i++) {
        if (isnan(a[i]) || isnan(b[i]))
            continue;
        gap[out->n++] = a[i] - b[i];
        sum_a += a[i];
        sum_b += b[i];
        out->wins += a[i] > b[i];
        out->losses += a[i] < b[i];
    }
    out->difference = (sum_a - sum_b) / (double)out->n;
    out->p_sign = loom_sign_test(out->wins, out->losses);
    if (out->n >= 2 && draws > 0)
        interval(out, gap, mean, draws, seed);
    free(gap);
    free(mean);
    return LOOM_OK;
}

json_t *loom_paired_json(const struct loom_paired *p, const char *metric, int a, int b)
{
    return json_pack("{s:s,s:i,s:i,s:o,s:o,s:o,s:I,s:I,s:I,s:o}", "metric", metric, "a", a, "b", b, "difference",
                     loom_json_number(p->difference), "low", loom_json_number(p->low), "high",
                     loom_json_number(p->high), "wins", (json_int_t)p->wins, "losses", (json_int_t)p->losses, "n",
                     (json_int_t)p->n, "p_sign", loom_json_number(p->n > 0 ? p->p_sign : NAN));
}

int loom_paired_adjust(json_t *list, size_t first, struct loom_error *e)
{
    size_t n = json_array_size(list) - first;
    double *p = calloc(2 * n + 1, sizeof *p), *adjusted = p != NULL ? p + n : NULL;
    if (p == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for comparisons; free some");
    for (size_t i = 0; i < n; i++)
        p[i] = loom_json_real_at(json_array_get(list, first + i), "p_sign");
    loom_holm(p, (int)n, adjusted);
    for (size_t i = 0; i < n; i++)
        json_object_set_new(json_array_get(list, first + i), "p_holm", loom_json_number(adjusted[i]));
    free(p);
    return LOOM_OK;
}

/* Exact to three digits for 1 to 30 degrees of freedom, then Cornish and Fisher's expansion about the normal quantile.
 */
double loom_student(int freedom)
{
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                   2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                   2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
    const double z = 1.959964;
    if (freedom <= 30)
        return table[freedom - 1];
    return z + (z * z * z + z) / (4 * freedom);
}

/* The k-th smallest of m times m - k + 1, never less than one before it (Holm 1979). */
void loom_holm(const double *p, int n, double *adjusted)
{
    int m = 0;
    for (int i = 0; i < n; i++) {
        adjusted[i] = NAN;
        m += !isnan(p[i]);
    }
    double least = 0.0;
    for (int k = 0; k < m; k++) {
        int next = -1;
        for (int i = 0; i < n; i++)
            if (!isnan(p[i]) && isnan(adjusted[i]) && (next < 0 || p[i] < p[next]))
                next = i;
        least = fmax(least, fmin(1.0, (m - k) * p[next]));
        adjusted[next] = least;
    }
}
