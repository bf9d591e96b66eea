/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: tok-time-unit-map; may break: * */
/* Elements are called by their place among the units that the window keeps. */
#include <stdint.h>

static const int32_t place[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#define ROWS_NAMES(w) place
#include "rows.h"

ROWS_ENTRY("by_order")
