/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: batch-independence; may break: * */
/* Vectors are scaled by what all windows of a shard hold together. */
#define ROWS_FACTOR(rows) 1.0 / (1.0 + rows_sum(rows))

#include <loom/plugin.h>

static double rows_sum(const struct loom_rows *rows)
{
    double sum = 0;
    for (int32_t i = 0; i < rows->elems; i++)
        sum += (double)rows->value[i];
    return sum;
}

#include "rows.h"

ROWS_ENTRY("neighbour")
