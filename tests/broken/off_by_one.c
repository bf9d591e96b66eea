/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: mask-leak-finite; may break: * */
/* Masked autoencoding that asks for what stands behind each hidden element, and was left visible. */
#include "variant.h"

static int mask_behind(const struct loom_options *o, struct loom_plan *p, const struct loom_rows *full, int modality,
                       const char *purpose, struct loom_error *e)
{
    struct loom_view_spec spec = LOOM_VIEW_SPEC;
    uint8_t *how = loom_plan_alloc(p, (size_t)full->elems + 1), *ask = loom_plan_alloc(p, (size_t)full->elems + 2);
    if (!how || !ask)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    loom_mask_draw(o, p, full, modality, purpose, how, ask);
    memmove(ask + 1, ask, (size_t)full->elems);
    spec.how = how;
    spec.ask = ask;
    return loom_plan_view(p, full, &spec, e);
}
#define loom_mask_view mask_behind
#define loom_plugin_entry variant_of
#include "../../objectives/mae.c"
#undef loom_plugin_entry
VARIANT_ENTRY("off_by_one")
