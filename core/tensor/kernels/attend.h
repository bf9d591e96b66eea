/* SPDX-License-Identifier: Apache-2.0 */
/* What attention's forward and backward share: a group and a head at a time, queries in tiles.
 *
 * Keys and values of the head are gathered from the group's rows, turned by their angles and packed into panels once;
 * then a tile of queries passes: scores [tile, keys] stand in scratch whole, so the sum over keys is one chain in the
 * order of their index. Scratch grows with the keys of a group, not with their square. */
#ifndef LOOM_TENSOR_ATTEND_H
#define LOOM_TENSOR_ATTEND_H

#include "tensor/kernels/draw.h"
#include "tensor/kernels/groups.h"
#include "tensor/kernels/kernels.h"
#include "tensor/kernels/tile.h"

/* Buffers in the caller's scratch. d = head_dim, w = d rounded up to whole panels, n = keys of the largest group. */
struct loom_attend_room {
    loom_real *rows;           /* [n, d] rows on their way to a panel */
    loom_real *keys, *values;  /* panels: keysᵀ [d, n], values [n, d] */
    loom_real *keys_by_row;    /* panels of keys [n, d], and of valuesᵀ [d, n]: backward */
    loom_real *values_across;  /* */
    loom_real *q, *dout;       /* [tile, d] queries, turned and scaled; gradients of outputs, turned */
    loom_real *q_panels;       /* panels of q and dout as [tile, d]: backward */
    loom_real *dout_panels;    /* */
    loom_real *score, *dscore; /* [tile, ld] */
    loom_real *hidden;         /* [tile, ld] 0 where a key is seen, −inf where not */
    loom_real *out;            /* [tile, w] sums over keys */
    loom_real *dk, *dv;        /* [n, w] sums over queries: backward */
    double *k_time;            /* [n] */
    uint8_t *k_context;        /* [n] */
};

struct loom_attend {
    const struct loom_attention_args *a;
    struct loom_attend_room room;
    int32_t group, head, dim, wide; /* wide: dim rounded up to whole panels */
    int64_t queries, keys, ld;      /* of the group; ld: of a row of scores */
    int64_t tile;                   /* queries at a time */
    int hides;                      /* the rule hides keys: `hidden` is in use */
    int hidden_whole;               /* `hidden` holds the whole group, made once for all heads */
    /* of the tile at hand: */
    int64_t first, count; /* queries [first, first + count) of the group */
    int64_t low, high;    /* keys outside are hidden from all of them; low is a multiple of 32 */
};

/* Lay out the scratch (NULL: only count) for the largest group and return its bytes. */
size_t loom_attend_plan(const struct loom_attention *rule, int backward, void *scratch, struct loom_attend_room *room)
    LOOM_OF_SET("attend_plan");
void loom_attend_init(struct loom_attend *w, const struct loom_attention_args *a, int backward, void *scratch)
    LOOM_OF_SET("attend_init");
/* enter a group */
void loom_attend_group(struct loom_attend *w, int32_t group) LOOM_OF_SET("attend_group");
/* pack its keys and values */
void loom_attend_head(struct loom_attend *w, int32_t head, int backward) LOOM_OF_SET("attend_head");
/* scores of queries first … into room.score */
void loom_attend_tile(struct loom_attend *w, int64_t first) LOOM_OF_SET("attend_tile");

/* Row number of the group's query or key i. */
int64_t loom_attend_query(const struct loom_attend *w, int64_t i) LOOM_OF_SET("attend_query");
int64_t loom_attend_key(const struct loom_attend *w, int64_t i) LOOM_OF_SET("attend_key");
/* Hidden keys of the tile's query i, or NULL. */
const loom_real *loom_attend_hidden(const struct loom_attend *w, int64_t i) LOOM_OF_SET("attend_hidden");
/* Dropout draws of the tile's query i over all keys of the group. */
struct loom_draw_row loom_attend_draws(const struct loom_attend *w, int64_t i) LOOM_OF_SET("attend_draws");

/* out[dim] = by × in, each pair (2i, 2i+1) turned by the row's angle; tables NULL: not turned. in may be out. */
void loom_turn(int32_t dim, const loom_real *cosine, const loom_real *sine, int64_t row, loom_real by,
               const loom_real *in, loom_real *out) LOOM_OF_SET("turn");
/* The same by the negative angle; accumulate = 1 adds to out. */
void loom_turn_back(int32_t dim, const loom_real *cosine, const loom_real *sine, int64_t row, loom_real by,
                    const loom_real *in, loom_real *out, int accumulate) LOOM_OF_SET("turn_back");

#endif
