/* SPDX-License-Identifier: Apache-2.0 */
/* Making a model: parts from the pipeline, their traits, the names of all memory. */
#include "model/internal.h"

#include "plugin/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const part_keys[] = {"plugin", "visible", NULL};

static void release(struct loom_instance *at)
{
    if (at->part && at->part->destroy && at->self)
        at->part->destroy(at->self);
    loom_options_free(at->options);
    memset(at, 0, sizeof(*at));
}

static int want_behavior(void *owner, const char *series, double lag_s, struct loom_error *e);
static int show_signal(void *owner, const char *series, double lag_s, struct loom_error *e);

/* Load `id` and create an instance with the options of `group` (NULL = defaults). */
static int create(struct loom_model *m, struct loom_instance *at, uint32_t kind, const char *id,
                  const struct loom_group *group, const char *scope, const char *modality, struct loom_error *e)
{
    int status = loom_registry_find(m->registry, kind, id, &at->plugin, e);
    if (status != LOOM_OK) {
        if (e && group && e->code == LOOM_EPLUGIN) {
            struct loom_error why = *e;
            loom_error_clear(e);
            return loom_group_fail(group, "plugin", e, LOOM_EPLUGIN, "%s", why.message);
        }
        return status;
    }
    at->part = at->plugin->table;
    snprintf(at->scope, sizeof(at->scope), "%s", scope);
    status = loom_options_parse(&at->options, at->plugin->options, group, scope, part_keys, e);
    if (status != LOOM_OK)
        return status;
    struct loom_setup setup = {.options = at->options, .catalog = m->catalog, .seed = m->seed, .modality = modality};
    if (kind == LOOM_OBJECTIVE || kind == LOOM_TOKENIZER || kind == LOOM_BASELINE) {
        setup.behavior = kind == LOOM_BASELINE ? show_signal : want_behavior;
        setup.owner = m;
    }
    status = at->part->create(&setup, &at->self, e);
    if (status != LOOM_OK)
        return status;
    at->traits.size = sizeof(at->traits);
    return at->part->describe ? at->part->describe(at->self, &at->traits, e) : LOOM_OK;
}

static int add_modality(struct loom_model *m, const char *name, const char *plugin, const struct loom_group *group,
                        int visible, struct loom_error *e)
{
    if (m->modalities == LOOM_MODALITIES)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "a model has at most %d modalities", LOOM_MODALITIES);
    if (strcmp(name, "spikes") == 0 && loom_catalog_max_units(m->catalog) == 0)
        return loom_fail(e, LOOM_EDATA, NULL, 0,
                         "no recording has units, and the model is to see spikes: add recordings that have some (`loom "
                         "data info` shows them)");
    struct loom_modality *at = &m->modality[m->modalities++];
    snprintf(at->name, sizeof(at->name), "%s", name);
    at->visible = visible;
    at->lag_s = 0.0;
    char scope[sizeof(at->at.scope)];
    snprintf(scope, sizeof(scope), "tokenizer.%s", at->name);
    int status = create(m, &at->at, LOOM_TOKENIZER, plugin, group, scope, at->name, e);
    if (status != LOOM_OK)
        return status;
    at->tokenizer = (const struct loom_tokenizer *)at->at.part;
    if (!at->at.traits.likelihood)
        return LOOM_OK;
    at->likelihood = loom_likelihood_find(at->at.traits.likelihood);
    if (!at->likelihood)
        return loom_fail(e, LOOM_EPLUGIN, NULL, 0, "tokenizer '%s' names the unknown likelihood '%s' (nearest: %s)",
                         plugin, at->at.traits.likelihood,
                         loom_nearest(at->at.traits.likelihood, loom_likelihood_names())
                             ? loom_nearest(at->at.traits.likelihood, loom_likelihood_names())
                             : "poisson");
    return LOOM_OK;
}

/* Windows are to hold the series, or label, of this modality. */
static void want(struct loom_model *m, int at, int label, double lag_s)
{
    m->modality[at].behavior = 1;
    m->modality[at].lag_s = lag_s;
    m->need[m->needs++] =
        (struct loom_series_want){.name = m->modality[at].name,
                                  .lag_s = lag_s,
                                  .label = label ? 1 + loom_catalog_label(m->catalog, m->modality[at].name) : 0};
}

