/* SPDX-License-Identifier: Apache-2.0 */
/* Orders for qsort and bsearch. */
#ifndef LOOM_BASE_ORDER_H
#define LOOM_BASE_ORDER_H

/* Doubles, the smallest first. NaN counts as equal to all: leave it out. */
int loom_ascending(const void *a, const void *b);

#endif
