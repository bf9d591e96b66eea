/* SPDX-License-Identifier: Apache-2.0 */
#include "data/by_source.h"
#include "eval/nlb_target.h"

#include <loom/export.h>

#include <stdio.h>
#include <string.h>

int loom_nlb_target_file(const struct loom_nlb_target_spec *spec, struct loom_error *e)
{
    struct loom_recordings *set = NULL;
    struct loom_arrays arrays = {0};
    struct loom_nlb_making how = {.set = spec->dataset ? loom_nlb_set(spec->dataset) : NULL,
                                  .bin_ms = spec->bin_ms ? spec->bin_ms : 5,
                                  .eval = spec->eval ? spec->eval : "val",
                                  .inputs = spec->inputs};
    char group[LOOM_NLB_GROUP];
    if (!how.set)
        return loom_fail(e, LOOM_ECONFIG, spec->file, 0, "which dataset of the benchmark is it? '%s' is none: write %s",
                         spec->dataset ? spec->dataset : "", loom_nlb_set_instead(spec->dataset));
    if ((how.bin_ms != 5 && how.bin_ms != 20) || (strcmp(how.eval, "val") != 0 && strcmp(how.eval, "test") != 0))
        return loom_fail(e, LOOM_ECONFIG, spec->file, 0,
                         "the benchmark has bins of 5 and 20 ms, and scores val or test");
    loom_nlb_group(group, how.set, how.bin_ms);
    const struct loom_by_source by = {.id = "nwb", .plugin_path = spec->plugin_path};
    int code = loom_recordings_by(&set, &by, (struct loom_ingest){.file = spec->file}, e);
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
