/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: life-reload (crashed) */
#include "altered.h"

static void late(int status, void *payload)
{
    (void)status, (void)payload;
}

static int stay(const struct loom_setup *s, void **self, struct loom_error *e)
{
    static int once; /* on_exit, unlike atexit, does not run when a module is closed */
    if (!once++)
        on_exit(late, NULL);
    return ndt2_create(s, self, e);
}
ALTERED_CREATE("at_exit", stay)
