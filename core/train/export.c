/* SPDX-License-Identifier: Apache-2.0 */
#include "train/export.h"

#include "base/io.h"
#include "data/nlb_sets.h"
#include "train/run.h"
#include "train/safetensors.h"

#include <loom/export.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OVERRIDES = 64, WORD = 256 };

/* One export: the run, opened with the objective that asks for everything where rates are wanted. */
struct export
{
    const struct loom_export_spec *spec;
    struct loom_running running;
    const struct loom_stage *stage;
    struct loom_arrays arrays;
    json_t *about; /* metadata */
};

/* ---- opening ---- */

static int open_run(struct export *x, int rates, struct loom_error *e)
{
    char stage[LOOM_EVALUATION_NAME], all[WORD], none[WORD];
    const char *override[MOST_OVERRIDES + 2];
    const struct loom_export_spec *spec = x->spec;
    struct loom_run_spec run = {.size = sizeof run,
                                .resume = spec->run,
                                .plugin_path = spec->plugin_path,
                                .careful = 1,
                                .threads = spec->threads,
                                .override = override};
    x->running = (struct loom_running){.dir = LOOM_RUNDIR};
    int code = loom_run_evaluation(spec->run, spec->stage, stage, e);
    if (code == LOOM_OK && spec->overrides > MOST_OVERRIDES)
        code = loom_fail(e, LOOM_ECONFIG, NULL, 0, "more than %d KEY=VALUE: leave some out", MOST_OVERRIDES);
    for (int i = 0; code == LOOM_OK && i < spec->overrides; i++)
        override[run.overrides++] = spec->override[i];
    snprintf(all, sizeof all, "stages.%s.objectives=({plugin=\"all\";shown=true;})", stage);
    snprintf(none, sizeof none, "stages.%s.against=()", stage);
    override[run.overrides++] = none;
    if (rates)
        override[run.overrides++] = all;
    if (code == LOOM_OK)
        code = loom_running_open(&x->running, &run, e);
    if (code == LOOM_OK)
        code = loom_running_one(&x->running, e);
    if (code == LOOM_OK) {
        x->running.runner.dir = &x->running.dir;
        x->stage = &x->running.pipeline.stage[loom_pipeline_stage(&x->running.pipeline, stage)];
    }
    return code;
}

/* ---- arrays ---- */

/* columns: 0 = one number a row, 1 = one an element, else so many classes of each element. */
static int add(struct loom_arrays *into, const char *stem, const char *name, int type, const struct loom_grid *g,
               int columns, const void *data, const char *unit, const char *element, struct loom_error *e)
{
    char full[WORD * 2], axes[64];
    int64_t dim[4];
    int rank = 0;
    if (g->trials > 0)
        dim[rank++] = g->trials;
    dim[rank++] = g->trials > 0 ? g->rows / g->trials : g->rows;
    if (columns)
        dim[rank++] = g->elements;
    if (columns > 1)
        dim[rank++] = columns;
    snprintf(full, sizeof full, "%s/%s", stem, name);
    snprintf(axes, sizeof axes, "%sbin%s%s%s", g->trials > 0 ? "trial," : "", columns ? "," : "",
             columns ? element : "", columns > 1 ? ",class" : "");
    struct loom_array *a = loom_arrays_add(into, full, type, rank, dim, data, e);
    if (!a)
        return LOOM_ENOMEM;
    loom_array_describe(a, axes, unit);
    return LOOM_OK;
}

