/* SPDX-License-Identifier: Apache-2.0 */
/* What a recorder holds, shared by its two halves: taking messages (recorder.c) and saving (recorder_save.c). */
#ifndef LOOM_DATA_RECORDER_PARTS_H
#define LOOM_DATA_RECORDER_PARTS_H

#include <stdint.h>

#include "data/recorder.h"

/* Bytes of one array in the spool, in pieces as they came. */
struct loom_piece {
    int64_t at, bytes;
};
struct loom_pieces {
    struct loom_piece *piece;
    int32_t count, room;
    int64_t bytes;
    uint32_t crc;    /* of all its bytes */
    int32_t section; /* of the cache, where it stays in its place; -1 = it is copied */
};

struct loom_taken_unit {
    char *name, *group, *region;
    int32_t electrode, held_out;
    double position[3], last_s;
    struct loom_pieces spikes;
};

struct loom_taken_block {
    double start_s;
    int64_t bins, taken; /* promised, and come so far */
};

struct loom_taken_series {
    char *name, *unit;
    char **dim_name;
    int32_t dims;
    double rate_hz, start_s, first_s, last_s;
    int64_t samples;
    struct loom_pieces times, values;
};

struct loom_taken_column {
    char *name;
    int is_text;
    struct loom_pieces values;
};

struct loom_taken_intervals {
    char *name;
    int32_t rows;
    double first_s, last_s;
    struct loom_pieces start, stop;
    struct loom_taken_column *column;
    int32_t columns, column_room;
};

struct loom_taken {
    char *text[5]; /* id, subject, session, task, date */
    struct loom_taken_unit *unit;
    struct loom_taken_block *block;
    struct loom_taken_series *series;
    struct loom_taken_intervals *intervals;
    double *observed; /* pairs */
    int32_t units, unit_room, blocks, block_room, series_count, series_room, intervals_count, intervals_room;
    int32_t observed_count, observed_room;
    double bin_s;
    double first_s, last_s; /* span of the spikes */
    int64_t spikes;
    int32_t last_unit;         /* whose spikes came last */
    int disordered;            /* spikes came in another order than that of the cache: units, then times */
    struct loom_pieces trains; /* the spikes of all units, as they came */
    struct loom_pieces bins;
};

struct loom_recorder {
    int spool; /* file descriptor without a name; arrays stand in it as in a cache, behind room for its header */
    char *folder;
    int64_t spooled, limit, described; /* bytes */
    int state;
    uint32_t number; /* of the next frame */
    char file[256], object[512];
    struct loom_taken *taken;
    int32_t count, room;
};

#endif
