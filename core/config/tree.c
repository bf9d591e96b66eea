/* SPDX-License-Identifier: Apache-2.0 */
#include "config/tree.h"

#include <stdio.h>
#include <string.h>

int loom_node_full(struct loom_error *e, const char *file)
{
    return loom_fail(e, LOOM_ENOMEM, file, 0, "the pipeline is too large; split it into several");
}

struct loom_group *loom_node_new(struct loom_config *c, enum loom_node_kind kind, const char *name)
{
    struct loom_group *node = loom_arena_zalloc(&c->arena, sizeof *node);
    if (node == NULL)
        return NULL;
    node->kind = kind;
    node->path = "";
    if (kind == LOOM_NODE_GROUP || kind == LOOM_NODE_LIST) {
        node->body = loom_arena_zalloc(&c->arena, sizeof *node->body);
        if (node->body == NULL)
            return NULL;
        node->body->config = c;
    }
    if (name != NULL) {
        node->name = loom_arena_strdup(&c->arena, name);
        if (node->name == NULL)
            return NULL;
    }
    return node;
}

int loom_node_add(struct loom_body *b, struct loom_group *node)
{
    for (size_t i = 0; i < b->count && node->name != NULL; i++)
        if (strcmp(b->members[i]->name, node->name) == 0) {
            b->members[i] = node;
            return 1;
        }
    if (b->count == b->capacity) {
        size_t capacity = b->capacity == 0 ? 8 : 2 * b->capacity;
        struct loom_group **members = loom_arena_alloc(&b->config->arena, capacity * sizeof(struct loom_group *));
        if (members == NULL)
            return 0;
        if (b->count > 0)
            memcpy(members, b->members, b->count * sizeof(struct loom_group *));
        b->members = members;
        b->capacity = capacity;
    }
    b->members[b->count++] = node;
    return 1;
}

struct loom_group *loom_node_member(const struct loom_group *g, const char *name)
{
    if (g == NULL || g->kind != LOOM_NODE_GROUP)
        return NULL;
    for (size_t i = 0; i < g->body->count; i++)
        if (strcmp(g->body->members[i]->name, name) == 0)
            return g->body->members[i];
    return NULL;
}

struct loom_group *loom_node_element(const struct loom_group *list, const char *key)
{
    int64_t index;
    for (size_t i = 0; i < list->body->count; i++) {
        const char *name = loom_group_text(list->body->members[i], "name");
        if (name != NULL && strcmp(name, key) == 0)
            return list->body->members[i];
    }
    if (loom_text_int(key, &index) && index >= 0 && (uint64_t)index < list->body->count)
        return list->body->members[index];
    return NULL;
}

int loom_node_name_paths(struct loom_group *g, const char *path)
{
    char joined[1024], index[32];
    g->path = path;
    for (size_t i = 0; g->body != NULL && i < g->body->count; i++) {
        struct loom_group *node = g->body->members[i];
        const char *key = node->name != NULL ? node->name : loom_group_text(node, "name");
        if (key == NULL) {
            snprintf(index, sizeof index, "%zu", i);
            key = index;
        }
        snprintf(joined, sizeof joined, "%s%s%s", path, *path != '\0' ? "." : "", key);
        const char *copy = loom_arena_strdup(&g->body->config->arena, joined);
        if (copy == NULL || !loom_node_name_paths(node, copy))
            return 0;
    }
    return 1;
}

const char *loom_node_kind_name(const struct loom_group *node)
{
    static const char *const names[] = {"a group", "a list", "an integer", "a real number", "true or false", "text"};
    return names[node->kind];
}

int loom_node_scalar(const struct loom_group *node)
{
    return node->kind != LOOM_NODE_GROUP && node->kind != LOOM_NODE_LIST;
}

/* ---- Walking, as the outside sees it ---- */

static const struct loom_group *as_group(const struct loom_group *node)
{
    return node != NULL && node->kind == LOOM_NODE_GROUP ? node : NULL;
}

