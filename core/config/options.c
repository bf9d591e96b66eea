/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/options.h>

#include "config/value.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loom_options {
    const struct loom_option *table;
    size_t count;
    struct loom_value *values;
    char *path; /* of the group */
    char *file; /* of the group, NULL if there is none */
    int line;
};

/* ---- Reading values ---- */

static const char *type_name(uint32_t type)
{
    static const char *const names[] = {
        [LOOM_OPT_INT] = "an integer (LOOM_OPT_INT)",  [LOOM_OPT_REAL] = "a real (LOOM_OPT_REAL)",
        [LOOM_OPT_BOOL] = "a switch (LOOM_OPT_BOOL)",  [LOOM_OPT_STRING] = "a text (LOOM_OPT_STRING)",
        [LOOM_OPT_REALS] = "numbers (LOOM_OPT_REALS)", [LOOM_OPT_STRINGS] = "texts (LOOM_OPT_STRINGS)"};
    return type < sizeof names / sizeof *names && names[type] ? names[type] : "a value";
}

/* A name that the table does not declare, or declares with another type, is the programmer's error: where assertions
 * are on it is said by name before one ends the process, elsewhere the value reads as nothing. */
static struct loom_value *find(const struct loom_options *o, const char *name, uint32_t type)
{
    static char no_text[1];
    static struct loom_value nothing = {.text = no_text};
    size_t i = 0;
    while (i < o->count && strcmp(o->table[i].name, name) != 0)
        i++;
    if (i < o->count && (type == 0 || o->table[i].type == type))
        return &o->values[i];
#ifndef NDEBUG
    fprintf(stderr, "loom: the option '%s' is read as %s, and the table of options declares %s: make the two agree\n",
            name, type_name(type), i < o->count ? type_name(o->table[i].type) : "none of that name");
    assert(!"an option is read that the table does not declare so");
#endif
    return &nothing;
}

int64_t loom_opt_int(const struct loom_options *o, const char *name)
{
    return find(o, name, LOOM_OPT_INT)->integer;
}

double loom_opt_real(const struct loom_options *o, const char *name)
{
    return find(o, name, LOOM_OPT_REAL)->real;
}

int loom_opt_bool(const struct loom_options *o, const char *name)
{
    return (int)find(o, name, LOOM_OPT_BOOL)->integer;
}

const char *loom_opt_string(const struct loom_options *o, const char *name)
{
    return find(o, name, LOOM_OPT_STRING)->text;
}

int loom_opt_is(const struct loom_options *o, const char *name, const char *word)
{
    return strcmp(loom_opt_string(o, name), word) == 0;
}

size_t loom_opt_count(const struct loom_options *o, const char *name)
{
    return find(o, name, 0)->count;
}

double loom_opt_real_at(const struct loom_options *o, const char *name, size_t i)
{
    const struct loom_value *v = find(o, name, LOOM_OPT_REALS);
    assert(i < v->count);
    return v->reals[i];
}

const char *loom_opt_string_at(const struct loom_options *o, const char *name, size_t i)
{
    const struct loom_value *v = find(o, name, LOOM_OPT_STRINGS);
    assert(i < v->count);
    return v->texts[i];
}

int loom_opt_given(const struct loom_options *o, const char *name)
{
    return find(o, name, 0)->differs;
}

static const char *separator(const char *path)
{
    return *path != '\0' ? "." : "";
}

int loom_opt_fail(const struct loom_options *o, const char *name, struct loom_error *e, const char *fmt, ...)
{
    const struct loom_value *v = find(o, name, 0);
    struct loom_str s = LOOM_STR_INIT;
    va_list args;
    loom_str_printf(&s, "%s%s%s: ", o->path, separator(o->path), name);
    va_start(args, fmt);
    loom_str_vprintf(&s, fmt, args);
    va_end(args);
    loom_fail(e, LOOM_ECONFIG, v->given ? v->file : o->file, v->given ? v->line : o->line, "%s",
              s.failed ? fmt : s.text);
    loom_str_release(&s);
    return LOOM_ECONFIG;
}

