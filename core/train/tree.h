/* SPDX-License-Identifier: Apache-2.0 */
/* Joining the blocks of a step's shards over one fixed binary tree.
 *
 * Leaf i is shard i; parents join neighbours, left += right; a node without a right neighbour passes upwards unchanged.
 * Which two blocks meet, and in which order they are added, is a function of the number of shards alone; whoever brings
 * the second of two does the addition. So the root's bits do not depend on the number or speed of workers.
 *
 * At most W·(⌈log₂ C⌉+1) blocks are in use with W workers that take C shards in ascending order. */
#ifndef LOOM_TRAIN_TREE_H
#define LOOM_TRAIN_TREE_H

#include "model/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct loom_tree {
    const struct loom_store *store; /* borrowed */
    int shards, leaves;             /* leaves: shards rounded up to a power of two */
    struct loom_block *
        *node;           /* [2·leaves] heap order: 1 root, leaf i at leaves+i; finished, waiting for its neighbour */
    atomic_int *arrived; /* [2·leaves] neighbours that reached a parent */
    int blocks, free_count;
    struct loom_block *block;       /* [blocks] */
    struct loom_block **free_block; /* [blocks] a stack */
    pthread_mutex_t lock;           /* of the stack */
};

int loom_tree_init(struct loom_tree *t, const struct loom_store *store, int shards, int workers, struct loom_error *e);
void loom_tree_release(struct loom_tree *t);
void loom_tree_start(struct loom_tree *t); /* before each step: all blocks free */
/* Any worker: a block for a shard about to start (loom_block_start); finish it before it is given. Never NULL while
 * shards are taken in ascending order. */
struct loom_block *loom_tree_take(struct loom_tree *t);
/* Any worker: shard `i` is done. Joins upwards as far as neighbours are there. */
void loom_tree_give(struct loom_tree *t, int i, struct loom_block *b);
/* After all shards were given: the sum. Valid until the next start. */
struct loom_block *loom_tree_root(const struct loom_tree *t);

#endif
