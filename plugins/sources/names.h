/* SPDX-License-Identifier: Apache-2.0 */
/* Names that sources give where a file has none. */
#ifndef LOOM_SOURCES_NAMES_H
#define LOOM_SOURCES_NAMES_H

#include <stdio.h>
#include <string.h>

enum { STEM_NAME = 256, DIM_NAME = 12 };

/* "/data/day1.nwb" → "day1": the recording, and its session. */
static inline void stem_of(char out[STEM_NAME], const char *file)
{
    const char *slash = strrchr(file, '/');
    snprintf(out, STEM_NAME, "%s", slash != NULL ? slash + 1 : file);
    char *dot = strrchr(out, '.');
    if (dot != NULL)
        *dot = '\0';
}

/* Of dimension i of so many: x, y, z where they may be places, else its number. */
static inline void dim_name_of(char out[DIM_NAME], size_t i, size_t dims)
{
    if (dims == 2 || dims == 3)
        snprintf(out, DIM_NAME, "%c", "xyz"[i]);
    else
        snprintf(out, DIM_NAME, "%zu", i % 100000000);
}

#endif
