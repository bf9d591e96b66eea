/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: no-global-side-effects */
#include "altered.h"
#include <locale.h>

static int abroad(const struct loom_setup *s, void **self, struct loom_error *e)
{
    setlocale(LC_ALL, "C.UTF-8");
    return ndt2_create(s, self, e);
}
ALTERED_CREATE("locale", abroad)
