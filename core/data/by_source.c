/* SPDX-License-Identifier: Apache-2.0 */
#include "data/by_source.h"

#include "config/tree.h"
#include "plugin/registry.h"

#include <loom/config.h>

int loom_recordings_by(struct loom_recordings **out, const struct loom_by_source *by, struct loom_ingest how,
                       struct loom_error *e)
{
    struct loom_registry *registry = NULL;
    struct loom_config *config = NULL;
    struct loom_options *options = NULL;
    *out = NULL;
    int rc = loom_registry_new(&registry, by->plugin_path, e);
    if (rc == LOOM_OK)
        rc = loom_registry_find(registry, LOOM_SOURCE, by->id, &how.source, e);
    if (rc == LOOM_OK)
        rc = loom_config_parse(&config, by->options != NULL ? by->options : "", LOOM_COMMAND_LINE, by->overrides,
                               by->override, e);
    if (rc == LOOM_OK)
        rc = loom_options_parse(&options, how.source->options, loom_config_root(config), by->id, NULL, e);
    if (rc == LOOM_OK) {
        how.module = loom_registry_file(registry, how.source);
        how.options = options;
        rc = loom_recordings_read(out, &how, e);
    }
    loom_options_free(options);
    loom_config_free(config);
    loom_registry_free(registry);
    return rc;
}
