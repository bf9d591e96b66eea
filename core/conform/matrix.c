/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/matrix.h"

#include "base/str.h"
#include "conform/settings.h"
#include "data/catalog.h"
#include "model/model.h"
#include "plugin/registry.h"

#include <loom/config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OF_A_KIND = 64, SIZES = 8 };

struct loom_matrix {
    struct loom_registry *registry;
    struct loom_catalog *catalog;
    const struct loom_plugin *part[3][MOST_OF_A_KIND]; /* tokenizers, backbones, objectives */
    int parts[3], triples;
    struct loom_triple *triple;
};
static const uint32_t kinds[3] = {LOOM_TOKENIZER, LOOM_BACKBONE, LOOM_OBJECTIVE};

/* What a file may say to make a mask suit other parts; tried in this order. */
static const char *const masks[] = {"", "hide_how = \"zero\";", "hide_by = \"row\";",
                                    "hide_by = \"row\"; hide_how = \"zero\";"};

/* ---- pipelines ---- */

static const char data[] =
    "data: { source = \"sim\"; kind = \"reach\"; sessions = 2; units = 9; trials = 12; bin_ms = 50.0; "
    "window_ms = 600.0;\n        split: { by = \"trial\"; train = 0.7; valid = 0.1; test = 0.2; }; };\n";

static int has_option(const struct loom_plugin *p, const char *name)
{
    for (const struct loom_option *o = p->options; o && o->name; o++)
        if (strcmp(o->name, name) == 0)
            return 1;
    return 0;
}

/* Required texts mostly name a behaviour, and this world has one. */
static void write_part(struct loom_str *s, const struct loom_plugin *p)
{
    char size[SIZES][256];
    int n = p->kind == LOOM_BACKBONE ? loom_settings_small(p->options, size, SIZES) : 0;
    loom_str_printf(s, "plugin = \"%s\";", p->id);
    for (const struct loom_option *o = p->options; o && o->name; o++)
        if ((o->flags & LOOM_OPT_REQUIRED) && (o->type == LOOM_OPT_STRING || o->type == LOOM_OPT_STRINGS) && !o->range)
            loom_str_printf(s, " %s = \"handVel\";", o->name);
    for (int i = 0; i < n; i++)
        loom_str_printf(s, " %s;", size[i]);
}

static int write_pipeline(struct loom_triple *t, const char *mask, struct loom_error *e)
{
    struct loom_str s = LOOM_STR_INIT;
    loom_str_printf(&s, "name = \"matrix\"; shards = 2; shard_mib = 256;\n%stokenizer: { ", data);
    write_part(&s, t->tokenizer);
    loom_str_add(&s, " };\nbackbone: { ");
    write_part(&s, t->backbone);
    loom_str_add(&s, " };\nstages: ( { name = \"train\"; steps = 2; batch = 4; valid_windows = 4; objectives: ( { ");
    write_part(&s, t->objective);
    loom_str_printf(&s, "%s%s } ); } );\n", *mask ? " " : "", mask);
    int code = s.failed || s.length >= sizeof t->pipeline
                   ? loom_fail(e, LOOM_ENOMEM, NULL, 0, "the pipeline of %s, %s and %s is too long", t->tokenizer->id,
                               t->backbone->id, t->objective->id)
                   : LOOM_OK;
    if (code == LOOM_OK)
        memcpy(t->pipeline, s.text, s.length + 1);
    loom_str_release(&s);
    return code;
}

/* The model of a triple, made and thrown away. */
static int try_model(const struct loom_matrix *m, const struct loom_triple *t, struct loom_error *e)
{
    struct loom_config *config;
    struct loom_model *model = NULL;
    int code = loom_config_parse(&config, t->pipeline, "matrix", 0, NULL, e);
    if (code != LOOM_OK)
        return code;
    const struct loom_group *root = loom_config_root(config);
    const struct loom_model_spec spec = {.registry = m->registry,
                                         .catalog = m->catalog,
                                         .root = root,
                                         .stage = loom_group_list(root, "stages", 0),
                                         .seed = 1};
    code = loom_model_new(&model, &spec, e);
    loom_model_free(model);
    loom_config_free(config);
    return code;
}

/* As it comes, else with another mask; the reason is the first one's. */
static int judge(const struct loom_matrix *m, struct loom_triple *t, struct loom_error *e)
{
    int masked = has_option(t->objective, "hide_how");
    for (size_t i = 0; i < (masked ? sizeof masks / sizeof *masks : 1); i++) {
        struct loom_error why = {0};
        int code = write_pipeline(t, masks[i], e);
        if (code != LOOM_OK)
            return code;
        code = try_model(m, t, &why);
        if (code == LOOM_ENOMEM)
            return loom_fail(e, code, NULL, 0, "%s", why.message);
        if (code == LOOM_OK) {
            t->status = code;
            t->with = masks[i];
            return LOOM_OK;
        }
        if (i == 0) {
            t->status = code;
            snprintf(t->reason, sizeof t->reason, "%s", why.message);
        }
    }
    return write_pipeline(t, "", e);
}

/* ---- all there is ---- */

