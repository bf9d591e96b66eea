/* SPDX-License-Identifier: Apache-2.0 */
#include "base/order.h"

int loom_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
