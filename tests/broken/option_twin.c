/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: opt-unknown */
/* Two options whose names are a letter apart: who leaves it out sets the other one. */
#include "altered.h"

static const struct loom_option twins[] = {
    {"patch_units", LOOM_OPT_INT, 0, "32", "[1,4096]", "units", "neighbouring units in one token"},
    {"max_count", LOOM_OPT_INT, 0, "20", "[1,255]", "spikes", "larger counts are seen as this one"},
    {"max_counts", LOOM_OPT_INT, 0, "20", "[1,255]", "spikes", "of larger counts this many are kept"},
    {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "of token vectors"},
    {0}};
ALTERED_TABLE("option_twin", twins, ndt2_create, ndt2_destroy, ndt2_describe, ndt2_tokenize, ndt2_embed)
