/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: padding-invariance; may break: * */
/* Vectors hang on how many rows there are. */
#define ROWS_FACTOR(rows) 1.0 / (1 + (rows)->rows)
#include "rows.h"

ROWS_ENTRY("counts_rows")
