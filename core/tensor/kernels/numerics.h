/* SPDX-License-Identifier: Apache-2.0 */
/* How products are made: tables of kernels that differ from an instruction set's own in their products alone.
 *
 * exact: our own kernels; forward products and attention obey the row law.
 * fast:  products by the library that this build has, oneDNN or else OpenBLAS. Same bits from run to run, no more.
 * bf16:  operands of products rounded to bfloat16 (8 bits of mantissa), sums in float; weights, activations, gradients
 *        and losses stay float. */
#ifndef LOOM_TENSOR_NUMERICS_H
#define LOOM_TENSOR_NUMERICS_H

#include "tensor/kernels/kernels.h"

enum loom_numerics { LOOM_NUMERICS_EXACT, LOOM_NUMERICS_FAST, LOOM_NUMERICS_BF16 };

/* The table for `numerics` beside `exact`, one of loom_kernels_all. NULL and LOOM_ECONFIG, with the reason and what to
 * set instead, where this processor or this build has none. */
const struct loom_kernels *loom_kernels_numeric(const struct loom_kernels *exact, enum loom_numerics numerics,
                                                struct loom_error *e);

/* Kernels that only tables of numerics hold; as those of their name in kernels.h. */
#define LOOM_PRODUCT_NAMES(X) X(packed_bytes) X(gemm_pack) X(gemm) X(gemm_tn_scratch) X(gemm_tn)
#define LOOM_PRODUCT_OF(name) __typeof__(loom_ref_##name) loom_bf16_##name, loom_ref_bf16_##name, loom_fast_##name;
LOOM_PRODUCT_NAMES(
    LOOM_PRODUCT_OF) /* bf16: on AVX512-BF16; ref_bf16: plain loops, the definition; fast: by a library */

extern const struct loom_kernels loom_kernels_avx512, loom_kernels_avx2; /* not in every build */
extern const struct loom_kernels loom_kernels_baseline, loom_kernels_reference;

#endif
