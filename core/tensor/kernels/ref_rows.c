/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels in plain loops: the definition. */
#include "tensor/kernels/groups.h"
#include "tensor/kernels/kernels.h"
#include <string.h>
#include <tgmath.h>

void loom_ref_layer_norm(int64_t rows, int64_t width, const loom_real *x, const loom_real *gain, const loom_real *bias,
                         double eps, loom_real *y, loom_real *mean, loom_real *rstd)
{
    for (int64_t r = 0; r < rows; r++, x += width, y += width) {
        double sum = 0, square = 0;
        for (int64_t i = 0; i < width; i++)
            sum += x[i];
        mean[r] = (loom_real)(sum / (double)width);
        for (int64_t i = 0; i < width; i++)
            square += (double)(x[i] - mean[r]) * (x[i] - mean[r]);
        rstd[r] = (loom_real)(1 / sqrt(square / (double)width + eps));
        for (int64_t i = 0; i < width; i++)
            y[i] = (x[i] - mean[r]) * rstd[r] * (gain ? gain[i] : 1) + (bias ? bias[i] : 0);
    }
}

void loom_ref_layer_norm_back(int64_t rows, int64_t width, const loom_real *x, const loom_real *gain,
                              const loom_real *mean, const loom_real *rstd, const loom_real *dy, loom_real *dx,
                              int accumulate, loom_real *dgain, loom_real *dbias)
{
    for (int64_t r = 0; r < rows; r++) {
        const loom_real *xr = x + r * width, *dr = dy + r * width;
        double a = 0, b = 0;
        for (int64_t i = 0; i < width; i++) {
            double g = (double)dr[i] * (gain ? gain[i] : 1), h = (double)(xr[i] - mean[r]) * rstd[r];
            a += g;
            b += g * h;
        }
        for (int64_t i = 0; i < width; i++) {
            double g = (double)dr[i] * (gain ? gain[i] : 1), h = (double)(xr[i] - mean[r]) * rstd[r];
            loom_real d = (loom_real)(rstd[r] * (g - a / (double)width - h * b / (double)width));
            if (dgain)
                dgain[i] += (loom_real)(dr[i] * h);
            if (dbias)
                dbias[i] += dr[i];
            if (dx)
                dx[r * width + i] = d + (accumulate ? dx[r * width + i] : 0);
        }
    }
}

void loom_ref_rms_norm(int64_t rows, int64_t width, const loom_real *x, const loom_real *gain, double eps, loom_real *y,
                       loom_real *rrms)
{
    for (int64_t r = 0; r < rows; r++, x += width, y += width) {
        double square = 0;
        for (int64_t i = 0; i < width; i++)
            square += (double)x[i] * x[i];
        rrms[r] = (loom_real)(1 / sqrt(square / (double)width + eps));
        for (int64_t i = 0; i < width; i++)
            y[i] = x[i] * rrms[r] * (gain ? gain[i] : 1);
    }
}

void loom_ref_rms_norm_back(int64_t rows, int64_t width, const loom_real *x, const loom_real *gain,
                            const loom_real *rrms, const loom_real *dy, loom_real *dx, int accumulate, loom_real *dgain)
{
    for (int64_t r = 0; r < rows; r++) {
        const loom_real *xr = x + r * width, *dr = dy + r * width;
        double b = 0;
        for (int64_t i = 0; i < width; i++)
            b += (double)dr[i] * (gain ? gain[i] : 1) * xr[i] * rrms[r];
        for (int64_t i = 0; i < width; i++) {
            double g = (double)dr[i] * (gain ? gain[i] : 1), h = (double)xr[i] * rrms[r];
            loom_real d = (loom_real)(rrms[r] * (g - h * b / (double)width));
            if (dgain)
                dgain[i] += (loom_real)(dr[i] * h);
            if (dx)
                dx[r * width + i] = d + (accumulate ? dx[r * width + i] : 0);
        }
    }
}

void loom_ref_softmax(int64_t rows, int64_t width, const loom_real *x, loom_real *y)
{
    for (int64_t r = 0; r < rows; r++, x += width, y += width) {
        loom_real top = x[0];
        double sum = 0;
        for (int64_t i = 1; i < width; i++)
            top = x[i] > top ? x[i] : top;
        for (int64_t i = 0; i < width; i++)
            sum += exp((double)x[i] - top);
        for (int64_t i = 0; i < width; i++)
            y[i] = (loom_real)(exp((double)x[i] - top) / sum);
    }
}

