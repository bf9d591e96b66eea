/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include "part.h"

static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "short_table",
                                          .version = "1.0",
                                          .summary = "forgot the size of its table",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .table = &(const struct loom_tokenizer){.part = {.size = 8}}};
PART_ENTRY(plugin)
