/* SPDX-License-Identifier: Apache-2.0 */
#include "train/weights.h"

#include "base/json.h"
#include "train/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 6, LIMIT_PATH = 4096 };

struct loom_weights {
    struct loom_tensors file;
    char path[LIMIT_PATH];
    int partial;
    uint8_t *used;      /* [tensors] */
    const char **names; /* [tensors + 1] for the nearest one */
    json_t *tables, *vocabularies;
    struct loom_str known; /* names of the models' tensors, each with its NUL */
    int knowns;
};

/* What does not fit, told at once: people mend a file's names in one go. */
struct faults {
    struct loom_str text;
    int n;
};

static void fault(struct faults *f, const char *fmt, ...) LOOM_PRINTF(2, 3);
static void fault(struct faults *f, const char *fmt, ...)
{
    va_list args;
    if (f->n++ >= SHOWN)
        return;
    loom_str_add(&f->text, f->n > 1 ? "; " : "");
    va_start(args, fmt);
    loom_str_vprintf(&f->text, fmt, args);
    va_end(args);
}

static int report(struct faults *f, const char *path, const char *remedy, struct loom_error *e)
{
    int code = LOOM_OK;
    if (f->n > SHOWN)
        loom_str_printf(&f->text, "; and %d more", f->n - SHOWN);
    if (f->n > 0)
        code = loom_fail(e, LOOM_EDATA, path, 0, "%s: %s", f->text.text ? f->text.text : "", remedy);
    loom_str_release(&f->text);
    return code;
}

/* ---- the file ---- */

static int parse(const struct loom_weights *w, const char *key, json_t **out, struct loom_error *e)
{
    const char *text = loom_tensors_meta(&w->file, key);
    *out = text ? loom_json_parse(text, strlen(text), w->path, e) : NULL;
    if (*out && !json_is_object(*out))
        return loom_fail(e, LOOM_EDATA, w->path, 0, "metadata '%s' is no JSON object: write {\"session\": [\"a\", …]}",
                         key);
    return *out || !text ? LOOM_OK : LOOM_EDATA;
}

static int ignored(const char *name)
{
    return strncmp(name, "adam.", 5) == 0 || strncmp(name, "shadow.", 7) == 0;
}

int loom_weights_open(struct loom_weights **out, const char *path, int partial, struct loom_error *e)
{
    struct loom_weights *w = *out = calloc(1, sizeof *w);
    if (!w)
        return loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for weights: free some");
    w->partial = partial;
    snprintf(w->path, sizeof w->path, "%s", path);
    int code = loom_tensors_read(&w->file, path, 0, e);
    if (code == LOOM_OK)
        code = parse(w, "tables", &w->tables, e);
    if (code == LOOM_OK)
        code = parse(w, "vocabularies", &w->vocabularies, e);
    if (code == LOOM_OK) {
        w->used = calloc((size_t)w->file.tensors + 1, 1);
        w->names = calloc((size_t)w->file.tensors + 1, sizeof *w->names);
        if (!w->used || !w->names)
            code = loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for weights: free some");
    }
    for (int i = 0; code == LOOM_OK && i < w->file.tensors; i++)
        w->names[i] = w->file.tensor[i].name;
    if (code != LOOM_OK) {
        loom_weights_free(w);
        *out = NULL;
    }
    return code;
}

void loom_weights_free(struct loom_weights *w)
{
    if (!w)
        return;
    loom_tensors_release(&w->file);
    json_decref(w->tables);
    json_decref(w->vocabularies);
    loom_str_release(&w->known);
    free(w->used);
    free(w->names);
    free(w);
}

/* ---- one entry ---- */

static const struct loom_tensor *find(const struct loom_weights *w, const struct loom_entry *n)
{
    char name[1024];
    int state = n->lifetime == LOOM_LIFE_STATE;
    int length = snprintf(name, sizeof name, "%s%s", state ? "state." : "", n->name);
    return length > 0 && (size_t)length < sizeof name ? loom_tensors_find(&w->file, name) : NULL;
}

static int wanted(const struct loom_entry *n)
{
    return (n->lifetime == LOOM_LIFE_PARAM || n->lifetime == LOOM_LIFE_STATE) && n->size > 0;
}

/* The file's names of the rows of table n; NULL: none. */
static const json_t *rows_of(const struct loom_weights *w, const struct loom_entry *n)
{
    const char *vocabulary = json_string_value(json_object_get(w->tables, n->name));
    if (!n->vocabulary || !n->row)
        return NULL;
    return json_object_get(w->vocabularies, vocabulary ? vocabulary : n->vocabulary);
}

static void shape(struct loom_str *s, int rank, const int64_t *dim)
{
    loom_str_add(s, "[");
    for (int a = 0; a < rank; a++)
        loom_str_printf(s, a ? ", %lld" : "%lld", (long long)dim[a]);
    loom_str_add(s, "]");
}

