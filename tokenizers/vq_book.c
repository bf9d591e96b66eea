/* SPDX-License-Identifier: Apache-2.0 */
#include "vq_book.h"

#include <loom/rng.h>

#include <math.h>
#include <stdlib.h>

/* Codes moved in one call: a collapsed book comes back over a few steps, not in one that is quadratic in its size. */
enum { MOST_RESTARTS = 64 };

static const double *of_code(const struct vq_book *k, const double *sums, int64_t i)
{
    return sums + i * (k->width + 2);
}

static void make_unit(const struct vq_book *k, loom_real *code)
{
    double square = 0;
    for (int64_t d = 0; d < k->width; d++)
        square += (double)code[d] * (double)code[d];
    for (int64_t d = 0; k->normalize && square > 0 && d < k->width; d++)
        code[d] = (loom_real)((double)code[d] / sqrt(square));
}

void vq_book_start(const struct vq_book *k, const double *sums, loom_real *code)
{
    const int64_t width = k->width;
    double n = 0, square = 0, offset = 0;
    for (int64_t i = 0; i < k->codes; i++) {
        n += of_code(k, sums, i)[0];
        square += of_code(k, sums, i)[1];
    }
    if (!(n > 0))
        return;
    for (int64_t d = 0; d < width; d++) {
        double mean = 0;
        for (int64_t i = 0; i < k->codes; i++)
            mean += of_code(k, sums, i)[2 + d] / n;
        offset += mean * mean;
        for (int64_t i = 0; i < k->codes; i++)
            code[i * width + d] = (loom_real)mean;
    }
    double variance = (square / n - offset) / (double)width, deviation = variance > 0 ? sqrt(variance) : 1e-3;
    for (int64_t i = 0; i < k->codes; i++) {
        struct loom_rng g;
        loom_rng_init(&g, k->seed, "vq.start", (uint64_t)k->level, (uint64_t)i);
        for (int64_t d = 0; d < width; d++)
            code[i * width + d] += (loom_real)(deviation * loom_rng_normal(&g));
        make_unit(k, code + i * width);
    }
}

/* `to` a little beside `from`, by a hundredth of its length. */
static void put_beside(const struct vq_book *k, const char *purpose, int64_t step, int64_t to, int64_t from,
                       loom_real *code)
{
    double square = 1e-12;
    struct loom_rng g;
    loom_rng_init(&g, k->seed, purpose, (uint64_t)step * 64 + (uint64_t)k->level, (uint64_t)to);
    for (int64_t d = 0; d < k->width; d++)
        square += (double)code[from * k->width + d] * (double)code[from * k->width + d];
    double by = 0.01 * sqrt(square / (double)k->width);
    for (int64_t d = 0; d < k->width; d++)
        code[to * k->width + d] = code[from * k->width + d] + (loom_real)(by * loom_rng_normal(&g));
    make_unit(k, code + to * k->width);
}

static double error_of(const struct vq_book *k, const double *sum, const loom_real *code)
{
    double error = sum[1];
    for (int64_t d = 0; d < k->width; d++)
        error += (double)code[d] * (sum[0] * (double)code[d] - 2 * sum[2 + d]);
    return error > 0 ? error : 0;
}

/* The cell with the largest error around its own mean, of which each of the codes that stand in it has its part. A cell
 * has no more codes than vectors. */
static int64_t worst_cell(const struct vq_book *k, const double *sums, const loom_real *code, const int32_t *codes)
{
    int64_t at = -1;
    double most = 0;
    for (int64_t i = 0; i < k->codes; i++) {
        const double *sum = of_code(k, sums, i);
        double error = codes[i] > 0 && sum[0] > codes[i] ? error_of(k, sum, code + i * k->width) / codes[i] : 0;
        if (error > most) {
            most = error;
            at = i;
        }
    }
    return at;
}