const struct loom_group *loom_config_root(const struct loom_config *c)
{
    return c->root;
}

const struct loom_group *loom_config_group(const struct loom_config *c, const char *path)
{
    char key[256];
    const struct loom_group *node = c->root;
    while (*path != '\0' && node != NULL && node->body != NULL) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof key)
            return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        node = node->kind == LOOM_NODE_LIST ? loom_node_element(node, key) : loom_node_member(node, key);
        path += n + (path[n] == '.');
    }
    return *path == '\0' ? as_group(node) : NULL;
}

const struct loom_group *loom_group_child(const struct loom_group *g, const char *name)
{
    return as_group(loom_node_member(g, name));
}

const struct loom_group *loom_group_ensure(const struct loom_group *g, const char *name)
{
    struct loom_group *node = loom_node_member(g, name);
    if (node != NULL)
        return as_group(node);
    struct loom_config *c = g->body->config;
    char path[1024];
    snprintf(path, sizeof path, "%s%s%s", g->path, *g->path != '\0' ? "." : "", name);
    const char *kept = loom_arena_strdup(&c->arena, path);
    node = loom_node_new(c, LOOM_NODE_GROUP, name);
    if (kept == NULL || node == NULL)
        return NULL;
    node->path = kept;
    return loom_node_add(g->body, node) ? node : NULL;
}

size_t loom_group_list_count(const struct loom_group *g, const char *name)
{
    const struct loom_group *node = loom_node_member(g, name);
    if (node == NULL)
        return 0;
    return node->kind == LOOM_NODE_LIST ? node->body->count : node->kind == LOOM_NODE_GROUP;
}

const struct loom_group *loom_group_list(const struct loom_group *g, const char *name, size_t i)
{
    const struct loom_group *node = loom_node_member(g, name);
    if (node == NULL || i >= loom_group_list_count(g, name))
        return NULL;
    return as_group(node->kind == LOOM_NODE_LIST ? node->body->members[i] : node);
}

size_t loom_group_count(const struct loom_group *g)
{
    return g == NULL ? 0 : g->body->count;
}

const char *loom_group_key(const struct loom_group *g, size_t i)
{
    return i < loom_group_count(g) ? g->body->members[i]->name : NULL;
}

const struct loom_group *loom_group_at(const struct loom_group *g, size_t i)
{
    return i < loom_group_count(g) ? as_group(g->body->members[i]) : NULL;
}

int loom_group_has(const struct loom_group *g, const char *name)
{
    return loom_node_member(g, name) != NULL;
}

const char *loom_group_text(const struct loom_group *g, const char *name)
{
    const struct loom_group *node = loom_node_member(g, name);
    if (node == NULL)
        return NULL;
    return node->raw != NULL ? node->raw : node->kind == LOOM_NODE_TEXT ? node->text : NULL;
}

const char *loom_group_path(const struct loom_group *g)
{
    return g == NULL ? "" : g->path;
}

int loom_group_fail(const struct loom_group *g, const char *name, struct loom_error *e, int code, const char *fmt, ...)
{
    const struct loom_group *node = name == NULL ? NULL : loom_node_member(g, name);
    struct loom_str s = LOOM_STR_INIT;
    va_list args;
    if (node == NULL)
        node = g;
    loom_str_printf(&s, "%s%s%s%s", loom_group_path(g), g != NULL && *g->path != '\0' && name != NULL ? "." : "",
                    name != NULL ? name : "", (g != NULL && *g->path != '\0') || name != NULL ? ": " : "");
    va_start(args, fmt);
    loom_str_vprintf(&s, fmt, args);
    va_end(args);
    loom_fail(e, code, node != NULL ? node->file : NULL, node != NULL ? node->line : 0, "%s", s.failed ? fmt : s.text);
    loom_str_release(&s);
    return code;
}