static int add_grid(struct export *x, const struct loom_grid *g, const struct loom_predictions *p, const char *stem,
                    struct loom_error *e)
{
    const int counts = strcmp(p->likelihood, "poisson") == 0;
    const char *unit = counts ? "spikes/bin" : p->unit, *element = counts ? "unit" : "dim";
    int code = add(&x->arrays, stem, "time_s", LOOM_ARRAY_F64, g, 0, g->time_s, "s", "", e);
    if (code == LOOM_OK)
        code = add(&x->arrays, stem, "trial", LOOM_ARRAY_I32, g, 0, g->trial, "", "", e);
    if (code == LOOM_OK)
        code = add(&x->arrays, stem, "predicted", LOOM_ARRAY_F64, g, 1, g->predicted, unit, element, e);
    if (code == LOOM_OK)
        code = add(&x->arrays, stem, "target", LOOM_ARRAY_F64, g, 1, g->target, unit, element, e);
    if (code == LOOM_OK && g->chance != NULL)
        code = add(&x->arrays, stem, "probability", LOOM_ARRAY_F64, g, g->classes, g->chance, "", element, e);
    return code;
}

/* Names of the elements: units of the recording, or dimensions. */
static json_t *element_names(const struct loom_predictions *p, const struct loom_recording *r, int64_t elements)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < elements; i++)
        if (strcmp(p->likelihood, "poisson") == 0 && i < r->units)
            json_array_append_new(list, json_string(r->unit[i].name));
        else if (i < p->elements)
            json_array_append_new(list, json_string(p->element[i]));
    return list;
}

/* What the numbers in `predicted` and `target` of a label stand for. */
static json_t *class_names(const struct loom_predictions *p)
{
    json_t *list = json_array();
    for (int k = 0; k < p->class_names; k++)
        json_array_append_new(list, json_string(p->class_name[k]));
    return list;
}

static int add_modality(struct export *x, const struct loom_predictions *p, enum loom_split split, const char *as,
                        struct loom_error *e)
{
    int code = LOOM_OK;
    for (int r = 0; r < p->recordings && code == LOOM_OK; r++) {
        const struct loom_recording *of = loom_catalog_recording(x->running.runner.catalog, r);
        char stem[WORD];
        struct loom_grid g;
        code = loom_grid_init(&g, p, r, e);
        if (code != LOOM_OK)
            break;
        if ((size_t)snprintf(stem, sizeof stem, "%s/%s/%s", loom_split_name(split), of->id, as) >= sizeof stem)
            code = loom_fail(e, LOOM_EDATA, of->file, 0, "the recording's name is too long for an array's: %s", of->id);
        if (code == LOOM_OK && g.rows > 0) {
            code = add_grid(x, &g, p, stem, e);
            json_object_set_new(json_object_get(x->about, "elements"), stem, element_names(p, of, g.elements));
            if (p->class_names > 0 && !json_object_get(x->about, "classes"))
                json_object_set_new(x->about, "classes", json_object());
            if (p->class_names > 0)
                json_object_set_new(json_object_get(x->about, "classes"), stem, class_names(p));
        }
        loom_grid_release(&g);
    }
    return code;
}

static int is_spikes(const struct loom_predictions *p)
{
    return p->n > 0 && strcmp(p->likelihood, "poisson") == 0;
}

/* What the backbone answered at each bin of each window, before it was read. */
static int add_latents(struct export *x, const struct loom_predictions *p, enum loom_split split, struct loom_error *e)
{
    const struct loom_latents *l = &p->latents;
    int code = LOOM_OK;
    for (int r = 0; r < p->recordings && code == LOOM_OK; r++) {
        int64_t n = 0;
        char name[WORD * 2];
        for (int64_t i = 0; i < l->n; i++)
            n += l->recording[i] == r;
        if (n == 0)
            continue;
        snprintf(name, sizeof name, "%s/%s/latents/time_s", loom_split_name(split), p->recording[r]);
        struct loom_array *a = loom_arrays_add(&x->arrays, name, LOOM_ARRAY_F64, 1, &n, NULL, e);
        double *time_s = a ? a->data : NULL;
        if (a)
            loom_array_describe(a, "bin", "s");
        snprintf(name, sizeof name, "%s/%s/latents/value", loom_split_name(split), p->recording[r]);
        a = a ? loom_arrays_add(&x->arrays, name, LOOM_ARRAY_F32, 2, (int64_t[]){n, l->width}, NULL, e) : NULL;
        if (!a)
            return LOOM_ENOMEM;
        loom_array_describe(a, "bin,latent", "");
        float *value = a->data;
        for (int64_t i = 0; i < l->n; i++)
            if (l->recording[i] == r) {
                *time_s++ = 1e-9 * (double)l->time_ns[i];
                memcpy(value, l->value + i * l->width, (size_t)l->width * sizeof *value);
                value += l->width;
            }
    }
    return code;
}

