/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: empty-input; may break: * */
/* The mean of nothing. */
#define ROWS_FACTOR(rows) (rows_sum(rows) / rows_sum(rows))

#include <loom/plugin.h>

static double rows_sum(const struct loom_rows *rows)
{
    double sum = 0;
    for (int32_t i = 0; i < rows->elems; i++)
        sum += (double)rows->value[i] + (rows->target ? 1 : 0);
    return sum;
}

#include "rows.h"

ROWS_ENTRY("nan_on_empty")
