/* SPDX-License-Identifier: Apache-2.0 */
/* `loom data convert`: any recording that a source reads, as a file of another format. */
#include "data.h"

#include <loom/plugin.h>

#include "plugin/registry.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* FILE for the only recording, FILE-ID.ext for one of several; no slash of an id opens a folder. */
static int name_of(char out[PATH_MAX], const char *file, const struct loom_recordings *set, int i)
{
    const char *slash = strrchr(file, '/'), *dot = strrchr(slash != NULL ? slash : file, '.');
    int stem = dot != NULL ? (int)(dot - file) : (int)strlen(file);
    if (loom_recordings_count(set) == 1)
        return snprintf(out, PATH_MAX, "%s", file) < PATH_MAX;
    int n = snprintf(out, PATH_MAX, "%.*s-%s%s", stem, file, loom_recordings_at(set, i)->id, dot != NULL ? dot : "");
    for (char *c = out + stem; n < PATH_MAX && *c != '\0'; c++)
        if (*c == '/')
            *c = '_';
    return n < PATH_MAX;
}

static int find_writer(struct loom_registry *registry, const char *file, const struct loom_plugin **out,
                       struct loom_error *e)
{
    const char *const *ids = loom_data_sources(file);
    for (; *ids != NULL; ids++) {
        struct loom_error why = {0};
        int status = loom_registry_find(registry, LOOM_SOURCE, *ids, out, &why);
        if (status != LOOM_OK)
            return loom_fail(e, status, why.file, 0, "%s", why.message);
        const struct loom_source *source = (*out)->table;
        if (source->write != NULL)
            return LOOM_OK;
    }
    return loom_fail(e, LOOM_ECONFIG, file, 0,
                     "its ending names no format that is written; name it .h5 for a brainset (temporaldata, "
                     "torch_brain) or .npz for a "
                     "NumPy archive");
}

/* What is dangerous is to parse what others wrote. To write parses nothing: the recording stands in our own cache,
 * under checksums, so the writer needs no process of its own. */
int loom_data_convert(const struct loom_recordings *set, const char *file, const char *plugin_path,
                      struct loom_error *e)
{
    struct loom_registry *registry = NULL;
    const struct loom_plugin *plugin = NULL;
    char path[PATH_MAX];
    int status = loom_registry_new(&registry, plugin_path, e);
    if (status == LOOM_OK)
        status = find_writer(registry, file, &plugin, e);
    for (int i = 0; status == LOOM_OK && i < loom_recordings_count(set); i++) {
        const struct loom_source *source = plugin->table;
        if (!name_of(path, file, set, i))
            status = loom_fail(e, LOOM_ECONFIG, file, 0, "its name is too long; choose a shorter one");
        else if ((status = source->write(loom_recordings_at(set, i), path, e)) == LOOM_OK)
            printf("%s: %s\n", path, plugin->summary);
    }
    loom_registry_free(registry);
    return status;
}
