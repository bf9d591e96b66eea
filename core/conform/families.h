/* SPDX-License-Identifier: Apache-2.0 */
/* Every check by the name of its variable, in the order in which they run: first what the file is, then how it lives,
 * then what it computes, then what it claims. */
#ifndef LOOM_CONFORM_FAMILIES_H
#define LOOM_CONFORM_FAMILIES_H

#include "conform/conform.h"

/* clang-format off */
#define LOOM_CHECKS(X) \
    /* abi.c */ \
    X(abi_symbols) X(abi_build_block) X(abi_needed) X(load_now_local) X(load_time) X(desc_complete) X(desc_stable)
/* clang-format on */

#define LOOM_CHECK_DECLARE(name) extern const struct loom_check loom_check_##name;
LOOM_CHECKS(LOOM_CHECK_DECLARE)

#endif
