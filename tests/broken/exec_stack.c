/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-needed */
#include "whole.h"

static const struct loom_plugin stacked = {WHOLE_PLUGIN("exec_stack")}; /* linked with -z execstack */
WHOLE_ENTRY(stacked)
