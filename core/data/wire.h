/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in order: how the sink's messages and the cache's description are written, and how they are read with every
 * length checked. Numbers stand in the machine's own order: both sides run on one machine, and a cache made elsewhere
 * is refused by its header. */
#ifndef LOOM_DATA_WIRE_H
#define LOOM_DATA_WIRE_H

#include <loom/types.h>

/* A growing buffer. The first failed allocation sticks in `failed`; later writes do nothing. */
struct loom_wire {
    unsigned char *data;
    size_t size, room;
    int failed;
};

void loom_wire_release(struct loom_wire *w);
void loom_wire_bytes(struct loom_wire *w, const void *bytes, size_t n);
void loom_wire_i32(struct loom_wire *w, int32_t v);
void loom_wire_i64(struct loom_wire *w, int64_t v);
void loom_wire_f64(struct loom_wire *w, double v);
void loom_wire_text(struct loom_wire *w, const char *text); /* with its length and its final zero; NULL = "" */

/* A view of bytes. The first read beyond the end, or of a text without its zero, sticks in `bad`; reads then give 0
 * and "". */
struct loom_view_bytes {
    const unsigned char *at, *end;
    int bad;
};

const void *loom_take_bytes(struct loom_view_bytes *v, uint64_t n); /* borrowed, unaligned; NULL when bad */
int32_t loom_take_i32(struct loom_view_bytes *v);
int64_t loom_take_i64(struct loom_view_bytes *v);
double loom_take_f64(struct loom_view_bytes *v);
const char *loom_take_text(struct loom_view_bytes *v); /* borrowed, never NULL */

#endif
