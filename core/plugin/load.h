/* SPDX-License-Identifier: Apache-2.0 */
/* From a file to checked descriptors. */
#ifndef LOOM_PLUGIN_LOAD_H
#define LOOM_PLUGIN_LOAD_H

#include <loom/plugin.h>

enum { LOOM_MODULE_PLUGINS = 32 }; /* descriptors in one file */

/* A descriptor and its table as this build sees them. */
struct loom_loaded {
    struct loom_plugin plugin; /* .table points to `table` */
    union {
        struct loom_part part;
        struct loom_source source;
        struct loom_tokenizer tokenizer;
        struct loom_backbone backbone;
        struct loom_objective objective;
    } table;
};

/* Open `file` and check every descriptor in it. On success *out holds *n of them in one malloc'ed block that the caller
 * frees; the module stays mapped for good, on failure too. LOOM_EPLUGIN: the message names the file, what is wrong with
 * it and the remedy. `host`: the build block to compare theirs with; NULL = this build's own. */
int loom_module_load(const char *file, const struct loom_build_block *host, struct loom_loaded **out, int *n,
                     struct loom_error *e);

/* Copy descriptor `p` of `file` (NULL: built in) into `out` if it keeps its contract. `stem` is the id that it must
 * bear, NULL = any. */
int loom_plugin_check(const struct loom_plugin *p, const char *file, const char *stem, struct loom_loaded *out,
                      struct loom_error *e);
/* The same for a host of another build block, as a later version will have one; NULL = this build's own. */
int loom_plugin_check_for(const struct loom_build_block *host, const struct loom_plugin *p, const char *file,
                          const char *stem, struct loom_loaded *out, struct loom_error *e);

#endif
