/* SPDX-License-Identifier: Apache-2.0 */
#include "train/checkpoint.h"

#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "neuroloom checkpoint 1"
#define REAL_DTYPE (sizeof(loom_real) == 8 ? "F64" : "F32")

/* ---- progress as text ---- */

struct field {
    const char *name;
    size_t offset;
    enum { WHOLE, SMALL, REAL } type; /* int64_t, int, double */
};
#define FIELD(member, type)                                                                                            \
    {                                                                                                                  \
#member, offsetof(struct loom_progress, member), type                                                          \
    }
static const struct field fields[] = {
    FIELD(step, WHOLE),           FIELD(windows, WHOLE),      FIELD(tokens, WHOLE),
    FIELD(done, WHOLE),           FIELD(seconds, REAL),       FIELD(valid, REAL),
    FIELD(loss.keep, REAL),       FIELD(loss.sum, REAL),      FIELD(loss.weight, REAL),
    FIELD(norm.keep, REAL),       FIELD(norm.sum, REAL),      FIELD(norm.weight, REAL),
    FIELD(schedule.scale, REAL),  FIELD(schedule.best, REAL), FIELD(schedule.seen, SMALL),
    FIELD(schedule.worse, SMALL), FIELD(stopping.best, REAL), FIELD(stopping.best_step, WHOLE),
    FIELD(stopping.worse, SMALL),
};
enum { FIELDS = sizeof fields / sizeof *fields };

void loom_progress_start(struct loom_progress *p)
{
    *p = (struct loom_progress){.valid = NAN, .loss.keep = 0.98, .norm.keep = 0.98};
    loom_schedule_start(&p->schedule);
    loom_stopping_start(&p->stopping);
}

static void progress_write(struct loom_str *s, const struct loom_progress *p, int64_t optimizer_step)
{
    loom_str_printf(s, "{\"optimizer.step\":%lld", (long long)optimizer_step);
    for (int i = 0; i < FIELDS; i++) {
        const void *at = (const char *)p + fields[i].offset;
        loom_str_printf(s, ",\"%s\":", fields[i].name);
        if (fields[i].type == REAL)
            loom_str_printf(s, "\"%a\"", *(const double *)at);
        else
            loom_str_printf(s, "%lld",
                            fields[i].type == WHOLE ? (long long)*(const int64_t *)at : (long long)*(const int *)at);
    }
    loom_str_add(s, "}");
}

static int progress_read(struct loom_progress *p, int64_t *optimizer_step, const struct loom_tensors *f,
                         struct loom_error *e)
{
    const char *text = loom_tensors_meta(f, "progress");
    json_t *j = text ? loom_json_parse(text, strlen(text), "progress", e) : NULL;
    int missing = !json_is_integer(json_object_get(j, "optimizer.step"));
    *optimizer_step = json_integer_value(json_object_get(j, "optimizer.step"));
    for (int i = 0; i < FIELDS && !missing; i++) {
        const json_t *v = json_object_get(j, fields[i].name);
        void *at = (char *)p + fields[i].offset;
        missing = fields[i].type == REAL ? !json_is_string(v) : !json_is_integer(v);
        if (!missing && fields[i].type == REAL)
            *(double *)at = strtod(json_string_value(v), NULL);
        else if (!missing && fields[i].type == WHOLE)
            *(int64_t *)at = json_integer_value(v);
        else if (!missing)
            *(int *)at = (int)json_integer_value(v);
    }
    json_decref(j);
    return missing ? loom_fail(e, LOOM_EDATA, NULL, 0, "the checkpoint lacks its counters: resume from another one")
                   : LOOM_OK;
}

/* ---- writing ---- */

struct list {
    struct loom_tensor *tensor;
    size_t *name_at; /* [n] in names, which moves while it grows */
    int n, capacity;
    struct loom_str names; /* all names, each with its NUL */
};

static void list_add(struct list *l, const char *prefix, const struct loom_entry *n, const loom_real *block)
{
    struct loom_tensor *t = &l->tensor[l->n];
    l->name_at[l->n++] = l->names.length;
    loom_str_printf(&l->names, "%s%s", prefix, n->name);
    loom_str_addn(&l->names, "", 1);
    t->dtype = REAL_DTYPE;
    t->rank = n->rank;
    memcpy(t->dim, n->dim, sizeof n->dim);
    t->data = block + n->offset;
    t->bytes = (size_t)n->size * sizeof(loom_real);
}

