/* SPDX-License-Identifier: Apache-2.0 */
#include "model/builtins.h"

#include "plugin/registry.h"

#include <stddef.h>

const struct loom_plugin *const loom__builtins[] = {&loom_builtin_bins, &loom_builtin_series, &loom_builtin_label,
                                                    &loom_builtin_all, NULL};
