/* SPDX-License-Identifier: Apache-2.0 */
#include "config/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *loom_option_type_name(uint32_t type)
{
    static const char *const names[] = {NULL, "integer", "real", "boolean", "text", "list of numbers", "list of text"};
    return type < sizeof names / sizeof *names ? names[type] : NULL;
}

void loom_value_release(struct loom_value *v)
{
    for (size_t i = 0; v->texts != NULL && i < v->count; i++)
        free(v->texts[i]);
    free(v->texts);
    free(v->reals);
    free(v->text);
    free(v->file);
    memset(v, 0, sizeof *v);
}

/* ---- Ranges ---- */

/* "[0,1)", "(-inf,inf)": bounds and whether they belong to it. */
int loom_value_in_range(const struct loom_option *o, double x)
{
    char low_text[64], high_text[64];
    double low, high;
    if (o->range == NULL)
        return !isnan(x);
    size_t n = strlen(o->range);
    const char *comma = strchr(o->range, ',');
    if (n < 5 || n >= sizeof low_text || comma == NULL || strchr("[(", o->range[0]) == NULL ||
        strchr("])", o->range[n - 1]) == NULL)
        return -1;
    memset(low_text, 0, sizeof low_text);
    memset(high_text, 0, sizeof high_text);
    memcpy(low_text, o->range + 1, (size_t)(comma - o->range) - 1);
    memcpy(high_text, comma + 1, (size_t)(o->range + n - 1 - comma) - 1);
    const char *high_start = high_text + strspn(high_text, " ");
    if (!loom_text_real(low_text, &low) || !loom_text_real(high_start, &high) || !(low <= high))
        return -1;
    return (o->range[0] == '[' ? x >= low : x > low) && (o->range[n - 1] == ']' ? x <= high : x < high);
}

/* Is `text` one of "a|b|c"? */
static int in_words(const char *words, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = words;; at++) {
        size_t length = strcspn(at, "|");
        if (length == n && memcmp(at, text, n) == 0)
            return 1;
        at += length;
        if (*at == '\0')
            return 0;
    }
}

static void say_words(struct loom_str *why, const char *words, const char *text)
{
    char *copy = strdup(words);
    const char *list[65] = {NULL};
    size_t count = 0;
    for (char *at = copy, *bar; at != NULL && count < 64; at = bar) {
        bar = strchr(at, '|');
        if (bar != NULL)
            *bar++ = '\0';
        list[count++] = at;
    }
    const char *near = loom_nearest(text, list);
    loom_str_printf(why, "'%s' is none of ", text);
    for (size_t i = 0; i < count; i++)
        loom_str_printf(why, "%s%s", i > 0 ? ", " : "", list[i]);
    if (near != NULL)
        loom_str_printf(why, "; did you mean '%s'?", near);
    else
        loom_str_add(why, "; choose one of these");
    free(copy);
}

static int check_number(const struct loom_option *o, double x, struct loom_str *why)
{
    int in = loom_value_in_range(o, x);
    if (in == 1)
        return LOOM_OK;
    if (in < 0) {
        loom_str_printf(why, "its table has the malformed range \"%s\"; mend the plugin", o->range);
        return LOOM_EPLUGIN;
    }
    loom_str_real(why, x);
    loom_str_printf(why, " is outside %s%s%s; choose a value in that range",
                    o->range != NULL ? o->range : "the numbers", o->unit != NULL ? " " : "",
                    o->unit != NULL ? o->unit : "");
    return LOOM_ECONFIG;
}

static int check_text(const struct loom_option *o, const char *text, struct loom_str *why)
{
    if (o->range == NULL || in_words(o->range, text))
        return LOOM_OK;
    say_words(why, o->range, text);
    return LOOM_ECONFIG;
}

/* ---- From nodes ---- */

static int wrong_type(const struct loom_option *o, const struct loom_group *node, struct loom_str *why)
{
    static const char *const examples[] = {"", "64", "0.5", "true", "\"text\"", "( 1.0, 2.0 )", "( \"a\", \"b\" )"};
    loom_str_printf(why, "expected %s, found %s", loom_option_type_name(o->type), loom_node_kind_name(node));
    if (loom_node_scalar(node)) {
        loom_str_add(why, " ");
        loom_node_write(why, node);
    }
    if (o->type == LOOM_OPT_INT && node->kind == LOOM_NODE_REAL && fabs(node->real) < 1e15 &&
        floor(node->real) >= node->real)
        loom_str_printf(why, "; write %s = %.0f", o->name, node->real);
    else
        loom_str_printf(why, "; write for instance %s = %s", o->name, examples[o->type]);
    return LOOM_ECONFIG;
}

static int real_of(const struct loom_group *node, double *x)
{
    if (node->kind == LOOM_NODE_INT)
        *x = (double)node->integer;
    else if (node->kind == LOOM_NODE_REAL)
        *x = node->real;
    else if (node->kind != LOOM_NODE_TEXT || !loom_text_real(node->text, x) || !isinf(*x))
        return 0;
    return 1;
}

static const char *text_of(const struct loom_group *node)
{
    return node->raw != NULL ? node->raw : node->kind == LOOM_NODE_TEXT ? node->text : NULL;
}

static int set_text(char **out, const struct loom_option *o, const char *text, struct loom_str *why)
{
    int status = check_text(o, text, why);
    if (status != LOOM_OK)
        return status;
    *out = strdup(text);
    return *out != NULL ? LOOM_OK : LOOM_ENOMEM;
}