static int list_fill(struct list *l, const struct loom_checkpoint *c, struct loom_error *e)
{
    const struct loom_store *s = c->store;
    l->capacity = s->count * 4;
    l->tensor = calloc((size_t)l->capacity + 1, sizeof *l->tensor);
    l->name_at = calloc((size_t)l->capacity + 1, sizeof *l->name_at);
    if (!l->tensor || !l->name_at)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to list %d tensors: free some", l->capacity);
    for (int i = 0; i < s->count; i++) {
        const struct loom_entry *n = &s->entry[i];
        if (n->lifetime == LOOM_LIFE_STATE && n->size > 0)
            list_add(l, "state.", n, s->state);
        if (n->lifetime != LOOM_LIFE_PARAM || n->size == 0)
            continue;
        list_add(l, "", n, s->param);
        if (s->shadow)
            list_add(l, "shadow.", n, s->shadow);
        if (c->optimizer) {
            list_add(l, "adam.m.", n, c->optimizer->m);
            list_add(l, "adam.v.", n, c->optimizer->v);
        }
    }
    if (l->names.failed)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for names of tensors: free some");
    for (int i = 0; i < l->n; i++)
        l->tensor[i].name = l->names.text + l->name_at[i];
    return LOOM_OK;
}

static int is_first_of_vocabulary(const struct loom_store *s, int i)
{
    for (int k = 0; k < i; k++)
        if (s->entry[k].vocabulary && strcmp(s->entry[k].vocabulary, s->entry[i].vocabulary) == 0)
            return 0;
    return 1;
}

static void tables_write(struct loom_str *tables, struct loom_str *vocabularies, const struct loom_store *s)
{
    loom_str_add(tables, "{");
    loom_str_add(vocabularies, "{");
    for (int i = 0; i < s->count; i++) {
        const struct loom_entry *n = &s->entry[i];
        if (!n->vocabulary || !n->row)
            continue;
        loom_str_add(tables, tables->length > 1 ? "," : "");
        loom_json_string(tables, n->name);
        loom_str_add(tables, ":");
        loom_json_string(tables, n->vocabulary);
        if (!is_first_of_vocabulary(s, i))
            continue;
        loom_str_add(vocabularies, vocabularies->length > 1 ? "," : "");
        loom_json_string(vocabularies, n->vocabulary);
        loom_str_add(vocabularies, ":[");
        for (int64_t k = 0; k < n->dim[0]; k++) {
            loom_str_add(vocabularies, k ? "," : "");
            loom_json_string(vocabularies, n->row[k]);
        }
        loom_str_add(vocabularies, "]");
    }
    loom_str_add(tables, "}");
    loom_str_add(vocabularies, "}");
}

int loom_checkpoint_write(const char *path, const struct loom_checkpoint *c, struct loom_error *e)
{
    struct list l = {0};
    struct loom_str progress = LOOM_STR_INIT, tables = LOOM_STR_INIT, vocabularies = LOOM_STR_INIT;
    int code = list_fill(&l, c, e);
    if (code != LOOM_OK)
        goto out;
    progress_write(&progress, c->progress, c->optimizer ? c->optimizer->step : 0);
    tables_write(&tables, &vocabularies, c->store);
    if (progress.failed || tables.failed || vocabularies.failed) {
        code = loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for the checkpoint's tables: free some");
        goto out;
    }
    const struct loom_meta meta[] = {
        {"loom.format", FORMAT},
        {"loom.version", loom_version()},
        {"stage", c->stage},
        {"kernels", c->kernels},
        {"progress", progress.text},
        {"tables", tables.text},
        {"vocabularies", vocabularies.text},
        {"pipeline", c->pipeline},
    };
    code = loom_tensors_write(path, l.tensor, l.n, meta, sizeof meta / sizeof *meta, e);
out:
    free(l.tensor);
    free(l.name_at);
    loom_str_release(&l.names);
    loom_str_release(&progress);
    loom_str_release(&tables);
    loom_str_release(&vocabularies);
    return code;
}

/* ---- reading ---- */

/* Same trailing axes; all axes when first_axis is 0. Only real tensors fit. */
static int fits(const struct loom_tensor *t, const struct loom_entry *n, int first_axis)
{
    if (!loom_tensor_is_real(t) || t->rank != n->rank)
        return 0;
    for (int k = first_axis; k < n->rank; k++)
        if (t->dim[k] != n->dim[k])
            return 0;
    return 1;
}

