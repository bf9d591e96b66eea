/* SPDX-License-Identifier: Apache-2.0 */
/* Windows and recordings of every size, none included. The core holds each function of a plugin to the shape that its
 * declaration promises (model/verbs.c); here it is given cause to. */
#include "conform/families.h"
#include "conform/trial.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Nothing that was said is NaN or infinite; NULL, or where. */
static const char *not_finite(const struct loom_probe *p, const struct loom_said *said, int except, char place[160])
{
    for (int64_t i = 0; i < said->n; i++)
        if (said->segment[i] != except && !isfinite((double)said->value[i]))
            return loom_said_place(p, said, i, place);
    return NULL;
}

static int lengths(struct loom_probe *p, const int *bins)
{
    const struct loom_catalog *c = p->runner.catalog;
    for (int i = 0; i < p->n; i++) {
        double length = bins[i] * loom_catalog_bin_s(c);
        struct loom_sample *s = &p->sample[i];
        s->length_s = s->end_s = length < s->length_s ? length : s->length_s;
    }
    return p->n;
}

/* One pass of each mode; what was said must be finite. */
static int passes(struct loom_trial *t, struct loom_probe *p, int n, const char *what)
{
    struct loom_said said = {0};
    char place[160];
    int outcome = LOOM_PASSED;
    loom_trial_doing(t, "fitting, training and evaluation, %s", what);
    for (int mode = LOOM_FIT; mode <= LOOM_EVALUATE && outcome == LOOM_PASSED; mode++) {
        if (loom_probe_pass(p, p->sample, n, (enum loom_mode)mode, 1, NULL, NULL, &said, &t->e) != LOOM_OK)
            outcome = loom_trial_fail_error(t, what);
        else if (not_finite(p, &said, -1, place))
            outcome = loom_trial_fail(t, "%s: what is said of %s is not finite: divide by nothing that may be 0", what,
                                      place);
        else if (!isfinite(said.loss))
            outcome = loom_trial_fail(t, "%s: the loss is %g: divide by nothing that may be 0", what, said.loss);
        const struct loom_store *store = loom_model_store(p->model);
        for (int64_t i = 0; mode == LOOM_STEP && i < store->size[LOOM_LIFE_PARAM] && outcome == LOOM_PASSED; i++)
            if (!isfinite((double)p->block.grad[i]))
                outcome = loom_trial_fail(t, "%s: a gradient is not finite: divide by nothing that may be 0", what);
    }
    loom_said_release(&said);
    return outcome;
}

/* Rows as the tokenizer's traits describe them. */
static int as_described(struct loom_trial *t, const struct loom_probe *p)
{
    const struct loom_traits *traits = loom_model_traits(p->model, LOOM_TOKENIZER);
    const struct loom_rows *full = loom_shard_rows(p->shard);
    for (int32_t r = 0; r < full->rows; r++)
        if (strcmp(loom_model_modality(p->model, full->modality[r]), "spikes") == 0 && traits->elems > 0 &&
            full->layout_of[full->layout[r]].n != traits->elems)
            return loom_trial_fail(t, "row %d has %d elements, and describe says %d: say 0 where rows differ", r,
                                   full->layout_of[full->layout[r]].n, traits->elems);
    return LOOM_PASSED;
}

static int contract_of(struct loom_trial *t, const struct loom_probe *like, int units)
{
    static const int grid[][LOOM_PROBE_WINDOWS] = {{12, 12, 12, 12}, {1, 7, 11, 3}, {1, 1, 1, 1}};
    const struct loom_alteration how = {.units = units};
    struct loom_probe p;
    char what[96];
    int outcome = LOOM_PASSED;
    for (size_t i = 0; i < sizeof grid / sizeof *grid && outcome == LOOM_PASSED; i++) {
        snprintf(what, sizeof what, "windows of %d, %d, %d and %d bins of %d units", grid[i][0], grid[i][1], grid[i][2],
                 grid[i][3], units);
        if (loom_probe_like(&p, like, &how, 1, &t->e) != LOOM_OK)
            return loom_trial_fail_error(t, what);
        outcome = passes(t, &p, lengths(&p, grid[i]), what);
        if (outcome == LOOM_PASSED)
            outcome = as_described(t, &p);
        loom_probe_release(&p);
    }
    return outcome;
}

