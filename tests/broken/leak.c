/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: life-create-destroy; may break: leak-asan, leak-valgrind, oom-sweep */
#include "altered.h"

static int forget(const struct loom_setup *s, void **self, struct loom_error *e)
{
    void *volatile lost = malloc(100);
    (void)lost;
    return ndt2_create(s, self, e);
}
ALTERED_CREATE("leak", forget)
