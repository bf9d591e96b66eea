/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: obj-extremes; may break: learn-overfit */
/* Masked autoencoding with its sign turned: what is wrong costs least. */
#include "variant.h"

static void emit_turned(struct loom_build *b, const char *term, struct loom_node *sum, double scale, unsigned flags)
{
    loom_emit(b, term, sum, -scale, flags);
}
#define loom_emit emit_turned
#define loom_plugin_entry variant_of
#include "../../objectives/mae.c"
#undef loom_plugin_entry
VARIANT_ENTRY("rewards")
