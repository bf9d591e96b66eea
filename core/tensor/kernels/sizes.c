/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes of buffers that callers provide: enough for the reference and for the fast kernels. */
#include "tensor/kernels/kernels.h"
#include "tensor/kernels/tile.h"

size_t loom_packed_size(int64_t k, int64_t n)
{
    return (size_t)(loom_panels(n) * LOOM_TILE_COLS * (k > 0 ? k : 1));
}

size_t loom_gemm_tn_scratch(int64_t rows, int64_t m, int64_t n)
{
    (void)m;
    return loom_packed_size(rows < LOOM_TILE_DEPTH ? rows : LOOM_TILE_DEPTH, n) * sizeof(loom_real);
}

size_t loom_bmm_scratch(const struct loom_bmm *p)
{
    return loom_packed_size(p->k, p->n) * sizeof(loom_real);
}
