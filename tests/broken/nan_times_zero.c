/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: mask-leak-nan; may break: * */
/* A hidden value is read and multiplied by zero. */
#define ROWS_CONTENT(rows, r, i) ((rows)->target ? 0 * (rows)->target[i] : (rows)->value[i])
#include "rows.h"

ROWS_ENTRY("nan_times_zero")
