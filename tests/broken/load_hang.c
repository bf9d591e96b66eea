/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block (hung) */
#include "whole.h"

#include <unistd.h>

__attribute__((constructor)) static void hang(void)
{
    for (;;)
        pause();
}

static const struct loom_plugin hanging = {WHOLE_PLUGIN("load_hang")};
WHOLE_ENTRY(hanging)
