/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include "part.h"

static const struct loom_option options[] = {{"patch", LOOM_OPT_INT, 0, "0", "[1,inf)", "units", "Units in a patch."},
                                             {NULL, 0, 0, NULL, NULL, NULL, NULL}};
static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "bad_default",
                                          .version = "1.0",
                                          .summary = "its default is outside its own range",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .options = options,
                                          .table = &part_table};
PART_ENTRY(plugin)
