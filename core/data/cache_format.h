/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on disk that the writer and the reader of the cache share. */
#ifndef LOOM_DATA_CACHE_FORMAT_H
#define LOOM_DATA_CACHE_FORMAT_H

#include <stdint.h>

#define LOOM_CACHE_MAGIC "loomrec" /* with its zero: 8 bytes */
#define LOOM_CACHE_ORDER 0x01020304u
#define LOOM_CACHE_ALIGN 64

/* Goes up whenever the layout changes or a source reads the same file otherwise: older caches are then made anew. */
#define LOOM_CACHE_VERSION 1u

struct loom_cache_header {
    char magic[8];
    uint32_t version, order; /* order: reads differently on a machine of the other byte order */
    uint32_t sections, table_crc;
    uint64_t table_at, file_bytes;
    int64_t source_bytes, source_modified_ns;
    char key[72];
    char zero[124];
    uint32_t crc; /* of all before it */
};

_Static_assert(sizeof(struct loom_cache_header) == 256, "the header has no padding");

static inline uint64_t loom_cache_padded(uint64_t bytes)
{
    return (bytes + LOOM_CACHE_ALIGN - 1) / LOOM_CACHE_ALIGN * LOOM_CACHE_ALIGN;
}

#endif
