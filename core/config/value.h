/* SPDX-License-Identifier: Apache-2.0 */
/* One option's value: made from a node or from the default of its table, held against type and range. */
#ifndef LOOM_CONFIG_VALUE_H
#define LOOM_CONFIG_VALUE_H

#include "config/tree.h"

struct loom_value {
    int given;
    int differs;     /* given, and not what the default is */
    int64_t integer; /* INT, BOOL */
    double real;     /* REAL */
    char *text;      /* STRING */
    double *reals;   /* REALS, `count` of them */
    char **texts;    /* STRINGS, `count` of them */
    size_t count;
    char *file; /* where it was set, NULL for a default */
    int line;
};

/* LOOM_ECONFIG with a message of the form "expected …, found …; remedy" without place and key, which the caller adds;
 * LOOM_ENOMEM. On failure the value is empty. */
int loom_value_from_node(struct loom_value *v, const struct loom_option *o, const struct loom_group *node,
                         struct loom_str *why);
int loom_value_from_default(struct loom_value *v, const struct loom_option *o, struct loom_str *why);
/* Does a number keep the range of its option? 1 yes, 0 no, -1 the range itself is malformed. */
int loom_value_in_range(const struct loom_option *o, double x);
void loom_value_release(struct loom_value *v);
void loom_value_write(struct loom_str *s, const struct loom_option *o, const struct loom_value *v);
const char *loom_option_type_name(uint32_t type); /* "integer", "list of text"; NULL if there is no such type */

#endif
