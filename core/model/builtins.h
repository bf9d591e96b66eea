/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins that the library itself holds: what every pipeline may lean on without naming it. */
#ifndef LOOM_MODEL_BUILTINS_H
#define LOOM_MODEL_BUILTINS_H

#include <loom/model.h>

extern const struct loom_plugin loom_builtin_bins;   /* tokenizer: one row a bin, one element a unit */
extern const struct loom_plugin loom_builtin_series; /* tokenizer: a behaviour, one row a sample */
extern const struct loom_plugin loom_builtin_label;  /* tokenizer: the class of a trial, one row a window */
extern const struct loom_plugin loom_builtin_all;    /* objective: everything seen, every behaviour asked */

/* [build] Every question starts as the same learned vector, or as its session's, a row of a table by name; where and
 * when it is asked the backbone adds. → [rows, width]. And the option that says which. */
struct loom_node *loom_query_embed(struct loom_build *b, const struct loom_rows *rows, int width, int by_session);
#define LOOM_QUERY_OPTION                                                                                              \
    {                                                                                                                  \
        "query", LOOM_OPT_STRING, 0, "one", "one|session", NULL,                                                       \
            "what a question starts as: one learned vector, or one of each session, which transfer matches by name "   \
            "(POYO)"                                                                                                   \
    }

#endif