/* loom_setup_behavior, as asked of a model. */
static int want_behavior(void *owner, const char *series, double lag_s, struct loom_error *e)
{
    struct loom_model *m = owner;
    int at = loom_model_modality_number(m, series);
    if (at >= 0 && m->modality[at].behavior) {
        if (m->modality[at].lag_s != lag_s)
            return loom_fail(e, LOOM_ECONFIG, NULL, 0, "'%s' is asked for with two lags, %g and %g ms", series,
                             1e3 * m->modality[at].lag_s, 1e3 * lag_s);
        return LOOM_OK;
    }
    const int label = loom_catalog_is_label(m->catalog, series);
    int status = label ? loom_catalog_need_label(m->catalog, series, e)
                       : loom_catalog_need_series(m->catalog, (struct loom_words){0, NULL}, series, NULL, e);
    if (status != LOOM_OK)
        return status;
    if (label && lag_s != 0.0)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "'%s' is a label of whole trials, which no lag moves: leave out lag_ms = %g", series,
                         1e3 * lag_s);
    if (at < 0) {
        const struct loom_group *own = loom_group_child(loom_group_child(m->root, "modalities"), series);
        const char *plugin = own ? loom_group_text(own, "plugin") : NULL;
        status = add_modality(m, series, plugin ? plugin : label ? "label" : "series", own, 0, e);
        if (status != LOOM_OK)
            return status;
        at = m->modalities - 1;
    }
    want(m, at, label, lag_s);
    return LOOM_OK;
}

/* The same, as a baseline asks: it is what the baseline sees, by whichever tokenizer the model does. */
static int show_signal(void *owner, const char *series, double lag_s, struct loom_error *e)
{
    struct loom_model *m = owner;
    int status = loom_catalog_need_series(m->catalog, (struct loom_words){0, NULL}, series, NULL, e);
    if (status == LOOM_OK)
        status = add_modality(m, series, "series", NULL, 1, e);
    if (status == LOOM_OK)
        want(m, m->modalities - 1, 0, lag_s);
    return status;
}

/* `tokenizer:` is short for the modality `spikes`; `modalities:` names them all. What the recordings hold as series
 * waits there until an objective asks for it. */
static int create_tokenizers(struct loom_model *m, struct loom_error *e)
{
    const struct loom_group *one = loom_group_child(m->root, "tokenizer");
    const struct loom_group *all = loom_group_child(m->root, "modalities");
    if (one) {
        const char *plugin = loom_group_text(one, "plugin");
        if (!plugin)
            return loom_group_fail(one, NULL, e, LOOM_ECONFIG, "tokenizer: name its plugin (plugin = \"ndt2\")");
        return add_modality(m, "spikes", plugin, one, 1, e);
    }
    int status = LOOM_OK;
    for (size_t i = 0; i < loom_group_count(all) && status == LOOM_OK; i++) {
        const struct loom_group *g = loom_group_at(all, i);
        const char *name = loom_group_key(all, i), *plugin = g ? loom_group_text(g, "plugin") : NULL;
        if (!plugin)
            return loom_group_fail(all, name, e, LOOM_ECONFIG, "modality '%s': name its plugin", name);
        if (strcmp(plugin, "series") != 0 && strcmp(plugin, "label") != 0)
            status = add_modality(m, name, plugin, g, 1, e);
    }
    if (status == LOOM_OK && m->modalities == 0)
        status = loom_group_fail(m->root, NULL, e, LOOM_ECONFIG,
                                 "no tokenizer: add tokenizer: { plugin = \"ndt2\"; } to the pipeline");
    return status;
}

static int create_objectives(struct loom_model *m, const struct loom_group *stage, struct loom_error *e)
{
    size_t n = loom_group_list_count(stage, "objectives");
    if (n == 0 || n > LOOM_OBJECTIVES)
        return loom_group_fail(stage, "objectives", e, LOOM_ECONFIG, "a training stage has 1 to %d objectives, not %zu",
                               LOOM_OBJECTIVES, n);
    for (size_t i = 0; i < n; i++) {
        const struct loom_group *g = loom_group_list(stage, "objectives", i);
        const char *plugin = g ? loom_group_text(g, "plugin") : NULL;
        if (!plugin)
            return loom_group_fail(stage, "objectives", e, LOOM_ECONFIG,
                                   "objective %zu: name its plugin (plugin = \"mae\")", i);
        char scope[96];
        snprintf(scope, sizeof(scope), "objective.%s", plugin);
        m->objectives++;
        int status = create(m, &m->objective_at[i], LOOM_OBJECTIVE, plugin, g, scope, NULL, e);
        if (status != LOOM_OK)
            return status;
    }
    return LOOM_OK;
}

