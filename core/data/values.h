/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends of the pipe ask of an array of values, at the speed of memory. Arrays may stand at any address. */
#ifndef LOOM_DATA_VALUES_H
#define LOOM_DATA_VALUES_H

#include <stddef.h>

/* 1: each of the n doubles is at least the one before it, the first at least `before`; so none is NaN, and all are
 * finite where the first and the last are. */
int loom_times_ascend(const void *times, size_t n, double before);
/* 1: some of the n floats is infinite. NaN is not. */
int loom_floats_any_infinite(const void *values, size_t n);

#endif
