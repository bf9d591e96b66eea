/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: det-threads; may break: * */
/* A count that each thread keeps enters every vector. */
static _Thread_local int calls;
#define ROWS_FACTOR(rows) (1.0 + 0.01 * calls++)
#include "rows.h"

ROWS_ENTRY("thread_local")
