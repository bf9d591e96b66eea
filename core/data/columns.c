/* SPDX-License-Identifier: Apache-2.0 */
/* What columns of the table of trials say: which rows are trials at all, and to which class a trial belongs. */
#include "data/columns.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAMED = 12, NAME = 48, NUMBER = 32 };

static int is_whole(double x)
{
    return fabs(x) < 1e15 && x == floor(x);
}

/* As messages and classes name a number: what its last digits say is noise of how it was computed, unless it counts. */
static const char *name_number(double x, char room[NUMBER])
{
    snprintf(room, NUMBER, is_whole(x) ? "%.0f" : "%.9g", x + 0.0);
    return room;
}

int loom_column_matches(const struct loom_words *words, const struct loom_column *col, int32_t row)
{
    char room[NUMBER];
    for (int32_t i = 0; i < words->n; i++) {
        const char *word = words->word[i];
        char *end;
        double x = strtod(word, &end);
        if (col->text != NULL ? strcmp(col->text[row], word) == 0
                              : end != word && *end == '\0' &&
                                    (x == col->number[row] || strcmp(name_number(col->number[row], room), word) == 0))
            return 1;
    }
    return 0;
}

/* ---- distinct values, in order ---- */

struct value {
    double number; /* NaN: a text */
    const char *text;
};

struct values {
    int32_t n; /* LOOM_CLASSES + 1: more than that */
    struct value at[LOOM_CLASSES + 1];
};

/* The value of a row; 0 where it has none. Numbers of one name are one. */
static int value_of(const struct loom_column *col, int32_t row, struct value *out)
{
    char room[NUMBER];
    *out = (struct value){col->number != NULL ? col->number[row] : NAN, col->number != NULL ? "" : col->text[row]};
    if (isfinite(out->number) && !is_whole(out->number))
        out->number = strtod(name_number(out->number, room), NULL);
    return col->number != NULL ? isfinite(out->number) : out->text[0] != '\0';
}

static int compare(const struct value *a, const struct value *b)
{
    if (isnan(a->number) || isnan(b->number))
        return isnan(a->number) && isnan(b->number) ? strcmp(a->text, b->text) : isnan(a->number) - isnan(b->number);
    return (a->number > b->number) - (a->number < b->number);
}

