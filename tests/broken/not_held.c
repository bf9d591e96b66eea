/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: tok-roundtrip; may break: * */
/* What the data hold out is said to be seen. */
#define ROWS_HELD(w, k) NULL
#include "rows.h"

ROWS_ENTRY("not_held")
