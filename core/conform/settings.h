/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOOM_CONFORM_SETTINGS_H
#define LOOM_CONFORM_SETTINGS_H

#include <loom/options.h>
#include <loom/rng.h>

/* Lines "key=value" of values drawn inside the ranges of a table, about half of its options, numbers within a factor of
 * two of their defaults. Returns how many. */
int loom_settings_draw(const struct loom_option *table, struct loom_rng *rng, char line[][256], int most);
/* Lines that make a part small whose options bear the usual names of sizes: width, depth, layers, heads of a backbone,
 * sessions, units, trials of a source that makes its data up. What a check proves does not hang on size, what it costs
 * does. */
int loom_settings_small(const struct loom_option *table, char line[][256], int most);

#endif
