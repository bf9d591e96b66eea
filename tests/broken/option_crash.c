/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: opt-range-fuzz (crashed); may break: * */
#include "altered.h"
#include <signal.h>

static int fragile(const struct loom_setup *s, void **self, struct loom_error *e)
{
    if (loom_opt_int(loom_setup_options(s), "max_count") == 255)
        raise(SIGSEGV);
    return ndt2_create(s, self, e);
}
ALTERED_CREATE("option_crash", fragile)
