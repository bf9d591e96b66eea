/* SPDX-License-Identifier: Apache-2.0 */
/* Source `brainset`: the HDF5 files of temporaldata 0.1, which brainsets makes and torch_brain reads, and a writer of
 * them. Layout: temporaldata's to_hdf5 methods. */
#include "brainset.h"

#include "names.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct loom_option brainset_options[] = {
    {"series", LOOM_OPT_STRINGS, 0, "*", NULL, NULL,
     "Signals to read, \"group.array\" or its last word, patterns allowed; * = all small ones, empty = none."},
    {"tables", LOOM_OPT_STRINGS, 0, "*", NULL, NULL, "Intervals to read as tables, by name or pattern."},
    {"task", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the task; empty = the file's session.task."},
    {"max_dims", LOOM_OPT_INT, 0, "64", "[1,100000]", NULL, "Signals with more dimensions are read only when named."},
    {0},
};

void brainset_name(char out[H5_PATH], const char *path)
{
    snprintf(out, H5_PATH, "%s", path + (path[0] == '/'));
    for (char *c = out; *c != '\0'; c++)
        if (*c == '/')
            *c = '.';
}

enum brainset_object brainset_object(struct brainset *w, const char *path)
{
    static const char *const names[] = {"",        "Data", "ArrayDict", "IrregularTimeSeries", "RegularTimeSeries",
                                        "Interval"};
    char object[64];
    if (h5_kind(&w->h, path) != H5_GROUP || !h5_attr_text(&w->h, path, "object", object, sizeof object))
        return BRAINSET_NONE;
    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
        if (strcmp(object, names[i]) == 0)
            return (enum brainset_object)i;
    return BRAINSET_NONE;
}

int brainset_wants(const struct brainset *w, const char *option, const char *name, int *named)
{
    const char *dot = strrchr(name, '.');
    int wanted = 0;
    *named = 0;
    for (size_t i = 0; i < loom_opt_count(w->o, option); i++) {
        const char *pattern = loom_opt_string_at(w->o, option, i);
        if (fnmatch(pattern, name, 0) == 0 || (dot != NULL && fnmatch(pattern, dot + 1, 0) == 0)) {
            wanted = 1;
            *named |= strcmp(pattern, "*") != 0;
        }
    }
    return wanted;
}

/* ---- identity ---- */

/* Scalars of a Data group are its attributes. */
static void text_of(struct brainset *w, const char *group, const char *key, char *out, size_t size)
{
    out[0] = '\0';
    if (h5_kind(&w->h, group) == H5_GROUP)
        h5_attr_text(&w->h, group, key, out, size);
}

static int begin(struct brainset *w, const char *file)
{
    char stem[STEM_NAME], subject[256], session[256], task[256], date[64];
    const char *given = loom_opt_string(w->o, "task");
    stem_of(stem, file);
    if (brainset_object(w, "/") != BRAINSET_DATA)
        return loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                         "is HDF5 but no brainset (its root has no attribute object = \"Data\"); name another source");
    text_of(w, "/subject", "id", subject, sizeof subject);
    text_of(w, "/session", "id", session, sizeof session);
    text_of(w, "/session", "recording_date", date, sizeof date);
    text_of(w, "/session", "task", task, sizeof task);
    if (strlen(date) > 10 && date[10] == ' ')
        date[10] = 'T';
    return loom_sink_recording(w->h.sink, stem, subject, session[0] != '\0' ? session : stem,
                               given[0] != '\0' ? given : task, date);
}

/* ---- everything else, wherever it lies ---- */

enum { MOST_DEPTH = 6, MOST_GROUPS = 10000 };

static int walk(struct brainset *w, const char *father, int depth)
{
    char path[H5_PATH];
    char **names = h5_children(&w->h, father);
    int status = names != NULL ? LOOM_OK : h5_starved(&w->h);
    for (size_t i = 0; status == LOOM_OK && names[i] != NULL && w->groups < MOST_GROUPS; i++) {
        if (h5_join(path, father, names[i]) != 0)
            continue;
        enum brainset_object object = brainset_object(w, path);
        w->groups++;
        if (strcmp(path, "/spikes") == 0 || strcmp(path, "/binned_spikes") == 0 || strcmp(path, "/units") == 0 ||
            strcmp(names[i], "domain") == 0)
            continue;
        if (object == BRAINSET_DATA && depth < MOST_DEPTH)
            status = walk(w, path, depth + 1);
        else if (object == BRAINSET_REGULAR || object == BRAINSET_IRREGULAR)
            status = brainset_series(w, path, object);
        else if (object == BRAINSET_INTERVAL)
            status = brainset_table(w, path);
    }
    h5_free_names(names);
    return status;
}

/* The root's domain: what was observed. */
static int send_domain(struct brainset *w)
{
    double *start, *end;
    hsize_t n;
    if (brainset_object(w, "/domain") != BRAINSET_INTERVAL)
        return LOOM_OK;
    int status = brainset_ends(w, "/domain", &start, &end, &n);
    for (hsize_t i = 0; i < n && status == LOOM_OK; i++)
        if (isfinite(start[i]) && isfinite(end[i]) && start[i] < end[i])
            status = loom_sink_observed(w->h.sink, start[i], end[i]);
    free(start);
    free(end);
    return status;
}

static int brainset_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)e;
    *self = (void *)(uintptr_t)loom_setup_options(s);
    return LOOM_OK;
}

static int brainset_read(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    struct brainset w = {.o = self};
    if (file == NULL)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "source brainset reads a file; name it in files");
    int status = h5_open(&w.h, file, sink, e);
    if (status == LOOM_OK)
        status = begin(&w, file);
    if (status == LOOM_OK)
        status = brainset_units(&w);
    if (status == LOOM_OK)
        status = w.has_spikes ? brainset_spikes(&w) : brainset_counts(&w);
    if (status == LOOM_OK)
        status = walk(&w, "/", 0);
    if (status == LOOM_OK)
        status = brainset_splits(&w);
    if (status == LOOM_OK)
        status = send_domain(&w);
    h5_close(&w.h);
    return status;
}

static const struct loom_source brainset_source = {
    .part = {.size = sizeof brainset_source, .create = brainset_create},
    .read = brainset_read,
    .write = brainset_write,
};

static const struct loom_plugin brainset_plugin = {
    .size = sizeof brainset_plugin,
    .build = LOOM_BUILD_BLOCK,
    .id = "brainset",
    .version = "1.0",
    .summary = "HDF5 of temporaldata, brainsets and torch_brain: spikes, signals, intervals; read and written.",
    .license = "Apache-2.0",
    .kind = LOOM_SOURCE,
    .options = brainset_options,
    .table = &brainset_source,
};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &brainset_plugin : NULL;
}