static int add_split(struct export *x, enum loom_split split, int rates, struct loom_error *e)
{
    const int latents = rates && (x->spec->what & LOOM_EXPORT_LATENTS);
    const int wanted = !rates || (x->spec->what & LOOM_EXPORT_RATES);
    struct loom_predictions *p;
    int n = 0, code = loom_assess_predict(&x->running.runner, x->stage, split, latents, &p, &n, e);
    for (int i = 0; i < n && code == LOOM_OK; i++) {
        if (p[i].n == 0 || (rates && !is_spikes(&p[i])))
            continue;
        if (wanted)
            code = add_modality(x, &p[i], split, rates ? "rates" : p[i].modality, e);
        if (code == LOOM_OK && latents)
            code = add_latents(x, &p[i], split, e);
    }
    loom_predictions_free_all(p, n);
    return code;
}

struct adding {
    struct export *x;
    int rates;
};

static int one_split(void *payload, enum loom_split split, struct loom_error *e)
{
    const struct adding *of = payload;
    return add_split(of->x, split, of->rates, e);
}

/* ---- a submission ---- */

/* The name of the group: dataset, and the width of bins where it is not 5 ms. */
static int name_group(const struct export *x, char out[LOOM_NLB_GROUP], struct loom_error *e)
{
    const char *name = x->spec->dataset;
    const double bin_ms = 1e3 * loom_catalog_bin_s(x->running.runner.catalog);
    if (!name)
        name = loom_group_text(loom_group_child(x->running.pipeline.root, "data"), "nlb");
    if (!name || !*name)
        return loom_fail(e, LOOM_ECONFIG, x->spec->run, 0, "which dataset of the benchmark is it? Say --dataset NAME");
    const struct loom_nlb_set *set = loom_nlb_set(name);
    if (!set)
        return loom_fail(e, LOOM_ECONFIG, x->spec->run, 0, "the benchmark has no dataset '%s': write %s", name,
                         loom_nlb_set_instead(name));
    if (fabs(bin_ms - 5) > 1e-6 && fabs(bin_ms - 20) > 1e-6)
        return loom_fail(e, LOOM_ECONFIG, x->spec->run, 0,
                         "bins are %g ms wide; the benchmark takes 5 and 20: train with data.bin_ms = 5.0", bin_ms);
    loom_nlb_group(out, set, (int)lround(bin_ms));
    return LOOM_OK;
}

/* Answers of a split, and of another with them (-1: of none). */
static int predict(struct export *x, enum loom_split split, int with, struct loom_predictions **out, int *n,
                   struct loom_error *e)
{
    struct loom_predictions *more = NULL;
    int others = 0, code = loom_assess_predict(&x->running.runner, x->stage, split, 0, out, n, e);
    if (code == LOOM_OK && with >= 0 && loom_catalog_has_split(x->running.runner.catalog, (enum loom_split)with))
        code = loom_assess_predict(&x->running.runner, x->stage, (enum loom_split)with, 0, &more, &others, e);
    for (int i = 0; i < others && code == LOOM_OK; i++)
        for (int64_t k = 0; k < more[i].n && code == LOOM_OK; k++)
            code = loom_predictions_add(&(*out)[i], &more[i].row[k],
                                        more[i].param ? more[i].param + k * more[i].params : NULL, e);
    loom_predictions_free_all(more, others);
    return code;
}

