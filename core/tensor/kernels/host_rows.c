/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels: sums run lane by lane, the lanes are joined in one order, tails are vectors with zeros. */
#include "tensor/kernels/draw.h"
#include "tensor/kernels/groups.h"
#include "tensor/kernels/kernels.h"
#include "tensor/kernels/vecmath.h"

#define EACH_VECTOR for (int64_t i = 0, left = width; left > 0; i += LOOM_LANES, left -= LOOM_LANES)

static loom_vec load_or(const loom_real *p, int64_t i, int64_t left, loom_real otherwise)
{
    return p ? loom_load_part(p + i, left) : loom_splat(otherwise);
}

/* Add to a gradient that may be left out. */
static void add_part(loom_real *p, int64_t i, loom_vec v, int64_t left)
{
    if (p)
        loom_store_part(p + i, loom_load_part(p + i, left) + v, left);
}

static loom_real row_sum(int64_t width, const loom_real *x)
{
    loom_vec sum = loom_splat(0);
    EACH_VECTOR
    sum += loom_load_part(x + i, left);
    return loom_lanes_sum(sum);
}

static loom_real row_dot(int64_t width, const loom_real *a, const loom_real *b)
{
    loom_vec sum = loom_splat(0);
    EACH_VECTOR
    sum = loom_fma(loom_load_part(a + i, left), loom_load_part(b + i, left), sum);
    return loom_lanes_sum(sum);
}

/* Two passes over a row in cache: the mean, then the squares of what is left of it. */
static void norm_row(int64_t width, const loom_real *x, const loom_real *gain, const loom_real *bias, double eps,
                     loom_real *y, loom_real *mean, loom_real *rstd)
{
    const loom_real m = row_sum(width, x) / (loom_real)width;
    loom_vec square = loom_splat(0);
    EACH_VECTOR
    {
        const loom_vec d = loom_first(loom_load_part(x + i, left) - m, left);
        square += d * d;
    }
    const loom_real s = 1 / LOOM_SQRT(loom_lanes_sum(square) / (loom_real)width + (loom_real)eps);
    EACH_VECTOR
    {
        const loom_vec h = (loom_load_part(x + i, left) - m) * s;
        loom_store_part(y + i, h * load_or(gain, i, left, 1) + load_or(bias, i, left, 0), left);
    }
    *mean = m;
    *rstd = s;
}

void loom_host_layer_norm(int64_t rows, int64_t width, const loom_real *x, const loom_real *gain, const loom_real *bias,
                          double eps, loom_real *y, loom_real *mean, loom_real *rstd)
{
    for (int64_t r = 0; r < rows; r++)
        norm_row(width, x + r * width, gain, bias, eps, y + r * width, mean + r, rstd + r);
}

/* One row's Σ g/n and Σ g h/n with g = dy gain, h the normalised x; adds the row's part of dgain and dbias. */
static void norm_row_sums(int64_t width, const loom_real *x, const loom_real *gain, loom_real mean, loom_real rstd,
                          const loom_real *dy, loom_real *dgain, loom_real *dbias, loom_real out[2])
{
    loom_vec a = loom_splat(0), b = loom_splat(0);
    EACH_VECTOR
    {
        const loom_vec h = (loom_load_part(x + i, left) - mean) * rstd, d = loom_load_part(dy + i, left);
        const loom_vec g = d * load_or(gain, i, left, 1);
        a += g;
        b += g * h;
        add_part(dgain, i, d * h, left);
        add_part(dbias, i, d, left);
    }
    out[0] = loom_lanes_sum(a) / (loom_real)width;
    out[1] = loom_lanes_sum(b) / (loom_real)width;
}

/* d/dx of a vector of elements, given the row's two sums. */
LOOM_INLINE loom_vec norm_slope(loom_vec x, loom_vec gain, loom_real mean, loom_real rstd, loom_vec dy,
                                const loom_real sums[2])
{
    const loom_vec h = (x - mean) * rstd;
    return (dy * gain - sums[0] - h * sums[1]) * rstd;
}

