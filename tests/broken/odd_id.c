/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include "part.h"

static const struct loom_plugin plugin = {PART_PLUGIN("Odd id")};
PART_ENTRY(plugin)