/* Units that a file lacks must be held out, or the model was not asked what the benchmark asks. */
static int check_units(const struct export *x, enum loom_split split, struct loom_error *e)
{
    const struct loom_catalog *c = x->running.runner.catalog;
    int32_t n;
    const struct loom_span *span = loom_catalog_spans(c, &n);
    for (int32_t i = 0; i < n; i++) {
        const struct loom_recording *r = loom_catalog_recording(c, span[i].recording);
        const uint8_t *held = loom_catalog_held(c, span[i].recording);
        const double at = 1e-9 * (double)span[i].begin_ns;
        for (int32_t k = 0; k < r->absences && span[i].split == (int32_t)split; k++)
            for (int32_t u = 0; u < r->units && at >= r->absence[k].start_s && at < r->absence[k].stop_s; u++)
                if (r->absence[k].unit[u] && (split == LOOM_TRAIN || !held || !held[u]))
                    return loom_fail(e, LOOM_EDATA, r->file, 0,
                                     "the file of the %s trials lacks unit %s, which %s: the files joined as %s do not "
                                     "belong together",
                                     loom_split_name(split), r->unit[u].name,
                                     split == LOOM_TRAIN ? "another has" : "is not held out", r->id);
    }
    return LOOM_OK;
}

static int add_rates(struct export *x, const char *group, const char *prefix, enum loom_split split, int with,
                     struct loom_error *e)
{
    struct loom_predictions *p = NULL;
    struct loom_grid g = {0};
    int n = 0, found = 0, code = check_units(x, split, e);
    if (code == LOOM_OK)
        code = predict(x, split, with, &p, &n, e);
    for (int i = 0; i < n && code == LOOM_OK; i++)
        for (int r = 0; is_spikes(&p[i]) && r < p[i].recordings && code == LOOM_OK; r++) {
            code = loom_grid_init(&g, &p[i], r, e);
            if (code == LOOM_OK && g.rows > 0 && found++)
                code = loom_fail(e, LOOM_ECONFIG, x->spec->run, 0,
                                 "split %s has several recordings, a submission takes one: choose with "
                                 "stages.%s.recordings=(\"NAME\")",
                                 loom_split_name(split), x->stage->name);
            else if (code == LOOM_OK && g.rows > 0)
                code = loom_export_submission(&x->arrays, &g, p[i].bin_s, group, prefix, e);
            loom_grid_release(&g);
        }
    if (code == LOOM_OK && !found)
        code = loom_fail(e, LOOM_EDATA, x->spec->run, 0, "the model was asked for no spikes of split %s",
                         loom_split_name(split));
    loom_predictions_free_all(p, n);
    return code;
}

/* What is trained on before a test is everything else: the benchmark decodes the test from both. */
static int submission(struct export *x, struct loom_error *e)
{
    char group[LOOM_NLB_GROUP];
    enum loom_split split = loom_catalog_has_split(x->running.runner.catalog, LOOM_TEST) ? LOOM_TEST : LOOM_VALID;
    int code = x->spec->split ? loom_split_named(x->spec->split, &split, e) : LOOM_OK;
    if (code == LOOM_OK)
        code = name_group(x, group, e);
    if (code == LOOM_OK)
        code = loom_arrays_keep(&x->arrays, x->spec->out, group, e);
    if (code == LOOM_OK)
        code = add_rates(x, group, "train", LOOM_TRAIN, split == LOOM_TEST ? LOOM_VALID : -1, e);
    if (code == LOOM_OK)
        code = add_rates(x, group, "eval", split, -1, e);
    return code == LOOM_OK ? loom_arrays_write_h5(&x->arrays, x->spec->out, e) : code;
}

/* ---- files ---- */

