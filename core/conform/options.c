/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin may be told: its table of options, and what becomes of values good and bad. */
#include "conform/families.h"
#include "conform/lone.h"
#include "conform/settings.h"

#include "base/io.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opt-schema ---- */

static int schema(struct loom_trial *t)
{
    static const char *const taken[] = {"plugin", "visible", "name", NULL};
    if (loom_trial_load(t) != LOOM_OK)
        return loom_trial_fail_error(t, "loading it");
    const struct loom_option *table = t->plugin->options;
    if (table && loom_options_check(table, &t->e) != LOOM_OK)
        return loom_trial_fail_error(t, "its table of options");
    for (const struct loom_option *o = table; o && o->name; o++) {
        for (int i = 0; taken[i]; i++)
            if (strcmp(o->name, taken[i]) == 0)
                return loom_trial_fail(t,
                                       "option '%s' bears the name of a key that the core reads in the same group, so "
                                       "it never gets a value: rename it",
                                       o->name);
        if (strlen(o->doc) < 8 || strlen(o->doc) > 400)
            return loom_trial_fail(t, "option '%s' says \"%s\" of itself: write a sentence of 8 to 400 characters",
                                   o->name, o->doc);
        if (o->flags & ~(uint32_t)(LOOM_OPT_LIVE | LOOM_OPT_REQUIRED))
            return loom_trial_fail(t, "option '%s' has flags 0x%x; there are LOOM_OPT_LIVE and LOOM_OPT_REQUIRED alone",
                                   o->name, o->flags);
        if ((o->flags & LOOM_OPT_LIVE) && (o->type == LOOM_OPT_STRING || o->type > LOOM_OPT_STRING))
            return loom_trial_fail(t, "option '%s' is LOOM_OPT_LIVE, which a number or a switch alone can be", o->name);
    }
    return loom_trial_pass(t);
}
const struct loom_check loom_check_opt_schema = {
    .id = "opt-schema",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what = "Reads the table of options. Every option has a name of its own that the core does not take in the same "
            "group (plugin, visible, name), a known type, a default that parses and keeps its range unless it is "
            "required, and a sentence; LIVE ones are numbers or switches. Parsing, errors, the manual and the checks "
            "below are made of this table.",
    .run = schema,
};

/* ---- opt-unknown ---- */

/* The option of this name, or NULL. */
static const struct loom_option *option_named(const struct loom_option *o, const char *name)
{
    while (o && o->name && strcmp(o->name, name) != 0)
        o++;
    return o && o->name ? o : NULL;
}

/* A group with `key`, which is no option, in the place of `meant` (NULL: of nothing that there is). */
static int must_not_know(struct loom_trial *t, const char *key, const char *meant)
{
    static const char *const reserved[] = {"plugin", NULL};
    struct loom_options *options = NULL;
    struct loom_config *config = NULL;
    struct loom_error e = {0};
    char text[256];
    snprintf(text, sizeof text, "name = \"x\";\npart: {\n  plugin = \"%.63s\";\n  %.100s = 1;\n};\n", t->id, key);
    int code = loom_config_parse(&config, text, "unknown.cfg", 0, NULL, &t->e);
    if (code != LOOM_OK)
        return loom_trial_fail_error(t, "a pipeline of one group");
    code = loom_options_parse(&options, t->plugin->options, loom_config_group(config, "part"), "part", reserved, &e);
    loom_options_free(options);
    loom_config_free(config);
    if (code != LOOM_ECONFIG)
        return loom_trial_fail(t, "the unknown key '%s' gave status %d; LOOM_ECONFIG is due", key, code);
    if (strcmp(e.file, "unknown.cfg") != 0 || e.line != 4 || !strstr(e.message, key) ||
        (meant && !strstr(e.message, "did you mean '")))
        return loom_trial_fail(t,
                               "the unknown key '%s' in line 4 was refused with %s:%d: %.300s; place, key and the "
                               "nearest name are due",
                               key, e.file, e.line, e.message);
    return LOOM_PASSED;
}

