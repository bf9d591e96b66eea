/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "eval/metrics.h"
#include "train/ablate.h"
#include "train/identity.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SET = 256 };

/* ---- comparison ---- */

/* The first key in which c is not like `other`; NULL: none. both 0: keys that `other` does not have may be there. */
static const char *difference(const struct loom_cell *c, const struct loom_cell *other, int with_data, int both)
{
    const char *key;
    json_t *value;
    json_object_foreach(other->identity, key, value)
    {
        if ((with_data || strncmp(key, "data.", 5) != 0) && !json_equal(value, json_object_get(c->identity, key)))
            return key;
    }
    json_object_foreach(c->identity, key, value)
    {
        if (both && (with_data || strncmp(key, "data.", 5) != 0) && !json_object_get(other->identity, key))
            return key;
    }
    return NULL;
}

/* To the first cell of the same test; as to data, to the first one of the same data. */
static int hold(const struct loom_ablation *a, int k, struct loom_error *e)
{
    const struct loom_cell *c = &a->cell[k], *other = c;
    int with_data = 0;
    for (int i = k - 1; i >= 0; i--)
        if (loom_cells_alike(a, c, &a->cell[i], 1))
            other = &a->cell[i];
    for (int i = 0; i < k && !with_data; i++)
        if (loom_cells_alike(a, c, &a->cell[i], 0)) {
            other = &a->cell[i];
            with_data = 1;
        }
    const char *key = difference(c, other, with_data, 1);
    if (!key)
        return LOOM_OK;
    const char *here = json_string_value(json_object_get(c->identity, key)),
               *there = json_string_value(json_object_get(other->identity, key));
    return loom_fail(
        e, LOOM_ECONFIG, a->origin, 0, "cell '%s' is not tested like cell '%s': %s is %s here and %s there; %s",
        c->label, other->label, key, here ? here : "not given", there ? there : "not given",
        strncmp(key, "data.", 5) == 0 ? "make them equal, or set varies_data = true on the axis that is about data"
                                      : "make them equal, or set varies_test = true on the axis whose values are tests "
                                        "of their own");
}

/* ---- one cell ---- */

/* "STAGE.SPLIT.METRIC" is something the cell's evaluation gives. */
static int check_metric(const struct loom_ablation *a, const struct loom_cell *c, const struct loom_pipeline *p,
                        size_t k, struct loom_error *e)
{
    const char *asked = loom_opt_string_at(a->options, "metrics", k), *near;
    struct loom_str all = LOOM_STR_INIT;
    const char *names[LOOM_STAGES * 64 + 1];
    size_t n = 0, starts[LOOM_STAGES * 64];
    int known = 0;
    for (int i = 0; i < p->stages; i++) {
        const struct loom_options *o = p->stage[i].options;
        for (size_t s = 0; p->stage[i].evaluates && s < loom_opt_count(o, "splits"); s++)
            for (size_t m = 0; m < loom_opt_count(o, "metrics") && n < LOOM_STAGES * 64; m++) {
                size_t begin = starts[n++] = all.length;
                loom_str_printf(&all, "%s.%s.%s", p->stage[i].name, loom_opt_string_at(o, "splits", s),
                                loom_opt_string_at(o, "metrics", m));
                known |= !all.failed && strcmp(all.text + begin, asked) == 0;
                loom_str_addn(&all, "", 1);
            }
    }
    for (size_t i = 0; i < n && !all.failed; i++)
        names[i] = all.text + starts[i];
    names[all.failed ? 0 : n] = NULL;
    near = loom_nearest(asked, names);
    int code = known
                   ? LOOM_OK
                   : loom_opt_fail(a->options, "metrics", e, "cell '%s' does not measure %s: write %s", c->label, asked,
                                   near       ? near
                                   : names[0] ? names[0]
                                              : "STAGE.SPLIT.METRIC");
    loom_str_release(&all);
    return code;
}

/* A cell that was begun stays what it was. */
static int hold_to_begun(const struct loom_cell *c, struct loom_error *e)
{
    char path[LOOM_PATH + 32];
    snprintf(path, sizeof path, "%s/identity.json", c->folder);
    if (!*c->folder || !loom_file_exists(path))
        return LOOM_OK;
    struct loom_cell before = {.identity = loom_json_load(path, 1 << 26, e)};
    if (!before.identity)
        return LOOM_EDATA;
    const char *key = difference(c, &before, 1, 0); /* keys that are new to this version have their defaults */
    const char *now = json_string_value(json_object_get(c->identity, key ? key : "")),
               *then = json_string_value(json_object_get(before.identity, key ? key : ""));
    int code =
        key ? loom_fail(e, LOOM_EDATA, c->folder, 0,
                        "what it is tested on changed since it was begun: %s was %s and is %s; start a new ablation",
                        key, then ? then : "not given", now ? now : "not given")
            : LOOM_OK;
    json_decref(before.identity);
    return code;
}

