/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include "part.h"

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = {.abi_major = LOOM_ABI_MAJOR + 7, .abi_minor = LOOM_ABI_MINOR},
                                          .id = "abi_major"};
PART_ENTRY(plugin)