static void fill_empty(const struct vq_book *k, const double *sums, int64_t step, loom_real *code)
{
    int32_t *codes =
        calloc((size_t)k->codes, sizeof *codes); /* that stand in each cell; without memory none is filled */
    for (int64_t i = 0; codes && i < k->codes; i++)
        codes[i] = of_code(k, sums, i)[0] > 0;
    for (int64_t i = 0; codes && i < k->codes; i++) {
        int64_t from = of_code(k, sums, i)[0] > 0 ? -1 : worst_cell(k, sums, code, codes);
        if (from < 0)
            continue;
        put_beside(k, "vq.split", step, i, from, code);
        codes[from]++;
    }
    free(codes);
}

double vq_book_lloyd(const struct vq_book *k, const double *sums, int64_t step, loom_real *code, int64_t *empty)
{
    const int64_t width = k->width;
    double error = 0;
    *empty = 0;
    for (int64_t i = 0; i < k->codes; i++) {
        const double *sum = of_code(k, sums, i);
        *empty += !(sum[0] > 0);
        if (!(sum[0] > 0))
            continue;
        error += error_of(k, sum, code + i * width);
        for (int64_t d = 0; d < width; d++)
            code[i * width + d] = (loom_real)(sum[2 + d] / sum[0]);
        make_unit(k, code + i * width);
    }
    if (*empty > 0)
        fill_empty(k, sums, step, code);
    return error;
}

/* ---- moving averages ---- */

static double total(const loom_real *count, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)count[i];
    return sum;
}

/* Unit vectors: the code itself is the average. */
static void turn(const struct vq_book *k, const double *sum, loom_real *code)
{
    double square = 0;
    for (int64_t d = 0; d < k->width; d++)
        square += sum[2 + d] * sum[2 + d];
    double by = square > 0 ? (1 - k->decay) / sqrt(square) : 0;
    for (int64_t d = 0; d < k->width; d++)
        code[d] = (loom_real)(k->decay * (double)code[d] + by * sum[2 + d]);
    make_unit(k, code);
}

void vq_book_average(const struct vq_book *k, const double *sums, loom_real *code, loom_real *count, loom_real *mean)
{
    const double m = k->decay;
    const int64_t width = k->width;
    for (int64_t i = 0; i < k->codes; i++) {
        const double *sum = of_code(k, sums, i);
        count[i] = (loom_real)(m * (double)count[i] + (1 - m) * sum[0]);
        for (int64_t d = 0; d < width; d++)
            mean[i * width + d] = (loom_real)(m * (double)mean[i * width + d] + (1 - m) * sum[2 + d]);
    }
    double all = total(count, k->codes);
    for (int64_t i = 0; i < k->codes; i++) {
        const double *sum = of_code(k, sums, i);
        if (!(sum[0] > 0))
            continue;
        if (k->normalize) {
            turn(k, sum, code + i * width);
            continue;
        }
        double n = ((double)count[i] + k->smoothing) * all / (all + (double)k->codes * k->smoothing);
        for (int64_t d = 0; d < width; d++)
            code[i * width + d] = (loom_real)((double)mean[i * width + d] / n);
    }
}

int64_t vq_book_restart(const struct vq_book *k, int64_t step, loom_real *code, loom_real *count, loom_real *mean)
{
    const int64_t width = k->width;
    const double least = k->restart * total(count, k->codes) / (double)k->codes;
    int64_t dead = 0;
    for (int64_t i = 0; i < k->codes; i++) {
        if (!((double)count[i] < least))
            continue;
        if (++dead > MOST_RESTARTS)
            continue;
        int64_t from = 0;
        for (int64_t j = 1; j < k->codes; j++)
            from = count[j] > count[from] ? j : from;
        put_beside(k, "vq.restart", step, i, from, code);
        count[i] = count[from] = count[from] / 2;
        for (int64_t d = 0; d < width; d++)
            mean[i * width + d] = mean[from * width + d] = mean[from * width + d] / 2;
    }
    return dead;
}

double vq_book_perplexity(const struct vq_book *k, const loom_real *count)
{
    double all = total(count, k->codes), entropy = 0;
    for (int64_t i = 0; i < k->codes; i++)
        if (count[i] > 0)
            entropy -= (double)count[i] / all * log((double)count[i] / all);
    return all > 0 ? exp(entropy) : 0;
}
