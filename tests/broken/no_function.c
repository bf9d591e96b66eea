/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include "part.h"

static const struct loom_tokenizer table = {PART, part_tokenize, NULL, NULL, NULL, NULL};
static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "no_function",
                                          .version = "1.0",
                                          .summary = "cannot embed",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .table = &table};
PART_ENTRY(plugin)
