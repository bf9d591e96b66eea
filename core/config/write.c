/* SPDX-License-Identifier: Apache-2.0 */
/* Values, and whole pipelines, as libconfig reads them. */
#include "config/tree.h"

#include "base/io.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void loom_write_int(struct loom_str *s, int64_t x)
{
    loom_str_printf(s, "%lld%s", (long long)x, x > INT32_MAX || x < INT32_MIN ? "L" : "");
}

void loom_write_real(struct loom_str *s, double x)
{
    size_t from = s->length;
    if (!isfinite(x))
        loom_str_add(s, "\"");
    loom_str_real(s, x);
    if (!isfinite(x))
        loom_str_add(s, "\"");
    else if (!s->failed && strpbrk(s->text + from, ".e") == NULL)
        loom_str_add(s, ".0");
}

void loom_write_text(struct loom_str *s, const char *text)
{
    loom_str_add(s, "\"");
    for (; *text != '\0'; text++) {
        static const char special[] = "\"\\\n\r\t\f", escape[] = "\"\\nrtf";
        const char *which = strchr(special, *text);
        if (which != NULL)
            loom_str_printf(s, "\\%c", escape[which - special]);
        else if ((unsigned char)*text < 0x20)
            loom_str_printf(s, "\\x%02x", (unsigned char)*text);
        else
            loom_str_addn(s, text, 1);
    }
    loom_str_add(s, "\"");
}

void loom_node_write(struct loom_str *s, const struct loom_group *node)
{
    switch (node->kind) {
    case LOOM_NODE_INT:
        loom_write_int(s, node->integer);
        break;
    case LOOM_NODE_REAL:
        loom_write_real(s, node->real);
        break;
    case LOOM_NODE_BOOL:
        loom_str_add(s, node->integer ? "true" : "false");
        break;
    case LOOM_NODE_TEXT:
        loom_write_text(s, node->text);
        break;
    case LOOM_NODE_LIST:
    case LOOM_NODE_GROUP:
        loom_str_add(s, node->kind == LOOM_NODE_LIST ? "( " : "{ ");
        for (size_t i = 0; i < node->body->count; i++) {
            const struct loom_group *member = node->body->members[i];
            if (node->kind == LOOM_NODE_GROUP)
                loom_str_printf(s, "%s = ", member->name);
            else if (i > 0)
                loom_str_add(s, ", ");
            loom_node_write(s, member);
            if (node->kind == LOOM_NODE_GROUP)
                loom_str_add(s, "; ");
        }
        loom_str_add(s, node->kind == LOOM_NODE_LIST ? " )" : "}");
    }
}

void loom_write_origin(struct loom_str *s, const struct loom_group *node)
{
    loom_str_add(s, node->file != NULL ? node->file : "default");
    if (node->line > 0)
        loom_str_printf(s, ":%d", node->line);
}

/* ---- The resolved pipeline ---- */

enum { ORIGIN_COLUMN = 56 };

static void write_line(struct loom_str *s, int indent, const char *name, const char *value, const char *origin)
{
    size_t from = s->length;
    loom_str_printf(s, "%*s%s = %s;", indent, "", name, value);
    size_t width = s->length - from;
    loom_str_printf(s, "%*s # ", width < ORIGIN_COLUMN ? (int)(ORIGIN_COLUMN - width) : 0, "");
    for (; *origin != '\0'; origin++)
        loom_str_addn(s, *origin == '\n' ? " " : origin, 1);
    loom_str_add(s, "\n");
}

static int read_by_table(const struct loom_group *g, const char *name, const struct loom_reading *before)
{
    for (const struct loom_reading *r = g->body->readings; r != before; r = r->next)
        for (size_t i = 0; r->table[i].name != NULL; i++)
            if (strcmp(r->table[i].name, name) == 0)
                return 1;
    return 0;
}

static int holds_groups(const struct loom_group *node)
{
    for (size_t i = 0; node->kind == LOOM_NODE_LIST && i < node->body->count; i++)
        if (node->body->members[i]->kind == LOOM_NODE_GROUP)
            return 1;
    return 0;
}

static int is_plain(const struct loom_group *node)
{
    return node->kind != LOOM_NODE_GROUP && !holds_groups(node);
}

static void write_group(struct loom_str *s, const struct loom_group *g, int indent);

