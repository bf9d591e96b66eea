/* SPDX-License-Identifier: Apache-2.0 */
/* Bump allocation over one reserved range of addresses: what lives for a step, a load or a bin.
 *
 * The range is reserved once (mmap, pages appear when touched); alloc never calls the heap and never moves anything.
 * Invariant: base <= base + used <= base + peak <= base + size. Not thread-safe: one arena per worker. */
#ifndef LOOM_BASE_ARENA_H
#define LOOM_BASE_ARENA_H

#include <loom/types.h>

struct loom_arena {
    char *base;
    size_t size, used, peak; /* bytes; peak = highest `used` since init */
};

#define LOOM_ALIGN 64 /* every allocation starts on a cache line */

int loom_arena_init(struct loom_arena *a, size_t size, struct loom_error *e); /* LOOM_ENOMEM */
void loom_arena_release(struct loom_arena *a);
void *loom_arena_alloc(struct loom_arena *a, size_t bytes);  /* uninitialised; NULL when full */
void *loom_arena_zalloc(struct loom_arena *a, size_t bytes); /* zeroed; NULL when full */
char *loom_arena_strdup(struct loom_arena *a, const char *s);
size_t loom_arena_mark(const struct loom_arena *a);
void loom_arena_rewind(struct loom_arena *a, size_t mark);

#endif
