/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: det-seed-differs */
/* Noise that hangs on the step and on no seed. */
#define ROWS_FACTOR(rows) (1.0 + 0.01 * (double)(loom_step(b) % 7))
#include "rows.h"

ROWS_ENTRY("step_alone")
