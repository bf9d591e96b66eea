/* SPDX-License-Identifier: Apache-2.0 */
/* What attention's forward and backward share: a group, a head and a tile of queries at a time.
 *
 * Operands are read where they lie when the group's rows follow each other and need no turning, and else staged: copied
 * together, turned by their angles. While products run they ask for the rows of the head after (`ahead`), which lie far
 * apart. Scores [tile, keys] stand in scratch whole, so the sum over keys is one chain in the order of their index.
 * Scratch grows with the keys of a group, not with their square. */
#ifndef LOOM_TENSOR_ATTEND_H
#define LOOM_TENSOR_ATTEND_H

#include "tensor/kernels/draw.h"
#include "tensor/kernels/groups.h"
#include "tensor/kernels/kernels.h"
#include "tensor/kernels/tile.h"

/* Rows of the head at hand, where they lie or staged: row i from at + i ld on, whole panels of columns. */
struct loom_attend_rows {
    const loom_real *at;
    int64_t ld;
};

/* Where the head's results go: row i from at + i ld on. */
struct loom_attend_sums {
    loom_real *at;
    int64_t ld;
    int direct;     /* into the result itself, else into a buffer that loom_attend_unload carries there */
    int accumulate; /* chains start at what is there */
};

/* Buffers in the caller's scratch. w = dim rounded up to whole panels; n = keys of the largest group. */
struct loom_attend_room {
    loom_real *q, *k, *v, *dout; /* staged rows [tile, w], [n, w], [n, w], [tile, w] */
    loom_real *sums, *dk, *dv;   /* [tile, w] outputs or dq; [n, w], [n, w]: backward */
    loom_real *by;               /* [tile] 1/Σ exp; in backward Σ dout out */
    loom_real *keys, *values;    /* panels of keysᵀ [dim, n], and of valuesᵀ: backward */
    loom_real *score, *dscore;   /* [tile, ld] */
    loom_real *hidden;           /* [tile, ld] 0 where a key is seen, −inf where not */
    uint8_t *kept;               /* [tile, (n + 7)/8] bits: the dropout draws of the tile */
    double *k_time;              /* [n] */
    uint8_t *k_context;          /* [n] */
};

struct loom_attend {
    const struct loom_attention_args *a;
    struct loom_attend_room room;
    int32_t group, head, dim, wide; /* wide: dim rounded up to whole panels */
    int32_t backward;
    int64_t queries, keys, ld;    /* of the group; ld: of a row of scores */
    int64_t tile;                 /* queries at a time */
    int q_in_row, k_in_row;       /* the group's rows follow each other */
    int hides;                    /* the rule hides keys: `hidden` is in use */
    int hidden_whole;             /* `hidden` holds the whole group, made once for all heads */
    loom_real scale;              /* 1/√dim */
    uint32_t threshold;           /* of dropout; 0: none */
    loom_real survives;           /* what survivors of dropout are multiplied by */
    struct loom_ahead ahead;      /* rows of the next head */
    struct loom_attend_rows k, v; /* of the head at hand */
    /* of the tile at hand: */
    int64_t first, count; /* queries [first, first + count) of the group */
    int64_t end;          /* no query from here on */
    int64_t low, high;    /* keys outside are hidden from all of them; low is a multiple of 32 */
    struct loom_attend_rows q, dout;
};

/* Lay out the scratch (NULL: only count) for the largest group and return its bytes. */
size_t loom_attend_plan(const struct loom_attention *rule, int backward, void *scratch, struct loom_attend_room *room)
    LOOM_OF_SET("attend_plan");
void loom_attend_init(struct loom_attend *w, const struct loom_attention_args *a, int backward, void *scratch)
    LOOM_OF_SET("attend_init");
/* enter a group */
void loom_attend_group(struct loom_attend *w, int32_t group) LOOM_OF_SET("attend_group");
/* its keys and values; packed keys */
void loom_attend_head(struct loom_attend *w, int32_t head) LOOM_OF_SET("attend_head");
/* queries first …, in backward dout and Σ dout out; products with the keys in room.score, draws */
void loom_attend_tile(struct loom_attend *w, int64_t first) LOOM_OF_SET("attend_tile");

/* One result of the head at hand: rows `first` … of the group's queries or keys. */
struct loom_attend_result {
    loom_real *to; /* [rows, ld] of head 0, or NULL: not wanted */
    int64_t ld;
    int of_keys;
    int64_t first, count;
    const loom_real *cosine, *sine; /* turned back by these angles on the way out; cosine NULL: not turned */
    loom_real *buffer;              /* [count, w] for what cannot be written where it goes */
    int accumulate;
};
struct loom_attend_sums loom_attend_sums(const struct loom_attend *w, const struct loom_attend_result *r)
    LOOM_OF_SET("attend_sums");
/* The buffer's rows, row i times by[i] (NULL: 1), to where they belong; of direct results only the factors are due. */
void loom_attend_unload(const struct loom_attend *w, const struct loom_attend_result *r, const loom_real *by)
    LOOM_OF_SET("attend_unload");

/* Row number of the group's query or key i. */
static inline int64_t loom_attend_query(const struct loom_attend *w, int64_t i)
{
    const struct loom_groups *groups = &w->a->rule->q_groups;
    return loom_group_row(groups, groups->first[w->group] + i);
}

static inline int64_t loom_attend_key(const struct loom_attend *w, int64_t i)
{
    const struct loom_groups *groups = &w->a->rule->k_groups;
    return loom_group_row(groups, groups->first[w->group] + i);
}

/* Hidden keys of the tile's query i, or NULL. */
const loom_real *loom_attend_hidden(const struct loom_attend *w, int64_t i) LOOM_OF_SET("attend_hidden");
/* Bits of the dropout draws of the tile's query i over all keys of the group; NULL: nothing is dropped. */
static inline const uint8_t *loom_attend_kept(const struct loom_attend *w, int64_t i)
{
    return w->threshold ? w->room.kept + i * ((w->keys + 7) / 8) : NULL;
}

#endif
