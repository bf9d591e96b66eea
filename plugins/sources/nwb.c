/* SPDX-License-Identifier: Apache-2.0 */
/* Source `nwb`: Neurodata Without Borders 2.0 to 2.10, by path. Paths: nwb-schema, format specification 2.x. */
#include "nwb.h"

#include "names.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct loom_option nwb_options[] = {
    {"series", LOOM_OPT_STRINGS, 0, "*", NULL, NULL,
     "Time series to read: paths, last names, or patterns of them (* and ?); * = all small ones, empty = none."},
    {"tables", LOOM_OPT_STRINGS, 0, "*", NULL, NULL, "Interval tables to read, by name or pattern."},
    {"held_out_column", LOOM_OPT_STRING, 0, "heldout", NULL, NULL, "Column of /units that marks held-out units."},
    {"unit_name", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "Column of /units with the units' names; empty = unit and its id."},
    {"unit_region", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "Column of /units with regions; empty = location of the unit's electrode."},
    {"task", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the task."},
    {"resample_ms", LOOM_OPT_REAL, 0, "0.0", "[0,inf)", "ms",
     "Step to which series sampled faster are low-pass filtered and decimated, on multiples of it on the file's clock "
     "(as the Neural Latents Benchmark does); 0 = as recorded."},
    {"max_dims", LOOM_OPT_INT, 0, "64", "[1,100000]", NULL, "Series with more dimensions are read only when named."},
    {0},
};

static int check_version(struct nwb *w)
{
    char version[64];
    if (h5_attr_text(&w->h, "/", "nwb_version", version, sizeof version)) {
        if (strncmp(version, "2", 1) == 0 || strncmp(version, "NWB-2", 5) == 0)
            return LOOM_OK;
        return loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                         "is NWB %.32s; versions 2.0 to 2.10 are read: export it anew", version);
    }
    if (h5_text(&w->h, "/nwb_version", version, sizeof version))
        return loom_fail(
            w->h.e, LOOM_EDATA, w->h.name, 0,
            "is %.32s, the old schema of before 2018; versions 2.0 to 2.10 are read: ask for a newer export of "
            "the data set, or convert it with the laboratory's own scripts and pynwb",
            version);
    return loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "is HDF5 but no NWB file (no nwb_version); name another source");
}

static int begin(struct nwb *w, const char *file)
{
    char stem[STEM_NAME], subject[256], session[256], date[64];
    stem_of(stem, file);
    h5_text(&w->h, "/general/subject/subject_id", subject, sizeof subject);
    if (!h5_text(&w->h, "/general/session_id", session, sizeof session) || session[0] == '\0')
        if (!h5_text(&w->h, "/identifier", session, sizeof session))
            snprintf(session, sizeof session, "%s", stem);
    h5_text(&w->h, "/session_start_time", date, sizeof date);
    return loom_sink_recording(w->h.sink, stem, subject, session, loom_opt_string(w->o, "task"), date);
}

static int nwb_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)e;
    *self = (void *)(uintptr_t)loom_setup_options(s);
    return LOOM_OK;
}

static int nwb_read(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    struct nwb w = {.o = self, .last_trial_s = NAN, .last_observed_s = NAN};
    if (file == NULL)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "source nwb reads a file; name it in files");
    int status = h5_open(&w.h, file, sink, e);
    if (status == LOOM_OK)
        status = check_version(&w);
    if (status == LOOM_OK)
        status = begin(&w, file);
    if (status == LOOM_OK)
        status = nwb_tables(&w);
    if (status == LOOM_OK)
        status = nwb_units(&w);
    if (status == LOOM_OK)
        status = nwb_series(&w);
    h5_close(&w.h);
    return status;
}

static const struct loom_source nwb_source = {
    .part = {.size = sizeof nwb_source, .create = nwb_create},
    .read = nwb_read,
};

static const struct loom_plugin nwb_plugin = {
    .size = sizeof nwb_plugin,
    .build = LOOM_BUILD_BLOCK,
    .id = "nwb",
    .version = "1.0",
    .summary = "Neurodata Without Borders 2.x: units, interval tables, time series.",
    .license = "Apache-2.0",
    .kind = LOOM_SOURCE,
    .options = nwb_options,
    .table = &nwb_source,
};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &nwb_plugin : NULL;
}
