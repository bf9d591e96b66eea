/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/settings.h"
#include "conform/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Partners, tried in this order. A plugin under test takes the place of the one of its kind. In the last two a
 * tokenizer takes that of what is decoded, which may be what it is for: a behaviour, beside which an objective has the
 * decoding too; and the class of a trial, which some baselines name. */
static const struct {
    const char *tokenizer, *backbone, *objective;
    int draws; /* 1: the objective draws what is hidden */
} partners[] = {
    {"plugin = \"ndt2\"; patch_units = 4;", "plugin = \"vit\"; decoder_depth = 1;", "plugin = \"mae\"; hide = 0.5;", 1},
    {"plugin = \"bins\";", "plugin = \"vit\"; decoder_depth = 1;", "plugin = \"mae\"; hide = 0.5;", 1},
    {"plugin = \"bins\";", "plugin = \"vit\"; decoder_depth = 0;", "plugin = \"mae\"; hide = 0.3; hide_how = \"zero\";",
     1},
    {"plugin = \"ndt2\"; patch_units = 4;", "plugin = \"vit\"; decoder_depth = 1;",
     "plugin = \"decode\"; target = \"handVel\";", 0},
    {"plugin = \"bins\";", "plugin = \"vit\"; decoder_depth = 1;", "plugin = \"decode\"; target = \"handVel\";", 0},
    {"plugin = \"ndt2\"; patch_units = 4;", "plugin = \"cae\";", "plugin = \"mae\"; hide = 0.5;", 1},
    {"plugin = \"vq\"; patch_units = 4; patch_bins = 2; codes = 32;", "plugin = \"vit\"; decoder_depth = 1;",
     "plugin = \"mae\"; hide = 0.5;", 1},
    {"plugin = \"bins\";", "plugin = \"vit\"; decoder_depth = 1;", "plugin = \"decode\"; target = \"handVel\";", 0},
    {"plugin = \"bins\";", "plugin = \"vit\"; decoder_depth = 1;", "plugin = \"decode\"; target = \"target\";", 0},
};
enum { PARTNERS = sizeof partners / sizeof *partners, BEHAVIOR = PARTNERS - 2, LABEL = PARTNERS - 1 };

const char *loom_world_prefix(const struct loom_trial *t)
{
    switch (t->plugin->kind) {
    case LOOM_TOKENIZER:
        return t->serves ? t->serves_prefix : "tokenizer";
    case LOOM_BACKBONE:
        return "backbone";
    case LOOM_OBJECTIVE:
        return "stages.0.objectives.0";
    case LOOM_BASELINE:
        return t->baseline_prefix;
    default:
        return "data";
    }
}

static int is_set(const struct loom_trial *t, const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < t->spec->sets; i++)
        if (strncmp(t->spec->set[i], name, n) == 0 && t->spec->set[i][n] == '=')
            return 1;
    return 0;
}

const char *loom_world_required(const struct loom_trial *t, const struct loom_option *o)
{
    if (!(o->flags & LOOM_OPT_REQUIRED) || is_set(t, o->name))
        return NULL;
    return (o->type == LOOM_OPT_STRING || o->type == LOOM_OPT_STRINGS) && !o->range ? "\"handVel\"" : NULL;
}

static void write_tested(FILE *f, const struct loom_trial *t)
{
    fprintf(f, "plugin = \"%s\";", t->id);
    for (const struct loom_option *o = t->plugin->options; o && o->name; o++)
        if (loom_world_required(t, o))
            fprintf(f, " %s = %s;", o->name, loom_world_required(t, o));
}

enum { SIZES = 8 };

/* The lines that make the tested part small; none where the suite was asked for a size. */
static int sizes_of(const struct loom_trial *t, char line[SIZES][256])
{
    int n = t->plugin->kind == LOOM_BACKBONE ? loom_settings_small(t->plugin->options, line, SIZES) : 0;
    for (int i = 0; i < n; i++) {
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(line[i], "="), line[i]);
        if (is_set(t, name))
            return 0;
    }
    return n;
}

static void write_backbone(FILE *f, const struct loom_trial *t, int small)
{
    char line[SIZES][256];
    write_tested(f, t);
    for (int i = 0; small && i < sizes_of(t, line); i++)
        fprintf(f, " %s;", line[i]);
}

static void write_tokenizers(FILE *f, const struct loom_trial *t, int k)
{
    const int tested = t->plugin->kind == LOOM_TOKENIZER;
    fputs(t->serves ? "modalities: { spikes: { " : "tokenizer: { ", f);
    tested && !t->serves ? write_tested(f, t) : (void)fputs(partners[k].tokenizer, f);
    fputs(t->quiet && !tested && strstr(partners[k].tokenizer, "ndt2") ? " dropout = 0.0; };\n" : " };\n", f);
    if (t->serves) {
        fprintf(f, "%s: { ", t->serves);
        write_tested(f, t);
        fputs(" }; };\n", f);
    }
}

