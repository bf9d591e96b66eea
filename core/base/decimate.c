/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/data.h>

#include <math.h>
#include <stdlib.h>

enum { HALF = 250, TAPS = 2 * HALF + 1 };

/* Windowed sinc with its cutoff at 1/q of the Nyquist frequency, a Hamming window, gain 1 at 0 Hz
 * (scipy.signal.firwin).
 */
static void taps(double h[TAPS], int64_t q)
{
    double sum = 0.0;
    for (int k = 0; k < TAPS; k++) {
        const double x = M_PI * (k - HALF) / (double)q;
        h[k] = (k == HALF ? 1.0 : sin(x) / x) * (0.54 - 0.46 * cos(2.0 * M_PI * k / (TAPS - 1)));
        sum += h[k];
    }
    for (int k = 0; k < TAPS; k++)
        h[k] /= sum;
}

/* Straight lines over gaps; before the first number and behind the last, that number. 0: there is none. */
static int bridge(double *y, const double *x, int64_t n)
{
    int64_t before = -1;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            continue;
        y[i] = x[i];
        for (int64_t k = before + 1; k < i; k++)
            y[k] = before < 0 ? x[i] : x[before] + (x[i] - x[before]) * (double)(k - before) / (double)(i - before);
        before = i;
    }
    for (int64_t k = before + 1; k < n && before >= 0; k++)
        y[k] = x[before];
    return before >= 0;
}

int loom_decimate(const double *x, int64_t n, int64_t q, double *out)
{
    double h[TAPS], *y = malloc(((size_t)n + 1) * sizeof *y);
    if (y == NULL)
        return LOOM_ENOMEM;
    const int any = bridge(y, x, n);
    taps(h, q);
    for (int64_t i = 0; i * q < n; i++) {
        const int64_t from = i * q - HALF > 0 ? i * q - HALF : 0, to = i * q + HALF < n ? i * q + HALF + 1 : n;
        double sum = 0.0;
        for (int64_t k = from; k < to && any; k++)
            sum += h[i * q + HALF - k] * y[k];
        out[i] = isnan(x[i * q]) ? NAN : sum;
    }
    free(y);
    return LOOM_OK;
}
