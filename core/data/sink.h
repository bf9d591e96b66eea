/* SPDX-License-Identifier: Apache-2.0 */
/* The pipe between the ingest child and its parent: frames {tag, bytes, number, crc32c} with a payload each.
 *
 * The parent trusts none of it: the child has parsed a file of unknown origin and may be in any state. */
#ifndef LOOM_DATA_SINK_H
#define LOOM_DATA_SINK_H

#include <loom/data.h>

enum loom_message {
    LOOM_MSG_OBJECT = 1, /* text */
    LOOM_MSG_WARN,       /* text */
    LOOM_MSG_RECORDING,  /* texts id, subject, session, task, date */
    LOOM_MSG_UNIT,       /* texts name, group, region; i32 electrode, held_out; f64 x, y, z */
    LOOM_MSG_SPIKES,     /* i32 unit, then f64 … */
    LOOM_MSG_SPIKES_AT,  /* i32 unit; i64 at, n: they stand in the source's file */
    LOOM_MSG_COUNTS,     /* f64 start_s, bin_s; i64 bins: a block begins */
    LOOM_MSG_BINS,       /* u16 …, whole bins of the block begun last */
    LOOM_MSG_SERIES,     /* texts name, unit; f64 rate_hz, start_s; i32 dims, then texts */
    LOOM_MSG_TIMES,      /* i32 series; f64 …: of series with rate_hz 0, as many as samples in the end */
    LOOM_MSG_SAMPLES,    /* i32 series; f32 …, whole samples */
    LOOM_MSG_SAMPLES_AT, /* i32 series; i64 at, n: they stand in the source's file */
    LOOM_MSG_INTERVALS,  /* text name; i32 rows; f64 starts, f64 stops */
    LOOM_MSG_NUMBERS,    /* text name; f64 … */
    LOOM_MSG_TEXTS,      /* text name; texts */
    LOOM_MSG_OBSERVED,   /* f64 start_s, stop_s */
    LOOM_MSG_FAIL,       /* i32 code; text: the last message of a source that gave up */
    LOOM_MSG_DONE,       /* the last message of a source that finished */
    LOOM_MSG_KINDS
};

struct loom_frame {
    uint32_t tag, bytes, number, crc; /* crc of the three before it and the payload */
};

#define LOOM_FRAME_MOST (64u << 20) /* bytes; a longer frame is a broken child */

/* The frame's checksum, where the payload is whole; else of its first `bytes`, to be gone on with. */
uint32_t loom_frame_crc(const struct loom_frame *f, const void *payload, size_t bytes);

/* A sink that writes to `fd`, which stays the caller's. NULL if out of memory. */
struct loom_sink *loom_sink_new(int fd);
/* Says how it ended (code LOOM_OK: done) and frees. */
void loom_sink_close(struct loom_sink *s, int code, const char *message);

#endif
