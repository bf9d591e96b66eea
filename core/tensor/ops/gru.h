/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOOM_TENSOR_GRU_H
#define LOOM_TENSOR_GRU_H

#include <loom/graph.h>

/* Gates of a gated recurrent unit (Cho et al. 2014, torch's order r, z, n), row-local. input, hidden [R, 3 W] are the
 * two products with their biases, state [R, W]: n = tanh(input_n + r hidden_n), h' = (1−z) n + z h → [R, W]. The two
 * parts must be different nodes. */
struct loom_node *loom_gru_gates(struct loom_graph *g, struct loom_node *input, struct loom_node *hidden,
                                 struct loom_node *state);

#endif