static const struct loom_tensor *find(const struct loom_tensors *f, const char *prefix, const struct loom_entry *n)
{
    char name[1024];
    int length = snprintf(name, sizeof name, "%s%s", prefix, n->name);
    return length > 0 && (size_t)length < sizeof name ? loom_tensors_find(f, name) : NULL;
}

static int take_whole(const struct loom_tensors *f, const char *prefix, const struct loom_entry *n, loom_real *block,
                      struct loom_error *e)
{
    const struct loom_tensor *t = find(f, prefix, n);
    if (!t)
        return loom_fail(e, LOOM_EDATA, NULL, 0, "the checkpoint has no %s%s: it is of another model, start a new run",
                         prefix, n->name);
    if (!fits(t, n, 0) || strcmp(t->dtype, REAL_DTYPE) != 0)
        return loom_fail(
            e, LOOM_EDATA, NULL, 0,
            "%s%s has another shape or precision in the checkpoint: it is of another model, start a new run", prefix,
            n->name);
    loom_tensor_reals(block + n->offset, t, 0, n->size);
    return LOOM_OK;
}

/* The saved names of a table's rows (JSON array, borrowed from `vocabularies`), or NULL. */
static const json_t *saved_rows(const json_t *tables, const json_t *vocabularies, const char *entry)
{
    const char *vocabulary = json_string_value(json_object_get(tables, entry));
    const json_t *rows = vocabulary ? json_object_get(vocabularies, vocabulary) : NULL;
    return json_is_array(rows) ? rows : NULL;
}

static int open_tables(const struct loom_tensors *f, json_t **tables, json_t **vocabularies, struct loom_error *e)
{
    const char *format = loom_tensors_meta(f, "loom.format"), *t = loom_tensors_meta(f, "tables"),
               *v = loom_tensors_meta(f, "vocabularies");
    *tables = *vocabularies = NULL;
    if (!format || strcmp(format, FORMAT) != 0 || !t || !v)
        return loom_fail(e, LOOM_EDATA, NULL, 0,
                         "not a checkpoint of this version of neuroloom (%s): use the version that wrote it",
                         format ? format : "no format in its metadata");
    *tables = loom_json_parse(t, strlen(t), "tables", e);
    *vocabularies = *tables ? loom_json_parse(v, strlen(v), "vocabularies", e) : NULL;
    return *vocabularies ? LOOM_OK : LOOM_EDATA;
}

static int check_rows(const json_t *rows, const struct loom_entry *n, struct loom_error *e)
{
    int same = rows && (int64_t)json_array_size(rows) == n->dim[0];
    for (int64_t i = 0; same && i < n->dim[0]; i++) {
        const char *name = json_string_value(json_array_get(rows, (size_t)i));
        same = name && strcmp(name, n->row[i]) == 0;
    }
    return same ? LOOM_OK
                : loom_fail(e, LOOM_EDATA, NULL, 0,
                            "the rows of %s (%s) have other names in the checkpoint: the data changed, start a new run",
                            n->name, n->vocabulary);
}

static int resume_entry(const struct loom_tensors *f, const struct loom_entry *n, struct loom_store *s,
                        struct loom_optimizer *o, struct loom_error *e)
{
    if (n->lifetime == LOOM_LIFE_STATE)
        return take_whole(f, "state.", n, s->state, e);
    int code = take_whole(f, "", n, s->param, e);
    if (code == LOOM_OK && s->shadow)
        code = take_whole(f, "shadow.", n, s->shadow, e);
    if (code == LOOM_OK && o)
        code = take_whole(f, "adam.m.", n, o->m, e);
    if (code == LOOM_OK && o)
        code = take_whole(f, "adam.v.", n, o->v, e);
    return code;
}

int loom_checkpoint_resume(const struct loom_tensors *f, struct loom_store *store, struct loom_optimizer *optimizer,
                           struct loom_progress *progress, struct loom_error *e)
{
    json_t *tables, *vocabularies;
    struct loom_progress read;
    int64_t step = 0;
    int code = open_tables(f, &tables, &vocabularies, e);
    if (code == LOOM_OK)
        code = progress_read(&read, &step, f, e);
    for (int i = 0; i < store->count && code == LOOM_OK; i++) {
        const struct loom_entry *n = &store->entry[i];
        if ((n->lifetime != LOOM_LIFE_PARAM && n->lifetime != LOOM_LIFE_STATE) || n->size == 0)
            continue;
        if (n->vocabulary && n->row)
            code = check_rows(saved_rows(tables, vocabularies, n->name), n, e);
        if (code == LOOM_OK)
            code = resume_entry(f, n, store, optimizer, e);
    }
    if (code == LOOM_OK && optimizer)
        optimizer->step = step;
    if (code == LOOM_OK && progress)
        *progress = read;
    json_decref(tables);
    json_decref(vocabularies);
    return code;
}

