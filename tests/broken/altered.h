/* SPDX-License-Identifier: Apache-2.0 */
/* ndt2 with one function in the place of its own. */
#ifndef LOOM_TESTS_BROKEN_ALTERED_H
#define LOOM_TESTS_BROKEN_ALTERED_H

#include "whole.h"

#define ALTERED_TABLE(name, table_of_options, its_create, its_destroy, its_describe, its_tokenize, its_embed)          \
    static const struct loom_tokenizer altered = {.part = {.size = sizeof(struct loom_tokenizer),                      \
                                                           .create = its_create,                                       \
                                                           .destroy = its_destroy,                                     \
                                                           .describe = its_describe},                                  \
                                                  .tokenize = its_tokenize,                                            \
                                                  .embed = its_embed,                                                  \
                                                  .read = ndt2_read};                                                  \
    static const struct loom_plugin broken = {.size = sizeof(struct loom_plugin),                                      \
                                              .build = LOOM_BUILD_BLOCK,                                               \
                                              .id = name,                                                              \
                                              .version = "1.0",                                                        \
                                              .summary = "a tokenizer for tests",                                      \
                                              .license = "Apache-2.0",                                                 \
                                              .kind = LOOM_TOKENIZER,                                                  \
                                              .options = table_of_options,                                             \
                                              .table = &altered};                                                      \
    const struct loom_plugin *loom_plugin_entry(uint32_t index)                                                        \
    {                                                                                                                  \
        return index == 0 ? &broken : NULL;                                                                            \
    }
#define ALTERED_CREATE(name, f) ALTERED_TABLE(name, options, f, ndt2_destroy, ndt2_describe, ndt2_tokenize, ndt2_embed)
#define ALTERED_DESTROY(name, f) ALTERED_TABLE(name, options, ndt2_create, f, ndt2_describe, ndt2_tokenize, ndt2_embed)
#define ALTERED_DESCRIBE(name, f) ALTERED_TABLE(name, options, ndt2_create, ndt2_destroy, f, ndt2_tokenize, ndt2_embed)
#define ALTERED_TOKENIZE(name, f) ALTERED_TABLE(name, options, ndt2_create, ndt2_destroy, ndt2_describe, f, ndt2_embed)
#define ALTERED_EMBED(name, f) ALTERED_TABLE(name, options, ndt2_create, ndt2_destroy, ndt2_describe, ndt2_tokenize, f)

#endif
