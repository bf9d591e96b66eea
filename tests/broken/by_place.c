/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: unit-permutation */
/* Units are known by their place in the recording, and LOOM_UNORDERED says otherwise. */
#define ROWS_OFFERS LOOM_UNORDERED
#include "rows.h"

ROWS_ENTRY("by_place")
