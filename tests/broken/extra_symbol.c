/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-symbols */
#include "whole.h"

LOOM_API int tests_patch_count;
int tests_patch_count = 7; /* shown, and in the way of any other of that name */

static const struct loom_plugin extra = {WHOLE_PLUGIN("extra_symbol")};
WHOLE_ENTRY(extra)
