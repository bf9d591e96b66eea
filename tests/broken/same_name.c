/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: tok-time-unit-map; may break: * */
/* All elements of a row have one name. */
#include <stdint.h>

static const int32_t none[16];
#define ROWS_NAMES(w) none
#include "rows.h"

ROWS_ENTRY("same_name")
