/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Partners, tried in this order. A plugin under test takes the place of the one of its kind. */
static const struct {
    const char *tokenizer, *backbone, *objective;
    int behavior; /* 1: a tokenizer serves the behaviour, and an objective has the decoding beside it */
} partners[] = {
    {"plugin = \"ndt2\"; patch_units = 4;", "decoder_depth = 1;", "plugin = \"mae\"; hide = 0.5;", 0},
    {"plugin = \"bins\";", "decoder_depth = 1;", "plugin = \"mae\"; hide = 0.5;", 0},
    {"plugin = \"bins\";", "decoder_depth = 0;", "plugin = \"mae\"; hide = 0.3; hide_how = \"zero\";", 0},
    {"plugin = \"ndt2\"; patch_units = 4;", "decoder_depth = 1;", "plugin = \"decode\"; target = \"handVel\";", 0},
    {"plugin = \"bins\";", "decoder_depth = 1;", "plugin = \"decode\"; target = \"handVel\";", 0},
    {"plugin = \"bins\";", "decoder_depth = 1;", "plugin = \"decode\"; target = \"handVel\";", 1},
};
enum { PARTNERS = sizeof partners / sizeof *partners };

const char *loom_world_prefix(const struct loom_trial *t)
{
    switch (t->plugin->kind) {
    case LOOM_TOKENIZER:
        return "tokenizer";
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

static void write_tested(FILE *f, const struct loom_trial *t)
{
    fprintf(f, "plugin = \"%s\";", t->id);
    for (const struct loom_option *o = t->plugin->options; o && o->name; o++)
        if (strcmp(o->name, "target") == 0 && (o->flags & LOOM_OPT_REQUIRED))
            fputs(" target = \"handVel\";", f);
}

static void write_tokenizer(FILE *f, const struct loom_trial *t, int k)
{
    if (t->plugin->kind != LOOM_TOKENIZER)
        fprintf(f, "tokenizer: { %s };\n", partners[k].tokenizer);
    else if (partners[k].behavior)
        fprintf(f, "tokenizer: { %s };\n", partners[k].tokenizer); /* the objective brings `series` */
    else
        fprintf(f, "tokenizer: { plugin = \"%s\"; };\n", t->id);
}

static int write_pipeline(const struct loom_world *w, const struct loom_trial *t, int k, struct loom_error *e)
{
    const uint32_t kind = t->plugin->kind;
    FILE *f = fopen(w->pipeline, "w");
    if (!f)
        return loom_fail(e, LOOM_EIO, w->pipeline, 0, "cannot be written: make room in $TMPDIR");
    fprintf(f,
            "name = \"conform\"; seed = %llu; shards = 1; shard_mib = 256; threads = 1;\n"
            "data: { source = \"sim\"; kind = \"reach\"; sessions = 2; units = 9; trials = 12; bin_ms = 50.0;"
            " window_ms = 600.0; cache = \"%s/cache\";"
            " split: { by = \"trial\"; train = 0.7; valid = 0.1; test = 0.2; }; };\n",
            (unsigned long long)(t->seed % 1000003), t->folder);
    write_tokenizer(f, t, k);
    fputs("backbone: { ", f);
    if (kind == LOOM_BACKBONE)
        write_tested(f, t);
    else
        fprintf(f, "plugin = \"vit\"; width = %d; depth = 1; heads = 2; %s", kind == LOOM_TOKENIZER ? 64 : 16,
                partners[k].backbone); /* wide enough for a tokenizer that divides it */
    fputs(" };\nstages: ( { name = \"train\"; steps = 10; batch = 4; objectives: ( { ", f);
    if (kind == LOOM_OBJECTIVE)
        write_tested(f, t);
    else
        fputs(kind == LOOM_BASELINE ? partners[PARTNERS - 1].objective : partners[k].objective, f);
    if (kind == LOOM_OBJECTIVE && partners[k].behavior)
        fprintf(f, " }, { %s view = \"own\";", partners[k].objective);
    fputs(" } ); }", f);
    if (kind == LOOM_BASELINE) {
        fprintf(f, ", { name = \"evaluate\"; from = \"train\"; metrics = ( \"r2\" ); against = ( \"%s\" ); }", t->id);
    }
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

static int try_partners(struct loom_world *w, struct loom_trial *t, int k, const char *const *extra, int n,
                        struct loom_error *e)
{
    struct loom_words all = {0};
    int code = write_pipeline(w, t, k, e);
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

int loom_world_open(struct loom_world *w, struct loom_trial *t, const char *const *extra, int n)
{
    const char *lines[64];
    int lines_n = 0, code = LOOM_ECONFIG;
    char(*own)[256] = calloc(64, sizeof *own);
    if (!own)
        return loom_fail(&t->e, LOOM_ENOMEM, NULL, 0, "no memory for a world: free some");
    for (int i = 0; i < t->spec->sets && lines_n < 32; i++, lines_n++) {
        snprintf(own[lines_n], sizeof *own, "%s.%s", loom_world_prefix(t), t->spec->set[i]);
        lines[lines_n] = own[lines_n];
    }
    for (int i = 0; i < n && lines_n < 64; i++)
        lines[lines_n++] = extra[i];
    for (int k = 0; k < PARTNERS && code != LOOM_OK; k++) {
        struct loom_error e = {0};
        memset(w, 0, sizeof *w);
        snprintf(w->pipeline, sizeof w->pipeline, "%s/world.cfg", t->folder);
        code = try_partners(w, t, k, lines, lines_n, &e);
        w->behavior = t->plugin->kind == LOOM_TOKENIZER && partners[k].behavior;
        if (w->behavior && code == LOOM_OK && strcmp(t->id, "series") != 0)
            code = LOOM_ECONFIG; /* no other tokenizer comes with an objective */
        if (code != LOOM_OK) {
            loom_world_release(w);
            loom_fail(&t->e, code, e.file, e.line, "%s", e.message);
        }
    }
    if (code == LOOM_OK)
        loom_error_clear(&t->e);
    free(own);
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
