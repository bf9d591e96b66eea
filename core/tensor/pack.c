/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/packs.h"

#include "tensor/node.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY = -1 };

/* A weight laid out for the product kernels. `state` is the run (of a graph) or version (of a shared set) that it was
 * filled for, 0 before the first, BUSY while a worker fills it. */
struct loom_pack {
    struct loom_pack *next; /* of the same slot */
    const void *value;
    const struct loom_kernels *kernels;
    int64_t rows, columns;
    int kind;
    struct loom_packs *owner; /* NULL: the graph's own */
    void *data;
    _Atomic int64_t state;
};

struct loom_packs {
    struct loom_arena arena;
    pthread_mutex_t lock; /* of arena and table */
    struct loom_pack *table[LOOM_PACK_SLOTS];
    int64_t version;
    _Atomic uint64_t made;
};

int loom_packs_new(struct loom_packs **out, size_t bytes, struct loom_error *e)
{
    struct loom_packs *p = calloc(1, sizeof(*p));
    *out = NULL;
    if (!p)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for packed weights: close other programs");
    int status = loom_arena_init(&p->arena, bytes, e);
    if (status != LOOM_OK) {
        free(p);
        return status;
    }
    pthread_mutex_init(&p->lock, NULL);
    p->version = 1;
    *out = p;
    return LOOM_OK;
}

void loom_packs_free(struct loom_packs *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    loom_arena_release(&p->arena);
    free(p);
}

void loom_packs_stale(struct loom_packs *p)
{
    p->version++;
}

uint64_t loom_packs_made(const struct loom_packs *p)
{
    return atomic_load_explicit(&p->made, memory_order_relaxed);
}

size_t loom_packs_peak(const struct loom_packs *p)
{
    return p->arena.peak;
}

void loom_graph_set_packs(struct loom_graph *g, struct loom_packs *p)
{
    g->packs = p;
}

/* ---- finding ---- */

static unsigned slot_of(const void *value, int kind)
{
    uint64_t hash = ((uint64_t)(uintptr_t)value >> 6) * 0x9e3779b97f4a7c15u;
    return (unsigned)((hash >> 32) + (uint64_t)kind * 131) % LOOM_PACK_SLOTS;
}

static struct loom_pack *find(struct loom_pack *at, const struct loom_node *w, int kind)
{
    while (at && (at->value != w->value || at->kernels != w->graph->kernels || at->kind != kind ||
                  at->rows != w->shape.dim[0] || at->columns != w->shape.dim[1]))
        at = at->next;
    return at;
}

static void link_pack(struct loom_pack **slot, struct loom_pack *pack, const struct loom_node *w, int kind)
{
    pack->next = *slot;
    pack->value = w->value;
    pack->kernels = w->graph->kernels;
    pack->rows = w->shape.dim[0];
    pack->columns = w->shape.dim[1];
    pack->kind = kind;
    atomic_init(&pack->state, 0);
    *slot = pack;
}

/* NULL when the set is full. */
static struct loom_pack *shared_pack(struct loom_packs *p, const struct loom_node *w, int kind, size_t bytes)
{
    struct loom_pack **slot = &p->table[slot_of(w->value, kind)];
    pthread_mutex_lock(&p->lock);
    struct loom_pack *pack = find(*slot, w, kind);
    if (!pack) {
        size_t mark = loom_arena_mark(&p->arena);
        pack = loom_arena_zalloc(&p->arena, sizeof(*pack));
        void *data = pack ? loom_arena_alloc(&p->arena, bytes) : NULL;
        if (data) {
            pack->data = data;
            pack->owner = p;
            link_pack(slot, pack, w, kind);
        } else {
            loom_arena_rewind(&p->arena, mark);
            pack = NULL;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return pack;
}

static struct loom_pack *own_pack(struct loom_graph *g, const struct loom_node *w, int kind, size_t bytes)
{
    struct loom_pack **slot = &g->pack_table[slot_of(w->value, kind)], *pack = find(*slot, w, kind);
    if (pack)
        return pack;
    pack = loom_graph_alloc(g, sizeof(*pack));
    void *data = pack ? loom_graph_alloc(g, bytes) : NULL;
    if (!data)
        return NULL;
    memset(pack, 0, sizeof(*pack));
    pack->data = data;
    link_pack(slot, pack, w, kind);
    return pack;
}

int loom_pack_reserve(const struct loom_node *n, int i, int kind, size_t bytes)
{
    struct loom_graph *g = n->graph;
    struct loom_node *w = n->in[i];
    int lasting = !w->op && !w->host && w->value;
    if (w->pack[kind])
        return LOOM_OK;
    if (g->packs && lasting)
        w->pack[kind] = shared_pack(g->packs, w, kind, bytes);
    if (!w->pack[kind])
        w->pack[kind] = own_pack(g, w, kind, bytes);
    return g->error.code;
}

/* ---- filling ---- */

void *loom_pack_take(const struct loom_node *n, int i, int kind, int *fill)
{
    struct loom_pack *pack = n->in[i]->pack[kind];
    int64_t wanted = pack->owner ? pack->owner->version : (int64_t)n->graph->run;
    for (;;) {
        int64_t state = atomic_load_explicit(&pack->state, memory_order_acquire);
        *fill = 0;
        if (state == wanted)
            break;
        if (state != BUSY && atomic_compare_exchange_weak(&pack->state, &state, BUSY)) {
            *fill = 1;
            break;
        }
        sched_yield();
    }
    return pack->data;
}

void loom_pack_filled(const struct loom_node *n, int i, int kind)
{
    struct loom_pack *pack = n->in[i]->pack[kind];
    if (pack->owner)
        atomic_fetch_add_explicit(&pack->owner->made, 1, memory_order_relaxed);
    atomic_store_explicit(&pack->state, pack->owner ? pack->owner->version : (int64_t)n->graph->run,
                          memory_order_release);
}
