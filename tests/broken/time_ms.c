/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: tok-time-unit-map; may break: * */
/* Times are milliseconds. */
#define ROWS_TIME(w, k) ((k) + 0.5) * (w)->bin_s * 1e3
#include "rows.h"

ROWS_ENTRY("time_ms")
