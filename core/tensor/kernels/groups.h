/* SPDX-License-Identifier: Apache-2.0 */
/* Walking rows by group, and the arithmetic of dropout draws: what the reference and the fast kernels share. */
#ifndef LOOM_TENSOR_GROUPS_H
#define LOOM_TENSOR_GROUPS_H

#include <loom/graph.h>
#include <loom/rng.h>

/* Row number of entry i of the group list. */
static inline int64_t loom_group_row(const struct loom_groups *groups, int64_t i)
{
    return groups->row ? groups->row[i] : i;
}

/* Name of group g for random draws. */
static inline uint64_t loom_group_key(const struct loom_groups *groups, int64_t g)
{
    return groups->key ? groups->key[g] : (uint64_t)g;
}

/* Visits every entry of the groups in order: `while (loom_group_next(&w))` sets row, ordinal in the group, and the
 * group's key. Groups NULL: rows 0 … rows−1 as one group of key 0. */
struct loom_group_walk {
    const struct loom_groups *groups;
    int64_t at, end, group; /* next entry, last entry of this group + 1, this group */
    int64_t row, ordinal;
    uint64_t key;
};

static inline struct loom_group_walk loom_group_walk(const struct loom_groups *groups, int64_t rows)
{
    struct loom_group_walk w = {.groups = groups, .group = -1, .ordinal = -1};
    if (groups)
        w.at = w.end = groups->n ? groups->first[0] : 0;
    else
        w.end = rows;
    return w;
}

static inline int loom_group_next(struct loom_group_walk *w)
{
    while (w->groups && w->at == w->end) {
        if (++w->group >= w->groups->n)
            return 0;
        w->end = w->groups->first[w->group + 1];
        w->key = loom_group_key(w->groups, w->group);
        w->ordinal = -1;
    }
    if (w->at >= w->end)
        return 0;
    w->row = w->groups ? loom_group_row(w->groups, w->at) : w->at;
    w->at++;
    w->ordinal++;
    return 1;
}

/* Draws below the threshold are dropped; 16-bit draws. */
static inline uint32_t loom_draw_threshold(double p)
{
    return (uint32_t)(p * 65536 + 0.5);
}

/* What survivors are multiplied by: the inverse of the exact chance to be kept. */
static inline loom_real loom_draw_scale(uint32_t threshold)
{
    return (loom_real)(65536.0 / (65536.0 - threshold));
}

#endif