/* A list, or a single element standing for a list of one. */
static int list_from_node(struct loom_value *v, const struct loom_option *o, const struct loom_group *node,
                          struct loom_str *why)
{
    size_t count = node->kind == LOOM_NODE_LIST ? node->body->count : 1;
    int status = LOOM_OK;
    if (o->type == LOOM_OPT_REALS)
        v->reals = calloc(count + 1, sizeof *v->reals);
    else
        v->texts = calloc(count + 1, sizeof(char *));
    if (v->reals == NULL && v->texts == NULL)
        return LOOM_ENOMEM;
    for (size_t i = 0; i < count && status == LOOM_OK; i++) {
        const struct loom_group *item = node->kind == LOOM_NODE_LIST ? node->body->members[i] : node;
        if (o->type == LOOM_OPT_REALS)
            status = real_of(item, &v->reals[i]) ? check_number(o, v->reals[i], why) : wrong_type(o, item, why);
        else
            status = text_of(item) != NULL ? set_text(&v->texts[i], o, text_of(item), why) : wrong_type(o, item, why);
        v->count += status == LOOM_OK;
    }
    return status;
}

int loom_value_from_node(struct loom_value *v, const struct loom_option *o, const struct loom_group *node,
                         struct loom_str *why)
{
    int status = LOOM_OK;
    memset(v, 0, sizeof *v);
    switch (o->type) {
    case LOOM_OPT_INT:
        v->integer = node->integer;
        status = node->kind == LOOM_NODE_INT ? check_number(o, (double)node->integer, why) : wrong_type(o, node, why);
        break;
    case LOOM_OPT_REAL:
        status = real_of(node, &v->real) ? check_number(o, v->real, why) : wrong_type(o, node, why);
        break;
    case LOOM_OPT_BOOL:
        v->integer = node->integer;
        status = node->kind == LOOM_NODE_BOOL ? LOOM_OK : wrong_type(o, node, why);
        break;
    case LOOM_OPT_STRING:
        status = text_of(node) != NULL ? set_text(&v->text, o, text_of(node), why) : wrong_type(o, node, why);
        break;
    default:
        status = list_from_node(v, o, node, why);
    }
    v->given = 1;
    v->line = node->line;
    if (status == LOOM_OK && node->file != NULL && (v->file = strdup(node->file)) == NULL)
        status = LOOM_ENOMEM;
    if (status != LOOM_OK)
        loom_value_release(v);
    return status;
}

/* ---- From defaults ---- */

/* "a, b": each piece trimmed and given to the list as if it had stood in the file. */
static int list_from_default(struct loom_value *v, const struct loom_option *o, struct loom_str *why)
{
    int status = LOOM_OK;
    char *copy = strdup(o->dflt);
    size_t most = 1;
    for (const char *p = o->dflt; *p != '\0'; p++)
        most += *p == ',';
    v->reals = calloc(most, sizeof *v->reals);
    v->texts = calloc(most, sizeof(char *));
    if (copy == NULL || v->reals == NULL || v->texts == NULL)
        status = LOOM_ENOMEM;
    for (char *at = copy, *comma; status == LOOM_OK && at != NULL && o->dflt[0] != '\0'; at = comma) {
        comma = strchr(at, ',');
        if (comma != NULL)
            *comma++ = '\0';
        at += strspn(at, " ");
        if (o->type == LOOM_OPT_STRINGS)
            status = set_text(&v->texts[v->count], o, at, why);
        else if (loom_text_real(at, &v->reals[v->count]))
            status = check_number(o, v->reals[v->count], why);
        else
            status = LOOM_ECONFIG;
        v->count += status == LOOM_OK;
    }
    free(copy);
    return status;
}

int loom_value_from_default(struct loom_value *v, const struct loom_option *o, struct loom_str *why)
{
    int status = LOOM_ECONFIG;
    memset(v, 0, sizeof *v);
    if (o->dflt == NULL)
        return LOOM_ECONFIG;
    switch (o->type) {
    case LOOM_OPT_INT:
        if (loom_text_int(o->dflt, &v->integer))
            status = check_number(o, (double)v->integer, why);
        break;
    case LOOM_OPT_REAL:
        if (loom_text_real(o->dflt, &v->real))
            status = check_number(o, v->real, why);
        break;
    case LOOM_OPT_BOOL:
        v->integer = strcmp(o->dflt, "true") == 0;
        if (v->integer || strcmp(o->dflt, "false") == 0)
            status = LOOM_OK;
        break;
    case LOOM_OPT_STRING:
        status = set_text(&v->text, o, o->dflt, why);
        break;
    default:
        status = list_from_default(v, o, why);
    }
    if (status != LOOM_OK)
        loom_value_release(v);
    return status;
}

void loom_value_write(struct loom_str *s, const struct loom_option *o, const struct loom_value *v)
{
    switch (o->type) {
    case LOOM_OPT_INT:
        loom_write_int(s, v->integer);
        break;
    case LOOM_OPT_REAL:
        loom_write_real(s, v->real);
        break;
    case LOOM_OPT_BOOL:
        loom_str_add(s, v->integer ? "true" : "false");
        break;
    case LOOM_OPT_STRING:
        loom_write_text(s, v->text);
        break;
    default:
        loom_str_add(s, "(");
        for (size_t i = 0; i < v->count; i++) {
            loom_str_add(s, i > 0 ? ", " : " ");
            if (o->type == LOOM_OPT_REALS)
                loom_write_real(s, v->reals[i]);
            else
                loom_write_text(s, v->texts[i]);
        }
        loom_str_add(s, " )");
    }
}
