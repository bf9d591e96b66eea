/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: opt-range-fuzz; may break: * */
#include "altered.h"

static int mute(const struct loom_setup *s, void **self, struct loom_error *e)
{
    if (loom_opt_int(loom_setup_options(s), "max_count") == 255)
        return LOOM_ECONFIG; /* and does not say why */
    return ndt2_create(s, self, e);
}
ALTERED_CREATE("option_mute", mute)
