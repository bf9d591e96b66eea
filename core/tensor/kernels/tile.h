/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile of products: LOOM_TILE_ROWS rows by two vectors, and the panels that feed it. */
#ifndef LOOM_TENSOR_TILE_H
#define LOOM_TENSOR_TILE_H

#include "tensor/kernels/vec.h"

enum {
    LOOM_TILE_ROWS = LOOM_VEC_BYTES == 64 ? 14 : 6, /* with 32 registers 28 sums, with 16 registers 12 */
    LOOM_TILE_COLS = 2 * LOOM_LANES,
    LOOM_TILE_DEPTH = 512, /* rows that a weight gradient takes at a time, so that its panels stay in cache */
};

/* Panels of LOOM_TILE_COLS columns that n columns fill. */
static inline int64_t loom_panels(int64_t n)
{
    return (n + LOOM_TILE_COLS - 1) / LOOM_TILE_COLS;
}

#endif
