/* SPDX-License-Identifier: Apache-2.0 */
/* The table of one set. */
#include "tensor/kernels/kernels.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define TABLE PASTE(loom_kernels_, LOOM_KERNEL_SET)
#define ENTRY(name) .name = loom_host_##name,

extern const struct loom_kernels TABLE;
const struct loom_kernels TABLE = {.set = LOOM_SET_TEXT(LOOM_KERNEL_SET), .by_columns = 1, LOOM_KERNEL_NAMES(ENTRY)};
