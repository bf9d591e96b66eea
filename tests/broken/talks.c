/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: no-global-side-effects */
#include "altered.h"
#include <stdio.h>

static int talk(const void *self, struct loom_traits *t, struct loom_error *e)
{
    puts("describing");
    return ndt2_describe(self, t, e);
}
ALTERED_DESCRIBE("talks", talk)