static void write_block(struct loom_str *s, const struct loom_group *node, int indent)
{
    if (node->kind == LOOM_NODE_GROUP) {
        loom_str_printf(s, "%*s%s: {\n", indent, "", node->name);
        write_group(s, node, indent + 4);
        loom_str_printf(s, "%*s};\n", indent, "");
        return;
    }
    loom_str_printf(s, "%*s%s: (\n", indent, "", node->name);
    for (size_t i = 0; i < node->body->count; i++) {
        const struct loom_group *member = node->body->members[i];
        const char *comma = i + 1 < node->body->count ? "," : "";
        loom_str_printf(s, "%*s", indent + 4, "");
        if (member->kind == LOOM_NODE_GROUP) {
            loom_str_add(s, "{\n");
            write_group(s, member, indent + 8);
            loom_str_printf(s, "%*s}%s\n", indent + 4, "", comma);
        } else {
            loom_node_write(s, member);
            loom_str_printf(s, "%s\n", comma);
        }
    }
    loom_str_printf(s, "%*s);\n", indent, "");
}

/* First what no table reads (name, plugin), then every option in the order of its table, then the groups. */
static void write_group(struct loom_str *s, const struct loom_group *g, int indent)
{
    for (size_t i = 0; i < g->body->count; i++) {
        const struct loom_group *node = g->body->members[i];
        struct loom_str value = LOOM_STR_INIT, origin = LOOM_STR_INIT;
        if (!is_plain(node) || read_by_table(g, node->name, NULL))
            continue;
        loom_node_write(&value, node);
        loom_write_origin(&origin, node);
        s->failed |= value.failed | origin.failed;
        if (!s->failed)
            write_line(s, indent, node->name, value.text, origin.text);
        loom_str_release(&value);
        loom_str_release(&origin);
    }
    for (const struct loom_reading *r = g->body->readings; r != NULL; r = r->next)
        for (size_t i = 0; r->table[i].name != NULL; i++)
            if (!read_by_table(g, r->table[i].name, r))
                write_line(s, indent, r->table[i].name, r->values[i], r->origins[i]);
    for (size_t i = 0; i < g->body->count; i++) {
        const struct loom_group *node = g->body->members[i];
        if (!is_plain(node) && !read_by_table(g, node->name, NULL))
            write_block(s, node, indent);
    }
}

int loom_config_resolved(const struct loom_config *c, char **out, struct loom_error *e)
{
    struct loom_str s = LOOM_STR_INIT;
    loom_str_printf(
        &s, "# %s, resolved by neuroloom %s: every default written out, behind each value where it came from.\n",
        c->name, loom_version());
    write_group(&s, c->root, 0);
    *out = loom_str_take(&s);
    return *out != NULL ? LOOM_OK
                        : loom_fail(e, LOOM_ENOMEM, c->name, 0, "out of memory writing the resolved pipeline");
}

int loom_config_write_resolved(const struct loom_config *c, const char *path, struct loom_error *e)
{
    char *text;
    int status = loom_config_resolved(c, &text, e);
    if (status == LOOM_OK)
        status = loom_file_write(path, text, strlen(text), e);
    free(text);
    return status;
}

/* ---- Groups that nobody read ---- */

/* A group whose keys are names ("modalities", "baselines") has no table; some group in it was read by one. */
static int holds_read_groups(const struct loom_group *node)
{
    int read = 0;
    for (size_t i = 0; i < node->body->count; i++) {
        const struct loom_group *member = node->body->members[i];
        if (member->kind != LOOM_NODE_GROUP)
            return 0;
        read |= member->body->readings != NULL;
    }
    return read;
}

static const struct loom_group *unread(const struct loom_group *node)
{
    if (node->body == NULL)
        return NULL;
    if (node->kind == LOOM_NODE_GROUP && node->body->readings == NULL && !holds_read_groups(node))
        return node;
    for (size_t i = 0; i < node->body->count; i++) {
        const struct loom_group *member = node->body->members[i];
        if (node->kind == LOOM_NODE_GROUP && read_by_table(node, member->name, NULL))
            continue;
        const struct loom_group *found = unread(member);
        if (found != NULL)
            return found;
    }
    return NULL;
}

int loom_config_unread(const struct loom_config *c, struct loom_error *e)
{
    const struct loom_group *g = unread(c->root);
    if (g == NULL)
        return LOOM_OK;
    return loom_group_fail(g, NULL, e, LOOM_ECONFIG,
                           "no part of this pipeline reads this group; remove it or correct its name");
}
