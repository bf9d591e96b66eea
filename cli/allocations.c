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

/* Of this thread: allocations until one is refused, 0 = none is. */
static _Thread_local uint64_t until, refused;
static _Thread_local int all_behind;

/* 1: this one is refused. */
static int note(void)
{
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    if (until == 0 || (until > 1 && until--))
        return 0;
    if (!all_behind)
        until = 0;
    refused++;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return note() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return note() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *at, size_t size)
{
    return note() ? NULL : __libc_realloc(at, size);
}

void *memalign(size_t alignment, size_t size)
{
    return note() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return note() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    void *at = note() ? NULL : __libc_memalign(alignment, size);
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

static uint64_t refuse(uint64_t k, int on)
{
    const uint64_t n = refused;
    until = k;
    all_behind = on;
    refused = 0;
    return n;
}

loom_refuse_fn *loom_refusing(void)
{
    return refuse;
}

#else

loom_allocations_fn *loom_allocations(void)
{
    return NULL;
}

loom_refuse_fn *loom_refusing(void)
{
    return NULL;
}

#endif
