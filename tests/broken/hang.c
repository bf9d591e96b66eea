/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: life-create-destroy (hung); may break: * */
#include "altered.h"

static int wait(const struct loom_setup *s, void **self, struct loom_error *e)
{
    for (volatile int i = 1; i;)
        ;
    return ndt2_create(s, self, e);
}
ALTERED_CREATE("hang", wait)