/* ---- transfer ---- */

struct row_name {
    const char *name;
    int64_t at;
};

static int row_order(const void *a, const void *b)
{
    const struct row_name *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int transfer_rows(const struct loom_tensor *t, const json_t *rows, const struct loom_entry *n, loom_real *block,
                         struct loom_transfer *report, struct loom_error *e)
{
    size_t count = json_array_size(rows);
    int64_t width = n->size / n->dim[0];
    struct row_name *saved = calloc(count + 1, sizeof *saved);
    if (!saved)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to match %zu rows of %s: free some", count, n->name);
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(rows, i));
        saved[i] = (struct row_name){name ? name : "", (int64_t)i};
    }
    qsort(saved, count, sizeof *saved, row_order);
    for (int64_t i = 0; i < n->dim[0]; i++) {
        struct row_name key = {n->row[i], 0};
        const struct row_name *found = bsearch(&key, saved, count, sizeof *saved, row_order);
        if (found)
            loom_tensor_reals(block + n->offset + i * width, t, found->at * width, width);
        *(found ? &report->rows_matched : &report->rows_fresh) += 1;
    }
    free(saved);
    return LOOM_OK;
}

static int transfer_entry(const struct loom_tensors *f, const json_t *rows, const struct loom_entry *n,
                          loom_real *block, struct loom_transfer *report, struct loom_str *text, struct loom_error *e)
{
    const struct loom_tensor *t = find(f, n->lifetime == LOOM_LIFE_STATE ? "state." : "", n);
    int by_row = n->vocabulary && n->row && n->dim[0] > 0;
    const char *why = NULL;
    if (!t)
        why = "not in the checkpoint";
    else if (!fits(t, n, by_row ? 1 : 0))
        why = "has another shape in the checkpoint";
    else if (by_row && (!rows || (int64_t)json_array_size(rows) != t->dim[0]))
        why = "its rows have no names in the checkpoint";
    if (why) {
        report->fresh++;
        if (text)
            loom_str_printf(text, "fresh: %s (%s)\n", n->name, why);
        return LOOM_OK;
    }
    report->matched++;
    if (by_row)
        return transfer_rows(t, rows, n, block, report, e);
    loom_tensor_reals(block + n->offset, t, 0, n->size);
    return LOOM_OK;
}

static void count_left(const struct loom_tensors *f, const struct loom_store *store, struct loom_transfer *report,
                       struct loom_str *text)
{
    for (int i = 0; i < f->tensors; i++) {
        const char *name = f->tensor[i].name;
        int state = strncmp(name, "state.", 6) == 0;
        if (strncmp(name, "adam.", 5) == 0 || strncmp(name, "shadow.", 7) == 0 ||
            loom_store_find(store, state ? LOOM_LIFE_STATE : LOOM_LIFE_PARAM, state ? name + 6 : name))
            continue;
        report->left++;
        if (text)
            loom_str_printf(text, "left: %s (this stage has no such name)\n", name);
    }
}

int loom_checkpoint_transfer(const struct loom_tensors *f, struct loom_store *store, struct loom_transfer *report,
                             struct loom_str *text, struct loom_error *e)
{
    json_t *tables, *vocabularies;
    int code = open_tables(f, &tables, &vocabularies, e);
    *report = (struct loom_transfer){0};
    for (int i = 0; i < store->count && code == LOOM_OK; i++) {
        const struct loom_entry *n = &store->entry[i];
        loom_real *block = n->lifetime == LOOM_LIFE_PARAM ? store->param : store->state;
        if ((n->lifetime == LOOM_LIFE_PARAM || n->lifetime == LOOM_LIFE_STATE) && n->size > 0)
            code = transfer_entry(f, saved_rows(tables, vocabularies, n->name), n, block, report, text, e);
    }
    if (code == LOOM_OK)
        count_left(f, store, report, text);
    if (code == LOOM_OK && store->shadow)
        memcpy(store->shadow, store->param, (size_t)store->size[LOOM_LIFE_PARAM] * sizeof *store->param);
    json_decref(tables);
    json_decref(vocabularies);
    return code;
}