int loom_options_set(struct loom_options *o, const char *name, double value, struct loom_error *e)
{
    struct loom_value *v = find(o, name, 0);
    const struct loom_option *option = &o->table[v - o->values];
    if (!(option->flags & LOOM_OPT_LIVE) || option->type > LOOM_OPT_BOOL)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "%s%s%s cannot change while the model runs; only live numbers can",
                         o->path, separator(o->path), name);
    double x = option->type == LOOM_OPT_INT ? nearbyint(value) : value;
    int fits = option->type == LOOM_OPT_BOOL ? !isnan(x) : loom_value_in_range(option, x) == 1;
    if (!fits || (option->type == LOOM_OPT_INT && !(fabs(x) < 0x1p63)))
        return loom_opt_fail(o, name, e, "%g is outside %s; keep schedules inside the range", value,
                             option->range != NULL ? option->range : "the numbers");
    if (option->type == LOOM_OPT_REAL)
        v->real = x;
    else
        v->integer = option->type == LOOM_OPT_INT ? (int64_t)x : x < 0.0 || x > 0.0;
    return LOOM_OK;
}

void loom_options_free(struct loom_options *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; o->values != NULL && i < o->count; i++)
        loom_value_release(&o->values[i]);
    free(o->values);
    free(o->path);
    free(o->file);
    free(o);
}

/* ---- Parsing ---- */

