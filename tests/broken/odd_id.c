/* SPDX-License-Identifier: Apache-2.0 */
#include "part.h"

static const struct loom_plugin plugin = {PART_PLUGIN("Odd id")};
PART_ENTRY(plugin)
