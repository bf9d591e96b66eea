/* SPDX-License-Identifier: Apache-2.0 */
/* From text to a tree of nodes by way of libconfig, and the overrides on top of it. */
#include "config/tree.h"

#include "config/source.h"

#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

static struct loom_group *convert(struct loom_config *c, const config_setting_t *from, const struct loom_source *source,
                                  int typed);

static int convert_scalar(struct loom_config *c, struct loom_group *node, const config_setting_t *from)
{
    switch (config_setting_type(from)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        node->integer = config_setting_get_int64(from);
        return 1;
    case CONFIG_TYPE_FLOAT:
        node->real = config_setting_get_float(from);
        return 1;
    case CONFIG_TYPE_BOOL:
        node->integer = config_setting_get_bool(from) != 0;
        return 1;
    default:
        node->text = loom_arena_strdup(&c->arena, config_setting_get_string(from));
        return node->text != NULL;
    }
}

static enum loom_node_kind kind_of(const config_setting_t *from)
{
    switch (config_setting_type(from)) {
    case CONFIG_TYPE_GROUP:
        return LOOM_NODE_GROUP;
    case CONFIG_TYPE_LIST:
    case CONFIG_TYPE_ARRAY:
        return LOOM_NODE_LIST;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return LOOM_NODE_INT;
    case CONFIG_TYPE_FLOAT:
        return LOOM_NODE_REAL;
    case CONFIG_TYPE_BOOL:
        return LOOM_NODE_BOOL;
    default:
        return LOOM_NODE_TEXT;
    }
}

static int convert_members(struct loom_config *c, struct loom_group *node, const config_setting_t *from,
                           const struct loom_source *source, int typed)
{
    int count = config_setting_length(from);
    for (int i = 0; i < count; i++) {
        struct loom_group *member = convert(c, config_setting_get_elem(from, (unsigned)i), source, typed);
        if (member == NULL || !loom_node_add(node->body, member))
            return 0;
    }
    return 1;
}

/* NULL when the arena is full. Depth is bounded by the brackets that the source lets through. */
static struct loom_group *convert(struct loom_config *c, const config_setting_t *from, const struct loom_source *source,
                                  int typed)
{
    struct loom_group *node = loom_node_new(c, kind_of(from), config_setting_name(from));
    if (node == NULL)
        return NULL;
    struct loom_place place = loom_source_place(source, (int)config_setting_source_line(from));
    node->file = typed ? LOOM_COMMAND_LINE : place.file;
    node->line = typed ? 0 : place.line;
    int converted = node->body != NULL ? convert_members(c, node, from, source, typed) : convert_scalar(c, node, from);
    return converted ? node : NULL;
}

static int syntax_fail(const struct loom_source *source, const config_t *tree, struct loom_error *e)
{
    const char *text = config_error_text(tree);
    struct loom_place place = loom_source_place(source, config_error_line(tree));
    if (strcmp(text, "duplicate setting name") == 0)
        return loom_fail(e, LOOM_ECONFIG, place.file, place.line,
                         "this key is already set in its group; keep one of the two");
    return loom_fail(e, LOOM_ECONFIG, place.file, place.line,
                     "%s; look here and one line above for a missing comma, quote or bracket (settings are "
                     "`name = value;`, groups `name: { … };`, lists `( …, … )`)",
                     text);
}

int loom_tree_parse(struct loom_config *c, struct loom_group **root, const struct loom_source *source, int typed,
                    struct loom_error *e)
{
    int status = LOOM_OK;
    config_t tree;
    config_init(&tree);
    if (config_read_string(&tree, source->text.text) != CONFIG_TRUE)
        status = syntax_fail(source, &tree, e);
    else if ((*root = convert(c, config_root_setting(&tree), source, typed)) == NULL)
        status = loom_node_full(e, c->name);
    config_destroy(&tree);
    return status;
}

/* ---- Overrides ---- */

/* libconfig's value if `text` is exactly one, else the text itself. */
static struct loom_group *typed_value(struct loom_config *c, const char *text)
{
    struct loom_source source;
    struct loom_str line = LOOM_STR_INIT;
    struct loom_error ignored = {0};
    struct loom_group *root = NULL, *node = NULL;
    loom_source_init(&source, &c->arena);
    loom_str_printf(&line, "v = %s;", text);
    if (strchr(text, '@') == NULL && line.text != NULL &&
        loom_source_add(&source, line.text, line.length, LOOM_COMMAND_LINE, &ignored) == LOOM_OK &&
        loom_tree_parse(c, &root, &source, 1, &ignored) == LOOM_OK && root->body->count == 1)
        node = root->body->members[0];
    loom_source_release(&source);
    loom_str_release(&line);
    if (node == NULL) {
        node = loom_node_new(c, LOOM_NODE_TEXT, NULL);
        if (node == NULL || (node->text = loom_arena_strdup(&c->arena, text)) == NULL)
            return NULL;
        node->file = LOOM_COMMAND_LINE;
    }
    if (loom_node_scalar(node) && node->kind != LOOM_NODE_TEXT &&
        (node->raw = loom_arena_strdup(&c->arena, text)) == NULL)
        return NULL;
    return node;
}

static int is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-*");
    return n > 0 && s[n] == '\0' && strchr("0123456789-_", s[0]) == NULL;
}