static int listed(const char *const *names, const char *name)
{
    for (; names != NULL && *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return 1;
    return 0;
}

static int in_table(const struct loom_option *table, const char *name)
{
    for (; table->name != NULL; table++)
        if (strcmp(table->name, name) == 0)
            return 1;
    return 0;
}

/* "unknown option; did you mean 'width'? (options: width, depth, heads)" */
static int unknown(const struct loom_option *table, const struct loom_group *group, const char *name,
                   const char *const *reserved, struct loom_error *e)
{
    enum { MOST = 256 };
    const char *names[MOST + 1] = {NULL};
    struct loom_str known = LOOM_STR_INIT;
    size_t count = 0;
    for (; table->name != NULL && count < MOST; table++)
        names[count++] = table->name;
    for (; reserved != NULL && *reserved != NULL && count < MOST; reserved++)
        names[count++] = *reserved;
    for (size_t i = 0; i < count; i++)
        loom_str_printf(&known, "%s%s", i > 0 ? ", " : "", names[i]);
    const char *near = loom_nearest(name, names);
    if (near != NULL)
        loom_group_fail(group, name, e, LOOM_ECONFIG, "unknown option; did you mean '%s'? (options: %s)", near,
                        known.text);
    else
        loom_group_fail(group, name, e, LOOM_ECONFIG,
                        "unknown option; remove it or use one of the options there are: %s",
                        known.text != NULL ? known.text : "none");
    loom_str_release(&known);
    return LOOM_ECONFIG;
}

/* As both are written. */
static int differs(const struct loom_option *option, const struct loom_value *v)
{
    struct loom_value standard = {0};
    struct loom_str why = LOOM_STR_INIT, is = LOOM_STR_INIT, was = LOOM_STR_INIT;
    int same = option->dflt != NULL && loom_value_from_default(&standard, option, &why) == LOOM_OK;
    if (same) {
        loom_value_write(&is, option, v);
        loom_value_write(&was, option, &standard);
        same = is.text != NULL && was.text != NULL && strcmp(is.text, was.text) == 0;
    }
    loom_value_release(&standard);
    loom_str_release(&why);
    loom_str_release(&is);
    loom_str_release(&was);
    return !same;
}

static int parse_one(struct loom_options *o, size_t i, const struct loom_group *group, struct loom_error *e)
{
    const struct loom_option *option = &o->table[i];
    const struct loom_group *node = loom_node_member(group, option->name);
    struct loom_str why = LOOM_STR_INIT;
    int status;
    if (node == NULL && option->flags & LOOM_OPT_REQUIRED) {
        status = loom_fail(e, LOOM_ECONFIG, o->file, o->line, "%s%s%s is missing and has no default; add %s = … (%s)",
                           o->path, separator(o->path), option->name, option->name, option->doc);
    } else if (node != NULL) {
        status = loom_value_from_node(&o->values[i], option, node, &why);
        o->values[i].differs = status == LOOM_OK && differs(option, &o->values[i]);
        if (status == LOOM_ECONFIG || status == LOOM_EPLUGIN)
            loom_fail(e, status, node->file, node->line, "%s%s%s: %s", o->path, separator(o->path), option->name,
                      why.text != NULL ? why.text : "not understood");
    } else {
        status = loom_value_from_default(&o->values[i], option, &why);
        if (status == LOOM_ECONFIG || status == LOOM_EPLUGIN)
            status = loom_fail(
                e, LOOM_EPLUGIN, NULL, 0, "%s%s%s: the default \"%s\" is no %s%s%s; mend the option table", o->path,
                separator(o->path), option->name, option->dflt != NULL ? option->dflt : "",
                loom_option_type_name(option->type), why.text != NULL ? ": " : "", why.text != NULL ? why.text : "");
    }
    if (status == LOOM_ENOMEM)
        loom_fail(e, status, NULL, 0, "out of memory reading options");
    loom_str_release(&why);
    return status;
}

/* Leave behind, in the group, what the resolved file shows. A table that reads the group again replaces its reading. */
static int note(const struct loom_options *o, const struct loom_group *group, struct loom_error *e)
{
    struct loom_arena *arena = &group->body->config->arena;
    struct loom_reading **at = &group->body->readings, *r;
    while (*at != NULL && (*at)->table != o->table)
        at = &(*at)->next;
    if (*at == NULL && (*at = loom_arena_zalloc(arena, sizeof **at)) == NULL)
        return loom_node_full(e, o->file);
    r = *at;
    r->table = o->table;
    r->values = loom_arena_zalloc(arena, (o->count + 1) * sizeof(char *));
    r->origins = loom_arena_zalloc(arena, (o->count + 1) * sizeof(char *));
    if (r->values == NULL || r->origins == NULL)
        return loom_node_full(e, o->file);
    for (size_t i = 0; i < o->count; i++) {
        const struct loom_group *node = loom_node_member(group, o->table[i].name);
        struct loom_str value = LOOM_STR_INIT, origin = LOOM_STR_INIT;
        loom_value_write(&value, &o->table[i], &o->values[i]);
        if (node != NULL)
            loom_write_origin(&origin, node);
        else
            loom_str_add(&origin, "default");
        if (!value.failed && !origin.failed) {
            r->values[i] = loom_arena_strdup(arena, value.text);
            r->origins[i] = loom_arena_strdup(arena, origin.text);
        }
        loom_str_release(&value);
        loom_str_release(&origin);
        if (r->values[i] == NULL || r->origins[i] == NULL)
            return loom_node_full(e, o->file);
    }
    return LOOM_OK;
}

static struct loom_options *options_new(const struct loom_option *table, const struct loom_group *group,
                                        const char *where)
{
    struct loom_options *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    o->table = table;
    while (table[o->count].name != NULL)
        o->count++;
    o->values = calloc(o->count + 1, sizeof *o->values);
    o->path = strdup(group != NULL ? group->path : where != NULL ? where : "");
    o->file = group != NULL && group->file != NULL ? strdup(group->file) : NULL;
    o->line = group != NULL ? group->line : 0;
    if (o->values != NULL && o->path != NULL && (o->file != NULL || group == NULL || group->file == NULL))
        return o;
    loom_options_free(o);
    return NULL;
}

int loom_options_parse(struct loom_options **out, const struct loom_option *table, const struct loom_group *group,
                       const char *where, const char *const *reserved, struct loom_error *e)
{
    static const struct loom_option none[] = {{0}};
    *out = NULL;
    if (table == NULL)
        table = none;
    struct loom_options *o = options_new(table, group, where);
    int status = LOOM_OK;
    if (o == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory reading options");
    for (size_t i = 0; i < loom_group_count(group) && status == LOOM_OK; i++) {
        const char *name = loom_group_key(group, i);
        if (!in_table(table, name) && !listed(reserved, name))
            status = unknown(table, group, name, reserved, e);
    }
    for (size_t i = 0; i < o->count && status == LOOM_OK; i++)
        status = parse_one(o, i, group, e);
    if (status == LOOM_OK && group != NULL)
        status = note(o, group, e);
    if (status == LOOM_OK)
        *out = o;
    else
        loom_options_free(o);
    return status;
}
