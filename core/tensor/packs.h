/* SPDX-License-Identifier: Apache-2.0 */
/* Packed weights shared by the graphs of one step, and from bin to bin of a stream.
 *
 * Product kernels read weights in a layout of their own. A graph by itself packs each weight once a forward run; graphs
 * that share a set pack it once until the weights change, whichever worker comes first. Bits do not depend on sharing.
 */
#ifndef LOOM_TENSOR_PACKS_H
#define LOOM_TENSOR_PACKS_H

#include <loom/graph.h>

struct loom_packs;

/* [setup] `bytes` of reserved addresses; three times the parameters is plenty. A graph that finds it full packs by
 * itself. LOOM_ENOMEM. */
int loom_packs_new(struct loom_packs **out, size_t bytes, struct loom_error *e);
void loom_packs_free(struct loom_packs *p);
/* [update] The weights have changed: what was packed is stale. No graph may be running. */
void loom_packs_stale(struct loom_packs *p);
/* Weights packed since it was made: a counter for tests and profiles. */
uint64_t loom_packs_made(const struct loom_packs *p);
size_t loom_packs_peak(const struct loom_packs *p); /* bytes touched */
/* [setup] Let g share p (NULL: nothing) from its next reset on. p outlives the graph's use of it; the leaves' memory
 * stays the same weights for the life of p. */
void loom_graph_set_packs(struct loom_graph *g, struct loom_packs *p);

#endif
