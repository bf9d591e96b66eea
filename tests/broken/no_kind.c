/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include "part.h"

static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "no_kind",
                                          .version = "1.0",
                                          .summary = "of no kind",
                                          .license = "Apache-2.0",
                                          .kind = 77,
                                          .table = &part_table};
PART_ENTRY(plugin)