/* The widest numbers first, so that all of them are aligned in a file that is mapped. */
static int write_safetensors(const struct loom_arrays *a, const char *path, struct loom_error *e)
{
    int n = 0;
    static const char *const dtype[] = {"F32", "F64", "I32", "I64", "U8", "BOOL"};
    struct loom_tensor *t = calloc((size_t)a->n + 1, sizeof *t);
    const struct loom_meta meta = {"metadata", a->metadata};
    if (!t)
        return loom_fail(e, LOOM_ENOMEM, path, 0, "no memory to write %d arrays: free some", a->n);
    for (size_t width = 8; width > 0; width /= 2)
        for (int i = 0; i < a->n; i++) {
            const struct loom_array *x = &a->at[i];
            if (loom_array_width(x->type) != width)
                continue;
            t[n] = (struct loom_tensor){.name = x->name,
                                        .dtype = dtype[x->type],
                                        .rank = x->rank,
                                        .data = x->data,
                                        .bytes = (size_t)loom_array_count(x) * width};
            memcpy(t[n++].dim, x->dim, sizeof x->dim);
        }
    int code = loom_tensors_write(path, t, a->n, &meta, 1, e);
    free(t);
    return code;
}

/* Axes and units of all arrays: what HDF5 has as attributes, the others have here. */
static int write_arrays(struct export *x, struct loom_error *e)
{
    json_t *arrays = json_object();
    const char *path = x->spec->out;
    for (int i = 0; i < x->arrays.n; i++) {
        const struct loom_array *a = &x->arrays.at[i];
        json_t *one = json_object();
        json_object_set_new(one, "axes", json_string(a->axes));
        json_object_set_new(one, "unit", json_string(a->unit));
        json_object_set_new(arrays, a->name, one);
    }
    json_object_set_new(x->about, "arrays", arrays);
    x->arrays.metadata = json_dumps(x->about, JSON_COMPACT);
    if (!x->arrays.metadata)
        return loom_fail(e, LOOM_ENOMEM, path, 0, "no memory for metadata: free some");
    switch (x->spec->format) {
    case LOOM_EXPORT_NPZ:
        return loom_arrays_write_npz(&x->arrays, path, e);
    case LOOM_EXPORT_SAFETENSORS:
        return write_safetensors(&x->arrays, path, e);
    default:
        return loom_arrays_write_h5(&x->arrays, path, e);
    }
}

static void describe(struct export *x)
{
    json_object_set_new(x->about, "run", json_string(x->spec->run));
    json_object_set_new(x->about, "stage", json_string(x->stage->name));
    json_object_set_new(x->about, "of", json_string(x->running.pipeline.stage[x->stage->from].name));
    json_object_set_new(x->about, "bin_s", json_real(loom_catalog_bin_s(x->running.runner.catalog)));
    json_object_set_new(x->about, "elements", json_object());
}

/* One opening of the run: what the stage asks, or everything. */
static int one_pass(struct export *x, int rates, struct loom_error *e)
{
    const struct loom_run_spec nothing = {.size = sizeof nothing};
    int code = open_run(x, rates, e);
    x->running.runner.spec = &nothing;
    if (code == LOOM_OK && !json_object_get(x->about, "run"))
        describe(x);
    if (code == LOOM_OK)
        code = x->spec->nlb ? submission(x, e)
                            : loom_stage_splits(x->stage, x->spec->split, one_split, &(struct adding){x, rates}, e);
    loom_running_release(&x->running);
    return code;
}

int loom_export(const struct loom_export_spec *spec, struct loom_error *e)
{
    struct export x = {.spec = spec, .about = json_object()};
    int code = spec->split ? loom_split_named(spec->split, &(enum loom_split){LOOM_TRAIN}, e) : LOOM_OK;
    if (code == LOOM_OK && (spec->nlb || (spec->what & (LOOM_EXPORT_RATES | LOOM_EXPORT_LATENTS))))
        code = one_pass(&x, 1, e);
    if (code == LOOM_OK && !spec->nlb && (spec->what & LOOM_EXPORT_PREDICTIONS))
        code = one_pass(&x, 0, e);
    if (code == LOOM_OK && !spec->nlb)
        code = write_arrays(&x, e);
    loom_arrays_release(&x.arrays);
    json_decref(x.about);
    return code;
}
