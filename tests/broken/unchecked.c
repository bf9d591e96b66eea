/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: oom-sweep (crashed) */
#include "altered.h"

static int trusting(const struct loom_setup *s, void **self, struct loom_error *e)
{
    volatile char *note = malloc(64);
    note[0] = 'x';
    free((char *)(uintptr_t)note);
    return ndt2_create(s, self, e);
}
ALTERED_CREATE("unchecked", trusting)
