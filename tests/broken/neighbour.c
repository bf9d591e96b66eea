/* breaks: batch-independence */
/* SPDX-License-Identifier: Apache-2.0 */
/* A row holds what the first row of the shard holds as well. */
#define ROWS_CONTENT(rows, r, i) ((rows)->value[i] + (rows)->value[(rows)->elems - 1])
#include "rows.h"

ROWS_ENTRY("neighbour")