void loom_host_layer_norm_back(int64_t rows, int64_t width, const loom_real *x, const loom_real *gain,
                               const loom_real *mean, const loom_real *rstd, const loom_real *dy, loom_real *dx,
                               int accumulate, loom_real *dgain, loom_real *dbias)
{
    for (int64_t r = 0; r < rows; r++, x += width, dy += width) {
        loom_real sums[2], *to = dx ? dx + r * width : NULL;
        norm_row_sums(width, x, gain, mean[r], rstd[r], dy, dgain, dbias, sums);
        if (!dx)
            continue;
        EACH_VECTOR
        {
            const loom_vec g = load_or(gain, i, left, 1);
            const loom_vec d =
                norm_slope(loom_load_part(x + i, left), g, mean[r], rstd[r], loom_load_part(dy + i, left), sums);
            loom_store_part(to + i, d + (accumulate ? loom_load_part(to + i, left) : loom_splat(0)), left);
        }
    }
}

void loom_host_rms_norm(int64_t rows, int64_t width, const loom_real *x, const loom_real *gain, double eps,
                        loom_real *y, loom_real *rrms)
{
    for (int64_t r = 0; r < rows; r++, x += width, y += width) {
        rrms[r] = 1 / LOOM_SQRT(row_dot(width, x, x) / (loom_real)width + (loom_real)eps);
        EACH_VECTOR
        loom_store_part(y + i, loom_load_part(x + i, left) * rrms[r] * load_or(gain, i, left, 1), left);
    }
}

/* The layer norm's slope with a mean of 0 and without the sum that keeps it there. */
void loom_host_rms_norm_back(int64_t rows, int64_t width, const loom_real *x, const loom_real *gain,
                             const loom_real *rrms, const loom_real *dy, loom_real *dx, int accumulate,
                             loom_real *dgain)
{
    for (int64_t r = 0; r < rows; r++, x += width, dy += width) {
        loom_real sums[2], *to = dx ? dx + r * width : NULL;
        norm_row_sums(width, x, gain, 0, rrms[r], dy, dgain, NULL, sums);
        sums[0] = 0;
        if (!dx)
            continue;
        EACH_VECTOR
        {
            const loom_vec g = load_or(gain, i, left, 1);
            const loom_vec d =
                norm_slope(loom_load_part(x + i, left), g, 0, rrms[r], loom_load_part(dy + i, left), sums);
            loom_store_part(to + i, d + (accumulate ? loom_load_part(to + i, left) : loom_splat(0)), left);
        }
    }
}

void loom_host_softmax(int64_t rows, int64_t width, const loom_real *x, loom_real *y)
{
    for (int64_t r = 0; r < rows; r++, x += width, y += width) {
        loom_vec most = loom_splat(x[0]), sum = loom_splat(0);
        EACH_VECTOR
        most = loom_max(loom_select(loom_first_mask(left), loom_load_part(x + i, left), most), most);
        const loom_real top = loom_lanes_max(most);
        EACH_VECTOR
        {
            const loom_vec e = loom_first(loom_vexp(loom_load_part(x + i, left) - top), left);
            sum += e;
            loom_store_part(y + i, e, left);
        }
        const loom_real by = 1 / loom_lanes_sum(sum);
        EACH_VECTOR
        loom_store_part(y + i, loom_load_part(y + i, left) * by, left);
    }
}

void loom_host_softmax_back(int64_t rows, int64_t width, const loom_real *y, const loom_real *dy, loom_real *dx,
                            int accumulate)
{
    for (int64_t r = 0; r < rows; r++, y += width, dy += width, dx += width) {
        const loom_real dot = row_dot(width, y, dy);
        EACH_VECTOR
        {
            const loom_vec from = accumulate ? loom_load_part(dx + i, left) : loom_splat(0);
            loom_store_part(dx + i, loom_load_part(y + i, left) * (loom_load_part(dy + i, left) - dot) + from, left);
        }
    }
}

