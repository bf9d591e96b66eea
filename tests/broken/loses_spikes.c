/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: tok-roundtrip; may break: * */
/* The last unit's spikes are not there. */
#define ROWS_UNITS(w) (w)->units - 1
#include "rows.h"

ROWS_ENTRY("loses_spikes")