void loom_ref_softmax_back(int64_t rows, int64_t width, const loom_real *y, const loom_real *dy, loom_real *dx,
                           int accumulate)
{
    for (int64_t r = 0; r < rows; r++, y += width, dy += width, dx += width) {
        double dot = 0;
        for (int64_t i = 0; i < width; i++)
            dot += (double)y[i] * dy[i];
        for (int64_t i = 0; i < width; i++)
            dx[i] = (loom_real)(y[i] * (dy[i] - dot)) + (accumulate ? dx[i] : 0);
    }
}

void loom_ref_l2_normalize(int64_t rows, int64_t width, const loom_real *x, double eps, loom_real *y, loom_real *rnorm)
{
    for (int64_t r = 0; r < rows; r++, x += width, y += width) {
        double square = 0;
        for (int64_t i = 0; i < width; i++)
            square += (double)x[i] * x[i];
        double norm = sqrt(square);
        rnorm[r] = (loom_real)(1 / (norm > eps ? norm : eps));
        for (int64_t i = 0; i < width; i++)
            y[i] = x[i] * rnorm[r];
    }
}

void loom_ref_l2_normalize_back(int64_t rows, int64_t width, const loom_real *y, const loom_real *rnorm, double eps,
                                const loom_real *dy, loom_real *dx, int accumulate)
{
    for (int64_t r = 0; r < rows; r++, y += width, dy += width, dx += width) {
        double dot = 0;
        for (int64_t i = 0; i < width; i++)
            dot += (double)y[i] * dy[i];
        if (rnorm[r] >= (loom_real)(1 / eps))
            dot = 0;
        for (int64_t i = 0; i < width; i++)
            dx[i] = (loom_real)(rnorm[r] * (dy[i] - y[i] * dot)) + (accumulate ? dx[i] : 0);
    }
}

/* 0 where the draw drops element `column` of row `ordinal`, else 1/(1 − p) with p as drawn, in 1/65536. */
static loom_real keep(const struct loom_draw *draw, uint64_t sample, int64_t width, int64_t ordinal, int64_t column)
{
    uint32_t threshold = loom_draw_threshold(draw->p);
    if (!threshold)
        return 1;
    uint32_t block = (uint32_t)(ordinal * ((width + 7) / 8) + column / 8);
    uint32_t counter[4] = {block, draw->step, (uint32_t)sample, (uint32_t)(sample >> 32)};
    uint32_t word[4];
    loom_philox(draw->key, counter, word);
    uint32_t bits = word[column % 8 / 2] >> 16 * (column % 2) & 0xffff;
    return bits < threshold ? 0 : loom_draw_scale(threshold);
}

void loom_ref_dropout(int64_t rows, int64_t width, const loom_real *residual, const loom_real *x,
                      const struct loom_draw *draw, loom_real *y)
{
    struct loom_group_walk walk = loom_group_walk(draw->groups, rows);
    while (loom_group_next(&walk)) {
        const int64_t at = walk.row * width;
        for (int64_t i = 0; i < width; i++)
            y[at + i] = x[at + i] * keep(draw, walk.key, width, walk.ordinal, i) + (residual ? residual[at + i] : 0);
    }
}

void loom_ref_dropout_norm(int64_t rows, int64_t width, const loom_real *residual, const loom_real *x,
                           const struct loom_draw *draw, const loom_real *gain, const loom_real *bias, double eps,
                           loom_real *sum, loom_real *y, loom_real *mean, loom_real *rstd)
{
    loom_ref_dropout(rows, width, residual, x, draw, sum);
    loom_ref_layer_norm(rows, width, sum, gain, bias, eps, y, mean, rstd);
}

