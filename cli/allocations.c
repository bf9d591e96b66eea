/* SPDX-License-Identifier: Apache-2.0 */
#include "allocations.h"

#include <errno.h>
#include <features.h>
#include <stdatomic.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OTHER_ALLOCATOR 1
#endif
#endif

#if defined(__GLIBC__) && !defined(OTHER_ALLOCATOR)

/* The program's definitions stand before the C library's for every library it loads, and hand on to what the C library
 * calls the same thing underneath. */
#define SEEN __attribute__((visibility("default")))
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *at, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

SEEN void *malloc(size_t size);
SEEN void *calloc(size_t count, size_t size);
SEEN void *realloc(void *at, size_t size);
SEEN void *memalign(size_t alignment, size_t size);
SEEN void *aligned_alloc(size_t alignment, size_t size);
SEEN int posix_memalign(void **out, size_t alignment, size_t size);

static atomic_uint_fast64_t count;

static void note(void)
{
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
    note();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    note();
    return __libc_calloc(n, size);
}

void *realloc(void *at, size_t size)
{
    note();
    return __libc_realloc(at, size);
}

void *memalign(size_t alignment, size_t size)
{
    note();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    note();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    note();
    void *at = __libc_memalign(alignment, size);
    if (!at)
        return ENOMEM;
    *out = at;
    return 0;
}

static uint64_t counted(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

loom_allocations_fn *loom_allocations(void)
{
    return counted;
}

#else

loom_allocations_fn *loom_allocations(void)
{
    return NULL;
}

#endif
