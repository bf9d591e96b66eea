/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include "part.h"

static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "no_license",
                                          .version = "1.0",
                                          .summary = "whose is it?",
                                          .kind = LOOM_TOKENIZER,
                                          .table = &part_table};
PART_ENTRY(plugin)