void loom_host_l2_normalize(int64_t rows, int64_t width, const loom_real *x, double eps, loom_real *y, loom_real *rnorm)
{
    for (int64_t r = 0; r < rows; r++, x += width, y += width) {
        const loom_real norm = LOOM_SQRT(row_dot(width, x, x));
        rnorm[r] = 1 / (norm > (loom_real)eps ? norm : (loom_real)eps);
        EACH_VECTOR
        loom_store_part(y + i, loom_load_part(x + i, left) * rnorm[r], left);
    }
}

void loom_host_l2_normalize_back(int64_t rows, int64_t width, const loom_real *y, const loom_real *rnorm, double eps,
                                 const loom_real *dy, loom_real *dx, int accumulate)
{
    for (int64_t r = 0; r < rows; r++, y += width, dy += width, dx += width) {
        const loom_real dot = rnorm[r] >= 1 / (loom_real)eps ? 0 : row_dot(width, y, dy);
        EACH_VECTOR
        {
            const loom_vec from = accumulate ? loom_load_part(dx + i, left) : loom_splat(0);
            loom_store_part(dx + i,
                            (loom_load_part(dy + i, left) - loom_load_part(y + i, left) * dot) * rnorm[r] + from, left);
        }
    }
}

/* The draws of one row. */
static struct loom_draw_row draw_row(const struct loom_draw *draw, const struct loom_group_walk *walk, int64_t width)
{
    return loom_draw_row(draw->key, draw->step, walk->key, (uint32_t)(walk->ordinal * ((width + 7) / 8)),
                         loom_draw_threshold(draw->p));
}

enum { DRAWN = 512 }; /* elements whose draws are made at once */

/* The draws of elements first … of a row, DRAWN or what is left of it. */
static void draw_bits(const struct loom_draw_row *d, int64_t first, int64_t width, uint8_t *bits)
{
    const int64_t n = width - first < DRAWN ? width - first : DRAWN;
    if (d->threshold)
        loom_draw_bits(d, first / 8, (n + 7) / 8, bits);
    else
        memset(bits, 0xff, (size_t)(n + 7) / 8);
}

/* y = from + x ∘ keep; from NULL = 0. */
static void drop_row(const struct loom_draw_row *d, int64_t width, const loom_real *from, const loom_real *x,
                     loom_real *y)
{
    uint8_t bits[DRAWN / 8 + LOOM_DRAW_BLOCKS];
    EACH_VECTOR
    {
        if (i % DRAWN == 0)
            draw_bits(d, i, width, bits);
        const loom_vec kept = loom_draw_keep(bits, i % DRAWN, loom_load_part(x + i, left), d->scale);
        loom_store_part(y + i, kept + load_or(from, i, left, 0), left);
    }
}

void loom_host_dropout(int64_t rows, int64_t width, const loom_real *residual, const loom_real *x,
                       const struct loom_draw *draw, loom_real *y)
{
    struct loom_group_walk walk = loom_group_walk(draw->groups, rows);
    while (loom_group_next(&walk)) {
        const struct loom_draw_row d = draw_row(draw, &walk, width);
        const int64_t at = walk.row * width;
        drop_row(&d, width, residual ? residual + at : NULL, x + at, y + at);
    }
}

void loom_host_dropout_norm(int64_t rows, int64_t width, const loom_real *residual, const loom_real *x,
                            const struct loom_draw *draw, const loom_real *gain, const loom_real *bias, double eps,
                            loom_real *sum, loom_real *y, loom_real *mean, loom_real *rstd)
{
    struct loom_group_walk walk = loom_group_walk(draw->groups, rows);
    while (loom_group_next(&walk)) {
        const struct loom_draw_row d = draw_row(draw, &walk, width);
        const int64_t at = walk.row * width;
        drop_row(&d, width, residual + at, x + at, sum + at);
        norm_row(width, sum + at, gain, bias, eps, y + at, mean + walk.row, rstd + walk.row);
    }
}

