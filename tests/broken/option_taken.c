/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: opt-schema; may break: * */
#include "altered.h"

static const struct loom_option taken[] = {
    {"patch_units", LOOM_OPT_INT, 0, "32", "[1,4096]", "units", "neighbouring units in one token"},
    {"max_count", LOOM_OPT_INT, 0, "20", "[1,255]", "spikes", "larger counts are seen as this one"},
    {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "of token vectors"},
    {"visible", LOOM_OPT_BOOL, 0, "true", NULL, NULL, "the core reads this key itself"},
    {0}};
ALTERED_TABLE("option_taken", taken, ndt2_create, ndt2_destroy, ndt2_describe, ndt2_tokenize, ndt2_embed)
