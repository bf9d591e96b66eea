/* SPDX-License-Identifier: Apache-2.0 */
#include "part.h"

static const struct loom_plugin plugin = {PART_PLUGIN("sound")};
static const struct loom_plugin second = {PART_PLUGIN("sound-too")};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : index == 1 ? &second : NULL;
}
