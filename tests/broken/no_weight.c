/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: obj-reduction; may break: * */
/* Masked autoencoding whose weight is ignored. */
#include "variant.h"

#define loom_opt_real(o, name) (strcmp(name, "weight") == 0 ? 1.0 : loom_opt_real(o, name))
#define loom_plugin_entry variant_of
#include "../../objectives/mae.c"
#undef loom_plugin_entry
VARIANT_ENTRY("no_weight")
