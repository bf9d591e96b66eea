/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/registry.h"

const struct loom_plugin *const loom__builtins[] = {NULL};
