/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/registry.h"

#include "base/json.h"
#include "base/str.h"

#include <loom/config.h>

#include <stdlib.h>
#include <string.h>

static int give(struct loom_str *s, char **out, struct loom_error *e)
{
    *out = loom_str_take(s);
    loom_str_release(s);
    return *out != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to describe plugins; free some");
}

static int by_kind_and_id(const void *a, const void *b)
{
    const struct loom_plugin *p = (*(const struct loom_known *const *)a)->plugin;
    const struct loom_plugin *q = (*(const struct loom_known *const *)b)->plugin;
    return p->kind != q->kind ? (p->kind < q->kind ? -1 : 1) : strcmp(p->id, q->id);
}

/* malloc'ed and sorted; NULL without memory. */
static const struct loom_known **sorted(const struct loom_registry *r, size_t *n)
{
    for (*n = 0; loom_registry_at(r, *n) != NULL;)
        ++*n;
    const struct loom_known **list = malloc((*n + 1) * sizeof *list);
    for (size_t i = 0; list != NULL && i < *n; i++)
        list[i] = loom_registry_at(r, i);
    if (list != NULL)
        qsort(list, *n, sizeof *list, by_kind_and_id);
    return list;
}

static const char *where(const char *file)
{
    return file != NULL ? file : "built in";
}

static void list_text(const struct loom_registry *r, const struct loom_known *const *list, size_t n, struct loom_str *s)
{
    int id = 2, version = 7, summary = 7;
    for (size_t i = 0; i < n; i++) {
        const struct loom_plugin *p = list[i]->plugin;
        id = (int)strlen(p->id) > id ? (int)strlen(p->id) : id;
        version = (int)strlen(p->version) > version ? (int)strlen(p->version) : version;
        summary = (int)strlen(p->summary) > summary ? (int)strlen(p->summary) : summary;
    }
    loom_str_printf(s, "%-9s  %-*s  %-*s  %-*s  %s\n", "kind", id, "id", version, "version", summary, "summary",
                    "file");
    for (size_t i = 0; i < n; i++) {
        const struct loom_plugin *p = list[i]->plugin;
        loom_str_printf(s, "%-9s  %-*s  %-*s  %-*s  %s\n", loom_kind_name(p->kind), id, p->id, version, p->version,
                        summary, p->summary, where(list[i]->file));
    }
    for (size_t i = 0; loom_registry_refused(r, i) != NULL; i++)
        loom_str_printf(s, "%s%s\n    %s\n", i == 0 ? "\nrefused:\n  " : "  ", loom_registry_refused(r, i)->file,
                        loom_registry_refused(r, i)->reason);
    loom_str_add(s, "\nsearched, in this order:\n");
    for (size_t i = 0; loom_registry_folder(r, i) != NULL; i++)
        loom_str_printf(s, "  %s\n", loom_registry_folder(r, i));
}

static void list_markdown(const struct loom_known *const *list, size_t n, struct loom_str *s)
{
    uint32_t kind = 0;
    for (size_t i = 0; i < n; i++) {
        const struct loom_plugin *p = list[i]->plugin;
        if (p->kind != kind)
            loom_str_printf(s, "%s| %s | what it is |\n|---|---|\n", kind != 0 ? "\n" : "", loom_kind_name(p->kind));
        kind = p->kind;
        loom_str_printf(s, "| `%s` | %s |\n", p->id, p->summary);
    }
}

static void member(struct loom_str *s, const char *key, const char *text)
{
    loom_json_string(s, key);
    loom_str_add(s, ": ");
    if (text != NULL)
        loom_json_string(s, text);
    else
        loom_str_add(s, "null");
}

static void identity_json(const struct loom_plugin *p, const char *file, struct loom_str *s)
{
    loom_str_add(s, "{");
    member(s, "id", p->id);
    loom_str_add(s, ", ");
    member(s, "kind", loom_kind_name(p->kind));
    loom_str_add(s, ", ");
    member(s, "version", p->version);
    loom_str_add(s, ", ");
    member(s, "license", p->license);
    loom_str_add(s, ", ");
    member(s, "summary", p->summary);
    loom_str_add(s, ", ");
    member(s, "file", file);
}

static void list_json(const struct loom_registry *r, const struct loom_known *const *list, size_t n, struct loom_str *s)
{
    loom_str_add(s, "{\"plugins\": [");
    for (size_t i = 0; i < n; i++) {
        loom_str_add(s, i > 0 ? ",\n  " : "\n  ");
        identity_json(list[i]->plugin, list[i]->file, s);
        loom_str_add(s, "}");
    }
    loom_str_add(s, "],\n \"refused\": [");
    for (size_t i = 0; loom_registry_refused(r, i) != NULL; i++) {
        loom_str_add(s, i > 0 ? ",\n  {" : "\n  {");
        member(s, "file", loom_registry_refused(r, i)->file);
        loom_str_add(s, ", ");
        member(s, "reason", loom_registry_refused(r, i)->reason);
        loom_str_add(s, "}");
    }
    loom_str_add(s, "],\n \"folders\": [");
    for (size_t i = 0; loom_registry_folder(r, i) != NULL; i++) {
        loom_str_add(s, i > 0 ? ", " : "");
        loom_json_string(s, loom_registry_folder(r, i));
    }
    loom_str_add(s, "]}\n");
}

