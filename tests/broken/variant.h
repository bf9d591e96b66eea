/* SPDX-License-Identifier: Apache-2.0 */
/* A shipped plugin with one call replaced, under an id of its own: include this, define the call anew, include the
 * plugin's source with its entry renamed, and end with VARIANT_ENTRY. */
#ifndef LOOM_TESTS_BROKEN_VARIANT_H
#define LOOM_TESTS_BROKEN_VARIANT_H

#include <loom/mask.h>
#include <loom/nn.h>
#include <loom/plugin.h>

#include <string.h>

const struct loom_plugin *variant_of(uint32_t index);
#define VARIANT_ENTRY(name)                                                                                            \
    const struct loom_plugin *loom_plugin_entry(uint32_t index)                                                        \
    {                                                                                                                  \
        static struct loom_plugin variant;                                                                             \
        variant = *variant_of(0);                                                                                      \
        variant.id = name;                                                                                             \
        return index == 0 ? &variant : NULL;                                                                           \
    }

#endif
