/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one file as a run would, by the name of a source and words for its options. */
#ifndef LOOM_DATA_BY_SOURCE_H
#define LOOM_DATA_BY_SOURCE_H

#include <loom/data.h>

struct loom_by_source {
    const char *id;              /* "nwb", or a plugin's file */
    const char *plugin_path;     /* folders, ':'-separated; NULL: the usual ones alone */
    const char *options;         /* as in a pipeline's `data` group; NULL = none */
    const char *const *override; /* [overrides] "key=value" over them */
    int overrides;
};
/* `how` has the file, limits and whether the cache is passed by; the rest of it is filled in. LOOM_EPLUGIN where there
 * is no such source, LOOM_ECONFIG, and what loom_recordings_read says. Serves the program and tests: LOOM_API is no
 * promise.
 */
LOOM_API int loom_recordings_by(struct loom_recordings **out, const struct loom_by_source *by, struct loom_ingest how,
                                struct loom_error *e);

#endif
