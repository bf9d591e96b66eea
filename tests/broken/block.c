/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include "whole.h"

/* One field of the build block is another build's: compiled once for each field, BLOCK_FIELD. */
#define BLOCK_STRING(word) #word
#define BLOCK_NAME(field) "block_" BLOCK_STRING(field)
static struct loom_plugin other = {WHOLE_PLUGIN(BLOCK_NAME(BLOCK_FIELD))};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    static const struct loom_build_block ours = LOOM_BUILD_BLOCK;
    other.build.BLOCK_FIELD = ours.BLOCK_FIELD + 1;
    return index == 0 ? &other : NULL;
}
