/* SPDX-License-Identifier: Apache-2.0 */
#include "binned.h"

#include <math.h>
#include <stdlib.h>

int binned_alloc(struct binned *b)
{
    b->start_s = calloc(b->bins, sizeof *b->start_s);
    b->row = calloc(b->bins, sizeof *b->row);
    b->row_bin = calloc(b->bins + 1, sizeof *b->row_bin);
    b->row_label = calloc(b->bins, sizeof *b->row_label);
    return b->start_s != NULL && b->row != NULL && b->row_bin != NULL && b->row_label != NULL;
}

void binned_release(struct binned *b)
{
    free(b->start_s);
    free(b->row);
    free(b->row_bin);
    free(b->row_label);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double binned_width(const double *start_s, size_t n)
{
    double *d = n > 1 ? malloc((n - 1) * sizeof *d) : NULL, step = 0;
    for (size_t i = 0; d != NULL && i + 1 < n; i++)
        d[i] = start_s[i + 1] - start_s[i];
    if (d != NULL) {
        qsort(d, n - 1, sizeof *d, ascending);
        step = d[(n - 1) / 2];
    }
    free(d);
    double round_figure = round(step * 1e5) * 1e-5;
    return round_figure > 0 && fabs(round_figure - step) < 1e-3 * step ? round_figure : step;
}

int binned_goes_on(const struct binned *b, size_t i)
{
    return i + 1 < b->bins && b->row[i + 1] == b->row[i] && b->start_s[i + 1] - b->start_s[i] < 1.5 * b->bin_s;
}

int binned_send_trials(const struct binned *b, struct loom_sink *s)
{
    double *start = calloc((size_t)b->rows + 1, sizeof *start), *stop = calloc((size_t)b->rows + 1, sizeof *stop);
    int status = start != NULL && stop != NULL ? LOOM_OK : LOOM_ENOMEM;
    for (int32_t r = 0; r < b->rows && status == LOOM_OK; r++) {
        start[r] = b->start_s[b->row_bin[r]];
        stop[r] = b->start_s[b->row_bin[r + 1] - 1] + b->bin_s;
    }
    if (status == LOOM_OK)
        status = loom_sink_intervals(s, "trials", b->rows, start, stop);
    if (status == LOOM_OK)
        status = loom_sink_numbers(s, "number", b->row_label);
    free(start);
    free(stop);
    return status;
}