int loom_registry_list(const struct loom_registry *r, int format, char **out, struct loom_error *e)
{
    struct loom_str s = LOOM_STR_INIT;
    size_t n;
    const struct loom_known **list = sorted(r, &n);
    if (list == NULL)
        s.failed = 1;
    else if (format == LOOM_PLUGIN_JSON)
        list_json(r, list, n, &s);
    else if (format == LOOM_PLUGIN_MARKDOWN)
        list_markdown(list, n, &s);
    else
        list_text(r, list, n, &s);
    free(list);
    return give(&s, out, e);
}

static void options_json(const struct loom_option *o, struct loom_str *s)
{
    static const char *const types[] = {"?", "int", "real", "bool", "string", "reals", "strings"};
    for (int first = 1; o != NULL && o->name != NULL; o++, first = 0) {
        loom_str_add(s, first ? "\n  {" : ",\n  {");
        member(s, "name", o->name);
        loom_str_printf(s, ", \"type\": \"%s\", ", types[o->type < sizeof types / sizeof *types ? o->type : 0]);
        member(s, "default", (o->flags & LOOM_OPT_REQUIRED) != 0 ? NULL : o->dflt);
        loom_str_add(s, ", ");
        member(s, "range", o->range);
        loom_str_add(s, ", ");
        member(s, "unit", o->unit);
        loom_str_printf(s, ", \"required\": %s, \"live\": %s, ", (o->flags & LOOM_OPT_REQUIRED) != 0 ? "true" : "false",
                        (o->flags & LOOM_OPT_LIVE) != 0 ? "true" : "false");
        member(s, "doc", o->doc);
        loom_str_add(s, "}");
    }
}

static void describe_json(const struct loom_plugin *p, const char *file, struct loom_str *s)
{
    identity_json(p, file, s);
    loom_str_add(s, ",\n \"ops\": [");
    for (const struct loom_op *const *op = p->ops; op != NULL && *op != NULL; op++) {
        loom_str_add(s, op != p->ops ? ", " : "");
        loom_json_string(s, (*op)->name);
    }
    loom_str_add(s, "],\n \"options\": [");
    options_json(p->options, s);
    loom_str_add(s, "]}\n");
}

static void head_text(const struct loom_plugin *p, const char *file, struct loom_str *s)
{
    loom_str_printf(s, "%s %s, %s\n  %s\n\n  file      %s\n  licence   %s\n", p->id, p->version,
                    loom_kind_name(p->kind), p->summary, where(file), p->license);
    for (const struct loom_op *const *op = p->ops; op != NULL && *op != NULL; op++)
        loom_str_printf(s, "%s%s", op == p->ops ? "  ops       " : ", ", (*op)->name);
    loom_str_add(s, p->ops != NULL && p->ops[0] != NULL ? "\n\n" : "\n");
}

static int describe_prose(const struct loom_plugin *p, const char *file, int format, struct loom_str *s,
                          struct loom_error *e)
{
    int markdown = format == LOOM_PLUGIN_MARKDOWN, rc = LOOM_OK;
    char *options = NULL;
    if (markdown)
        loom_str_printf(s, "### `%s` (%s)\n\n%s\n\n", p->id, loom_kind_name(p->kind), p->summary);
    else
        head_text(p, file, s);
    if (p->options == NULL || p->options->name == NULL)
        loom_str_add(s, markdown ? "It has no options.\n" : "  no options\n");
    else if ((rc = loom_options_describe(p->options, markdown ? LOOM_DESCRIBE_MARKDOWN : LOOM_DESCRIBE_TEXT, &options,
                                         e)) == LOOM_OK)
        loom_str_add(s, options);
    free(options);
    return rc;
}

int loom_registry_describe(const struct loom_registry *r, const struct loom_plugin *p, int format, char **out,
                           struct loom_error *e)
{
    struct loom_str s = LOOM_STR_INIT;
    const char *file = loom_registry_file(r, p);
    int rc = LOOM_OK;
    *out = NULL;
    if (format == LOOM_PLUGIN_JSON)
        describe_json(p, file, &s);
    else
        rc = describe_prose(p, file, format, &s, e);
    if (rc == LOOM_OK)
        return give(&s, out, e);
    loom_str_release(&s);
    return rc;
}
