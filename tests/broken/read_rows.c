/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: shape-contract; may break: * */
/* Answers are one for each place of a row, also where nothing was asked. */
#define ROWS_READ(g, y, index) ((void)(index), (y))
#include "rows.h"

ROWS_ENTRY("read_rows")