static int count_parameters(struct loom_cell *c, const struct loom_running *x, struct loom_error *e)
{
    int code = LOOM_OK;
    for (int i = 0; i < x->pipeline.stages && code == LOOM_OK; i++) {
        struct loom_model *m = NULL;
        if (!x->pipeline.stage[i].evaluates)
            continue;
        code = loom_runner_model(&x->runner, &x->pipeline.stage[x->pipeline.stage[i].asks], 0, &m, e);
        if (code == LOOM_OK && loom_store_parameters(loom_model_store(m)) > c->parameters)
            c->parameters = loom_store_parameters(loom_model_store(m));
        loom_model_free(m);
    }
    return code;
}

/* The error of a cell's pipeline, with the cell's name in front and its place kept. */
static int blame(const struct loom_cell *c, const struct loom_error *why, struct loom_error *e)
{
    return loom_fail(e, why->code, why->file, why->line, "cell '%s': %s", c->label, why->message);
}

void loom_cell_folder(const struct loom_ablation *a, struct loom_cell *c)
{
    char *out = c->folder;
    size_t n = (size_t)snprintf(out, LOOM_PATH, "%.3000s/cells/%0*d-%s", a->dir.path, a->cells > 99 ? 3 : 2,
                                (int)(c - a->cell) + 1, c->label);
    size_t begin = n - strlen(c->label);
    for (size_t i = begin; i < n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", out[i]))
            out[i] = '_';
}

/* A cell's folder that is there says what the cell is; else the ablation's file does. */
static int open_cell(struct loom_ablation *a, struct loom_cell *c, struct loom_running *x, struct loom_run_spec *spec,
                     const char **override, char pipeline[LOOM_PATH], struct loom_str *seeds, struct loom_error *e)
{
    if (*a->dir.path) {
        loom_cell_folder(a, c);
        snprintf(pipeline, LOOM_PATH, "%.3900s/pipeline.cfg", c->folder);
    }
    if (!*a->dir.path || !loom_file_exists(pipeline)) {
        int n = loom_cell_overrides(a, c, override, MOST_SET, pipeline, e);
        if (n < 0)
            return n;
        loom_str_add(seeds, "seeds=(");
        for (int i = 0; i < a->seeds; i++)
            loom_str_printf(seeds, "%s%lldL", i ? "," : "", (long long)a->seed[i]);
        loom_str_add(seeds, ")");
        if (seeds->failed)
            return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a cell: free some");
        override[n++] = seeds->text;
        spec->overrides = n;
    }
    spec->pipeline = pipeline;
    spec->override = override;
    return loom_running_open(x, spec, e);
}

static int check_cell(struct loom_ablation *a, struct loom_cell *c, struct loom_error *e)
{
    const char *override[MOST_SET + 1];
    char pipeline[LOOM_PATH];
    struct loom_running x = {.dir = LOOM_RUNDIR};
    struct loom_str seeds = LOOM_STR_INIT;
    struct loom_error why = {0};
    struct loom_run_spec spec = {.size = sizeof spec, .plugin_path = a->spec->plugin_path, .threads = 1};
    int code = open_cell(a, c, &x, &spec, override, pipeline, &seeds, &why);
    if (code == LOOM_OK)
        code = loom_identity_of(&c->identity, &x, &why);
    if (code == LOOM_OK)
        code = loom_json_sum(c->identity, c->sha256, &why);
    if (code == LOOM_OK)
        code = hold_to_begun(c, &why);
    if (code == LOOM_OK)
        code = count_parameters(c, &x, &why);
    if (code != LOOM_OK)
        code = blame(c, &why, e);
    for (size_t k = 0; k < (size_t)a->metrics && code == LOOM_OK; k++)
        code = check_metric(a, c, &x.pipeline, k, e);
    if (code == LOOM_OK) {
        c->origin = x.origin ? strdup(x.origin) : NULL;
        c->resolved = strdup(x.runner.resolved);
        if (!c->origin || !c->resolved)
            code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a cell: free some");
    }
    loom_running_release(&x);
    loom_str_release(&seeds);
    return code;
}

int loom_ablation_check(struct loom_ablation *a, struct loom_error *e)
{
    int code = LOOM_OK;
    for (int k = 0; k < a->cells && code == LOOM_OK; k++) {
        loom_ablation_say(a, 1, "checks cell %d of %d: %s", k + 1, a->cells, a->cell[k].label);
        code = check_cell(a, &a->cell[k], e);
        if (code == LOOM_OK)
            code = hold(a, k, e);
    }
    return code;
}
