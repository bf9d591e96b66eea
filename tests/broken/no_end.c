/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: desc-stable */
#include "whole.h"

static const struct loom_plugin endless = {WHOLE_PLUGIN("no_end")};

/* Answers with its descriptor again where there is none: far behind the end. */
const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 || index > 500 ? &endless : NULL;
}
