/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-newer-host (crashed) */
/* Copies as many bytes of the traits as the host says there are, into what its own header knows. */
#include "altered.h"

static int copies(const void *self, struct loom_traits *t, struct loom_error *e)
{
    static unsigned char known[4096];
    memcpy(known, t, t->size < sizeof known ? t->size : sizeof known);
    return ndt2_describe(self, t, e);
}
ALTERED_DESCRIBE("reads_beyond", copies)
