/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: load-now-local */
#include "whole.h"

LOOM_EXTERN int tests_nobody_defines_this(void); /* linked without -z defs */

static const struct loom_plugin incomplete = {WHOLE_PLUGIN("undefined")};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &incomplete : tests_nobody_defines_this() ? &incomplete : NULL;
}
