/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

/* What was rewound is out of bounds to AddressSanitizer until it is handed out again. */
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define arena_hide(at, bytes) ASAN_POISON_MEMORY_REGION(at, bytes)
#define arena_show(at, bytes) ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#else
#define arena_hide(at, bytes) ((void)(at), (void)(bytes))
#define arena_show(at, bytes) ((void)(at), (void)(bytes))
#endif

enum { HUGE_PAGE = 2 << 20 };

int loom_arena_init(struct loom_arena *a, size_t size, struct loom_error *e)
{
    memset(a, 0, sizeof *a);
    size_t grain = size >= HUGE_PAGE ? HUGE_PAGE : 4096;
    if (size > SIZE_MAX - grain)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "an arena of %zu bytes is beyond the address space", size);
    size = (size + grain - 1) / grain * grain;
    if (size == 0)
        size = grain;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0,
                         "cannot reserve %zu MiB of addresses: %s; lower the memory limits of this process (ulimit -v) "
                         "or make windows, batches or the model smaller",
                         size >> 20, strerror(errno));
    if (size >= HUGE_PAGE)
        madvise(base, size, MADV_HUGEPAGE);
    a->base = base;
    a->size = size;
    return LOOM_OK;
}

void loom_arena_release(struct loom_arena *a)
{
    if (a->base != NULL) {
        arena_show(a->base, a->peak);
        munmap(a->base, a->size);
    }
    memset(a, 0, sizeof *a);
}

void *loom_arena_alloc(struct loom_arena *a, size_t bytes)
{
    if (bytes > a->size - a->used)
        return NULL;
    size_t rounded = (bytes + LOOM_ALIGN - 1) / LOOM_ALIGN * LOOM_ALIGN;
    char *at = a->base + a->used;
    arena_show(at, rounded);
    a->used += rounded;
    if (a->used > a->peak)
        a->peak = a->used;
    return at;
}

/* Pages above the peak come from the kernel as zeros and stay untouched. */
void *loom_arena_zalloc(struct loom_arena *a, size_t bytes)
{
    size_t dirty = a->peak - a->used;
    void *at = loom_arena_alloc(a, bytes);
    return at == NULL ? NULL : memset(at, 0, bytes < dirty ? bytes : dirty);
}

char *loom_arena_strdup(struct loom_arena *a, const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = loom_arena_alloc(a, n);
    return copy == NULL ? NULL : memcpy(copy, s, n);
}

size_t loom_arena_mark(const struct loom_arena *a)
{
    return a->used;
}

void loom_arena_rewind(struct loom_arena *a, size_t mark)
{
    arena_hide(a->base + mark, a->used - mark);
    a->used = mark;
}
