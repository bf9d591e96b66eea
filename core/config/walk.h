/* SPDX-License-Identifier: Apache-2.0 */
/* Every value of a group, whoever reads it: for comparing pipelines key by key. */
#ifndef LOOM_CONFIG_WALK_H
#define LOOM_CONFIG_WALK_H

#include <loom/config.h>

/* Calls `each` for every value below g (NULL: none), groups in groups too, in the order of the file: its whole path
 * ("data.split.by") and the value as libconfig writes it; a list is one value. LOOM_ENOMEM. */
int loom_group_values(const struct loom_group *g, void (*each)(void *payload, const char *path, const char *value),
                      void *payload, struct loom_error *e);

#endif
