/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of a quantiser; none has a gradient. */
#ifndef LOOM_TOKENIZERS_VQ_OPS_H
#define LOOM_TOKENIZERS_VQ_OPS_H

#include <loom/graph.h>

extern const struct loom_op vq_nearest_op, vq_interleave_op, vq_sums_op;

/* Scores x·e [R, codes] of vectors with codes [codes, width] → I32 [R], the code of least squared distance. */
struct loom_node *vq_nearest(struct loom_graph *g, struct loom_node *scores, struct loom_node *codes);
/* n nodes I32 [R] → I32 [R n], row by row. */
struct loom_node *vq_interleave(struct loom_graph *g, int n, struct loom_node *const *codes);
/* F64 [codes, width + 2], as vq_book.h takes it: of each code, how many of x [R, width] chose it, their Σ |x|², Σ x.
 * Rows of weight [R] 0 are left out. */
struct loom_node *vq_sums(struct loom_graph *g, struct loom_node *code, struct loom_node *x, struct loom_node *weight,
                          int32_t codes);

#endif
