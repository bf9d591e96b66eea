/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: grad-accumulate; may break: obj-reduction */
/* Masked autoencoding whose loss is a mean over what one shard holds, not over the batch. */
#include "variant.h"

#include <loom/model.h>

#define loom_mass(b, name) loom_rows_scored(&v->ask[0])
#define loom_plugin_entry variant_of
#include "../../objectives/mae.c"
#undef loom_plugin_entry
VARIANT_ENTRY("own_mean")
