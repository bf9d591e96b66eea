/* SPDX-License-Identifier: Apache-2.0 */
/* The store: all mutable memory of one model, by name. Parameters lie in one contiguous block, so that optimizer,
 * clipping, joining of shards and checkpoints are flat loops.
 *
 * Life: new → declared into while the model is built once without running → sealed (blocks allocated, initial values
 * drawn as functions of (seed, name)) → read by many workers, written by one thread between steps. */
#ifndef LOOM_MODEL_STORE_H
#define LOOM_MODEL_STORE_H

#include <loom/types.h>

enum loom_lifetime { LOOM_LIFE_PARAM, LOOM_LIFE_STATE, LOOM_LIFE_SUM, LOOM_LIFE_TERM, LOOM_LIVES };

struct loom_entry {
    char *name; /* full, dotted: "backbone.block0.attention.qkv.weight" */
    uint64_t hash;
    int lifetime; /* enum loom_lifetime */
    int rank;
    int64_t dim[4];
    int64_t offset, size;   /* elements, in the block of its lifetime; offsets are multiples of 16 */
    unsigned flags;         /* enum loom_param_flags */
    char *init;             /* see loom_param */
    char *vocabulary;       /* of a table: axis 0 has a name for each row; else NULL */
    const char *const *row; /* [dim[0]] borrowed names of the catalogue, or NULL */
    double lr_scale;        /* of the optimizer; 0 = frozen. 1 unless the stage says otherwise */
    int moves;              /* 1: some part reads it with a gradient; else it is frozen whatever the stage says */
};

struct loom_store {
    uint64_t seed;
    int count, capacity;
    struct loom_entry *entry;
    int32_t *index; /* open-addressing hash → entry */
    int index_size;
    int sealed;
    int64_t size[LOOM_LIVES]; /* elements of each block, padding included */
    loom_real *param;         /* [size[PARAM]] */
    loom_real *shadow;        /* moving average of param, or NULL */
    loom_real *state;         /* [size[STATE]] */
};

/* What one shard adds to: gradients, sums and terms. Joined pairwise over a fixed tree: left += right. */
struct loom_block {
    loom_real *grad;  /* [size[PARAM]] */
    double *sum;      /* [size[SUM]] */
    double *term;     /* [size[TERM]] */
    uint8_t *written; /* [entries] 0: the gradient of this one holds rubbish */
};

int loom_store_new(struct loom_store **out, uint64_t seed, struct loom_error *e);
void loom_store_free(struct loom_store *s);
/* Entry `name`, created while the store is open. NULL with `e` filled: wrong shape, sealed, out of memory. */
struct loom_entry *loom_store_declare(struct loom_store *s, int lifetime, const char *name, int rank,
                                      const int64_t *dim, const char *init, unsigned flags, struct loom_error *e);
struct loom_entry *loom_store_find(const struct loom_store *s, int lifetime, const char *name);
int loom_store_seal(struct loom_store *s, int with_shadow, struct loom_error *e); /* allocates, draws initial values */
/* Draw entry's initial values, rows of a table by (seed, name, row name). */
int loom_store_init_entry(const struct loom_store *s, const struct loom_entry *n, loom_real *out, struct loom_error *e);
int64_t loom_store_parameters(const struct loom_store *s); /* count without padding */

int loom_block_init(struct loom_block *b, const struct loom_store *s, struct loom_error *e); /* zeroed */
void loom_block_release(struct loom_block *b);
void loom_block_zero(struct loom_block *b, const struct loom_store *s);
/* The same for a block that shards will write to, without touching gradients: what is added to one first is written in
 * its place, and loom_block_finish zeroes those that nothing was added to. */
void loom_block_start(struct loom_block *b, const struct loom_store *s);
void loom_block_finish(struct loom_block *b, const struct loom_store *s);
void loom_block_join(struct loom_block *left, const struct loom_block *right,
                     const struct loom_store *s); /* left += right, in index order */

#endif