static int write_pipeline(const struct loom_world *w, const struct loom_trial *t, int k, int small,
                          struct loom_error *e)
{
    const uint32_t kind = t->plugin->kind;
    FILE *f = fopen(w->pipeline, "w");
    if (!f)
        return loom_fail(e, LOOM_EIO, w->pipeline, 0, "cannot be written: make room in $TMPDIR");
    fprintf(f,
            "name = \"conform\"; seed = %llu; shards = 1; shard_mib = 256; threads = 1;\n"
            "data: { source = \"sim\"; kind = \"reach\"; sessions = 2; units = 9; trials = 12; bin_ms = 50.0;"
            " window = \"%s\"; window_ms = 600.0; cache = \"%s/cache\";"
            " split: { by = \"trial\"; train = 0.7; valid = 0.1; test = 0.2; }; };\n",
            (unsigned long long)(t->seed % 1000003), k == LABEL ? "trial" : "fixed", t->folder);
    write_tokenizers(f, t, k);
    fputs("backbone: { ", f);
    if (kind == LOOM_BACKBONE)
        write_backbone(f, t, small);
    else
        fprintf(f, "width = %d; depth = 1; heads = 2; %s", kind == LOOM_TOKENIZER ? 64 : 16,
                partners[k].backbone); /* wide enough for a tokenizer that divides it */
    if (t->quiet && kind != LOOM_BACKBONE)
        fputs(" dropout = 0.0; attention_dropout = 0.0;", f);
    fputs(" };\nstages: ( { name = \"train\"; steps = 10; batch = 4; objectives: ( { ", f);
    if (kind == LOOM_OBJECTIVE)
        write_tested(f, t);
    else
        fputs(kind == LOOM_BASELINE && k != LABEL ? partners[BEHAVIOR].objective : partners[k].objective, f);
    if (kind == LOOM_OBJECTIVE && k == BEHAVIOR)
        fprintf(f, " }, { %s view = \"own\";", partners[k].objective);
    fputs(" } ); }", f);
    if (kind == LOOM_BASELINE)
        fprintf(f,
                ", { name = \"evaluate\"; from = \"train\"; metrics = ( \"%s\" ); against = ( \"%s\" );"
                " baselines: { %s: { }; }; }",
                k == LABEL ? "accuracy" : "r2", t->id, t->id);
    fputs(" );\n", f);
    return fclose(f) == 0 ? LOOM_OK : loom_fail(e, LOOM_EIO, w->pipeline, 0, "cannot be written: make room in $TMPDIR");
}

static int open_model(struct loom_world *w, struct loom_trial *t, struct loom_error *e)
{
    const struct loom_pipeline *p = &w->running.pipeline;
    w->stage = &p->stage[0];
    if (t->plugin->kind != LOOM_BASELINE)
        return loom_runner_model(&w->running.runner, w->stage, 0, &w->model, e);
    return loom_runner_baseline(&w->running.runner, &p->stage[1], w->stage, t->id, &w->model, e);
}

static int try_partners(struct loom_world *w, struct loom_trial *t, int k, int small, const char *const *extra, int n,
                        struct loom_error *e)
{
    struct loom_words all = {0};
    int code = write_pipeline(w, t, k, small, e);
    if (code != LOOM_OK)
        return code;
    w->spec = (struct loom_run_spec){.size = sizeof w->spec,
                                     .pipeline = w->pipeline,
                                     .override = extra,
                                     .overrides = n,
                                     .plugin_path = t->plugin_path,
                                     .threads = 1};
    code = loom_running_open(&w->running, &w->spec, e);
    if (code == LOOM_OK)
        code = open_model(w, t, e);
    if (code == LOOM_OK)
        code = loom_selection_init(&w->selection, w->running.runner.catalog, LOOM_TRAIN, all, e);
    if (code == LOOM_OK)
        code = loom_windows_init(&w->windows, &w->selection, &(struct loom_tiling){0}, e);
    return code;
}

enum { LINES = 64 };

/* What the suite was asked to set, in front of what the check sets; a name without a '.' is one of the plugin's own. */
static int list_lines(const struct loom_trial *t, char line[][256], const char **lines, const char *const *extra, int n)
{
    int count = 0;
    for (int i = 0; i < t->spec->sets + n && count < LINES; i++, count++) {
        const char *text = i < t->spec->sets ? t->spec->set[i] : extra[i - t->spec->sets];
        const int own = i < t->spec->sets || !memchr(text, '.', strcspn(text, "="));
        snprintf(line[count], sizeof *line, "%s%s%s", own ? loom_world_prefix(t) : "", own ? "." : "", text);
        lines[count] = line[count];
    }
    return count;
}

static void serve(struct loom_trial *t, int k)
{
    static const char *const names[] = {"handVel", "target"};
    t->serves = t->plugin->kind == LOOM_TOKENIZER && k >= BEHAVIOR ? names[k - BEHAVIOR] : NULL;
    if (t->serves)
        snprintf(t->serves_prefix, sizeof t->serves_prefix, "modalities.%s", t->serves);
}

