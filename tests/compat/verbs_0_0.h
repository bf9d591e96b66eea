/* SPDX-License-Identifier: Apache-2.0 */
/* Frozen: what <loom/model.h> offered when the minor number was 0, as far as older.c calls it. Never edited. */
#ifndef LOOM_TESTS_COMPAT_VERBS_0_0_H
#define LOOM_TESTS_COMPAT_VERBS_0_0_H

#include <loom/graph.h>

enum loom_param_flags { LOOM_NO_DECAY = 1, LOOM_SPARSE_ROWS = 2 };

LOOM_API struct loom_graph *loom_build_graph(struct loom_build *b);
LOOM_API struct loom_node *loom_param(struct loom_build *b, const char *name, int rank, const int64_t *dim,
                                      const char *init, unsigned flags);

#endif
