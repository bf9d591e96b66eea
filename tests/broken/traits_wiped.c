/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-newer-host */
#include "altered.h"

static int wipe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const uint32_t size = t->size;
    memset(t, 0, size);
    t->size = size;
    return ndt2_describe(self, t, e);
}
ALTERED_DESCRIBE("traits_wiped", wipe)