static int by_id(const void *a, const void *b)
{
    const struct loom_plugin *const *x = a, *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

static int gather(struct loom_matrix *m, const char *plugin_path, struct loom_error *e)
{
    int code = loom_registry_new(&m->registry, plugin_path, e);
    if (code == LOOM_OK)
        code = loom_registry_scan(m->registry, e);
    const struct loom_known *known;
    for (size_t i = 0; code == LOOM_OK && (known = loom_registry_at(m->registry, i)); i++)
        for (int k = 0; k < 3; k++)
            if (known->plugin->kind == kinds[k] && m->parts[k] < MOST_OF_A_KIND)
                m->part[k][m->parts[k]++] = known->plugin;
    for (int k = 0; k < 3; k++)
        qsort(m->part[k], (size_t)m->parts[k], sizeof *m->part[k], by_id);
    return code;
}

static int open_data(struct loom_matrix *m, struct loom_error *e)
{
    struct loom_config *config;
    int code = loom_config_parse(&config, data, "matrix", 0, NULL, e);
    if (code == LOOM_OK)
        code = loom_catalog_open(&m->catalog, loom_config_group(config, "data"), m->registry, e);
    loom_config_free(config);
    return code;
}

/* A tokenizer that misses its data whatever it is asked with is one of behaviours: it has no place here. */
static int serves_spikes(const struct loom_matrix *m, const struct loom_plugin *tokenizer)
{
    int serves = m->parts[1] == 0 || m->parts[2] == 0;
    for (int o = 0; o < m->parts[2] && !serves; o++) {
        struct loom_triple t = {.tokenizer = tokenizer, .backbone = m->part[1][0], .objective = m->part[2][o]};
        struct loom_error why = {0};
        serves = write_pipeline(&t, "", &why) != LOOM_OK || try_model(m, &t, &why) != LOOM_EDATA;
    }
    return serves;
}

static void keep_tokenizers_of_spikes(struct loom_matrix *m)
{
    int n = 0;
    for (int i = 0; i < m->parts[0]; i++)
        if (serves_spikes(m, m->part[0][i]))
            m->part[0][n++] = m->part[0][i];
    m->parts[0] = n;
}

int loom_matrix_new(struct loom_matrix **out, const char *plugin_path, struct loom_error *e)
{
    struct loom_matrix *m = *out = calloc(1, sizeof *m);
    if (!m)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a table of plugins: free some");
    int code = gather(m, plugin_path, e);
    if (code == LOOM_OK)
        code = open_data(m, e);
    if (code == LOOM_OK)
        keep_tokenizers_of_spikes(m);
    size_t n = (size_t)m->parts[0] * (size_t)m->parts[1] * (size_t)m->parts[2];
    if (code == LOOM_OK && !(m->triple = calloc(n + 1, sizeof *m->triple)))
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %zu combinations: free some", n);
    for (int o = 0; o < m->parts[2]; o++)
        for (int t = 0; t < m->parts[0]; t++)
            for (int b = 0; b < m->parts[1] && code == LOOM_OK; b++) {
                struct loom_triple *x = &m->triple[m->triples++];
                *x = (struct loom_triple){
                    .tokenizer = m->part[0][t], .backbone = m->part[1][b], .objective = m->part[2][o], .with = ""};
                code = judge(m, x, e);
            }
    if (code != LOOM_OK) {
        loom_matrix_free(m);
        *out = NULL;
    }
    return code;
}

void loom_matrix_free(struct loom_matrix *m)
{
    if (!m)
        return;
    loom_catalog_free(m->catalog);
    loom_registry_free(m->registry);
    free(m->triple);
    free(m);
}

const struct loom_triple *loom_matrix_at(const struct loom_matrix *m, int i)
{
    return i >= 0 && i < m->triples ? &m->triple[i] : NULL;
}

/* ---- the page ---- */

struct notes {
    const char *text[256];
    int n;
};

static int note(struct notes *notes, const char *text)
{
    for (int i = 0; i < notes->n; i++)
        if (strcmp(notes->text[i], text) == 0)
            return i + 1;
    if (notes->n < 256)
        notes->text[notes->n++] = text;
    return notes->n;
}

static void print_table(const struct loom_matrix *m, int o, struct loom_str *s)
{
    struct notes notes = {.n = 0};
    const struct loom_triple *t = &m->triple[o * m->parts[0] * m->parts[1]];
    loom_str_printf(s, "\n## `%s`\n\n%s\n\n| tokenizer |", m->part[2][o]->id, m->part[2][o]->summary);
    for (int b = 0; b < m->parts[1]; b++)
        loom_str_printf(s, " `%s` |", m->part[1][b]->id);
    loom_str_add(s, "\n|---|");
    for (int b = 0; b < m->parts[1]; b++)
        loom_str_add(s, "---|");
    for (int k = 0; k < m->parts[0]; k++) {
        loom_str_printf(s, "\n| `%s` |", m->part[0][k]->id);
        for (int b = 0; b < m->parts[1]; b++, t++) {
            if (t->status != LOOM_OK)
                loom_str_printf(s, " – (%d) |", note(&notes, t->reason));
            else if (*t->with)
                loom_str_printf(s, " with `%.*s` |", (int)strlen(t->with) - 1, t->with);
            else
                loom_str_add(s, " yes |");
        }
    }
    loom_str_add(s, notes.n ? "\n\n" : "\n");
    for (int i = 0; i < notes.n; i++)
        loom_str_printf(s, "%d. %s\n", i + 1, notes.text[i]);
}

int loom_matrix_markdown(const struct loom_matrix *m, char **out, struct loom_error *e)
{
    struct loom_str s = LOOM_STR_INIT;
    int legal = 0;
    for (int i = 0; i < m->triples; i++)
        legal += m->triple[i].status == LOOM_OK;
    loom_str_printf(&s, "%d tokenizers of spikes × %d backbones × %d objectives: %d of %d combinations are legal.\n",
                    m->parts[0], m->parts[1], m->parts[2], legal, m->triples);
    for (int o = 0; o < m->parts[2]; o++)
        print_table(m, o, &s);
    *out = loom_str_take(&s);
    return *out ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a page: free some");
}