/* d(sum) of one row to both of its readers. */
static void norm_drop_row(const struct loom_draw_row *draws, int64_t width, const loom_real *sum, const loom_real *gain,
                          loom_real mean, loom_real rstd, const struct loom_dropout_norm_grad *d, int64_t at,
                          const loom_real sums[2])
{
    uint8_t bits[DRAWN / 8 + LOOM_DRAW_BLOCKS];
    EACH_VECTOR
    {
        loom_vec v = norm_slope(loom_load_part(sum + at + i, left), load_or(gain, i, left, 1), mean, rstd,
                                loom_load_part(d->dy + at + i, left), sums);
        v += load_or(d->dsum_in, at + i, left, 0);
        if (d->dresidual)
            loom_store_part(d->dresidual + at + i,
                            v + load_or(d->dresidual_accumulate ? d->dresidual : NULL, at + i, left, 0), left);
        if (!d->dx)
            continue;
        if (i % DRAWN == 0)
            draw_bits(draws, i, width, bits);
        const loom_vec kept = loom_draw_keep(bits, i % DRAWN, v, draws->scale);
        loom_store_part(d->dx + at + i, kept + load_or(d->dx_accumulate ? d->dx : NULL, at + i, left, 0), left);
    }
}

/* Rows in the order of the groups, so the sums of dgain and dbias run in that order. */
void loom_host_dropout_norm_back(int64_t rows, int64_t width, const loom_real *sum, const struct loom_draw *draw,
                                 const loom_real *gain, const loom_real *mean, const loom_real *rstd,
                                 const struct loom_dropout_norm_grad *d)
{
    struct loom_group_walk walk = loom_group_walk(draw->groups, rows);
    while (loom_group_next(&walk)) {
        const struct loom_draw_row draws = draw_row(draw, &walk, width);
        const int64_t r = walk.row, at = r * width;
        loom_real sums[2];
        norm_row_sums(width, sum + at, gain, mean[r], rstd[r], d->dy + at, d->dgain, d->dbias, sums);
        norm_drop_row(&draws, width, sum, gain, mean[r], rstd[r], d, at, sums);
    }
}

void loom_host_add_bias(int64_t rows, int64_t width, const loom_real *x, const loom_real *b, loom_real *y)
{
    for (int64_t r = 0; r < rows; r++)
        loom_host_add(width, x + r * width, b, y + r * width);
}

void loom_host_gather_rows(int64_t n, int64_t width, const loom_real *table, int64_t ld, const int32_t *index,
                           loom_real *y)
{
    for (int64_t r = 0; r < n; r++, y += width) {
        if (index[r] < 0)
            memset(y, 0, (size_t)width * sizeof *y);
        else
            memcpy(y, table + index[r] * ld, (size_t)width * sizeof *y);
    }
}

void loom_host_scatter_add_rows(int64_t n, int64_t width, const loom_real *x, const int32_t *index, loom_real *y,
                                int64_t ld)
{
    for (int64_t r = 0; r < n; r++)
        if (index[r] >= 0)
            loom_host_add(width, y + index[r] * ld, x + r * width, y + index[r] * ld);
}

void loom_host_group_mean(const struct loom_groups *groups, int64_t width, const loom_real *x, loom_real *y)
{
    for (int32_t g = 0; g < groups->n; g++, y += width) {
        const int32_t from = groups->first[g], to = groups->first[g + 1];
        memset(y, 0, (size_t)width * sizeof *y);
        for (int32_t i = from; i < to; i++)
            loom_host_add(width, y, x + loom_group_row(groups, i) * width, y);
        if (to > from)
            loom_host_scale(width, 1 / (double)(to - from), 0, y, y);
    }
}

void loom_host_group_mean_back(const struct loom_groups *groups, int64_t width, const loom_real *dy, loom_real *dx)
{
    for (int32_t g = 0; g < groups->n; g++, dy += width) {
        const int32_t from = groups->first[g], to = groups->first[g + 1];
        for (int32_t i = from; i < to; i++)
            loom_host_axpy(width, 1 / (double)(to - from), dy, dx + loom_group_row(groups, i) * width);
    }
}
