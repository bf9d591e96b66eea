/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: mask-leak-finite; may break: * */
/* Masked autoencoding that asks for what stands behind each hidden element, and was left visible. */
#include "variant.h"

static int view_behind(struct loom_plan *p, const struct loom_rows *full, const struct loom_view_spec *spec,
                       struct loom_error *e)
{
    uint8_t *ask = (uint8_t *)(uintptr_t)spec->ask;
    memmove(ask + 1, ask, (size_t)full->elems);
    return loom_plan_view(p, full, spec, e);
}
#define loom_plan_view view_behind
#define loom_plugin_entry variant_of
#include "../../objectives/mae.c"
#undef loom_plugin_entry
VARIANT_ENTRY("off_by_one")
