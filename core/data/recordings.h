/* SPDX-License-Identifier: Apache-2.0 */
/* The recordings of one file over their mapped cache. */
#ifndef LOOM_DATA_RECORDINGS_H
#define LOOM_DATA_RECORDINGS_H

#include <loom/data.h>

#include "base/arena.h"

struct loom_recordings {
    const unsigned char *map;
    uint64_t bytes;
    char *file;
    struct loom_arena arena; /* structs and pointers; arrays and texts stand in the mapping */
    const struct loom_recording *recording;
    int32_t count;
};

#endif
