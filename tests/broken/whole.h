/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer that keeps every promise, ndt2, under another name: each plugin beside it that includes this breaks one.
 */
#ifndef LOOM_TESTS_BROKEN_WHOLE_H
#define LOOM_TESTS_BROKEN_WHOLE_H

#include <loom/plugin.h>

LOOM_EXTERN __attribute__((visibility("hidden"))) const struct loom_plugin *tests_whole_entry(uint32_t index);
#define loom_plugin_entry tests_whole_entry
#include "../../tokenizers/ndt2.c"
#undef loom_plugin_entry

/* Every member of a sound descriptor. */
#define WHOLE_PLUGIN(name)                                                                                             \
    .size = sizeof(struct loom_plugin), .build = LOOM_BUILD_BLOCK, .id = name, .version = "1.0",                       \
    .summary = "a tokenizer for tests", .license = "Apache-2.0", .kind = LOOM_TOKENIZER, .options = options,           \
    .table = &table

#define WHOLE_ENTRY(descriptor)                                                                                        \
    const struct loom_plugin *loom_plugin_entry(uint32_t index)                                                        \
    {                                                                                                                  \
        return index == 0 ? &(descriptor) : NULL;                                                                      \
    }

#endif
