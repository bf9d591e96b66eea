/* SPDX-License-Identifier: Apache-2.0 */
#include "vq_ops.h"

#include <math.h>
#include <string.h>

/* Largest x·e − |e|²/2, the first of equals. */
static int nearest_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_I32, .rank = 1, .dim = {loom_node_dim(loom_node_input(n, 0), 0)}};
    return LOOM_OK;
}

static size_t nearest_scratch(const struct loom_node *n)
{
    return (size_t)loom_node_dim(loom_node_input(n, 0), 1) * sizeof(loom_real) + 64;
}

static void nearest_forward(const struct loom_node *n, void *scratch)
{
    const struct loom_node *x = loom_node_input(n, 0), *book = loom_node_input(n, 1);
    const int64_t rows = loom_node_dim(x, 0), codes = loom_node_dim(x, 1), width = loom_node_dim(book, 1);
    const loom_real *score = loom_node_host(x), *code = loom_node_host(book);
    loom_real *half = scratch;
    int32_t *out = loom_node_out(n);
    for (int64_t k = 0; k < codes; k++) {
        double square = 0;
        for (int64_t d = 0; d < width; d++)
            square += (double)code[k * width + d] * (double)code[k * width + d];
        half[k] = (loom_real)(0.5 * square);
    }
    for (int64_t r = 0; r < rows; r++, score += codes) {
        int64_t best = 0;
        for (int64_t k = 1; k < codes; k++)
            if (score[k] - half[k] > score[best] - half[best])
                best = k;
        out[r] = (int32_t)best;
    }
}

const struct loom_op vq_nearest_op = {.size = sizeof(struct loom_op),
                                      .name = "nearest",
                                      .infer = nearest_infer,
                                      .scratch = nearest_scratch,
                                      .forward = nearest_forward};

static int interleave_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)e;
    *out = (struct loom_shape){
        .dtype = LOOM_I32, .rank = 1, .dim = {loom_node_inputs(n) * loom_node_dim(loom_node_input(n, 0), 0)}};
    return LOOM_OK;
}

static void interleave_forward(const struct loom_node *n, void *scratch)
{
    int32_t *out = loom_node_out(n);
    int inputs = loom_node_inputs(n);
    (void)scratch;
    for (int i = 0; i < inputs; i++) {
        const int32_t *in = loom_node_host(loom_node_input(n, i));
        for (int64_t r = 0; r < loom_node_dim(loom_node_input(n, i), 0); r++)
            out[r * inputs + i] = in[r];
    }
}

const struct loom_op vq_interleave_op = {
    .size = sizeof(struct loom_op), .name = "interleave", .infer = interleave_infer, .forward = interleave_forward};

static int sums_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)e;
    *out =
        (struct loom_shape){.dtype = LOOM_F64,
                            .rank = 2,
                            .dim = {*(const int32_t *)loom_node_attr(n), loom_node_dim(loom_node_input(n, 1), 1) + 2}};
    return LOOM_OK;
}

static void sums_forward(const struct loom_node *n, void *scratch)
{
    const struct loom_node *vectors = loom_node_input(n, 1);
    const int32_t *code = loom_node_host(loom_node_input(n, 0)), codes = *(const int32_t *)loom_node_attr(n);
    const loom_real *x = loom_node_host(vectors), *weight = loom_node_host(loom_node_input(n, 2));
    const int64_t rows = loom_node_dim(vectors, 0), width = loom_node_dim(vectors, 1);
    double *out = loom_node_out(n);
    (void)scratch;
    memset(out, 0, (size_t)(codes * (width + 2)) * sizeof(*out));
    for (int64_t r = 0; r < rows; r++, x += width) {
        double *sum = out + (int64_t)code[r] * (width + 2);
        if (weight[r] == 0)
            continue;
        sum[0] += 1;
        for (int64_t d = 0; d < width; d++) {
            sum[1] += (double)x[d] * (double)x[d];
            sum[2 + d] += (double)x[d];
        }
    }
}

