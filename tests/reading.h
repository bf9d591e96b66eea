/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a file in a test as a run would: by the plugin's name and its options as text. */
#ifndef LOOM_TESTS_READING_H
#define LOOM_TESTS_READING_H

#include "suite.h"

#include "data/by_source.h"
#include "plugin/registry.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[256];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void scratch_remove(void)
{
    nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A folder for the test's files, which is the cache too; called again in a test it makes one inside. */
static inline void scratch_make(void)
{
    const char *tmp = getenv("TMPDIR");
    if (scratch[0] == '\0')
        snprintf(scratch, sizeof scratch, "%s/loom-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
    else
        strcat(scratch, "/XXXXXX");
    if (mkdtemp(scratch) == NULL)
        abort();
    setenv("LOOM_CACHE", scratch, 1);
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
}

static inline const char *scratch_path(const char *name)
{
    static char path[8][320];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", scratch, name);
    return p;
}

/* `how` carries the limits. `plugin` is an id or a file. */
static inline int read_by(struct loom_recordings **out, const char *plugin, const char *options, const char *file,
                          struct loom_ingest how, struct loom_error *e)
{
    how.file = file;
    return loom_recordings_by(out, &(struct loom_by_source){.id = plugin, .options = options}, how, e);
}

/* What the reading process warned of, all lines together. */
static char warned[16384];

static inline void keep_warning(void *payload, int level, const char *message)
{
    (void)payload;
    if (level == LOOM_WARN && strlen(warned) + strlen(message) + 2 < sizeof warned)
        strcat(strcat(warned, message), "\n");
}

/* Path of tests/golden/NAME; valid for three more calls. */
static inline const char *golden(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/%s", name);
    return in_sources(path);
}

/* Past the cache. */
static const struct loom_ingest anew = {.refresh = 1};

/* What must be read, with what it warned of in `warned`; the caller frees it. */
static inline struct loom_recordings *sound(const char *source, const char *options, const char *path)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    warned[0] = '\0';
    ck_ok(read_by(&set, source, options, path, anew, &e), &e);
    return set;
}

#endif
