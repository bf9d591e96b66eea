/* SPDX-License-Identifier: Apache-2.0 */
/* A folder for the files of one test: made before it, removed after it unless LOOM_KEEP is set. */
#ifndef LOOM_TESTS_FOLDER_H
#define LOOM_TESTS_FOLDER_H

#include "suite.h"

#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/loom-folder-XXXXXX";
static struct loom_error error;

/* Valid until the next call. */
static inline const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static inline void put(const char *name, const char *text)
{
    ck_ok(loom_file_write(in_folder(name), text, strlen(text), &error), &error);
}

/* The caller frees it. */
static inline char *get(const char *name)
{
    char *text;
    size_t size;
    ck_ok(loom_file_read(&text, &size, in_folder(name), 1 << 26, &error), &error);
    return text;
}

static inline void folder_make(void)
{
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    loom_error_clear(&error);
}

static inline void folder_remove(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (getenv("LOOM_KEEP") == NULL)
        ck_assert_int_eq(system(command), 0);
}

#endif
