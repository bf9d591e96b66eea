/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: life-order (crashed) */
#include "altered.h"

static void careless(void *self)
{
    ((volatile struct ndt2 *)self)->patch = 0;
    ndt2_destroy(self);
}
ALTERED_DESTROY("destroy_null", careless)
