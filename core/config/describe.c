/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables for readers, and what makes a table sound. */
#include "config/value.h"

#include <stdlib.h>
#include <string.h>

static void write_default(struct loom_str *s, const struct loom_option *o)
{
    struct loom_str why = LOOM_STR_INIT;
    struct loom_value v;
    if (o->flags & LOOM_OPT_REQUIRED)
        loom_str_add(s, "required");
    else if (loom_value_from_default(&v, o, &why) == LOOM_OK) {
        loom_value_write(s, o, &v);
        loom_value_release(&v);
    }
    loom_str_release(&why);
}

/* A cell of a Markdown table: bars and line ends would break the row. */
static void write_cell(struct loom_str *s, const char *text, int code)
{
    const char *tick = code && *text != '\0' ? "`" : "";
    loom_str_printf(s, " %s", tick);
    for (; *text != '\0'; text++) {
        if (*text == '|')
            loom_str_add(s, "\\|");
        else
            loom_str_addn(s, *text == '\n' ? " " : text, 1);
    }
    loom_str_printf(s, "%s |", tick);
}

static void describe_markdown(struct loom_str *s, const struct loom_option *o)
{
    struct loom_str dflt = LOOM_STR_INIT;
    struct loom_str doc = LOOM_STR_INIT;
    write_default(&dflt, o);
    loom_str_printf(&doc, "%s%s", o->doc, o->flags & LOOM_OPT_LIVE ? " (live)" : "");
    s->failed |= dflt.failed | doc.failed;
    if (!s->failed) {
        loom_str_add(s, "|");
        write_cell(s, o->name, 1);
        write_cell(s, loom_option_type_name(o->type), 0);
        write_cell(s, dflt.text, !(o->flags & LOOM_OPT_REQUIRED));
        write_cell(s, o->range != NULL ? o->range : "", 1);
        write_cell(s, o->unit != NULL ? o->unit : "", 0);
        write_cell(s, doc.text, 0);
        loom_str_add(s, "\n");
    }
    loom_str_release(&dflt);
    loom_str_release(&doc);
}

static void describe_text(struct loom_str *s, const struct loom_option *o)
{
    loom_str_printf(s, "  %s = ", o->name);
    write_default(s, o);
    loom_str_printf(s, "    %s", loom_option_type_name(o->type));
    if (o->range != NULL)
        loom_str_printf(s, ", %s", o->range);
    if (o->unit != NULL)
        loom_str_printf(s, ", in %s", o->unit);
    if (o->flags & LOOM_OPT_LIVE)
        loom_str_add(s, ", live");
    loom_str_printf(s, "\n      %s\n", o->doc);
}

int loom_options_describe(const struct loom_option *table, int format, char **out, struct loom_error *e)
{
    struct loom_str s = LOOM_STR_INIT;
    if (format == LOOM_DESCRIBE_MARKDOWN)
        loom_str_add(&s, "| option | type | default | range | unit | what it does |\n|---|---|---|---|---|---|\n");
    for (; table->name != NULL; table++)
        if (format == LOOM_DESCRIBE_MARKDOWN)
            describe_markdown(&s, table);
        else
            describe_text(&s, table);
    *out = loom_str_take(&s);
    return *out != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory describing options");
}

static const char *fault_of(const struct loom_option *table, size_t i)
{
    const struct loom_option *o = &table[i];
    size_t n = strspn(o->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    if (n == 0 || o->name[n] != '\0' || (o->name[0] >= '0' && o->name[0] <= '9') || o->name[0] == '_')
        return "is no name: letters, digits and _, a letter first";
    for (size_t j = 0; j < i; j++)
        if (strcmp(table[j].name, o->name) == 0)
            return "stands in the table twice";
    if (loom_option_type_name(o->type) == NULL)
        return "has a type that there is not";
    if (o->doc == NULL || o->doc[0] == '\0')
        return "has no sentence that says what it does";
    if (o->flags & LOOM_OPT_LIVE && o->type > LOOM_OPT_BOOL)
        return "is live and no number";
    if (o->flags & ~(uint32_t)(LOOM_OPT_LIVE | LOOM_OPT_REQUIRED))
        return "has flags that there are not";
    if (o->type == LOOM_OPT_BOOL && o->range != NULL)
        return "is true or false and has a range";
    if ((o->type == LOOM_OPT_INT || o->type == LOOM_OPT_REAL || o->type == LOOM_OPT_REALS) &&
        loom_value_in_range(o, 0.0) < 0)
        return "has a malformed range: write [0,1], (0,inf) and the like";
    return NULL;
}

int loom_options_check(const struct loom_option *table, struct loom_error *e)
{
    for (size_t i = 0; table[i].name != NULL; i++) {
        struct loom_str why = LOOM_STR_INIT;
        struct loom_value v = {0};
        const char *fault = fault_of(table, i);
        if (fault == NULL && !(table[i].flags & LOOM_OPT_REQUIRED) &&
            loom_value_from_default(&v, &table[i], &why) != LOOM_OK)
            fault = why.text != NULL ? why.text : "has a default that is not of its type";
        if (fault != NULL)
            loom_fail(e, LOOM_EPLUGIN, NULL, 0, "option '%s': %s; mend the option table", table[i].name, fault);
        loom_value_release(&v);
        loom_str_release(&why);
        if (fault != NULL)
            return LOOM_EPLUGIN;
    }
    return LOOM_OK;
}
