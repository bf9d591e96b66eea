/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include "part.h"

/* What a plugin compiled for the other precision says of itself. */
static const struct loom_plugin plugin = {
    .size = sizeof(struct loom_plugin),
    .build = {.abi_major = LOOM_ABI_MAJOR, .abi_minor = LOOM_ABI_MINOR, .real_size = 12 - sizeof(loom_real)},
    .id = "real_size"};
PART_ENTRY(plugin)
