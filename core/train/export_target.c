/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/nlb_target.h"
#include "plugin/registry.h"

#include <loom/config.h>
#include <loom/export.h>

#include <stdio.h>
#include <string.h>

static int read_file(const struct loom_nlb_target_spec *spec, struct loom_recordings **out, struct loom_error *e)
{
    struct loom_registry *registry = NULL;
    struct loom_config *config = NULL;
    struct loom_options *options = NULL;
    const struct loom_plugin *source = NULL;
    int code = loom_registry_new(&registry, spec->plugin_path, e);
    if (code == LOOM_OK)
        code = loom_registry_find(registry, LOOM_SOURCE, "nwb", &source, e);
    if (code == LOOM_OK)
        code = loom_config_parse(&config, "", "loom export", 0, NULL, e);
    if (code == LOOM_OK)
        code = loom_options_parse(&options, source->options, loom_config_root(config), "nwb", NULL, e);
    if (code == LOOM_OK)
        code = loom_recordings_read(out,
                                    &(struct loom_ingest){.source = source,
                                                          .module = loom_registry_file(registry, source),
                                                          .options = options,
                                                          .file = spec->file},
                                    e);
    loom_options_free(options);
    loom_config_free(config);
    loom_registry_free(registry);
    return code;
}

int loom_nlb_target_file(const struct loom_nlb_target_spec *spec, struct loom_error *e)
{
    struct loom_recordings *set = NULL;
    struct loom_arrays arrays = {0};
    struct loom_nlb_making how = {.set = spec->dataset ? loom_nlb_set(spec->dataset) : NULL,
                                  .bin_ms = spec->bin_ms ? spec->bin_ms : 5,
                                  .eval = spec->eval ? spec->eval : "val",
                                  .inputs = spec->inputs};
    char group[64];
    if (!how.set)
        return loom_fail(e, LOOM_ECONFIG, spec->file, 0,
                         "which dataset of the benchmark is it? %s is none: mc_maze, mc_rtt, area2_bump, dmfc_rsg, "
                         "mc_maze_large, mc_maze_medium or mc_maze_small",
                         spec->dataset ? spec->dataset : "\"\"");
    if ((how.bin_ms != 5 && how.bin_ms != 20) || (strcmp(how.eval, "val") != 0 && strcmp(how.eval, "test") != 0))
        return loom_fail(e, LOOM_ECONFIG, spec->file, 0,
                         "the benchmark has bins of 5 and 20 ms, and scores val or test");
    snprintf(group, sizeof group, "%s%s", how.set->name, how.bin_ms == 5 ? "" : "_20");
    int code = read_file(spec, &set, e);
    how.recording = code == LOOM_OK ? loom_recordings_at(set, 0) : NULL;
    if (code == LOOM_OK)
        code = loom_arrays_keep(&arrays, spec->out, group, e);
    if (code == LOOM_OK)
        code = loom_nlb_target(&how, &arrays, e);
    if (code == LOOM_OK)
        code = loom_arrays_write_h5(&arrays, spec->out, e);
    loom_arrays_release(&arrays);
    loom_recordings_free(set);
    return code;
}
