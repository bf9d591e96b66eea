/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/lone.h"

#include "conform/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int grant(void *owner, const char *series, double lag_s, struct loom_error *e)
{
    const struct loom_lone *l = owner;
    (void)lag_s;
    if (l->refuse)
        return loom_fail(e, LOOM_EDATA, NULL, 0, "no recording has the series '%s': name another", series);
    return loom_catalog_need_series(l->setup.catalog, (struct loom_words){0, NULL}, series, NULL, e);
}

/* A tokenizer may be for behaviours or classes alone, and says so by refusing spikes. */
static void choose_modality(struct loom_lone *l, const struct loom_trial *t)
{
    const struct loom_part *p = t->plugin->table;
    void *self = NULL;
    static const char *const names[] = {"spikes", "handVel", "target"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        l->setup.modality = names[i];
        int code = loom_lone_create(l, p, &self, NULL, NULL);
        loom_lone_destroy(p, self);
        self = NULL;
        if (code != LOOM_EDATA)
            break;
    }
}

int loom_lone_open(struct loom_lone *l, struct loom_trial *t)
{
    static const struct loom_conform_spec plain = {0};
    int code = LOOM_OK;
    memset(l, 0, sizeof *l);
    if (t->plugin->kind != LOOM_SOURCE) {
        l->neutral = *t;
        l->neutral.spec = &plain;
        l->neutral.kind = "tokenizer";
        l->neutral.id = "bins";
        l->neutral.registry = NULL;
        l->neutral.plugin = NULL;
        code = loom_trial_load(&l->neutral);
        if (code == LOOM_OK)
            code = loom_world_open(&l->world, &l->neutral, (const char *const[]){"data.window=trial"}, 1);
        if (code != LOOM_OK)
            t->e = l->neutral.e;
        else
            l->setup.catalog = l->world.running.runner.catalog;
    }
    if (code == LOOM_OK)
        code = loom_lone_set(l, t, NULL, 0, &t->e);
    l->setup.seed = t->seed;
    if (t->plugin->kind == LOOM_OBJECTIVE || t->plugin->kind == LOOM_TOKENIZER || t->plugin->kind == LOOM_BASELINE) {
        l->setup.behavior = grant;
        l->setup.owner = l;
    }
    if (code == LOOM_OK && t->plugin->kind == LOOM_TOKENIZER)
        choose_modality(l, t);
    if (code != LOOM_OK)
        loom_lone_release(l);
    return code;
}

void loom_lone_release(struct loom_lone *l)
{
    loom_options_free(l->options);
    loom_config_free(l->config);
    loom_world_release(&l->world);
    loom_registry_free(l->neutral.registry);
    memset(l, 0, sizeof *l);
}

int loom_lone_set(struct loom_lone *l, const struct loom_trial *t, const char *const *line, int n, struct loom_error *e)
{
    enum { MOST = 64 };
    const struct loom_option *table = t->plugin->options;
    struct loom_config *config = NULL;
    struct loom_options *options = NULL;
    const char *lines[MOST];
    char(*own)[256] = calloc(MOST, sizeof *own);
    int count = 0;
    if (!own)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for options: free some");
    char small[8][256];
    int sizes = t->plugin->kind == LOOM_SOURCE ? loom_settings_small(table, small, 8) : 0;
    for (int i = 0; i < sizes; i++)
        snprintf(own[count++], sizeof *own, "own.%.240s", small[i]);
    for (const struct loom_option *o = table; o && o->name && count < MOST; o++)
        if (loom_world_required(t, o))
            snprintf(own[count++], sizeof *own, "own.%s=%s", o->name, loom_world_required(t, o));
    for (int i = 0; i < t->spec->sets + n && count < MOST; i++)
        snprintf(own[count++], sizeof *own, "own.%s", i < t->spec->sets ? t->spec->set[i] : line[i - t->spec->sets]);
    for (int i = 0; i < count; i++)
        lines[i] = own[i];
    int code = loom_config_parse(&config, "own: { };\n", "options", count, lines, e);
    if (code == LOOM_OK)
        code = loom_options_parse(&options, table, loom_config_group(config, "own"), "own", NULL, e);
    free(own);
    if (code != LOOM_OK) {
        loom_config_free(config);
        return code;
    }
    loom_options_free(l->options);
    loom_config_free(l->config);
    l->config = config;
    l->options = options;
    l->setup.options = options;
    return LOOM_OK;
}

/* Any status but these is none that a host knows what to do with. */
static int explained(int code, const struct loom_error *why, const char *who, struct loom_error *e)
{
    if (code == LOOM_OK)
        return LOOM_OK;
    if (code > 0 || code < LOOM_ESTOP)
        return loom_fail(e, LOOM_EPLUGIN, NULL, 0,
                         "%s returned %d, which is neither LOOM_OK nor one of enum loom_status: return what loom_fail "
                         "returned",
                         who, code);
    if (why->code != code || !why->message[0])
        return loom_fail(e, LOOM_EPLUGIN, NULL, 0,
                         "%s returned %d and its error says %d \"%.60s\": `return loom_fail(e, code, …)` with the "
                         "reason and the remedy",
                         who, code, why->code, why->message);
    return loom_fail(e, code, why->file, why->line, "%s", why->message);
}

int loom_lone_create(const struct loom_lone *l, const struct loom_part *p, void **self, struct loom_traits *traits,
                     struct loom_error *e)
{
    struct loom_traits own = {.size = sizeof own};
    struct loom_error why = {0};
    *self = NULL;
    int code = explained(p->create(&l->setup, self, &why), &why, "create", e);
    loom_error_clear(&why);
    if (traits)
        *traits = own;
    if (code == LOOM_OK && p->describe)
        code = explained(p->describe(*self, traits ? traits : &own, &why), &why, "describe", e);
    return code;
}

void loom_lone_destroy(const struct loom_part *p, void *self)
{
    if (p->destroy && self)
        p->destroy(self);
}