static void fault_shape(struct faults *f, const struct loom_tensor *t, const struct loom_entry *n)
{
    struct loom_str s = LOOM_STR_INIT;
    int turned = t->rank == 2 && n->rank == 2 && t->dim[0] == n->dim[1] && t->dim[1] == n->dim[0];
    shape(&s, t->rank, t->dim);
    loom_str_add(&s, " instead of ");
    shape(&s, n->rank, n->dim);
    fault(f, "'%s' is %s%s", t->name, s.text ? s.text : "", turned ? " (transpose it)" : "");
    loom_str_release(&s);
}

static void take_rows(const struct loom_weights *w, const struct loom_tensor *t, const json_t *rows,
                      const struct loom_entry *n, loom_real *block, struct faults *f)
{
    int64_t width = n->size / n->dim[0];
    json_t *place = json_object(); /* row name → its number */
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (json_is_string(json_array_get(rows, i)))
            json_object_set_new(place, json_string_value(json_array_get(rows, i)), json_integer((json_int_t)i));
    for (int64_t i = 0; i < n->dim[0]; i++) {
        const json_t *at = json_object_get(place, n->row[i]);
        if (at)
            loom_tensor_reals(block + n->offset + i * width, t, json_integer_value(at) * width, width);
        else if (!w->partial)
            fault(f, "'%s' has no row '%s'", t->name, n->row[i]);
    }
    json_decref(place);
}

static int take(struct loom_weights *w, const struct loom_tensor *t, const struct loom_entry *n, loom_real *block,
                struct faults *f)
{
    const json_t *rows = rows_of(w, n);
    int same = t->rank == n->rank;
    for (int a = rows ? 1 : 0; a < n->rank && same; a++)
        same = t->dim[a] == n->dim[a];
    w->used[t - w->file.tensor] = 1;
    if (!loom_tensor_is_real(t)) {
        fault(f, "'%s' is of dtype %s (write F32, F64, F16 or BF16)", t->name, t->dtype);
    } else if (!same) {
        fault_shape(f, t, n);
    } else if (rows && (int64_t)json_array_size(rows) != t->dim[0]) {
        fault(f, "'%s' has %lld rows, its vocabulary %zu names", t->name, (long long)t->dim[0], json_array_size(rows));
    } else {
        if (rows)
            take_rows(w, t, rows, n, block, f);
        else
            loom_tensor_reals(block + n->offset, t, 0, n->size);
        return 1;
    }
    return 0;
}

/* ---- one model ---- */

int loom_weights_load(struct loom_weights *w, struct loom_store *store, int *taken, struct loom_error *e)
{
    struct faults f = {.text = LOOM_STR_INIT};
    *taken = 0;
    for (int i = 0; i < store->count; i++) {
        const struct loom_entry *n = &store->entry[i];
        const struct loom_tensor *t = wanted(n) ? find(w, n) : NULL;
        if (wanted(n)) {
            loom_str_printf(&w->known, "%s%s", n->lifetime == LOOM_LIFE_STATE ? "state." : "", n->name);
            loom_str_addn(&w->known, "", 1);
            w->knowns++;
        }
        if (t) {
            *taken += take(w, t, n, n->lifetime == LOOM_LIFE_STATE ? store->state : store->param, &f);
        } else if (wanted(n) && n->lifetime == LOOM_LIFE_PARAM && !w->partial) {
            const char *near = loom_nearest(n->name, w->names);
            fault(&f, "no '%s'%s%s%s", n->name, near ? " (nearest there: '" : "", near ? near : "", near ? "')" : "");
        }
    }
    if (store->shadow)
        memcpy(store->shadow, store->param, (size_t)store->size[LOOM_LIFE_PARAM] * sizeof *store->param);
    return report(&f, w->path,
                  w->partial ? "loom check --parameters lists shapes"
                             : "loom check --parameters lists names and shapes, --partial does without what is missing",
                  e);
}

int loom_weights_has_states(const struct loom_weights *w, const struct loom_store *store)
{
    for (int i = 0; i < store->count; i++)
        if (store->entry[i].lifetime == LOOM_LIFE_STATE && wanted(&store->entry[i]) && !find(w, &store->entry[i]))
            return 0;
    return 1;
}

int loom_weights_finish(const struct loom_weights *w, struct loom_error *e)
{
    struct faults f = {.text = LOOM_STR_INIT};
    const char **known = calloc((size_t)w->knowns + 1, sizeof *known);
    if (!known || w->known.failed) {
        free(known);
        return loom_fail(e, LOOM_ENOMEM, w->path, 0, "no memory for names of tensors: free some");
    }
    const char *name = w->known.text;
    for (int i = 0; i < w->knowns; i++, name += strlen(name) + 1)
        known[i] = name;
    for (int i = 0; i < w->file.tensors && !w->partial; i++) {
        const char *of = w->file.tensor[i].name, *near;
        if (w->used[i] || ignored(of))
            continue;
        near = loom_nearest(of, known);
        fault(&f, "the model has no '%s'%s%s%s", of, near ? " (nearest: '" : "", near ? near : "", near ? "')" : "");
    }
    free(known);
    return report(&f, w->path, "loom check --parameters lists names, --partial leaves what is too much", e);
}
