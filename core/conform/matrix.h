/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokenizer goes with which backbone and objective: every triple of the plugins that can be reached is put
 * together on a small simulated recording, and what the model says is kept.
 *
 * Not part of the installed interface; the functions marked LOOM_API serve the program alone. */
#ifndef LOOM_CONFORM_MATRIX_H
#define LOOM_CONFORM_MATRIX_H

#include <loom/plugin.h>

struct loom_triple {
    const struct loom_plugin *tokenizer, *backbone, *objective;
    int status;          /* LOOM_OK: legal */
    const char *with;    /* options of the objective that make it legal; "" = as it comes */
    char reason[1024];   /* why it is not, and the remedy */
    char pipeline[2048]; /* a file that trains it for two steps */
};
struct loom_matrix;

/* Put together all there is. `plugin_path` as in loom_registry_new. LOOM_EPLUGIN without the source `sim`. */
LOOM_API int loom_matrix_new(struct loom_matrix **out, const char *plugin_path, struct loom_error *e);
LOOM_API void loom_matrix_free(struct loom_matrix *m); /* NULL is a no-op */
/* By objective, tokenizer and backbone, in byte order of their ids; NULL beyond the end. Borrowed. */
LOOM_API const struct loom_triple *loom_matrix_at(const struct loom_matrix *m, int i);
/* A table for each objective: rows are tokenizers, columns backbones, notes say why not. *out is malloc'ed, the caller
 * frees it. */
LOOM_API int loom_matrix_markdown(const struct loom_matrix *m, char **out, struct loom_error *e);

#endif
