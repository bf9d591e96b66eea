/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block (crashed) */
#include "whole.h"

#include <signal.h>

__attribute__((constructor)) static void crash(void)
{
    raise(SIGSEGV);
}

static const struct loom_plugin crashing = {WHOLE_PLUGIN("load_crash")};
WHOLE_ENTRY(crashing)
