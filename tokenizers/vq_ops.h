/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of tokenizers that quantise; none has a gradient. */
#ifndef LOOM_TOKENIZERS_VQ_OPS_H
#define LOOM_TOKENIZERS_VQ_OPS_H

#include <loom/graph.h>

extern const struct loom_op vq_nearest_op, vq_interleave_op, vq_sums_op, vq_spectrum_op;

/* Scores x·e [R, codes] of vectors with codes [codes, width] → I32 [R], the code of least squared distance. */
struct loom_node *vq_nearest(struct loom_graph *g, struct loom_node *scores, struct loom_node *codes);
/* n nodes I32 [R] → I32 [R n], row by row. */
struct loom_node *vq_interleave(struct loom_graph *g, int n, struct loom_node *const *codes);
/* F64 [codes, width + 2], as vq_book.h takes it: of each code, how many of x [R, width] chose it, their Σ |x|², Σ x.
 * Rows of weight [R] 0 are left out. */
struct loom_node *vq_sums(struct loom_graph *g, struct loom_node *code, struct loom_node *x, struct loom_node *weight,
                          int32_t codes);

/* What of a spectrum is kept, and how many numbers a phase takes. */
enum vq_phase { VQ_NO_SPECTRUM = 0, VQ_WRAPPED = 1, VQ_SINCOS = 2 };
/* Discrete Fourier transform of each row of x [R, n], frequencies k = 0 … n/2: [R, n/2 + 1] amplitudes |X| / √n, then
 * as many phases, in units of the deviation of an even spread (π / √3), or cosines and then sines of them. Where there
 * is no amplitude all of them are 0. */
struct loom_node *vq_spectrum(struct loom_graph *g, struct loom_node *x, int32_t phase);

#endif
