/* SPDX-License-Identifier: Apache-2.0 */
#include "train/leaks.h"

#include "train/outside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOISE_SEED 0x6c65616bu

static int found(struct loom_leak *out, const char *fmt, ...) LOOM_PRINTF(2, 3);
static int found(struct loom_leak *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    out->outcome = LOOM_LEAK_FOUND;
    vsnprintf(out->text, sizeof out->text, fmt, args);
    va_end(args);
    return LOOM_OK;
}

static int unasked(struct loom_leak *out, const char *why)
{
    out->outcome = LOOM_LEAK_UNASKED;
    snprintf(out->text, sizeof out->text, "%s", why);
    return LOOM_OK;
}

static int same_bits(loom_real a, loom_real b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static int64_t ns(double seconds)
{
    return (int64_t)floor(seconds * 1e9 + 0.5);
}

/* ---- places ---- */

/* What a question stands on, in data: bins × units of each window, 1 = hidden. */
struct places {
    const struct loom_sample *sample;
    int n, series; /* 1: behaviours of all windows are hidden as well */
    int32_t bins, units;
    int64_t bin_ns;
    uint8_t *hidden; /* [n, bins, units] */
};

static int is_hidden(const void *payload, int32_t recording, int32_t unit, int64_t t)
{
    const struct places *h = payload;
    for (int s = 0; s < h->n; s++) {
        int64_t at = t - h->sample[s].origin_ns;
        if (h->sample[s].recording != recording || at < 0 || at >= ns(h->sample[s].length_s))
            continue;
        if (unit < 0)
            return h->series;
        int64_t k = at / h->bin_ns;
        return k < h->bins && unit < h->units && h->hidden[((int64_t)s * h->bins + k) * h->units + unit];
    }
    return 0;
}

static int behaves(const struct loom_probe *p, int modality)
{
    return strcmp(loom_model_modality(p->model, modality), "spikes") != 0;
}

/* The questions of view v that are scored. Returns how many; -1 = no memory. */
static int64_t find_places(const struct loom_probe *p, const struct loom_said *said, int v, struct places *h)
{
    int64_t count = 0;
    *h = (struct places){.sample = p->sample,
                         .n = p->n,
                         .bins = loom_catalog_max_bins(p->runner.catalog),
                         .units = loom_catalog_max_units(p->runner.catalog),
                         .bin_ns = ns(loom_catalog_bin_s(p->runner.catalog))};
    h->hidden = calloc((size_t)h->n * (size_t)h->bins * (size_t)h->units + 1, 1);
    if (!h->hidden)
        return -1;
    for (int64_t i = 0; i < said->n; i++) {
        int modality = said->modality[said->read[i]];
        int64_t k = ns(said->time[i]) / h->bin_ns;
        if (said->view[said->read[i]] != v || !(said->weight[i] > 0) || said->shown[i])
            continue;
        if (behaves(p, modality)) {
            h->series |= !loom_model_visible(p->model, modality);
            count += h->series;
        } else if (k >= 0 && k < h->bins && said->unit[i] >= 0 && said->unit[i] < h->units) {
            h->hidden[((int64_t)said->segment[i] * h->bins + k) * h->units + said->unit[i]] = 1;
            count++;
        }
    }
    return count;
}

/* The first reading of view v that differs; -1 = none, -2 = the passes asked different things. */
static int64_t differing(const struct loom_said *a, const struct loom_said *b, int v)
{
    if (a->n != b->n || a->reads != b->reads)
        return -2;
    for (int64_t i = 0; i < a->n; i++)
        if ((v < 0 || a->view[a->read[i]] == v) && !same_bits(a->value[i], b->value[i]))
            return i;
    return -1;
}

static int says_asked_otherwise(struct loom_leak *out, const char *what)
{
    return found(out,
                 "%s changes which questions are asked, so what is asked hangs on hidden content: draw masks from "
                 "names alone (loom_plan_rng)",
                 what);
}

/* ---- what is masked ---- */

static const char *const mode_name[] = {"", "", "training", "evaluation"};

/* A model that sees signals alone has no units that could be hidden. */
static int names_units(const struct loom_probe *p)
{
    const struct loom_traits *t = loom_model_traits(p->model, LOOM_TOKENIZER);
    return !t || (t->offers & LOOM_UNITS);
}

/* What is seen is no secret: signals that a view may show, NULL-ended. */
static void find_visible(const struct loom_probe *p, const char *visible[LOOM_MODALITIES + 1])
{
    int n = 0;
    for (int m = 0; m < loom_model_modalities(p->model); m++)
        if (loom_model_visible(p->model, m))
            visible[n++] = loom_model_modality(p->model, m);
    visible[n] = NULL;
}

static int mask_view(struct loom_probe *p, enum loom_mode mode, int v, const struct loom_said *said, int *asked,
                     struct loom_leak *out, struct loom_error *e)
{
    struct loom_said then = {0};
    struct loom_probe other = {0};
    struct places h;
    char place[160];
    const char *visible[LOOM_MODALITIES + 1];
    int code = LOOM_OK;
    int64_t hidden = find_places(p, said, v, &h), at = -1;
    find_visible(p, visible);
    if (hidden < 0)
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for masks: free some");
    const struct loom_alteration how = {
        .here = is_hidden, .payload = &h, .spared = visible, .series = LOOM_SERIES_NOISE, .seed = NOISE_SEED};
    if (code == LOOM_OK && hidden > 0) {
        *asked = 1;
        code = loom_probe_like(&other, p, &how, 0, e);
    }
    if (code == LOOM_OK && hidden > 0)
        code = loom_probe_pass(&other, p->sample, p->n, mode, 1, NULL, NULL, &then, e);
    if (code == LOOM_OK && hidden > 0) {
        at = differing(said, &then, v);
        if (at == -2)
            says_asked_otherwise(out, "replacing what is asked for");
        else if (at >= 0)
            found(out,
                  "in %s, what is said of %s is %.9g, and %.9g after the %lld values that are asked for were replaced: "
                  "the answer sees what it is asked for. Hide in `how` what is put in `ask`, give no row the content "
                  "of another, and read neither target nor recording",
                  mode_name[mode], loom_said_place(p, said, at, place), (double)said->value[at], (double)then.value[at],
                  (long long)hidden);
        else if (mode == LOOM_STEP && !p->baseline && then.loss == said->loss)
            found(out,
                  "replacing the %lld values that are asked for leaves the loss at %.9g: nothing is learnt from "
                  "them. Score what is asked with loom_nll",
                  (long long)hidden, said->loss);
    }
    free(h.hidden);
    loom_said_release(&then);
    loom_probe_release(&other);
    return code;
}

int loom_leak_mask(struct loom_probe *p, struct loom_leak *out, struct loom_error *e)
{
    struct loom_said said = {0};
    int asked = 0, code = LOOM_OK;
    *out = (struct loom_leak){0};
    if (!names_units(p))
        return unasked(out, "the tokenizer does not say which units its elements are (LOOM_UNITS)");
    for (int mode = LOOM_STEP; mode <= LOOM_EVALUATE && code == LOOM_OK && !out->outcome; mode++) {
        code = loom_probe_pass(p, p->sample, p->n, (enum loom_mode)mode, 1, NULL, NULL, &said, e);
        for (int v = 0; code == LOOM_OK && loom_shard_view(p->shard, v) && !out->outcome; v++)
            code = mask_view(p, (enum loom_mode)mode, v, &said, &asked, out, e);
    }
    loom_said_release(&said);
    return code == LOOM_OK && !asked
               ? unasked(out, "nothing that is hidden is scored: what is shown and asked tells how well it is copied")
               : code;
}

/* ---- NaN where something is hidden ---- */

struct poison {
    uint8_t *element; /* [elems] of the table of all rows */
    int64_t elems, n;
};

static void put_nan(void *payload, struct loom_rows *full)
{
    const struct poison *x = payload;
    loom_real *value = (loom_real *)(uintptr_t)full->value, *target = (loom_real *)(uintptr_t)full->target;
    for (int64_t i = 0; i < full->elems && i < x->elems; i++)
        if (x->element[i])
            value[i] = target[i] = (loom_real)NAN;
}

/* Elements of all rows that view v asks and scores. */
static int find_poison(const struct loom_probe *p, int v, struct poison *x)
{
    const struct loom_rows *full = loom_shard_rows(p->shard);
    const struct loom_view *view = loom_shard_view(p->shard, v);
    *x = (struct poison){.elems = full->elems};
    x->element = calloc((size_t)full->elems + 1, 1);
    for (int m = 0; x->element && m < loom_model_modalities(p->model); m++) {
        const struct loom_rows *ask = &view->ask[m];
        for (int32_t r = 0; r < ask->rows; r++)
            for (int32_t i = ask->first_elem[r]; i < ask->first_elem[r + 1]; i++)
                if (ask->weight[i] > 0 && !ask->shown[i]) {
                    x->element[full->first_elem[ask->source[r]] + i - ask->first_elem[r]] = 1;
                    x->n++;
                }
    }
    return x->element != NULL;
}

int loom_leak_nan(struct loom_probe *p, struct loom_leak *out, struct loom_error *e)
{
    struct loom_said said = {0}, then = {0};
    struct poison x = {0};
    char place[160];
    int asked = 0, more = 1;
    *out = (struct loom_leak){0};
    int code = LOOM_OK;
    for (int v = 0; code == LOOM_OK && more && !out->outcome; v++) {
        code = loom_probe_pass(p, p->sample, p->n, LOOM_STEP, 1, NULL, NULL, &said, e);
        more = code == LOOM_OK && loom_shard_view(p->shard, v) != NULL;
        if (!more)
            break;
        if (!find_poison(p, v, &x))
            code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for masks: free some");
        asked |= x.n > 0;
        if (code == LOOM_OK)
            code = loom_probe_pass(p, p->sample, p->n, LOOM_STEP, 1, put_nan, &x, &then, e);
        int64_t at = code == LOOM_OK ? differing(&said, &then, v) : -1;
        if (at == -2)
            says_asked_otherwise(out, "NaN in the place of what is asked for");
        else if (at >= 0)
            found(out,
                  "with NaN in the place of the %lld values that are asked for, what is said of %s is %g instead of "
                  "%.9g: a hidden value is read and multiplied away. Leave it out instead (LOOM_ZERO, LOOM_DROP)",
                  (long long)x.n, loom_said_place(p, &said, at, place), (double)then.value[at], (double)said.value[at]);
        free(x.element);
    }
    loom_said_release(&said);
    loom_said_release(&then);
    return code == LOOM_OK && !asked
               ? unasked(out, "nothing that is hidden is scored: what is shown and asked tells how well it is copied")
               : code;
}

/* ---- what is held out ---- */

/* The first parameter whose gradient differs; NULL = none. */
static const struct loom_entry *gradient_differs(const struct loom_store *store, const loom_real *a, const loom_real *b)
{
    for (int i = 0; i < store->count; i++) {
        const struct loom_entry *n = &store->entry[i];
        for (int64_t k = n->offset; n->lifetime == LOOM_LIFE_PARAM && k < n->offset + n->size; k++)
            if (!(a[k] == b[k]))
                return n;
    }
    return NULL;
}

static const struct loom_entry *state_differs(const struct loom_store *a, const struct loom_store *b)
{
    for (int i = 0; i < a->count; i++) {
        const struct loom_entry *n = &a->entry[i];
        if (n->lifetime == LOOM_LIFE_STATE &&
            memcmp(a->state + n->offset, b->state + n->offset, (size_t)n->size * sizeof(loom_real)) != 0)
            return n;
    }
    return NULL;
}

static int outside_split(struct loom_probe *p, struct loom_leak *out, struct loom_error *e)
{
    struct loom_probe other = {0};
    struct loom_said said = {0}, then = {0};
    struct loom_outside o;
    const struct loom_alteration how = {
        .here = loom_is_outside, .payload = &o, .series = LOOM_SERIES_NOISE, .seed = NOISE_SEED};
    static const char remedy[] = "Look at nothing but the windows that tokenize is given; what is fitted comes from "
                                 "sums of training windows (loom_sum_into, update)";
    int code = loom_outside_init(&o, p->runner.catalog, e);
    if (code == LOOM_OK)
        code = loom_probe_pass(p, p->sample, p->n, LOOM_STEP, 1, NULL, NULL, &said, e);
    if (code == LOOM_OK)
        code = loom_probe_like(&other, p, &how, 1, e);
    if (code == LOOM_OK)
        code = loom_probe_pass(&other, p->sample, p->n, LOOM_STEP, 1, NULL, NULL, &then, e);
    if (code == LOOM_OK) {
        const struct loom_store *store = loom_model_store(p->model);
        const struct loom_entry *state = state_differs(store, loom_model_store(other.model));
        const struct loom_entry *gradient = gradient_differs(store, said.grad, then.grad);
        if (state)
            found(out, "with noise in place of validation and test data, '%s' is fitted otherwise. %s", state->name,
                  remedy);
        else if (said.loss != then.loss)
            found(out, "with noise in place of validation and test data, the training loss is %.9g instead of %.9g. %s",
                  then.loss, said.loss, remedy);
        else if (gradient)
            found(out, "with noise in place of validation and test data, the gradient of '%s' differs. %s",
                  gradient->name, remedy);
    }
    loom_outside_release(&o);
    loom_said_release(&said);
    loom_said_release(&then);
    loom_probe_release(&other);
    return code;
}

static int is_held_unit(const void *payload, int32_t recording, int32_t unit, int64_t t)
{
    const uint8_t *held = loom_catalog_held(payload, recording);
    (void)t;
    return unit >= 0 && held && held[unit];
}

static int held_units(struct loom_probe *p, struct loom_leak *out, struct loom_error *e)
{
    struct loom_probe other = {0};
    struct loom_said said = {0}, then = {0};
    const struct loom_alteration how = {.here = is_held_unit, .payload = p->runner.catalog, .seed = NOISE_SEED};
    char place[160];
    int any = 0;
    for (int i = 0; i < loom_catalog_count(p->runner.catalog); i++)
        any |= loom_catalog_held(p->runner.catalog, i) != NULL;
    int code = any ? loom_probe_like(&other, p, &how, 0, e) : LOOM_OK;
    for (int mode = LOOM_STEP; any && mode <= LOOM_EVALUATE && code == LOOM_OK && !out->outcome; mode++) {
        code = loom_probe_pass(p, p->sample, p->n, (enum loom_mode)mode, 1, NULL, NULL, &said, e);
        if (code == LOOM_OK)
            code = loom_probe_pass(&other, p->sample, p->n, (enum loom_mode)mode, 1, NULL, NULL, &then, e);
        int64_t at = code == LOOM_OK ? differing(&said, &then, -1) : -1;
        if (at == -2)
            says_asked_otherwise(out, "noise in units that are held out");
        else if (at >= 0)
            found(out,
                  "in %s, what is said of %s is %.9g, and %.9g with noise in the units that are held out: they are "
                  "seen. Take counts from the window, whose held values read 0, never from the recording",
                  mode_name[mode], loom_said_place(p, &said, at, place), (double)said.value[at],
                  (double)then.value[at]);
    }
    loom_said_release(&said);
    loom_said_release(&then);
    loom_probe_release(&other);
    return code;
}

int loom_leak_heldout(struct loom_probe *p, struct loom_leak *out, struct loom_error *e)
{
    *out = (struct loom_leak){0};
    int code = outside_split(p, out, e);
    return code == LOOM_OK && !out->outcome ? held_units(p, out, e) : code;
}

/* ---- the past alone ---- */

struct after {
    const struct loom_sample *sample;
    int n, from; /* windows from `from` on */
    int64_t t0;  /* from the window's origin */
};

static int is_after(const void *payload, int32_t recording, int32_t unit, int64_t t)
{
    const struct after *a = payload;
    (void)unit;
    for (int s = a->from; s < a->n; s++) {
        int64_t at = t - a->sample[s].origin_ns;
        if (a->sample[s].recording == recording && at >= a->t0 && at < ns(a->sample[s].length_s))
            return 1;
    }
    return 0;
}

/* Reading i is one that holds to the past by the word of the view or of the backbone. */
static int holds(const struct loom_probe *p, const struct loom_said *said, int64_t i)
{
    const struct loom_view *v = loom_shard_view(p->shard, said->view[said->read[i]]);
    return loom_model_causal(p->model) || (v && v->causal);
}

/* The same questions after all activity from t0 on was replaced. */
static int ask_again(struct loom_probe *p, int64_t t0, struct loom_said *then, struct loom_error *e)
{
    struct loom_probe other = {0};
    const struct after a = {.sample = p->sample, .n = p->n, .t0 = t0};
    const struct loom_alteration how = {.here = is_after, .payload = &a, .seed = NOISE_SEED};
    int code = loom_probe_like(&other, p, &how, 0, e);
    if (code == LOOM_OK)
        code = loom_probe_pass(&other, p->sample, p->n, LOOM_EVALUATE, 0, NULL, NULL, then, e);
    loom_probe_release(&other);
    return code;
}

static int causal_at(struct loom_probe *p, const struct loom_said *said, int64_t t0, int *asked, struct loom_leak *out,
                     struct loom_error *e)
{
    struct loom_said then = {0};
    char place[160];
    int code = ask_again(p, t0, &then, e);
    if (code == LOOM_OK && then.n != said->n)
        says_asked_otherwise(out, "another future");
    for (int64_t i = 0; code == LOOM_OK && i < said->n && !out->outcome; i++) {
        if (ns(said->time[i]) >= t0 || !holds(p, said, i))
            continue;
        *asked = 1;
        if (!same_bits(said->value[i], then.value[i]))
            found(out,
                  "what is said of %s is %.9g, and %.9g after activity from %.3f s on was replaced: it sees the "
                  "future. Pass view->causal, or the option, to every attention (struct loom_attention), and mix rows "
                  "in no other way",
                  loom_said_place(p, said, i, place), (double)said->value[i], (double)then.value[i], 1e-9 * (double)t0);
    }
    loom_said_release(&then);
    return code;
}

/* Whole bins that every window has. */
static int64_t shortest_window(const struct loom_probe *p, int64_t bin)
{
    int64_t shortest = INT64_MAX;
    for (int i = 0; i < p->n; i++)
        shortest = ns(p->sample[i].length_s) < shortest ? ns(p->sample[i].length_s) : shortest;
    return shortest / bin;
}

int loom_leak_causal(struct loom_probe *p, struct loom_leak *out, struct loom_error *e)
{
    struct loom_said said = {0};
    const int64_t bin = ns(loom_catalog_bin_s(p->runner.catalog)), bins = shortest_window(p, bin);
    int asked = 0;
    *out = (struct loom_leak){0};
    int code = loom_probe_pass(p, p->sample, p->n, LOOM_EVALUATE, 0, NULL, NULL, &said, e);
    for (int k = 1; k <= 2 && code == LOOM_OK && !out->outcome; k++)
        code = causal_at(p, &said, bins * k / 3 * bin, &asked, out, e);
    loom_said_release(&said);
    return code == LOOM_OK && !asked ? unasked(out, "nothing promises to hold to the past (option `causal`)") : code;
}

int loom_leak_sight(struct loom_probe *p, int *ahead, struct loom_error *e)
{
    struct loom_said said = {0}, then = {0};
    const int64_t bin = ns(loom_catalog_bin_s(p->runner.catalog)), t0 = shortest_window(p, bin) / 2 * bin;
    *ahead = 0;
    int code = loom_probe_pass(p, p->sample, p->n, LOOM_EVALUATE, 0, NULL, NULL, &said, e);
    if (code == LOOM_OK)
        code = ask_again(p, t0, &then, e);
    for (int64_t i = 0; code == LOOM_OK && i < said.n && !*ahead; i++)
        *ahead = then.n != said.n || (ns(said.time[i]) < t0 && !same_bits(said.value[i], then.value[i]));
    loom_said_release(&said);
    loom_said_release(&then);
    return code;
}

/* ---- windows do not see each other ---- */

/* Nothing but window `keep` is scored (-1: none is). */
static void score_alone(struct loom_probe *p, int keep)
{
    const struct loom_view *v;
    for (int i = 0; (v = loom_shard_view(p->shard, i)); i++)
        for (int m = 0; m < loom_model_modalities(p->model); m++) {
            loom_real *weight = (loom_real *)(uintptr_t)v->ask[m].weight;
            for (int32_t r = 0; r < v->ask[m].rows; r++)
                for (int32_t k = v->ask[m].first_elem[r]; k < v->ask[m].first_elem[r + 1]; k++)
                    weight[k] = v->ask[m].segment_of[r] == keep ? weight[k] : 0;
        }
}

/* The gradient of one window's share of the loss, in a batch of all. */
static int gradient_of(struct loom_probe *p, int keep, double *loss, struct loom_error *e)
{
    const struct loom_store *store = loom_model_store(p->model);
    struct loom_masses masses = {0};
    int code = loom_shard_plan(p->shard, p->sample, p->n, LOOM_STEP, 1, e);
    if (code != LOOM_OK)
        return code;
    loom_masses_add(&masses, loom_shard_masses(p->shard));
    score_alone(p, keep);
    loom_block_zero(&p->block, store);
    code = loom_shard_build(p->shard, &masses, &p->block, 1, e);
    if (code == LOOM_OK)
        loom_shard_run(p->shard);
    *loss = 0;
    for (int64_t i = 0; i < store->size[LOOM_LIFE_TERM]; i++)
        *loss += fabs(p->block.term[i]);
    return code;
}

/* Where terms hang on something else than what is asked, windows share them, and their gradient tells nothing. */
static int compare_gradients(struct loom_probe *p, struct loom_probe *other, struct loom_leak *out,
                             struct loom_error *e)
{
    double loss = 0;
    int code = gradient_of(p, -1, &loss, e);
    if (code != LOOM_OK || loss != 0)
        return code;
    code = gradient_of(p, 0, &loss, e);
    if (code == LOOM_OK)
        code = gradient_of(other, 0, &loss, e);
    if (code != LOOM_OK)
        return code;
    const struct loom_entry *n = gradient_differs(loom_model_store(p->model), p->block.grad, other->block.grad);
    return n ? found(out,
                     "the gradient of '%s' for the first window differs when only the other windows of the batch were "
                     "replaced: a backward mixes windows, or reads what forward did not leave for it",
                     n->name)
             : LOOM_OK;
}

static int compare_batch(struct loom_probe *p, struct loom_probe *other, struct loom_leak *out, struct loom_error *e)
{
    struct loom_said said = {0}, then = {0};
    char place[160];
    int code = LOOM_OK;
    for (int mode = LOOM_STEP; mode <= LOOM_EVALUATE && code == LOOM_OK && !out->outcome; mode++) {
        code = loom_probe_pass(p, p->sample, p->n, (enum loom_mode)mode, 1, NULL, NULL, &said, e);
        if (code == LOOM_OK)
            code = loom_probe_pass(other, p->sample, p->n, (enum loom_mode)mode, 1, NULL, NULL, &then, e);
        int64_t k = 0;
        for (int64_t i = 0; code == LOOM_OK && i < said.n && !out->outcome; i++) {
            if (said.segment[i] != 0)
                continue;
            while (k < then.n && (then.segment[k] != 0 || then.read[k] != said.read[i]))
                k++;
            if (k == then.n || !same_bits(said.value[i], then.value[k]))
                found(out,
                      "in %s, what is said of %s is %.9g, and %.9g when only the other windows of the batch were "
                      "replaced: windows see each other. Take rows by segment (rows->groups), and keep nothing between "
                      "calls",
                      mode_name[mode], loom_said_place(p, &said, i, place), (double)said.value[i],
                      k < then.n ? (double)then.value[k] : NAN);
            k++;
        }
    }
    if (code == LOOM_OK && !out->outcome)
        code = compare_gradients(p, other, out, e);
    loom_said_release(&said);
    loom_said_release(&then);
    return code;
}

int loom_leak_batch(struct loom_probe *p, struct loom_leak *out, struct loom_error *e)
{
    struct loom_probe other = {0};
    const struct after a = {.sample = p->sample, .n = p->n, .from = 1};
    const struct loom_alteration how = {
        .here = is_after, .payload = &a, .series = LOOM_SERIES_NOISE, .seed = NOISE_SEED};
    *out = (struct loom_leak){0};
    if (p->n < 2)
        return unasked(out, "there is but one window");
    int code = loom_probe_like(&other, p, &how, 0, e);
    if (code == LOOM_OK)
        code = compare_batch(p, &other, out, e);
    loom_probe_release(&other);
    return code;
}