void loom_ref_dropout_norm_back(int64_t rows, int64_t width, const loom_real *sum, const struct loom_draw *draw,
                                const loom_real *gain, const loom_real *mean, const loom_real *rstd,
                                const struct loom_dropout_norm_grad *d)
{
    struct loom_group_walk walk = loom_group_walk(draw->groups, rows);
    while (loom_group_next(&walk)) {
        const int64_t r = walk.row, at = r * width;
        for (int64_t i = 0; i < width; i++) {
            double a = 0, b = 0, h = (double)(sum[at + i] - mean[r]) * rstd[r];
            for (int64_t j = 0; j < width; j++) {
                double g = (double)d->dy[at + j] * (gain ? gain[j] : 1);
                a += g / (double)width;
                b += g * (sum[at + j] - mean[r]) * rstd[r] / (double)width;
            }
            loom_real ds = (loom_real)(rstd[r] * ((double)d->dy[at + i] * (gain ? gain[i] : 1) - a - h * b));
            ds += d->dsum_in ? d->dsum_in[at + i] : 0;
            if (d->dresidual)
                d->dresidual[at + i] = ds + (d->dresidual_accumulate ? d->dresidual[at + i] : 0);
            if (d->dx)
                d->dx[at + i] =
                    ds * keep(draw, walk.key, width, walk.ordinal, i) + (d->dx_accumulate ? d->dx[at + i] : 0);
        }
    }
    loom_ref_layer_norm_back(rows, width, sum, gain, mean, rstd, d->dy, NULL, 0, d->dgain, d->dbias);
}

void loom_ref_add_bias(int64_t rows, int64_t width, const loom_real *x, const loom_real *b, loom_real *y)
{
    for (int64_t i = 0; i < rows * width; i++)
        y[i] = x[i] + b[i % width];
}

void loom_ref_geglu(int64_t rows, int64_t width, const loom_real *x, loom_real *y)
{
    for (int64_t r = 0; r < rows; r++, x += 2 * width, y += width) {
        loom_ref_activate(width, LOOM_ACT_GELU, x + width, y);
        loom_ref_mul(width, x, y, y, 0);
    }
}

void loom_ref_geglu_back(int64_t rows, int64_t width, const loom_real *x, const loom_real *dy, loom_real *dx,
                         int accumulate)
{
    for (int64_t r = 0; r < rows; r++, x += 2 * width, dx += 2 * width, dy += width) {
        for (int64_t i = 0; i < width; i++) {
            loom_real gate, slope = x[i] * dy[i];
            loom_ref_activate(1, LOOM_ACT_GELU, &x[width + i], &gate);
            loom_ref_activate_back(1, LOOM_ACT_GELU, &x[width + i], NULL, &slope, &slope, 0);
            dx[i] = dy[i] * gate + (accumulate ? dx[i] : 0);
            dx[width + i] = slope + (accumulate ? dx[width + i] : 0);
        }
    }
}

void loom_ref_gather_rows(int64_t n, int64_t width, const loom_real *table, int64_t ld, const int32_t *index,
                          loom_real *y)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < width; j++)
            y[i * width + j] = index[i] < 0 ? 0 : table[index[i] * ld + j];
}

void loom_ref_scatter_add_rows(int64_t n, int64_t width, const loom_real *x, const int32_t *index, loom_real *y,
                               int64_t ld)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < width && index[i] >= 0; j++)
            y[index[i] * ld + j] += x[i * width + j];
}

void loom_ref_group_mean(const struct loom_groups *groups, int64_t width, const loom_real *x, loom_real *y)
{
    for (int32_t g = 0; g < groups->n; g++) {
        int32_t from = groups->first[g], to = groups->first[g + 1];
        for (int64_t j = 0; j < width; j++) {
            loom_real sum = 0;
            for (int32_t i = from; i < to; i++)
                sum += x[loom_group_row(groups, i) * width + j];
            y[g * width + j] = to > from ? sum * (1 / (loom_real)(to - from)) : 0;
        }
    }
}

void loom_ref_group_mean_back(const struct loom_groups *groups, int64_t width, const loom_real *dy, loom_real *dx)
{
    for (int32_t g = 0; g < groups->n; g++) {
        int32_t from = groups->first[g], to = groups->first[g + 1];
        for (int32_t i = from; i < to; i++)
            for (int64_t j = 0; j < width; j++)
                dx[loom_group_row(groups, i) * width + j] += dy[g * width + j] * (1 / (loom_real)(to - from));
    }
}