static int unknown(struct loom_trial *t)
{
    char key[128];
    if (loom_trial_load(t) != LOOM_OK)
        return loom_trial_fail_error(t, "loading it");
    int outcome = must_not_know(t, "zzq", NULL);
    for (const struct loom_option *o = t->plugin->options; o && o->name && outcome == LOOM_PASSED; o++) {
        const size_t n = strlen(o->name);
        snprintf(key, sizeof key, "%.*s", (int)(n - (n > 1)), o->name);
        const struct loom_option *twin = n > 1 ? option_named(t->plugin->options, key) : o;
        if (!twin)
            outcome = must_not_know(t, key, o->name);
        else if (twin != o && twin->type == o->type) /* a value of another type is refused */
            outcome = loom_trial_fail(t,
                                      "option '%s' with its last letter left out is option '%s', so a slip of the "
                                      "finger sets the wrong one and nobody says so: rename one of them",
                                      o->name, key);
    }
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_opt_unknown = {
    .id = "opt-unknown",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what =
        "Gives the plugin's group a key that means nothing, then each of its options with the last letter left out. "
        "Each must be refused with LOOM_ECONFIG that names file, line, the key and the nearest that there is, and "
        "no option's name may be such a slip of another's of its type: a typing error must never be a default in "
        "disguise.",
    .run = unknown,
};

/* ---- opt-range-fuzz ---- */

enum { TEXTS = 24 };

static void say(char text[][128], int *n, int whole, double x)
{
    if (*n < TEXTS)
        whole ? snprintf(text[*n], 128, "%.0f", x) : snprintf(text[*n], 128, "%.17e", x);
    *n += *n < TEXTS;
}

static void say_text(char text[][128], int *n, const char *x)
{
    if (*n < TEXTS)
        snprintf(text[(*n)++], 128, "%s", x);
}

/* Ends of a range "[a,b)", and what lies just beside them. */
static void number_texts(const struct loom_option *o, char text[][128], int *n)
{
    const int whole = o->type == LOOM_OPT_INT;
    double end[2] = {-1e6, 1e6};
    if (o->range)
        sscanf(o->range, "%*[[(]%lf,%lf", &end[0], &end[1]);
    for (int i = 0; i < 2; i++) {
        const double step = whole ? 1 : 1e-9 * (1 + fabs(end[i]));
        if (!isfinite(end[i]))
            continue;
        for (int k = -1; k <= 1; k++)
            say(text, n, whole, end[i] + k * step);
    }
    if (whole) {
        say_text(text, n, "9223372036854775807");
        say_text(text, n, "-9223372036854775808");
        say_text(text, n, "2147483648");
    } else {
        say(text, n, 0, 1e308);
        say(text, n, 0, -1e308);
        say(text, n, 0, 5e-324);
    }
}

/* Values of all sorts as they stand in a pipeline. */
static int texts_of(const struct loom_option *o, char text[][128])
{
    static const char *const odd[] = {"\"\"", "\"zzz\"", "true", "1", "0", "-1", "0.5", "( )", "( 1, \"a\" )"};
    int n = 0;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        say_text(text, &n, odd[i]);
    if (o->type == LOOM_OPT_INT || o->type == LOOM_OPT_REAL)
        number_texts(o, text, &n);
    if (o->type == LOOM_OPT_REALS) {
        say_text(text, &n, "( 1e308, -1e308, 0.0 )");
        say_text(text, &n, "( 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0 )");
    }
    if (o->type == LOOM_OPT_STRING || o->type == LOOM_OPT_STRINGS)
        say_text(text, &n, "\"a/name/that/is/longer/than/most/and/leads/nowhere/at/all/not/even/here/or/there\"");
    return n;
}

static int try_value(struct loom_trial *t, struct loom_lone *l, const char *line)
{
    const struct loom_part *p = t->plugin->table;
    struct loom_error e = {0};
    void *self;
    int code = loom_lone_set(l, t, &line, 1, &e);
    if (code != LOOM_OK)
        return code == LOOM_ECONFIG && e.message[0]
                   ? LOOM_PASSED
                   : loom_trial_fail(t, "%s was refused with %d \"%.200s\"; LOOM_ECONFIG is due", line, code,
                                     e.message);
    code = loom_lone_create(l, p, &self, NULL, &e);
    loom_lone_destroy(p, self);
    if (code == LOOM_EPLUGIN)
        return loom_trial_fail(t, "with %s: %.600s", line, e.message);
    return LOOM_PASSED;
}

static int range_fuzz(struct loom_trial *t)
{
    static struct loom_lone l;
    static char text[TEXTS][128];
    char line[256];
    int outcome = LOOM_PASSED;
    if (loom_trial_load(t) != LOOM_OK || loom_lone_open(&l, t) != LOOM_OK)
        return loom_trial_fail_error(t, "preparing an instance");
    for (const struct loom_option *o = t->plugin->options; o && o->name && outcome == LOOM_PASSED; o++) {
        int n = texts_of(o, text);
        for (int i = 0; i < n && outcome == LOOM_PASSED; i++) {
            snprintf(line, sizeof line, "%.100s=%.127s", o->name, text[i]);
            loom_trial_doing(t, "the option %s", line);
            outcome = try_value(t, &l, line);
        }
    }
    loom_lone_release(&l);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_opt_range_fuzz = {
    .id = "opt-range-fuzz",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_STRICT,
    .what = "Gives each option the ends of its range, what lies just beside them, another type, the largest numbers, "
            "an empty text. Where the table admits a value, create and describe are called: each returns LOOM_OK or "
            "fails with an error in words, and never crashes. After a failure of create the host destroys *self unless "
            "it is NULL.",
    .run = range_fuzz,
};

/* ---- opt-random-fuzz ---- */

enum { DRAWS = 6, LINES = 48 };

static int use_settings(struct loom_trial *t, const char *const *line, int n, const char *all)
{
    struct loom_world w;
    struct loom_pass p = {0};
    int outcome = LOOM_PASSED, code = loom_world_open(&w, t, line, n);
    if (code != LOOM_OK) {
        if (n == 0)
            return loom_trial_fail_error(t, "a model with its defaults");
        if (code == LOOM_EPLUGIN || !t->e.message[0])
            outcome = loom_trial_fail(t, "with %.400s: status %d, %.400s", all, code, t->e.message);
        loom_error_clear(&t->e);
        return outcome;
    }
    code = loom_pass_open(&p, &w, &t->e);
    if (code == LOOM_OK)
        code = loom_pass_run(&p, &w, w.windows.sample, w.windows.n < 4 ? w.windows.n : 4,
                             t->plugin->kind == LOOM_BASELINE ? LOOM_FIT : LOOM_STEP, 1, &t->e);
    if (code == LOOM_ENOMEM && n > 0) /* larger than the suite has room for: refused in words as well */
        loom_error_clear(&t->e);
    else if (code != LOOM_OK)
        outcome = loom_trial_fail(t, "with %.400s, a step: %.400s", all, t->e.message);
    else if (!isfinite(p.loss))
        outcome = loom_trial_fail(t, "with %.400s the loss of the first step is %g; a finite one is due", all, p.loss);
    loom_pass_release(&p);
    loom_world_release(&w);
    return outcome;
}

/* A source makes its data in the process of its own where a run has it made. */
static int read_settings(struct loom_trial *t, const char *const *line, int n, const char *all)
{
    static struct loom_lone l;
    struct loom_recordings *set = NULL;
    struct loom_error e = {0};
    char cache[300];
    int outcome = LOOM_PASSED;
    snprintf(cache, sizeof cache, "%s/cache", t->folder);
    if (loom_lone_open(&l, t) != LOOM_OK)
        return loom_trial_fail_error(t, "preparing an instance");
    int code = loom_lone_set(&l, t, line, n, &e);
    const struct loom_ingest how = {
        .source = t->plugin, .module = t->file, .options = l.options, .file = t->data, .cache = cache};
    if (code == LOOM_OK)
        code = loom_recordings_read(&set, &how, &e);
    if (code == LOOM_EPLUGIN || (code != LOOM_OK && !e.message[0]))
        outcome = loom_trial_fail(t, "with %.400s: status %d, %.400s", all, code, e.message);
    loom_recordings_free(set);
    loom_lone_release(&l);
    return outcome;
}

static int random_fuzz(struct loom_trial *t)
{
    static char own[LINES][256], all[LINES * 258];
    const char *line[LINES];
    struct loom_rng rng;
    int outcome = LOOM_PASSED;
    if (loom_trial_load(t) != LOOM_OK)
        return loom_trial_fail_error(t, "loading it");
    for (uint64_t k = 0; k < DRAWS && outcome == LOOM_PASSED; k++) {
        size_t used = 0;
        loom_rng_init(&rng, t->seed, "conform.options", k, 0);
        int n = k == 0 ? 0 : loom_settings_draw(t->plugin->options, &rng, own, LINES);
        all[0] = '\0';
        for (int i = 0; i < n; i++) {
            line[i] = own[i];
            used += (size_t)snprintf(all + used, sizeof all - used, "%s ", own[i]);
        }
        loom_trial_doing(t, "options %s", all[0] ? all : "at their defaults");
        t->whole = k == 0;
        outcome =
            (t->plugin->kind == LOOM_SOURCE ? read_settings : use_settings)(t, line, n, all[0] ? all : "its defaults");
        if (!t->plugin->options)
            break;
    }
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_opt_random_fuzz = {
    .id = "opt-random-fuzz",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_STRICT,
    .seconds = 60,
    .what = "Draws settings inside the ranges of the table, about half of the options at a time, numbers within a "
            "factor of two of their defaults. Each set is refused with an error in words, or a model is made with it "
            "and takes one training step, whose loss must be finite. Sources read with it.",
    .run = random_fuzz,
};