static int no_element(const struct loom_group *list, const char *path, const char *key, struct loom_error *e)
{
    const char *names[65] = {NULL};
    struct loom_str known = LOOM_STR_INIT;
    size_t count = 0;
    for (size_t i = 0; i < list->body->count && count < 64; i++) {
        const char *name = loom_group_text(list->body->members[i], "name");
        if (name != NULL) {
            loom_str_printf(&known, "%s%s", count == 0 ? "" : ", ", name);
            names[count++] = name;
        }
    }
    const char *near = loom_nearest(key, names);
    loom_fail(e, LOOM_ECONFIG, LOOM_COMMAND_LINE, 0, "%s: the list has no element '%s'%s%s%s (elements: 0 to %ld%s%s)",
              path, key, near != NULL ? "; did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "",
              (long)list->body->count - 1, count > 0 ? ", or " : "", known.text != NULL ? known.text : "");
    loom_str_release(&known);
    return LOOM_ECONFIG;
}

/* One step down the path, making a group where a group has none of that name. */
static int descend(struct loom_config *c, struct loom_group **at, const char *path, const char *key,
                   struct loom_error *e)
{
    struct loom_group *node = *at, *next;
    if (node->kind == LOOM_NODE_LIST) {
        *at = loom_node_element(node, key);
        return *at != NULL ? LOOM_OK : no_element(node, path, key, e);
    }
    if (node->kind != LOOM_NODE_GROUP)
        return loom_fail(e, LOOM_ECONFIG, LOOM_COMMAND_LINE, 0,
                         "%s: what stands before '%s' is %s, not a group; shorten the path", path, key,
                         loom_node_kind_name(node));
    if (!is_name(key))
        return loom_fail(e, LOOM_ECONFIG, LOOM_COMMAND_LINE, 0, "%s: '%s' is no name of a key; write path.to.key=value",
                         path, key);
    next = loom_node_member(node, key);
    if (next == NULL) {
        next = loom_node_new(c, LOOM_NODE_GROUP, key);
        if (next == NULL || !loom_node_add(node->body, next))
            return loom_node_full(e, LOOM_COMMAND_LINE);
        next->file = LOOM_COMMAND_LINE;
    }
    *at = next;
    return LOOM_OK;
}

/* Put `value` where the last key of the path points. */
static int place(struct loom_config *c, struct loom_group *parent, const char *path, const char *key,
                 struct loom_group *value, struct loom_error *e)
{
    struct loom_group *old = parent;
    int status = descend(c, &old, path, key, e);
    if (status != LOOM_OK)
        return status;
    value->name = old->name;
    for (size_t i = 0; i < parent->body->count; i++)
        if (parent->body->members[i] == old)
            parent->body->members[i] = value;
    return LOOM_OK;
}

int loom_tree_override(struct loom_config *c, const char *text, struct loom_error *e)
{
    struct loom_group *at = c->root;
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return loom_fail(e, LOOM_ECONFIG, LOOM_COMMAND_LINE, 0, "'%s' is no override; write path.to.key=value", text);
    struct loom_group *value = typed_value(c, equals + 1);
    char *path = strndup(text, (size_t)(equals - text)), *keys = path != NULL ? strdup(path) : NULL;
    int status = value == NULL || keys == NULL ? loom_node_full(e, LOOM_COMMAND_LINE) : LOOM_OK;
    for (char *key = keys, *dot; status == LOOM_OK && key != NULL; key = dot) {
        dot = strchr(key, '.');
        if (dot != NULL)
            *dot++ = '\0';
        status = dot != NULL ? descend(c, &at, path, key, e) : place(c, at, path, key, value, e);
    }
    free(keys);
    free(path);
    return status;
}

/* ---- Opening ---- */

static int open_source(struct loom_config *c, struct loom_source *source, int noverrides, const char *const *overrides,
                       struct loom_error *e)
{
    int status = loom_tree_parse(c, &c->root, source, 0, e);
    for (int i = 0; i < noverrides && status == LOOM_OK; i++)
        status = loom_tree_override(c, overrides[i], e);
    if (status == LOOM_OK && !loom_node_name_paths(c->root, ""))
        status = loom_node_full(e, c->name);
    return status;
}

static int open_text(struct loom_config **out, const char *text, const char *name, int noverrides,
                     const char *const *overrides, struct loom_error *e)
{
    *out = NULL;
    struct loom_config *c = calloc(1, sizeof *c);
    if (c == NULL)
        return loom_fail(e, LOOM_ENOMEM, name, 0, "out of memory reading the pipeline");
    struct loom_source source = {0};
    int status = loom_arena_init(&c->arena, (size_t)64 << 20, e);
    if (status == LOOM_OK) {
        loom_source_init(&source, &c->arena);
        c->name = loom_arena_strdup(&c->arena, name);
        status = text != NULL ? loom_source_add(&source, text, strlen(text), name, e)
                              : loom_source_add_file(&source, name, e);
    }
    if (status == LOOM_OK)
        status = open_source(c, &source, noverrides, overrides, e);
    loom_source_release(&source);
    if (status == LOOM_OK)
        *out = c;
    else
        loom_config_free(c);
    return status;
}

int loom_config_open(struct loom_config **out, const char *path, int noverrides, const char *const *overrides,
                     struct loom_error *e)
{
    return open_text(out, NULL, path, noverrides, overrides, e);
}

int loom_config_parse(struct loom_config **out, const char *text, const char *name, int noverrides,
                      const char *const *overrides, struct loom_error *e)
{
    return open_text(out, text, name, noverrides, overrides, e);
}

void loom_config_free(struct loom_config *c)
{
    if (c == NULL)
        return;
    loom_arena_release(&c->arena);
    free(c);
}
