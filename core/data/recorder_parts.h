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
    int64_t samples, timed; /* that have come, and times of them */
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
    char *source;                   /* path of the file that is read; NULL = none */
    int source_fd;                  /* open once values are read from it; -1 before */
    int64_t source_bytes, infinite; /* infinite: values from there that became NaN */
    unsigned char *piece;           /* of that file */
    struct loom_taken *taken;
    int32_t count, room;
};

int loom_recorder_refuse(const struct loom_recorder *r, struct loom_error *e, const char *fmt, ...) LOOM_PRINTF(3, 4);
int loom_recorder_starved(const struct loom_recorder *r, struct loom_error *e);
/* Room for one more element in the array at *array; NULL when memory or the limit is reached. */
void *loom_recorder_grow(void *array, int32_t count, int32_t *room, int32_t most, size_t size);
/* The n bytes at this place of the spool belong to `p`, behind what it has. */
int loom_recorder_note(const struct loom_recorder *r, struct loom_pieces *p, int64_t at, size_t n,
                       struct loom_error *e);
/* Writes them. What does not go on with `p` begins where a section of a cache may. */
int loom_recorder_spool(struct loom_recorder *r, struct loom_pieces *p, const void *bytes, size_t n,
                        struct loom_error *e);

/* Messages about values, as data/sink.h lists them (recorder_values.c). */
int loom_recorder_take_spikes(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                              struct loom_error *e);
int loom_recorder_take_spikes_at(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                                 struct loom_error *e);
int loom_recorder_take_series(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                              struct loom_error *e);
int loom_recorder_take_times(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                             struct loom_error *e);
int loom_recorder_take_samples(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                               struct loom_error *e);
int loom_recorder_take_samples_at(struct loom_recorder *r, struct loom_taken *t, struct loom_view_bytes *v,
                                  struct loom_error *e);
int loom_recorder_check_series(struct loom_recorder *r, const struct loom_taken *t, struct loom_error *e);
void loom_span_widen(double *first, double *last, double t); /* so that they enclose t */

#endif