/* Partner after partner, until the model comes about. The next one is for parts that do not go together; a part that
 * broke its contract with this one is not given another in whose company that does not show. */
static int open_any(struct loom_world *w, struct loom_trial *t, int small, const char *const *extra, int n)
{
    char(*line)[256] = calloc(LINES, sizeof *line);
    const char *lines[LINES];
    int code = LOOM_ECONFIG;
    const int silent = !t->doing[0]; /* the check has nothing better to say of what it is at */
    if (!line)
        return loom_fail(&t->e, LOOM_ENOMEM, NULL, 0, "no memory for a world: free some");
    for (int k = 0; k < PARTNERS && code != LOOM_OK && code != LOOM_EPLUGIN && code != LOOM_ESHAPE; k++) {
        struct loom_error e = {0};
        if (t->partners && k + 1 != t->partners)
            continue;
        if (t->plugin->kind == LOOM_BASELINE ? k != 0 && k != LABEL : k == LABEL && t->plugin->kind != LOOM_TOKENIZER)
            continue; /* a baseline sees what it sees, whatever the model does */
        if (t->quiet && partners[k].draws && t->plugin->kind != LOOM_OBJECTIVE)
            continue;
        serve(t, k);
        memset(w, 0, sizeof *w);
        snprintf(w->pipeline, sizeof w->pipeline, "%s/world.cfg", t->folder);
        if (silent)
            loom_trial_doing(t, "making a model: create, describe, then one plan and build that names its memory");
        code = try_partners(w, t, k, small, lines, list_lines(t, line, lines, extra, n), &e);
        w->partners = k;
        if (code != LOOM_OK) {
            loom_world_release(w);
            loom_fail(&t->e, code, e.file, e.line, "%s", e.message);
        }
    }
    if (silent)
        loom_trial_doing(t, "passes of a model that was made");
    free(line);
    return code;
}

int loom_world_open(struct loom_world *w, struct loom_trial *t, const char *const *extra, int n)
{
    char line[SIZES][256];
    const int small = !t->whole && sizes_of(t, line) > 0;
    int code = open_any(w, t, small, extra, n);
    if (code != LOOM_OK && small)
        code = open_any(w, t, 0, extra, n);
    if (code == LOOM_OK)
        loom_error_clear(&t->e);
    return code;
}

void loom_world_release(struct loom_world *w)
{
    loom_windows_release(&w->windows);
    loom_selection_release(&w->selection);
    loom_model_free(w->model);
    loom_running_release(&w->running);
    memset(w, 0, sizeof *w);
}

int loom_world_probe(struct loom_trial *t, struct loom_world *w, struct loom_probe *p, const char *const *extra, int n)
{
    if (loom_trial_load(t) != LOOM_OK)
        return t->e.code;
    int code = loom_world_open(w, t, extra, n);
    if (code != LOOM_OK)
        return code;
    const int baseline = t->plugin->kind == LOOM_BASELINE;
    code = loom_probe_open(p, &w->running.runner, w->stage, baseline ? &w->running.pipeline.stage[1] : NULL,
                           baseline ? t->id : NULL, &t->e);
    if (code != LOOM_OK)
        loom_world_release(w);
    return code;
}

/* ---- passes ---- */

int loom_pass_open(struct loom_pass *p, struct loom_world *w, struct loom_error *e)
{
    *p = (struct loom_pass){0};
    int code = loom_shard_new(&p->shard, w->model, (size_t)256 << 20, e);
    if (code == LOOM_OK)
        code = loom_block_init(&p->block, loom_model_store(w->model), e);
    if (code != LOOM_OK)
        loom_pass_release(p);
    return code;
}

void loom_pass_release(struct loom_pass *p)
{
    loom_shard_free(p->shard);
    loom_block_release(&p->block);
    *p = (struct loom_pass){0};
}

static double loss_of(const struct loom_store *store, const struct loom_block *b)
{
    double loss = 0;
    for (int i = 0; i < store->count; i++)
        if (store->entry[i].lifetime == LOOM_LIFE_TERM && !(store->entry[i].flags & LOOM_LOG_ONLY))
            loss += b->term[store->entry[i].offset];
    return loss;
}

int loom_pass_run(struct loom_pass *p, struct loom_world *w, const struct loom_sample *sample, int n,
                  enum loom_mode mode, uint64_t step, struct loom_error *e)
{
    struct loom_masses masses = {0};
    int code = loom_shard_plan(p->shard, sample, n, mode, step, e);
    if (code != LOOM_OK)
        return code;
    loom_masses_add(&masses, loom_shard_masses(p->shard));
    loom_block_zero(&p->block, loom_model_store(w->model));
    code = loom_shard_build(p->shard, &masses, &p->block, 1, e);
    if (code != LOOM_OK)
        return code;
    loom_shard_run(p->shard);
    p->loss = loss_of(loom_model_store(w->model), &p->block);
    return LOOM_OK;
}
