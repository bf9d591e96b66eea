/* SPDX-License-Identifier: Apache-2.0 */
/* How often this process took memory from the heap: a training step and a streamed bin must not. */
#ifndef LOOM_CLI_ALLOCATIONS_H
#define LOOM_CLI_ALLOCATIONS_H

#include "conform/conform.h"

/* A function that says how many allocations there were so far, in all threads and libraries of the process; NULL where
 * nobody counts (sanitizers bring an allocator of their own; other C libraries than glibc). */
typedef uint64_t loom_allocations_fn(void);
loom_allocations_fn *loom_allocations(void);
/* A function that makes allocations fail, for loom conform; NULL as above. */
loom_refuse_fn *loom_refusing(void);

#endif