const struct loom_op vq_sums_op = {
    .size = sizeof(struct loom_op), .name = "code_sums", .infer = sums_infer, .forward = sums_forward};

struct loom_node *vq_nearest(struct loom_graph *g, struct loom_node *scores, struct loom_node *codes)
{
    return loom_apply(g, &vq_nearest_op, 2, (struct loom_node *[]){scores, codes}, NULL, 0);
}

struct loom_node *vq_interleave(struct loom_graph *g, int n, struct loom_node *const *codes)
{
    return loom_apply(g, &vq_interleave_op, n, codes, NULL, 0);
}

struct loom_node *vq_sums(struct loom_graph *g, struct loom_node *code, struct loom_node *x, struct loom_node *weight,
                          int32_t codes)
{
    return loom_apply(g, &vq_sums_op, 3, (struct loom_node *[]){code, x, weight}, &codes, sizeof(codes));
}

/* ---- spectra ---- */

static int spectrum_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct loom_node *x = loom_node_input(n, 0);
    (void)e;
    *out = (struct loom_shape){
        .dtype = LOOM_REAL,
        .rank = 2,
        .dim = {loom_node_dim(x, 0), (loom_node_dim(x, 1) / 2 + 1) * (1 + *(const int32_t *)loom_node_attr(n))}};
    return LOOM_OK;
}

static size_t spectrum_scratch(const struct loom_node *n)
{
    return (size_t)loom_node_dim(loom_node_input(n, 0), 1) * 2 * sizeof(double) + 64;
}

static void put_phase(loom_real *out, int64_t bins, int64_t k, int32_t phase, double re, double im, double size)
{
    if (phase == VQ_WRAPPED)
        out[bins + k] = (loom_real)(size > 1e-6 ? atan2(im, re) * sqrt(3.0) / M_PI : 0.0);
    if (phase == VQ_SINCOS) {
        out[bins + k] = (loom_real)(size > 1e-6 ? re / size : 0.0);
        out[2 * bins + k] = (loom_real)(size > 1e-6 ? im / size : 0.0);
    }
}

/* Sums over a table of one turn: patches are of a few hundred samples. */
static void spectrum_forward(const struct loom_node *n, void *scratch)
{
    const struct loom_node *in = loom_node_input(n, 0);
    const int64_t rows = loom_node_dim(in, 0), samples = loom_node_dim(in, 1), bins = samples / 2 + 1;
    const int32_t phase = *(const int32_t *)loom_node_attr(n);
    const loom_real *x = loom_node_host(in);
    loom_real *out = loom_node_out(n);
    double *cosine = scratch, *sine = cosine + samples;
    for (int64_t i = 0; i < samples; i++) {
        cosine[i] = cos(2.0 * M_PI * (double)i / (double)samples);
        sine[i] = sin(2.0 * M_PI * (double)i / (double)samples);
    }
    for (int64_t r = 0; r < rows; r++, x += samples, out += bins * (1 + phase))
        for (int64_t k = 0; k < bins; k++) {
            double re = 0.0, im = 0.0;
            for (int64_t i = 0, at = 0; i < samples; i++, at = at + k >= samples ? at + k - samples : at + k) {
                re += (double)x[i] * cosine[at];
                im -= (double)x[i] * sine[at];
            }
            const double size = sqrt(re * re + im * im);
            out[k] = (loom_real)(size / sqrt((double)samples));
            put_phase(out, bins, k, phase, re, im, size);
        }
}

const struct loom_op vq_spectrum_op = {.size = sizeof(struct loom_op),
                                       .row_local = 1,
                                       .name = "spectrum",
                                       .infer = spectrum_infer,
                                       .scratch = spectrum_scratch,
                                       .forward = spectrum_forward};

struct loom_node *vq_spectrum(struct loom_graph *g, struct loom_node *x, int32_t phase)
{
    return loom_apply(g, &vq_spectrum_op, 1, &x, &phase, sizeof(phase));
}
