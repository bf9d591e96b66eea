/* SPDX-License-Identifier: Apache-2.0 */
/* One forward by several threads, for latency: what a single window leaves to do when there is no second shard.
 *
 * Ops are gathered in regions while the graph is built. All nodes of a region split alike, into pieces of their output,
 * and piece i of one needs of the others of its region piece i alone: rows, by the row law. So a worker takes its share
 * of the pieces through all nodes of the region without waiting, in a cache that is its own, and only at a region's end
 * all wait for all. A transformer block is two regions: attention, and everything from there to the next attention.
 *
 * Shares are claimed: each worker comes for the same share first, so that its rows stay in its cache, and then for
 * those that nobody has taken yet, so that one which wakes late delays nobody. No sum is split, which leaves the bits
 * as they are. */
#include "base/threads.h"
#include "tensor/node.h"

#include <sched.h>
#include <stdatomic.h>

enum {
    SHARES = 64,        /* of a region at most: bits of a word */
    SPINS = 4000,       /* looks before a waiting worker offers its processor to others */
    WORTH = 150 * 1000, /* cost of a share that is worth a thread, as cost() counts: 1 to 2 us */
};

struct loom_region {
    struct loom_region *next;
    const struct loom_node *first, *last;
    int64_t pieces; /* 1: one thread runs all of it */
    int by_rows;    /* pieces are rows of every node */
    int shares;
    double cost;
    _Atomic uint64_t claimed, finished; /* a bit a share */
};

void loom_graph_set_pool(struct loom_graph *g, struct loom_pool *pool)
{
    g->pool = pool;
    g->spins = pool && loom_pool_workers(pool) <= loom_cpu_count() ? SPINS : 0;
}

static int64_t rows_of(const struct loom_node *n)
{
    int64_t rows = 1;
    for (int i = 0; i + 1 < n->shape.rank; i++)
        rows *= n->shape.dim[i];
    return rows;
}

/* Pieces that `pieces` counts, or 0 where they are rows. */
static int64_t own_pieces(const struct loom_node *n)
{
    return n->op->pieces ? n->op->pieces(n) : 0;
}

void loom_node_forward(const struct loom_node *n, void *scratch)
{
    if (n->op->forward) {
        n->op->forward(n, scratch);
        return;
    }
    int64_t own = own_pieces(n);
    n->op->forward_part(n, 0, own ? own : rows_of(n), scratch);
}

/* ---- build ---- */

/* In operations: a byte takes as long as two of them, give or take the cache it comes from. */
static double cost(const struct loom_node *n)
{
    size_t bytes = loom_node_bytes(n);
    for (int32_t i = 0; i < n->inputs; i++)
        bytes += loom_node_bytes(n->in[i]);
    return 2 * (double)bytes + (n->op->flops ? n->op->flops(n) : 0);
}

/* Whether a share of n needs of what region r makes the same share alone. */
static int stays_in_share(const struct loom_node *n, const struct loom_region *r)
{
    for (int32_t i = 0; i < n->inputs; i++) {
        const struct loom_node *x = n->in[i];
        if (x->region != r)
            continue;
        if (x->view == LOOM_VIEW_PART || i > 31 || !(n->op->row_local >> i & 1) || rows_of(x) != r->pieces)
            return 0;
    }
    return 1;
}

static int joins(const struct loom_node *n, const struct loom_region *r, int64_t pieces, int by_rows)
{
    if (!r)
        return 0;
    if (r->pieces == 1)
        return pieces == 1;
    return by_rows && r->by_rows && pieces == r->pieces && stays_in_share(n, r);
}

void loom_split_node(struct loom_graph *g, struct loom_node *n)
{
    if (n->view) {
        n->region = n->in[0]->region;
        return;
    }
    int64_t own = own_pieces(n), pieces = own ? own : rows_of(n);
    double spent = cost(n);
    struct loom_region *r = g->last_region;
    if (!n->op->forward_part || pieces < 1)
        pieces = 1;
    if (!joins(n, r, pieces, !own)) {
        if (spent < 2 * WORTH)
            pieces = 1;
        if (!joins(n, r, pieces, 0)) {
            r = loom_graph_alloc(g, sizeof(*r));
            if (!r)
                return;
            *r = (struct loom_region){.first = n, .pieces = pieces, .by_rows = !own && pieces > 1};
            *(g->region ? &g->last_region->next : &g->region) = r;
            g->last_region = r;
        }
    }
    r->last = n;
    r->cost += spent;
    n->region = r;
}

/* ---- forward ---- */

static uint64_t all_of(const struct loom_region *r)
{
    return r->shares == SHARES ? ~(uint64_t)0 : ((uint64_t)1 << r->shares) - 1;
}

static void run_share(const struct loom_region *r, int share, void *scratch)
{
    const int64_t first = r->pieces * share / r->shares, end = r->pieces * (share + 1) / r->shares;
    for (const struct loom_node *n = r->first;; n = n->next) {
        if (n->op && !n->view) {
            if (r->pieces == 1)
                loom_node_forward(n, scratch);
            else
                n->op->forward_part(n, first, end, scratch);
        }
        if (n == r->last)
            return;
    }
}

static void wait_for(struct loom_region *r, int spins)
{
    const uint64_t all = all_of(r);
    for (int i = 0; atomic_load_explicit(&r->finished, memory_order_acquire) != all; i++)
        if (i < spins)
            loom_pause();
        else
            sched_yield();
}

/* Through all regions, as any worker does it; one that comes last finds everything done. */
static void walk(void *payload, int task, int worker)
{
    const struct loom_graph *g = payload;
    void *scratch = (char *)g->scratch + g->scratch_need * (size_t)worker;
    (void)task;
    for (struct loom_region *r = g->region; r; r = r->next) {
        const int home = worker * r->shares / g->workers;
        for (int i = 0; i < r->shares; i++) {
            const int share = (home + i) % r->shares;
            const uint64_t bit = (uint64_t)1 << share;
            if (atomic_load_explicit(&r->claimed, memory_order_relaxed) & bit ||
                atomic_fetch_or_explicit(&r->claimed, bit, memory_order_relaxed) & bit)
                continue;
            run_share(r, share, scratch);
            atomic_fetch_or_explicit(&r->finished, bit, memory_order_release);
        }
        wait_for(r, g->spins);
    }
}

/* As many as are worth it, one a worker at most. */
static int shares_of(const struct loom_graph *g, const struct loom_region *r)
{
    int64_t shares = 1 + (int64_t)(r->cost / WORTH);
    shares = shares < g->workers ? shares : g->workers;
    shares = shares < r->pieces ? shares : r->pieces;
    return (int)(shares < SHARES ? shares : SHARES);
}

int loom_split_shares(const struct loom_graph *g)
{
    int shares = 0;
    for (const struct loom_region *r = g->region; r; r = r->next)
        shares += shares_of(g, r);
    return shares;
}

void loom_split_forward(struct loom_graph *g)
{
    for (struct loom_region *r = g->region; r; r = r->next) {
        r->shares = shares_of(g, r);
        atomic_init(&r->claimed, 0);
        atomic_init(&r->finished, 0);
    }
    loom_pool_run(g->pool, g->workers, walk, g);
}
