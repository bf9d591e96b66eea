/* SPDX-License-Identifier: Apache-2.0 */
/* A pipeline in memory: nodes in the arena of their config, of which groups are shown to the outside.
 *
 * Invariants: a node with members (group, list) has a body, any other has none; members of a group have names, unique
 * there; elements of a list have none. Nodes are const to readers; what reading leaves behind stands in the body. */
#ifndef LOOM_CONFIG_TREE_H
#define LOOM_CONFIG_TREE_H

#include <loom/config.h>

#include "base/arena.h"
#include "base/str.h"

enum loom_node_kind { LOOM_NODE_GROUP, LOOM_NODE_LIST, LOOM_NODE_INT, LOOM_NODE_REAL, LOOM_NODE_BOOL, LOOM_NODE_TEXT };

/* What one table made of a group, for the resolved file. */
struct loom_reading {
    const struct loom_option *table;
    const char **values;  /* of each option, as libconfig writes it */
    const char **origins; /* of each option: "default", "ndt2.cfg:12", "command line" */
    struct loom_reading *next;
};

struct loom_body {
    struct loom_config *config;
    struct loom_group **members;
    size_t count, capacity;
    struct loom_reading *readings; /* in the order of parsing */
};

struct loom_group {
    enum loom_node_kind kind;
    const char *name; /* NULL for the root and for elements */
    const char *path; /* "stages.pretrain.steps" */
    const char *file; /* LOOM_COMMAND_LINE for an override, NULL for what was made by loom_group_ensure() */
    int line;
    const char *raw; /* a scalar from the command line as typed, else NULL */
    int64_t integer; /* INT, BOOL */
    double real;     /* REAL */
    const char *text;
    struct loom_body *body;
};

struct loom_config {
    struct loom_arena arena;
    const char *name;
    struct loom_group *root;
};

#define LOOM_COMMAND_LINE "command line"

/* All return NULL when the arena is full. */
struct loom_group *loom_node_new(struct loom_config *c, enum loom_node_kind kind, const char *name);
/* Append `node`, or put it in the place of the member of the same name. 0 when the arena is full. */
int loom_node_add(struct loom_body *parent, struct loom_group *node);
struct loom_group *loom_node_member(const struct loom_group *g, const char *name); /* NULL if absent or no group */
/* Element of a list by its member `name` or its index, NULL if there is none. */
struct loom_group *loom_node_element(const struct loom_group *list, const char *key);
/* Say again where every node below `g` stands. */
int loom_node_name_paths(struct loom_group *g, const char *path);
const char *loom_node_kind_name(const struct loom_group *node); /* "an integer", "text", … */
int loom_node_scalar(const struct loom_group *node);
int loom_node_full(struct loom_error *e, const char *file); /* the error of a full arena */

/* Parse spliced text into `root`. With `typed`, a value from the command line, places are LOOM_COMMAND_LINE. */
struct loom_source;
int loom_tree_parse(struct loom_config *c, struct loom_group **root, const struct loom_source *source, int typed,
                    struct loom_error *e);
/* Apply one "path=value". */
int loom_tree_override(struct loom_config *c, const char *text, struct loom_error *e);
/* A value as libconfig writes it. */
void loom_node_write(struct loom_str *s, const struct loom_group *node);
void loom_write_int(struct loom_str *s, int64_t x);
void loom_write_real(struct loom_str *s, double x); /* "1.0"; infinities as text */
void loom_write_text(struct loom_str *s, const char *text);
void loom_write_origin(struct loom_str *s, const struct loom_group *node);

#endif
