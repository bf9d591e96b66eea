/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include <loom/plugin.h>

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    (void)index;
    return NULL;
}