static int create_backbone(struct loom_model *m, const struct loom_model_spec *spec, struct loom_error *e)
{
    const struct loom_group *g = loom_group_child(spec->root, "backbone");
    const char *plugin = g ? loom_group_text(g, "plugin") : NULL;
    uint32_t kind = LOOM_BACKBONE;
    if (spec->baseline) {
        plugin = spec->baseline;
        g = spec->baseline_options;
        kind = LOOM_BASELINE;
    }
    if (!plugin)
        return loom_group_fail(spec->root, "backbone", e, LOOM_ECONFIG,
                               "no backbone: add backbone: { plugin = \"vit\"; } to the pipeline");
    int status = create(m, &m->backbone_at, kind, plugin, g, "backbone", NULL, e);
    m->backbone = (const struct loom_backbone *)m->backbone_at.part;
    return status;
}

/* A baseline sees the signal that it asks for, else binned counts, and is asked what the stage's objectives ask of
 * behaviours and labels. */
static int baseline_parts(struct loom_model *m, const struct loom_model_spec *spec, struct loom_error *e)
{
    int status = create_backbone(m, spec, e);
    if (status == LOOM_OK && m->modalities == 0)
        status = add_modality(m, "spikes", "bins", NULL, 1, e);
    if (status == LOOM_OK)
        status = create_objectives(m, spec->stage, e);
    for (int i = 0; i < m->objectives; i++)
        release(&m->objective_at[i]);
    m->objectives = 0;
    if (status != LOOM_OK)
        return status;
    m->objectives = 1;
    return create(m, &m->objective_at[0], LOOM_OBJECTIVE, "all", NULL, "objective.all", NULL, e);
}

/* Axis 0 is time; then what the backbone wants. Each tokenizer's axes are matched by name. */
static void match_axes(struct loom_model *m)
{
    m->axis_name[0] = "time";
    m->axes = 1;
    for (const char *const *a = m->backbone_at.traits.axes; a && *a && m->axes < LOOM_AXES; a++)
        if (strcmp(*a, "time") != 0)
            m->axis_name[m->axes++] = *a;
    for (int i = 0; i < m->modalities; i++) {
        struct loom_modality *at = &m->modality[i];
        for (const char *const *a = at->at.traits.axes; a && *a && at->axes < LOOM_AXES; a++) {
            int k = at->axes++;
            at->axis[k] = -1;
            for (int j = 1; j < m->axes; j++)
                if (strcmp(*a, m->axis_name[j]) == 0)
                    at->axis[k] = j;
        }
    }
}

static int labels_known(const struct loom_model *m, const struct loom_sample *s)
{
    for (int i = 0; i < m->needs; i++)
        if (m->need[i].label && loom_catalog_class(m->catalog, m->need[i].label - 1, s->span) < 0)
            return 0;
    return 1;
}

/* A window of a recording that has units, and of a trial whose class is known: where there are none, tokenizers have no
 * row to name memory for. */
static const struct loom_sample *telling(const struct loom_model *m, const struct loom_windows *w)
{
    const struct loom_sample *best = w->sample;
    for (int32_t i = 0, most = -1; i < w->n && most < 2; i++) {
        const int units = loom_catalog_recording(m->catalog, w->sample[i].recording)->units > 0;
        const int tells = units + labels_known(m, &w->sample[i]);
        best = tells > most ? &w->sample[i] : best;
        most = tells > most ? tells : most;
    }
    return best;
}

/* Build once without running, so that every part names its memory. */
static int declare(struct loom_model *m, struct loom_error *e)
{
    struct loom_selection train = {0};
    struct loom_windows windows = {0};
    struct loom_shard *shard = NULL;
    struct loom_words all = {0, NULL};
    struct loom_tiling tiling = {0};
    int status = loom_selection_init(&train, m->catalog, LOOM_TRAIN, all, e);
    if (status == LOOM_OK)
        status = loom_windows_init(&windows, &train, &tiling, e);
    if (status == LOOM_OK)
        status = loom_shard_new(&shard, m, (size_t)1 << 32, e);
    if (status == LOOM_OK)
        status = loom_shard_plan(shard, telling(m, &windows), 1, LOOM_DECLARE, 0, e);
    if (status == LOOM_OK)
        status = loom_shard_build(shard, loom_shard_masses(shard), NULL, 1, e);
    loom_shard_free(shard);
    loom_windows_release(&windows);
    loom_selection_release(&train);
    return status;
}

/* What is only ever read without a gradient nothing may move, weight decay least of all. */
static void freeze_unmoved(struct loom_store *s)
{
    for (int i = 0; i < s->count; i++)
        if (s->entry[i].lifetime == LOOM_LIFE_PARAM && !s->entry[i].moves)
            s->entry[i].lr_scale = 0.0;
}

