/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin's create may ask about (the loom_setup_ functions of <loom/plugin.h>), as its maker fills it in: the
 * ingest child with options alone, a model with everything. */
#ifndef LOOM_PLUGIN_SETUP_H
#define LOOM_PLUGIN_SETUP_H

#include <loom/plugin.h>

struct loom_setup {
    const struct loom_options *options;
    const struct loom_catalog *catalog; /* NULL for sources */
    uint64_t seed;
    const char *modality; /* tokenizers; NULL for others */
    /* Answers loom_setup_behavior; NULL: nothing can be asked for here, which is LOOM_EPLUGIN. */
    int (*behavior)(void *owner, const char *series, double lag_s, struct loom_error *e);
    void *owner;
};

#endif
