/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins that the library itself holds: what every pipeline may lean on without naming it. */
#ifndef LOOM_MODEL_BUILTINS_H
#define LOOM_MODEL_BUILTINS_H

#include <loom/plugin.h>

extern const struct loom_plugin loom_builtin_bins;   /* tokenizer: one row a bin, one element a unit */
extern const struct loom_plugin loom_builtin_series; /* tokenizer: a behaviour, one row a sample */
extern const struct loom_plugin loom_builtin_all;    /* objective: everything seen, every behaviour asked */

#endif
