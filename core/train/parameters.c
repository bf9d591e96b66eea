/* SPDX-License-Identifier: Apache-2.0 */
/* What the models of a pipeline are made of, by name: for those who bring weights from elsewhere. */
#include "train/run.h"

#include <string.h>

static const char *kind_of(const struct loom_entry *n)
{
    return n->size == 0                     ? NULL
           : n->lifetime == LOOM_LIFE_PARAM ? "parameter"
           : n->lifetime == LOOM_LIFE_STATE ? "state"
                                            : NULL;
}

static void write_shape(struct loom_str *s, const struct loom_entry *n)
{
    loom_str_add(s, "[");
    for (int a = 0; a < n->rank; a++)
        loom_str_printf(s, a ? ", %lld" : "%lld", (long long)n->dim[a]);
    loom_str_add(s, "]");
}

static void as_text(struct loom_str *s, const struct loom_entry *n)
{
    const char *mark = n->lifetime == LOOM_LIFE_STATE ? "state." : "";
    struct loom_str shape = LOOM_STR_INIT;
    write_shape(&shape, n);
    loom_str_printf(s, "  %s%-*s %-16s %10lld%s%s\n", mark, (int)(60 - strlen(mark)), n->name,
                    shape.text ? shape.text : "", (long long)n->size, n->vocabulary ? "  rows: " : "",
                    n->vocabulary ? n->vocabulary : "");
    loom_str_release(&shape);
}

static void as_json(struct loom_str *s, const struct loom_entry *n)
{
    struct loom_str name = LOOM_STR_INIT;
    loom_str_printf(&name, "%s%s", n->lifetime == LOOM_LIFE_STATE ? "state." : "", n->name);
    loom_str_add(s, "    {\"name\": ");
    loom_json_string(s, name.text ? name.text : "");
    loom_str_release(&name);
    loom_str_add(s, ", \"shape\": ");
    write_shape(s, n);
    loom_str_printf(s, ", \"count\": %lld, \"kind\": \"%s\"", (long long)n->size, kind_of(n));
    if (n->vocabulary) {
        loom_str_add(s, ", \"vocabulary\": ");
        loom_json_string(s, n->vocabulary);
    }
    for (int64_t i = 0; n->vocabulary && n->row && i < n->dim[0]; i++) {
        loom_str_add(s, i ? ", " : ", \"rows\": [");
        loom_json_string(s, n->row[i]);
    }
    loom_str_add(s, n->vocabulary && n->row ? "]}" : "}");
}

static int list_stage(struct loom_running *x, const struct loom_stage *stage, int json, struct loom_str *s,
                      struct loom_error *e)
{
    struct loom_model *m = NULL;
    int code = loom_runner_model(&x->runner, stage, 0, &m, e), n = 0;
    if (code != LOOM_OK)
        return code;
    const struct loom_store *store = loom_model_store(m);
    if (json) {
        loom_json_string(s, stage->name);
        loom_str_add(s, ": [\n");
    } else {
        loom_str_printf(s, "stage %s\n", stage->name);
    }
    for (int i = 0; i < store->count; i++) {
        if (!kind_of(&store->entry[i]))
            continue;
        loom_str_add(s, json && n++ ? ",\n" : "");
        if (json)
            as_json(s, &store->entry[i]);
        else
            as_text(s, &store->entry[i]);
    }
    if (json)
        loom_str_add(s, "\n  ]");
    else
        loom_str_printf(s, "  %-77s %10lld\n", "parameters in all", (long long)loom_store_parameters(store));
    loom_model_free(m);
    return LOOM_OK;
}

int loom_run_parameters(const struct loom_run_spec *spec, int json, char **text, struct loom_error *e)
{
    struct loom_running x;
    struct loom_str s = LOOM_STR_INIT;
    int n = 0, code = loom_running_open(&x, spec, e);
    *text = NULL;
    loom_str_add(&s, json ? "{" : "");
    for (int i = 0; i < x.pipeline.stages && code == LOOM_OK; i++) {
        if (x.pipeline.stage[i].evaluates)
            continue;
        loom_str_add(&s, json ? (n++ ? ",\n  " : "\n  ") : n++ ? "\n" : "");
        code = list_stage(&x, &x.pipeline.stage[i], json, &s, e);
    }
    loom_str_add(&s, json ? "\n}\n" : "");
    if (code == LOOM_OK) {
        *text = loom_str_take(&s);
        code = *text ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the list of parameters: free some");
    }
    loom_str_release(&s);
    loom_running_release(&x);
    return code;
}