int loom_model_new(struct loom_model **out, const struct loom_model_spec *spec, struct loom_error *e)
{
    struct loom_model *m = calloc(1, sizeof(*m));
    if (!m)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a model");
    m->registry = spec->registry;
    m->catalog = spec->catalog;
    m->root = spec->root;
    m->seed = spec->seed;
    m->lora = spec->lora;
    int status = loom_store_new(&m->store, spec->seed, e);
    if (status == LOOM_OK && spec->baseline)
        status = baseline_parts(m, spec, e);
    else if (status == LOOM_OK) {
        status = create_tokenizers(m, e);
        if (status == LOOM_OK)
            status = create_objectives(m, spec->stage, e);
        if (status == LOOM_OK)
            status = create_backbone(m, spec, e);
    }
    if (status == LOOM_OK) {
        match_axes(m);
        status = loom_model_legal(m, e);
    }
    if (status == LOOM_OK)
        status = declare(m, e);
    if (status == LOOM_OK) {
        freeze_unmoved(m->store);
        status = loom_store_seal(m->store, spec->with_shadow, e);
    }
    if (status != LOOM_OK) {
        loom_model_free(m);
        return status;
    }
    *out = m;
    return LOOM_OK;
}

void loom_model_free(struct loom_model *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->objectives; i++)
        release(&m->objective_at[i]);
    release(&m->backbone_at);
    for (int i = 0; i < m->modalities; i++)
        release(&m->modality[i].at);
    loom_store_free(m->store);
    free(m);
}

struct loom_store *loom_model_store(const struct loom_model *m)
{
    return m->store;
}

int loom_model_modalities(const struct loom_model *m)
{
    return m->modalities;
}

const char *loom_model_modality(const struct loom_model *m, int i)
{
    return m->modality[i].name;
}

const char *loom_model_likelihood(const struct loom_model *m, int modality)
{
    return m->modality[modality].likelihood ? m->modality[modality].likelihood->name : NULL;
}

int loom_model_visible(const struct loom_model *m, int modality)
{
    return m->modality[modality].visible;
}

int loom_model_causal(const struct loom_model *m)
{
    const struct loom_option *o = m->backbone_at.plugin->options;
    if (m->backbone_at.plugin->kind == LOOM_BASELINE)
        return (m->backbone_at.traits.offers & LOOM_CAUSAL) != 0;
    for (; o && o->name; o++)
        if (strcmp(o->name, "causal") == 0 && o->type == LOOM_OPT_BOOL)
            return loom_opt_bool(m->backbone_at.options, "causal");
    return 0;
}

const struct loom_traits *loom_model_traits(const struct loom_model *m, uint32_t kind)
{
    int spikes = loom_model_modality_number(m, "spikes");
    switch (kind) {
    case LOOM_TOKENIZER:
        return spikes >= 0 ? &m->modality[spikes].at.traits : NULL;
    case LOOM_BACKBONE:
    case LOOM_BASELINE:
        return &m->backbone_at.traits;
    case LOOM_OBJECTIVE:
        return m->objectives > 0 ? &m->objective_at[0].traits : NULL;
    default:
        return NULL;
    }
}

/* Parts in pipeline order: tokenizers, backbone, objectives. */
static struct loom_instance *part_at(struct loom_model *m, int i)
{
    if (i < m->modalities)
        return &m->modality[i].at;
    i -= m->modalities;
    return i == 0 ? &m->backbone_at : &m->objective_at[i - 1];
}

int loom_model_update(struct loom_model *m, const double *sums, int fitting, int pass, struct loom_error *e)
{
    int more = 0;
    for (int i = 0; i < m->modalities + 1 + m->objectives; i++) {
        struct loom_instance *at = part_at(m, i);
        if (!at->part->update)
            continue;
        struct loom_update u = {.model = m, .scope = at->scope, .sums = sums, .fitting = fitting, .pass = pass};
        int status = at->part->update(at->self, &u, e);
        if (status < 0)
            return status;
        more |= status;
    }
    return more;
}

int loom_model_arity(const struct loom_model *m)
{
    int arity = 1;
    for (int i = 0; i < m->objectives; i++)
        if (m->objective_at[i].traits.arity > arity)
            arity = m->objective_at[i].traits.arity;
    return arity;
}

int loom_model_wants_fitting(const struct loom_model *m)
{
    for (int i = 0; i < m->modalities + 1 + m->objectives; i++)
        if (part_at((struct loom_model *)(uintptr_t)m, i)->part->update)
            return 1;
    return 0;
}