/* Where the value stands, or is to stand. */
static int32_t find(const struct values *v, const struct value *x)
{
    int32_t low = 0, high = v->n;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (compare(&v->at[middle], x) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add(struct values *v, const struct value *x)
{
    const int32_t i = find(v, x);
    if (v->n > LOOM_CLASSES || (i < v->n && compare(&v->at[i], x) == 0))
        return;
    memmove(&v->at[i + 1], &v->at[i], (size_t)(v->n - i < LOOM_CLASSES - i ? v->n - i : LOOM_CLASSES - i) * sizeof *x);
    v->at[i] = *x;
    v->n++;
}

static const char *word_of(const struct value *x, char room[NUMBER])
{
    return isnan(x->number) ? x->text : name_number(x->number, room);
}

/* The first of the values in words, for a message. */
static const char *list_values(const struct values *v, struct loom_str *out)
{
    char room[NUMBER];
    for (int32_t i = 0; i < v->n && i < MOST_NAMED; i++)
        loom_str_printf(out, "%s\"%.48s\"", i > 0 ? ", " : "", word_of(&v->at[i], room));
    loom_str_add(out, v->n > MOST_NAMED ? " and others" : v->n == 0 ? "none" : "");
    return out->text != NULL ? out->text : "";
}

const char *loom_columns_list(const struct loom_intervals *t, struct loom_str *out)
{
    for (int32_t i = 0; t != NULL && i < t->columns && i < 2 * MOST_NAMED; i++)
        loom_str_printf(out, "%s\"%.48s\"", i > 0 ? ", " : "", t->column[i].name);
    loom_str_add(out, t == NULL || t->columns == 0 ? "none" : t->columns > 2 * MOST_NAMED ? " and others" : "");
    return out->text != NULL ? out->text : "";
}

/* ---- which rows are trials ---- */

int loom_trial_selected(const struct loom_data_spec *s, const struct loom_intervals *t, int32_t row)
{
    for (int32_t i = 0; i < s->selects; i++)
        if (!loom_column_matches(&s->select[i].value, loom_intervals_column(t, s->select[i].column), row))
            return 0;
    return 1;
}

static const struct loom_intervals *table_of(const struct loom_catalog *c, int32_t recording)
{
    return loom_recording_intervals(c->recording[recording], c->spec.split.table);
}

static int fail_column(const struct loom_catalog *c, int32_t recording, const char *name, const char *remedy,
                       struct loom_error *e)
{
    const struct loom_intervals *t = table_of(c, recording);
    const char *words[64] = {NULL};
    struct loom_str have = LOOM_STR_INIT;
    for (int32_t i = 0; t != NULL && i < t->columns && i < 63; i++)
        words[i] = t->column[i].name;
    const char *near = loom_nearest(name, words);
    int rc = loom_fail(e, LOOM_EDATA, c->recording[recording]->file, 0,
                       "recording %s: the table \"%s\" of trials has no column \"%s\"%s%s%s; it has %s: %s",
                       c->recording[recording]->id, c->spec.split.table, name, near != NULL ? " (near: \"" : "",
                       near != NULL ? near : "", near != NULL ? "\")" : "", loom_columns_list(t, &have), remedy);
    loom_str_release(&have);
    return rc;
}

/* A value that no trial has is a slip of the pen, whatever the others select. */
static int check_value(const struct loom_catalog *c, const struct loom_select *s, int32_t word, struct loom_error *e)
{
    const struct loom_words one = {1, s->value.word + word};
    struct values *have = calloc(1, sizeof *have);
    struct loom_str text = LOOM_STR_INIT;
    int rc = have != NULL ? LOOM_OK : LOOM_ENOMEM, found = 0;
    struct value x;
    for (int32_t i = 0; rc == LOOM_OK && !found && i < c->recordings; i++) {
        const struct loom_intervals *t = table_of(c, i);
        const struct loom_column *col = loom_intervals_column(t, s->column);
        for (int32_t k = 0; k < t->rows && !found; k++) {
            found = loom_column_matches(&one, col, k);
            if (value_of(col, k, &x))
                add(have, &x);
        }
    }
    if (rc == LOOM_OK && !found)
        rc = loom_fail(e, LOOM_EDATA, NULL, 0,
                       "data.select: no trial has \"%s\" in the column \"%s\"; the values there are %s: name one of "
                       "them in values",
                       one.word[0], s->column, list_values(have, &text));
    loom_str_release(&text);
    free(have);
    return rc;
}

int loom_selects_check(const struct loom_catalog *c, struct loom_error *e)
{
    const struct loom_data_spec *s = &c->spec;
    int rc = LOOM_OK;
    if (s->selects > 0 && s->window != LOOM_WINDOW_TRIAL && s->split.by != LOOM_BY_TRIAL &&
        s->split.by != LOOM_BY_COLUMN)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "data.select selects trials, and neither windows nor splits are of trials here: set window = "
                         "\"trial\", or split.by = \"trial\" or \"column\"");
    for (int32_t i = 0; i < s->selects && rc == LOOM_OK; i++) {
        if (s->select[i].value.n == 0)
            rc = loom_fail(e, LOOM_ECONFIG, NULL, 0,
                           "data.select: no values of the column \"%s\" are named, so that no row is a trial: name "
                           "some in values, or leave the group out",
                           s->select[i].column);
        for (int32_t k = 0; k < c->recordings && rc == LOOM_OK; k++)
            if (table_of(c, k) == NULL || loom_intervals_column(table_of(c, k), s->select[i].column) == NULL)
                rc = fail_column(c, k, s->select[i].column, "name one of them in data.select", e);
        for (int32_t k = 0; k < s->select[i].value.n && rc == LOOM_OK; k++)
            rc = check_value(c, &s->select[i], k, e);
    }
    return rc;
}

/* ---- classes ---- */

/* Values that windows have by column `name`. */
static void collect(const struct loom_catalog *c, const char *name, struct values *out)
{
    struct value x;
    for (int32_t i = 0; i < c->spans && out->n <= LOOM_CLASSES; i++) {
        const struct loom_column *col = loom_intervals_column(table_of(c, c->span[i].recording), name);
        if (col != NULL && c->span[i].row >= 0 && value_of(col, c->span[i].row, &x))
            add(out, &x);
    }
}

static int fill_label(struct loom_catalog *c, const struct values *v, struct loom_label *l)
{
    char room[NUMBER];
    struct value x;
    l->classes = v->n;
    if (v->n > LOOM_CLASSES)
        return LOOM_OK;
    l->word = loom_arena_alloc(&c->memory, ((size_t)v->n + 1) * sizeof *l->word);
    l->of_span = loom_arena_alloc(&c->memory, ((size_t)c->spans + 1) * sizeof *l->of_span);
    if (l->word == NULL || l->of_span == NULL)
        return LOOM_ENOMEM;
    for (int32_t i = 0; i < v->n; i++)
        if ((l->word[i] = loom_arena_strdup(&c->memory, word_of(&v->at[i], room))) == NULL)
            return LOOM_ENOMEM;
    for (int32_t i = 0; i < c->spans; i++) {
        const struct loom_column *col = loom_intervals_column(table_of(c, c->span[i].recording), l->name);
        const int known = col != NULL && c->span[i].row >= 0 && value_of(col, c->span[i].row, &x);
        l->of_span[i] = known ? find(v, &x) : -1;
    }
    return LOOM_OK;
}

int loom_labels_make(struct loom_catalog *c, struct loom_error *e)
{
    const struct loom_intervals *t = table_of(c, 0);
    const int32_t columns = t != NULL && c->spec.window == LOOM_WINDOW_TRIAL ? t->columns : 0;
    struct values *v = calloc(1, sizeof *v);
    int rc = v != NULL ? LOOM_OK : LOOM_ENOMEM;
    (void)e;
    c->label = loom_arena_alloc(&c->memory, ((size_t)columns + 1) * sizeof *c->label);
    for (int32_t i = 0; i < columns && rc == LOOM_OK && c->label != NULL; i++) {
        c->label[c->labels] = (struct loom_label){.name = t->column[i].name};
        v->n = 0;
        collect(c, t->column[i].name, v);
        rc = fill_label(c, v, &c->label[c->labels++]);
    }
    free(v);
    return c->label != NULL ? rc : LOOM_ENOMEM;
}

int32_t loom_catalog_label(const struct loom_catalog *c, const char *column)
{
    for (int32_t i = 0; i < c->labels; i++)
        if (strcmp(c->label[i].name, column) == 0)
            return i;
    return -1;
}

int32_t loom_catalog_class(const struct loom_catalog *c, int32_t label, int32_t span)
{
    return c->label[label].of_span != NULL ? c->label[label].of_span[span] : -1;
}

const char *const *loom_catalog_classes(const struct loom_catalog *c, const char *column, int32_t *n)
{
    const int32_t i = loom_catalog_label(c, column);
    const int known = i >= 0 && c->label[i].classes <= LOOM_CLASSES && loom_catalog_is_label(c, column);
    *n = known ? c->label[i].classes : 0;
    return known ? c->label[i].word : NULL;
}

int loom_catalog_is_label(const struct loom_catalog *c, const char *name)
{
    int column = 0;
    for (int32_t i = 0; i < c->recordings; i++) {
        const struct loom_intervals *t = table_of(c, i);
        if (loom_recording_series(c->recording[i], name) != NULL)
            return 0;
        column |= t != NULL && loom_intervals_column(t, name) != NULL;
    }
    return column;
}

int loom_catalog_need_label(const struct loom_catalog *c, const char *name, struct loom_error *e)
{
    if (c->spec.window != LOOM_WINDOW_TRIAL)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "\"%s\" is a column of the table \"%s\": it says something of whole trials, and windows are "
                         "of fixed length; set data.window = \"trial\"",
                         name, c->spec.split.table);
    int texts = 0;
    for (int32_t i = 0; i < c->recordings; i++) {
        const struct loom_column *col = table_of(c, i) != NULL ? loom_intervals_column(table_of(c, i), name) : NULL;
        if (col == NULL)
            return fail_column(c, i, name, "ask for one that every recording has", e);
        if (i > 0 && (col->text != NULL) != texts)
            return loom_fail(e, LOOM_EDATA, c->recording[i]->file, 0,
                             "the column \"%s\" is of %s in recording %s and of %s in %s: \"1\" and 1 would be two "
                             "classes; write it alike in all files",
                             name, texts ? "numbers" : "texts", c->recording[i]->id, texts ? "texts" : "numbers",
                             c->recording[0]->id);
        texts = col->text != NULL;
    }
    const struct loom_label *l = &c->label[loom_catalog_label(c, name)];
    if (l->classes > LOOM_CLASSES)
        return loom_fail(e, LOOM_EDATA, NULL, 0,
                         "the column \"%s\" of the trials has more than %d different values: that is no class; name a "
                         "column with few",
                         name, LOOM_CLASSES);
    if (l->classes < 2)
        return loom_fail(e, LOOM_EDATA, NULL, 0,
                         "%s \"%s\" in the column \"%s\": there is nothing to tell apart; let data.select select more, "
                         "or name another column",
                         l->classes == 1 ? "all trials have" : "no trial has more than",
                         l->classes == 1 ? l->word[0] : "", name);
    return LOOM_OK;
}

void loom_catalog_relabel(struct loom_catalog *c,
                          int32_t (*other)(void *payload, const struct loom_span *span, int32_t is, int32_t classes),
                          void *payload)
{
    for (int32_t k = 0; k < c->labels; k++)
        for (int32_t i = 0; i < c->spans && c->label[k].classes > 1 && c->label[k].of_span != NULL; i++)
            if (c->label[k].of_span[i] >= 0)
                c->label[k].of_span[i] = other(payload, &c->span[i], c->label[k].of_span[i], c->label[k].classes);
}