static int contract(struct loom_trial *t)
{
    static const int units[] = {9, 1, 2, 7};
    struct loom_world w;
    struct loom_probe p;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    int outcome = LOOM_PASSED;
    for (size_t i = 0; i < sizeof units / sizeof *units && outcome == LOOM_PASSED; i++)
        outcome = contract_of(t, &p, units[i]);
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome;
}
const struct loom_check loom_check_shape_contract = {
    .id = "shape-contract",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what = "Windows of 1, 3, 7, 11 and 12 bins of recordings with 1, 2, 7 and 9 units go through fitting, training "
            "and evaluation. Each function must return the shape that its declaration names, and rows must have the "
            "elements that describe says.",
    .run = contract,
};

/* At least two numbers stand in the text: what is there, and what fits. */
static int names_both(const char *text)
{
    int numbers = 0;
    for (const char *c = text; *c; c++)
        numbers += isdigit((unsigned char)*c) && (c == text || !isdigit((unsigned char)c[-1]));
    return numbers >= 2;
}

static int reject(struct loom_trial *t)
{
    static const char *const odd[][2] = {{"backbone.width=17", NULL},
                                         {"backbone.width=18", "backbone.heads=4"},
                                         {"data.units=90", "tokenizer.patch_units=1"},
                                         {"backbone.width=20", NULL}};
    struct loom_world usual;
    if (loom_trial_load(t) != LOOM_OK || loom_world_open(&usual, t, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    t->partners = 1 + usual.partners;
    loom_world_release(&usual);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct loom_world w;
        struct loom_probe p;
        if (t->serves && odd[i][1] && strncmp(odd[i][1], "tokenizer", 9) == 0)
            continue; /* spikes have the tokenizer of a partner there */
        int code = loom_world_probe(t, &w, &p, odd[i], odd[i][1] ? 2 : 1);
        int outcome = LOOM_PASSED;
        if (code == LOOM_OK) {
            outcome = passes(t, &p, p.n, odd[i][0]);
            loom_probe_release(&p);
            loom_world_release(&w);
        }
        /* Keys that a part does not have are refused by the core; what the part refuses says why in numbers. */
        if (t->e.code != LOOM_OK && !strstr(t->e.message, "unknown") && !strstr(t->e.message, "no key") &&
            !strstr(t->e.message, "is not offered") && !names_both(t->e.message))
            return loom_trial_fail(t, "%s %s is refused with \"%s\": say what there is and what would fit, as numbers",
                                   odd[i][0], odd[i][1] ? odd[i][1] : "", t->e.message);
        if (outcome == LOOM_FAILED && t->e.code == LOOM_OK)
            return outcome;
        loom_error_clear(&t->e);
    }
    return loom_trial_pass(t);
}
const struct loom_check loom_check_shape_reject = {
    .id = "shape-reject",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_STRICT,
    .what =
        "Widths that divide into nothing, more heads than fit, a recording of 90 units. The plugin must either work "
        "or refuse with an error that says both numbers, what there is and what fits, so that the user need not "
        "guess.",
    .run = reject,
};

static int everywhere(const void *payload, int32_t recording, int32_t unit, int64_t t)
{
    (void)payload, (void)recording, (void)t;
    return unit >= 0;
}

static int has_option(const struct loom_plugin *p, const char *name)
{
    for (const struct loom_option *o = p->options; o && o->name; o++)
        if (strcmp(o->name, name) == 0)
            return 1;
    return 0;
}

/* hide = 1: nothing is seen; 0: nothing is asked. */
static int extreme_hide(struct loom_trial *t, const char *hide)
{
    struct loom_world w;
    struct loom_probe p;
    char line[120];
    snprintf(line, sizeof line, "stages.0.objectives.0.hide=%s", hide);
    if (loom_world_probe(t, &w, &p, (const char *const[]){line}, 1) != LOOM_OK) {
        int own = t->plugin->kind == LOOM_OBJECTIVE && has_option(t->plugin, "hide");
        if (own)
            return loom_trial_fail_error(t, line);
        loom_error_clear(&t->e); /* it has no partner that hides */
        return LOOM_PASSED;
    }
    int outcome = passes(t, &p, p.n, strcmp(hide, "1.0") == 0 ? "everything hidden" : "nothing hidden");
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome;
}

static int empty(struct loom_trial *t)
{
    struct loom_world w;
    struct loom_probe p, silent;
    const struct loom_alteration how = {.here = everywhere, .silent = 1};
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    int outcome = passes(t, &p, 0, "a shard without windows");
    if (outcome == LOOM_PASSED && loom_probe_like(&silent, &p, &how, 1, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "recordings without spikes");
    else if (outcome == LOOM_PASSED) {
        outcome = passes(t, &silent, silent.n, "recordings without spikes");
        loom_probe_release(&silent);
    }
    loom_probe_release(&p);
    loom_world_release(&w);
    if (outcome == LOOM_PASSED && t->plugin->kind != LOOM_BASELINE)
        outcome = extreme_hide(t, "1.0");
    if (outcome == LOOM_PASSED && t->plugin->kind != LOOM_BASELINE)
        outcome = extreme_hide(t, "0.0");
    return outcome;
}
const struct loom_check loom_check_empty_input = {
    .id = "empty-input",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what = "A shard without windows, recordings without a single spike, everything hidden, nothing asked: each must "
            "give finite answers, losses and gradients. Somebody's dead array will do all of this in one night.",
    .run = empty,
};

/* ---- bare-recording ---- */

/* Of what it cannot work with a part says so, and why: with a status of the data or of the pipeline, by the name of
 * what is missing. */
static int refused_well(struct loom_trial *t, const char *what, const char *word)
{
    const int code = t->e.code;
    int outcome = LOOM_PASSED;
    if ((code != LOOM_EDATA && code != LOOM_ECONFIG && code != LOOM_ESHAPE) || !strstr(t->e.message, word))
        outcome = loom_trial_fail(t,
                                  "%s: refused with status %d, \"%.300s\"; work with it, or return LOOM_EDATA, "
                                  "LOOM_ECONFIG or LOOM_ESHAPE and say in words that there is no %s",
                                  what, code, t->e.message, word);
    loom_error_clear(&t->e);
    return outcome;
}

/* Recordings made bare: a model of them is refused in words, or says what is finite of windows of every length. */
static int bare_of(struct loom_trial *t, const struct loom_probe *like, const struct loom_alteration *how,
                   const char *what)
{
    static const int grid[][LOOM_PROBE_WINDOWS] = {{12, 12, 12, 12}, {1, 7, 11, 3}, {1, 1, 1, 1}};
    int outcome = LOOM_PASSED;
    for (size_t i = 0; i < sizeof grid / sizeof *grid && outcome == LOOM_PASSED; i++) {
        struct loom_probe p;
        loom_trial_doing(t, "making a model, %s", what);
        if (loom_probe_like(&p, like, how, 1, &t->e) != LOOM_OK)
            return refused_well(t, what, "unit");
        outcome = passes(t, &p, lengths(&p, grid[i]), what);
        loom_probe_release(&p);
    }
    return outcome;
}

static int bare(struct loom_trial *t)
{
    const struct {
        const char *what;
        struct loom_alteration how;
    } cases[] = {{"one recording of two has no units", {.units = -1, .only = 1}},
                 {"no recording has units", {.units = -1}},
                 {"recordings have one unit that never fires", {.units = 1, .here = everywhere, .silent = 1}}};
    struct loom_world w;
    struct loom_probe p;
    int outcome = LOOM_PASSED;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    for (size_t i = 0; i < sizeof cases / sizeof *cases && outcome == LOOM_PASSED; i++)
        outcome = bare_of(t, &p, &cases[i].how, cases[i].what);
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_bare_recording = {
    .id = "bare-recording",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_STRICT,
    .what =
        "One recording of two, then all, have behaviour and signals alone and no units; then there is one unit that "
        "never fires. Windows of 1, 3, 7, 11 and 12 bins go through fitting, training and evaluation: what is said "
        "and its gradients are finite, or the model is refused with an error that says what is missing. An array "
        "on which nobody could be sorted is a recording all the same.",
    .run = bare,
};

/* NaN in the first element of every other row of the second window: whatever is hidden of it, some are seen. */
static void some_nan(void *payload, struct loom_rows *full)
{
    (void)payload;
    for (int32_t row = full->first_row[1]; full->segments > 1 && row < full->first_row[2]; row += 2)
        if (full->first_elem[row] < full->first_elem[row + 1]) {
            ((loom_real *)(uintptr_t)full->value)[full->first_elem[row]] = (loom_real)NAN;
            ((loom_real *)(uintptr_t)full->target)[full->first_elem[row]] = (loom_real)NAN;
        }
}

static int in_second(const void *payload, int32_t recording, int32_t unit, int64_t t)
{
    const struct loom_sample *s = payload;
    return unit < 0 && recording == s->recording && t >= s->origin_ns &&
           t < s->origin_ns + (int64_t)(1e9 * s->length_s);
}

static int stays(struct loom_trial *t, struct loom_probe *clean, struct loom_probe *p,
                 void (*alter)(void *, struct loom_rows *), const char *what)
{
    struct loom_said a = {0}, b = {0};
    char place[160];
    int outcome = LOOM_PASSED;
    int code = loom_probe_pass(clean, clean->sample, clean->n, LOOM_EVALUATE, 0, NULL, NULL, &a, &t->e);
    if (code == LOOM_OK)
        code = loom_probe_pass(p, p->sample, p->n, LOOM_EVALUATE, 0, alter, NULL, &b, &t->e);
    if (code == LOOM_OK && not_finite(p, &b, 1, place))
        outcome = loom_trial_fail(t, "%s of window 1 makes what is said of %s not finite: it spread to another window",
                                  what, place);
    if (code == LOOM_OK && outcome == LOOM_PASSED)
        code = loom_probe_pass(p, p->sample, p->n, LOOM_STEP, 1, alter, NULL, &b, &t->e);
    if (code == LOOM_OK && outcome == LOOM_PASSED && !isfinite(b.loss))
        outcome = loom_trial_fail(t, "%s makes the training loss %g: score nothing whose weight is 0", what, b.loss);
    loom_said_release(&a);
    loom_said_release(&b);
    if (code != LOOM_OK)
        loom_error_clear(&t->e); /* refusing it is as good */
    return outcome;
}

static int nan_input(struct loom_trial *t)
{
    struct loom_world w;
    struct loom_probe p, missing;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    const struct loom_alteration how = {.here = in_second, .payload = &p.sample[1], .series = LOOM_SERIES_NAN};
    int outcome =
        p.n < 2 ? loom_trial_skip(t, "there is but one window") : stays(t, &p, &p, some_nan, "NaN in every other row");
    if (outcome == LOOM_PASSED && loom_probe_like(&missing, &p, &how, 0, &t->e) == LOOM_OK) {
        outcome = stays(t, &p, &missing, NULL, "NaN in the behaviour");
        loom_probe_release(&missing);
    }
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome;
}
const struct loom_check loom_check_nan_input = {
    .id = "nan-input",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_STRICT,
    .what = "Values in every other row of one window are NaN, then the behaviour of one window. The pass must be "
            "refused, or all other "
            "windows and the loss stay finite: missing samples are usual, and must not spread.",
    .run = nan_input,
};
