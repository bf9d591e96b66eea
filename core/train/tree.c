/* SPDX-License-Identifier: Apache-2.0 */
#include "train/tree.h"

#include <stdlib.h>

static int ceil_log2(int n)
{
    int bits = 0;
    while ((1 << bits) < n)
        bits++;
    return bits;
}

int loom_tree_init(struct loom_tree *t, const struct loom_store *store, int shards, int workers, struct loom_error *e)
{
    int depth = ceil_log2(shards), needed = workers * (depth + 1);
    int code = LOOM_OK;
    *t = (struct loom_tree){.store = store, .shards = shards, .leaves = 1 << depth};
    pthread_mutex_init(&t->lock, NULL);
    if (needed > shards)
        needed = shards;
    t->node = calloc((size_t)t->leaves * 2, sizeof *t->node);
    t->arrived = calloc((size_t)t->leaves * 2, sizeof *t->arrived);
    t->block = calloc((size_t)needed, sizeof *t->block);
    t->free_block = calloc((size_t)needed, sizeof *t->free_block);
    if (!t->node || !t->arrived || !t->block || !t->free_block)
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to join %d shards: use fewer shards", shards);
    for (; code == LOOM_OK && t->blocks < needed; t->blocks++)
        code = loom_block_init(&t->block[t->blocks], store, e);
    if (code != LOOM_OK)
        loom_tree_release(t);
    else
        loom_tree_start(t);
    return code;
}

void loom_tree_release(struct loom_tree *t)
{
    if (!t->leaves)
        return;
    for (int i = 0; i < t->blocks; i++)
        loom_block_release(&t->block[i]);
    free(t->node);
    free(t->arrived);
    free(t->block);
    free(t->free_block);
    pthread_mutex_destroy(&t->lock);
    *t = (struct loom_tree){0};
}

void loom_tree_start(struct loom_tree *t)
{
    for (int i = 0; i < 2 * t->leaves; i++) {
        t->node[i] = NULL;
        atomic_store(&t->arrived[i], 0);
    }
    for (int i = 0; i < t->blocks; i++)
        t->free_block[i] = &t->block[i];
    t->free_count = t->blocks;
}

struct loom_block *loom_tree_take(struct loom_tree *t)
{
    struct loom_block *b = NULL;
    pthread_mutex_lock(&t->lock);
    if (t->free_count > 0)
        b = t->free_block[--t->free_count];
    pthread_mutex_unlock(&t->lock);
    if (b)
        loom_block_start(b, t->store);
    return b;
}

static void put_back(struct loom_tree *t, struct loom_block *b)
{
    pthread_mutex_lock(&t->lock);
    t->free_block[t->free_count++] = b;
    pthread_mutex_unlock(&t->lock);
}

/* The first shard below heap node `n`. */
static int first_shard(const struct loom_tree *t, int n)
{
    while (n < t->leaves)
        n *= 2;
    return n - t->leaves;
}

void loom_tree_give(struct loom_tree *t, int i, struct loom_block *b)
{
    int n = t->leaves + i;
    t->node[n] = b;
    while (n > 1) {
        int parent = n / 2, left = 2 * parent, right = left + 1;
        if (first_shard(t, right) < t->shards) {
            if (atomic_fetch_add(&t->arrived[parent], 1) == 0)
                return;
            loom_block_join(t->node[left], t->node[right], t->store);
            put_back(t, t->node[right]);
        }
        t->node[parent] = t->node[left];
        n = parent;
    }
}

struct loom_block *loom_tree_root(const struct loom_tree *t)
{
    return t->node[1];
}
