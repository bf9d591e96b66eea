/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of this build: as wide as its instruction set. */
#ifndef LOOM_TENSOR_VEC_H
#define LOOM_TENSOR_VEC_H

#include <loom/types.h>

#if defined __AVX512F__
enum { LOOM_VEC_BYTES = 64 };
#elif defined __AVX__
enum { LOOM_VEC_BYTES = 32 };
#else
enum { LOOM_VEC_BYTES = 16 };
#endif
enum { LOOM_LANES = LOOM_VEC_BYTES / sizeof(loom_real) };

#endif
