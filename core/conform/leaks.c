/* SPDX-License-Identifier: Apache-2.0 */
/* What must not be known, and is. The work is in train/leaks.c, which `loom check` shares. */
#include "train/leaks.h"
#include "conform/families.h"
#include "conform/trial.h"

#include <stdio.h>
#include <string.h>

typedef int leak_fn(struct loom_probe *, struct loom_leak *, struct loom_error *);

static int leak(struct loom_trial *t, const char *const *extra, int n, leak_fn *run)
{
    struct loom_world w;
    struct loom_probe p;
    struct loom_leak found;
    if (loom_world_probe(t, &w, &p, extra, n) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    int code = run(&p, &found, &t->e);
    loom_probe_release(&p);
    loom_world_release(&w);
    if (code != LOOM_OK)
        return loom_trial_fail_error(t, "looking for a leak");
    return found.outcome == LOOM_LEAK_FOUND     ? loom_trial_fail(t, "%s", found.text)
           : found.outcome == LOOM_LEAK_UNASKED ? loom_trial_skip(t, "%s", found.text)
                                                : loom_trial_pass(t);
}

static int batch(struct loom_trial *t)
{
    return leak(t, NULL, 0, loom_leak_batch);
}
const struct loom_check loom_check_batch_independence = {
    .id = "batch-independence",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what = "Four windows go through training and evaluation, and again with all but the first replaced by noise. What "
            "is said of the first, and the gradient of its share of the loss, must keep their bits: otherwise a result "
            "hangs on which windows happened to stand beside it.",
    .run = batch,
};

static int mask_finite(struct loom_trial *t)
{
    return leak(t, NULL, 0, loom_leak_mask);
}
const struct loom_check loom_check_mask_leak_finite = {
    .id = "mask-leak-finite",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what = "Every count and behaviour that is asked for and scored is replaced in the recording itself. What is said "
            "of them must keep its bits, and the loss must change. A model that sees what it is asked for reports "
            "numbers that no experiment will repeat.",
    .run = mask_finite,
};

static int mask_nan(struct loom_trial *t)
{
    return leak(t, NULL, 0, loom_leak_nan);
}
const struct loom_check loom_check_mask_leak_nan = {
    .id = "mask-leak-nan",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_STRICT,
    .what = "NaN is put in the place of every value that is asked for and scored. What is said must be finite and keep "
            "its bits: a hidden value times zero is still read, which is harmless until the first missing bin.",
    .run = mask_nan,
};

static int heldout(struct loom_trial *t)
{
    int outcome = leak(t, (const char *const[]){"data.held_out=0.25"}, 1, loom_leak_heldout);
    /* Parts that need every unit seen are tried without held-out ones. */
    return outcome == LOOM_FAILED && t->e.code == LOOM_ECONFIG
               ? (loom_error_clear(&t->e), leak(t, NULL, 0, loom_leak_heldout))
               : outcome;
}
const struct loom_check loom_check_heldout_leak = {
    .id = "heldout-leak",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what = "Everything outside the training windows is replaced by noise, and the model made, fitted and run anew: "
            "its training loss, gradients and fitted states must keep their bits. Then the units that the data hold "
            "out are replaced: what is said of any unit must keep its bits. Scores on test data that shaped the model "
            "are worth nothing.",
    .run = heldout,
};

static int has_causal(const struct loom_plugin *p)
{
    for (const struct loom_option *o = p->options; o && o->name; o++)
        if (strcmp(o->name, "causal") == 0 && o->type == LOOM_OPT_BOOL)
            return 1;
    return 0;
}

static int offered(struct loom_trial *t, uint64_t *offers)
{
    struct loom_world w;
    struct loom_probe p;
    int code = loom_world_probe(t, &w, &p, NULL, 0);
    if (code != LOOM_OK)
        return code;
    *offers = loom_model_traits(p.model, LOOM_BACKBONE)->offers;
    loom_probe_release(&p);
    loom_world_release(&w);
    return LOOM_OK;
}

static int causal(struct loom_trial *t)
{
    char line[200];
    if (loom_trial_load(t) != LOOM_OK)
        return loom_trial_fail_error(t, "loading it");
    snprintf(line, sizeof line, "%s.causal=true", loom_world_prefix(t));
    const char *own[] = {line}, *view[] = {"stages.0.objectives.0.causal=true"};
    int outcome = LOOM_PASSED, baseline = t->plugin->kind == LOOM_BASELINE;
    if (t->plugin->kind == LOOM_BACKBONE || baseline) { /* a view may ask for it, whatever the options say */
        uint64_t offers = 0;
        if (offered(t, &offers) != LOOM_OK)
            return loom_trial_fail_error(t, "a small experiment");
        if (offers & LOOM_CAUSAL)
            outcome = leak(t, view, !baseline, loom_leak_causal);
        else if (!baseline || !has_causal(t->plugin))
            return loom_trial_skip(t, "it does not offer LOOM_CAUSAL");
    } else if (!has_causal(t->plugin)) {
        return loom_trial_skip(t, "it has no option `causal`");
    }
    return outcome == LOOM_PASSED && has_causal(t->plugin) ? leak(t, own, 1, loom_leak_causal) : outcome;
}
const struct loom_check loom_check_causal_leak = {
    .id = "causal-leak",
    .kinds = LOOM_KIND(LOOM_BACKBONE) | LOOM_KIND(LOOM_OBJECTIVE) | LOOM_KIND(LOOM_BASELINE),
    .level = LOOM_REQUIRED,
    .what = "Where LOOM_CAUSAL is offered, or an option `causal` is there: activity after a time t0 of each window is "
            "replaced. What is said of times before t0 must keep its bits. A decoder that saw the future cannot be "
            "used on a patient.",
    .run = causal,
};

/* ---- neighbours of any length ---- */

/* Windows of several lengths in place of those of one. */
static void vary(struct loom_probe *p, const struct loom_catalog *c)
{
    static const int bins[LOOM_PROBE_WINDOWS] = {7, 12, 1, 5};
    double bin_s = loom_catalog_bin_s(c);
    for (int i = 0; i < p->n; i++) {
        struct loom_sample *s = &p->sample[i];
        s->length_s = bins[i] * bin_s < s->length_s ? bins[i] * bin_s : s->length_s;
        s->end_s = s->end_s < s->length_s ? s->end_s : s->length_s;
        s->begin_s = 0;
    }
}

static int compare_alone(struct loom_trial *t, struct loom_probe *p, enum loom_mode mode)
{
    struct loom_said all = {0}, one = {0};
    int outcome = LOOM_PASSED;
    int code = loom_probe_pass(p, p->sample, p->n, mode, 1, NULL, NULL, &all, &t->e);
    for (int s = 0; s < p->n && code == LOOM_OK && outcome == LOOM_PASSED; s++) {
        int64_t k = 0;
        code = loom_probe_pass(p, &p->sample[s], 1, mode, 1, NULL, NULL, &one, &t->e);
        for (int64_t i = 0; i < all.n && code == LOOM_OK && outcome == LOOM_PASSED; i++)
            if (all.segment[i] == s) {
                loom_real with = all.value[i], alone = k < one.n ? one.value[k] : 0;
                if (k >= one.n || memcmp(&with, &alone, sizeof with) != 0)
                    outcome = loom_trial_fail(
                        t,
                        "what is said of value %lld of a window is %.9g in a batch of %d windows of other lengths and "
                        "%.9g alone: let nothing hang on the number of rows or on the longest window",
                        (long long)k, (double)with, p->n, (double)alone);
                k++;
            }
    }
    loom_said_release(&all);
    loom_said_release(&one);
    return code == LOOM_OK ? outcome : loom_trial_fail_error(t, "windows of 7, 12, 1 and 5 bins");
}

static int padding(struct loom_trial *t)
{
    struct loom_world w;
    struct loom_probe p;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    vary(&p, p.runner.catalog);
    int outcome = compare_alone(t, &p, LOOM_EVALUATE);
    if (outcome == LOOM_PASSED)
        outcome = compare_alone(t, &p, LOOM_STEP);
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome;
}
const struct loom_check loom_check_padding_invariance = {
    .id = "padding-invariance",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what = "Windows of 7, 12, 1 and 5 bins go through together and one by one. What is said of each must have the "
            "same bits: rows are ragged, nothing is padded, and no window may notice how long its neighbours are.",
    .run = padding,
};

/* ---- the order of units ---- */

static int compare_orders(struct loom_trial *t, struct loom_probe *p, struct loom_probe *q)
{
    struct loom_said a = {0}, b = {0};
    int outcome = LOOM_PASSED;
    int code = loom_probe_pass(p, p->sample, p->n, LOOM_EVALUATE, 0, NULL, NULL, &a, &t->e);
    if (code == LOOM_OK)
        code = loom_probe_pass(q, p->sample, p->n, LOOM_EVALUATE, 0, NULL, NULL, &b, &t->e);
    for (int64_t i = 0; i < a.n && code == LOOM_OK && outcome == LOOM_PASSED; i++) {
        int32_t units = loom_catalog_recording(p->runner.catalog, p->sample[a.segment[i]].recording)->units;
        int is_spikes = strcmp(loom_model_modality(p->model, a.modality[a.read[i]]), "spikes") == 0;
        for (int64_t k = 0; k < b.n; k++) {
            if (b.read[k] != a.read[i] || b.segment[k] != a.segment[i] || b.time[k] != a.time[i] ||
                b.unit[k] != (is_spikes ? units - 1 - a.unit[i] : a.unit[i]))
                continue;
            double x = (double)a.value[i], y = (double)b.value[k];
            if (!(x - y <= 1e-4 && y - x <= 1e-4))
                outcome = loom_trial_fail(t,
                                          "what is said of unit %d at %.3f s is %.9g, and %.9g when the recording "
                                          "lists its units in the opposite order, though LOOM_UNORDERED is offered: "
                                          "hang parameters on names of units (loom_table), or offer LOOM_UNITS alone",
                                          a.unit[i], a.time[i], x, y);
            break;
        }
    }
    loom_said_release(&a);
    loom_said_release(&b);
    return code == LOOM_OK ? outcome : loom_trial_fail_error(t, "units in the opposite order");
}

static int permutation(struct loom_trial *t)
{
    struct loom_world w;
    struct loom_probe p, q;
    const struct loom_alteration reverse = {.reverse = 1};
    if (loom_world_probe(t, &w, &p, (const char *const[]){"stages.0.objectives.0.hide_by=time"}, 1) != LOOM_OK) {
        loom_error_clear(&t->e);
        if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
            return loom_trial_fail_error(t, "a small experiment");
    }
    int outcome;
    if (t->serves || !(loom_model_traits(p.model, LOOM_TOKENIZER)->offers & LOOM_UNORDERED))
        outcome = loom_trial_skip(t, "it does not offer LOOM_UNORDERED");
    else if (loom_probe_like(&q, &p, &reverse, 0, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "units in the opposite order");
    else {
        outcome = compare_orders(t, &p, &q);
        loom_probe_release(&q);
    }
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome;
}
const struct loom_check loom_check_unit_permutation = {
    .id = "unit-permutation",
    .kinds = LOOM_KIND(LOOM_TOKENIZER),
    .level = LOOM_STRICT,
    .what = "Where LOOM_UNORDERED is offered: the recording lists its units in the opposite order, under their names. "
            "What is said of each unit must stay, up to rounding: sorting is not physiology.",
    .run = permutation,
};
