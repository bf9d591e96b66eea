/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/nlb_score.h"

#include "data/nlb_sets.h"
#include "eval/nlb.h"

#include <loom/export.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One dataset at one width of bins. */
struct scoring {
    const struct loom_nlb_set *set;
    const struct loom_arrays *submission, *targets;
    char group[LOOM_NLB_GROUP];
    json_t *into;
    struct loom_error *e;
};

/* ---- arrays ---- */

static const struct loom_array *look(const struct scoring *s, const struct loom_arrays *in, const char *name)
{
    char full[160];
    snprintf(full, sizeof full, "%s/%s", s->group, name);
    return loom_arrays_find(in, full);
}

/* Doubles [trials, bins, units] of whatever numbers it holds, malloc'ed. A table [trials, columns] is taken as one bin
 * a trial. */
static int take(const struct scoring *s, const struct loom_arrays *in, const char *name, struct loom_nlb_array *out)
{
    const struct loom_array *a = look(s, in, name);
    *out = (struct loom_nlb_array){0};
    if (a == NULL)
        return loom_fail(s->e, LOOM_EDATA, NULL, 0, "dataset %s of the %s has no %s: write the file anew", s->group,
                         in == s->submission ? "submission" : "targets", name);
    if (a->first != NULL || a->rank < 2 || a->rank > 3 || a->type == LOOM_ARRAY_BOOL)
        return loom_fail(s->e, LOOM_EDATA, NULL, 0, "%s is not [trial, bin, unit]: write the file anew", a->name);
    const int64_t n = loom_array_count(a);
    double *x = malloc(((size_t)n + 1) * sizeof *x);
    if (x == NULL)
        return loom_fail(s->e, LOOM_ENOMEM, NULL, 0, "no memory for %s: free some", a->name);
    for (int64_t i = 0; i < n; i++)
        x[i] = a->type == LOOM_ARRAY_F64 ? ((const double *)a->data)[i] : (double)((const int64_t *)a->data)[i];
    *out = (struct loom_nlb_array){x, a->dim[0], a->rank == 3 ? a->dim[1] : 1, a->dim[a->rank - 1]};
    return LOOM_OK;
}

static void drop(struct loom_nlb_array *a)
{
    free((void *)(uintptr_t)a->at);
    *a = (struct loom_nlb_array){0};
}

/* Arrays PREFIX_heldinSUFFIX and PREFIX_heldoutSUFFIX beside each other. */
static int take_both(const struct scoring *s, const struct loom_arrays *in, const char *prefix, const char *suffix,
                     struct loom_nlb_array *out)
{
    char name[2][96];
    struct loom_nlb_array a = {0}, b = {0};
    snprintf(name[0], sizeof name[0], "%s_heldin%s", prefix, suffix);
    snprintf(name[1], sizeof name[1], "%s_heldout%s", prefix, suffix);
    *out = (struct loom_nlb_array){0};
    int code = take(s, in, name[0], &a);
    if (code == LOOM_OK)
        code = take(s, in, name[1], &b);
    double *x = code == LOOM_OK ? malloc((size_t)(a.trials * a.bins * (a.units + b.units) + 1) * sizeof *x) : NULL;
    if (code == LOOM_OK && x == NULL)
        code = loom_fail(s->e, LOOM_ENOMEM, NULL, 0, "no memory for rates of %s: free some", s->group);
    if (code == LOOM_OK)
        code = loom_nlb_beside(a, b, x, s->e);
    if (code == LOOM_OK)
        *out = (struct loom_nlb_array){x, a.trials, a.bins, a.units + b.units};
    else
        free(x);
    drop(&a);
    drop(&b);
    return code;
}

/* ---- metrics ---- */

static void put(const struct scoring *s, const char *key, double value)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", s->set->prefix != NULL ? s->set->prefix : "", key);
    json_object_set_new(s->into, full, loom_json_number(value));
}

static int bits(const struct scoring *s, const char *key, const struct loom_nlb_array *rates,
                const struct loom_nlb_array *spikes)
{
    struct loom_nlb_bits sum = {0};
    int code = loom_nlb_bits_add(&sum, *rates, *spikes, s->e);
    if (code == LOOM_OK)
        put(s, key, loom_nlb_bits(&sum));
    return code;
}

static int cosmoothing(const struct scoring *s)
{
    struct loom_nlb_array rates, spikes = {0};
    int code = take(s, s->submission, "eval_rates_heldout", &rates);
    if (code == LOOM_OK)
        code = take(s, s->targets, "eval_spikes_heldout", &spikes);
    if (code == LOOM_OK)
        code = bits(s, "co-bps", &rates, &spikes);
    drop(&rates);
    drop(&spikes);
    return code;
}

static int forward(const struct scoring *s)
{
    struct loom_nlb_array rates, spikes = {0};
    if (look(s, s->submission, "eval_rates_heldin_forward") == NULL ||
        look(s, s->targets, "eval_spikes_heldin_forward") == NULL)
        return LOOM_OK;
    int code = take_both(s, s->submission, "eval_rates", "_forward", &rates);
    if (code == LOOM_OK)
        code = take_both(s, s->targets, "eval_spikes", "_forward", &spikes);
    if (code == LOOM_OK)
        code = bits(s, "fp-bps", &rates, &spikes);
    drop(&rates);
    drop(&spikes);
    return code;
}

static int produced(const struct scoring *s, const struct loom_nlb_array *rates)
{
    struct loom_nlb_array spikes, behavior = {0};
    double r = NAN;
    int code = take(s, s->targets, "eval_spikes_heldout", &spikes);
    if (code == LOOM_OK)
        code = take(s, s->targets, "eval_behavior", &behavior);
    if (code == LOOM_OK)
        code = loom_nlb_tp(spikes, *rates, behavior, &r, s->e);
    if (code == LOOM_OK)
        put(s, "tp corr", r);
    drop(&spikes);
    drop(&behavior);
    return code;
}

/* [trials, decoders] bytes, malloc'ed; NULL: the targets have none. */
static int take_mask(const struct scoring *s, const char *name, int64_t trials, uint8_t **out, int32_t *masks)
{
    const struct loom_array *a = look(s, s->targets, name);
    *out = NULL;
    if (a == NULL)
        return LOOM_OK;
    if ((a->type != LOOM_ARRAY_BOOL && a->type != LOOM_ARRAY_I64) || a->rank != 2 || a->dim[0] != trials ||
        a->dim[1] < 1 || a->dim[1] > 64)
        return loom_fail(s->e, LOOM_EDATA, NULL, 0, "%s is not [%lld trials, decoder] of true and false", a->name,
                         (long long)trials);
    const int64_t n = loom_array_count(a);
    if ((*out = malloc((size_t)n + 1)) == NULL)
        return loom_fail(s->e, LOOM_ENOMEM, NULL, 0, "no memory for %s: free some", a->name);
    for (int64_t i = 0; i < n; i++)
        (*out)[i] = a->type == LOOM_ARRAY_BOOL ? ((const uint8_t *)a->data)[i] : ((const int64_t *)a->data)[i] != 0;
    *masks = (int32_t)a->dim[1];
    return LOOM_OK;
}

static int velocity(const struct scoring *s, const struct loom_nlb_array *rates)
{
    struct loom_nlb_decoding d = {.eval_rates = *rates};
    uint8_t *train = NULL, *eval = NULL;
    double r2 = NAN;
    int32_t masks = 0;
    int code = take_both(s, s->submission, "train_rates", "", &d.train_rates);
    if (code == LOOM_OK)
        code = take(s, s->targets, "train_behavior", &d.train_behavior);
    if (code == LOOM_OK)
        code = take(s, s->targets, "eval_behavior", &d.eval_behavior);
    if (code == LOOM_OK)
        code = take_mask(s, "train_decode_mask", d.train_rates.trials, &train, &d.masks);
    if (code == LOOM_OK)
        code = take_mask(s, "eval_decode_mask", rates->trials, &eval, &masks);
    if (code == LOOM_OK && (d.masks != masks || (train == NULL) != (eval == NULL)))
        code = loom_fail(s->e, LOOM_EDATA, NULL, 0,
                         "%s: train_decode_mask and eval_decode_mask are of %d and %d "
                         "decoders: write the targets anew",
                         s->group, (int)d.masks, (int)masks);
    d.train_mask = train;
    d.eval_mask = eval;
    if (code == LOOM_OK)
        code = loom_nlb_velocity(&d, &r2, NULL, s->e);
    if (code == LOOM_OK)
        put(s, "vel R2", r2);
    free(train);
    free(eval);
    drop(&d.train_rates);
    drop(&d.train_behavior);
    drop(&d.eval_behavior);
    return code;
}

/* Lists of trials, which are ragged, or a table when all conditions have as many. */
static int take_lists(const struct scoring *s, int64_t conditions, int64_t trials, int64_t **first, const int64_t **of)
{
    const struct loom_array *a = look(s, s->targets, "eval_cond_idx");
    const int table = a != NULL && a->first == NULL && a->rank == 2 && a->type == LOOM_ARRAY_I64;
    *first = NULL;
    if (a == NULL || (a->first == NULL && !table) || (table ? a->dim[0] : a->rows) != conditions)
        return loom_fail(s->e, LOOM_EDATA, NULL, 0,
                         "%s/eval_cond_idx is not a list of trials for each of %lld "
                         "conditions: write the targets anew",
                         s->group, (long long)conditions);
    *of = a->data;
    *first = malloc(((size_t)conditions + 1) * sizeof **first);
    if (*first == NULL)
        return loom_fail(s->e, LOOM_ENOMEM, NULL, 0, "no memory for conditions: free some");
    for (int64_t c = 0; c <= conditions; c++)
        (*first)[c] = table ? c * a->dim[1] : a->first[c];
    for (int64_t i = 0; i < (*first)[conditions]; i++)
        if ((*of)[i] < 0 || (*of)[i] >= trials)
            return loom_fail(s->e, LOOM_EDATA, NULL, 0, "%s/eval_cond_idx names trial %lld of %lld", s->group,
                             (long long)(*of)[i], (long long)trials);
    return LOOM_OK;
}

static int histograms(const struct scoring *s, const struct loom_nlb_array *rates)
{
    const struct loom_array *jitter = look(s, s->targets, "eval_jitter");
    struct loom_nlb_array psth;
    int64_t *first = NULL;
    const int64_t *trial = NULL;
    double r2 = NAN;
    if (look(s, s->targets, "psth") == NULL)
        return LOOM_OK;
    int code = take(s, s->targets, "psth", &psth);
    if (code == LOOM_OK)
        code = take_lists(s, psth.trials, rates->trials, &first, &trial);
    if (code == LOOM_OK && jitter != NULL &&
        (jitter->type != LOOM_ARRAY_I64 || jitter->rank != 1 || jitter->dim[0] != rates->trials))
        code = loom_fail(s->e, LOOM_EDATA, NULL, 0, "%s is not one whole number for each of %lld trials", jitter->name,
                         (long long)rates->trials);
    if (code == LOOM_OK)
        code = loom_nlb_psth_r2(psth, *rates, first, trial, jitter != NULL ? jitter->data : NULL, &r2, s->e);
    if (code == LOOM_OK)
        put(s, "psth R2", r2);
    free(first);
    drop(&psth);
    return code;
}

/* Where the behaviour is scalars of a trial, the produced interval is one of them. */
static int score_group(const struct scoring *s)
{
    struct loom_nlb_array rates;
    int code = take_both(s, s->submission, "eval_rates", "", &rates);
    if (code == LOOM_OK)
        code = cosmoothing(s);
    if (code == LOOM_OK)
        code = s->set->behavior == NULL ? produced(s, &rates) : velocity(s, &rates);
    if (code == LOOM_OK)
        code = histograms(s, &rates);
    if (code == LOOM_OK)
        code = forward(s);
    drop(&rates);
    return code;
}

/* ---- all of them ---- */

static void enter(json_t *list, const char *group, json_t *scores)
{
    char key[96];
    json_t *entry = json_object();
    snprintf(key, sizeof key, "%s_split", group);
    json_object_set(entry, key, scores);
    json_array_append_new(list, entry);
}

/* scaling: the entry that sets with a prefix share. */
static int score_one(const struct loom_arrays *submission, const struct loom_arrays *targets,
                     const struct loom_nlb_set *set, int bin_ms, json_t *list, json_t *scaling, struct loom_error *e)
{
    struct scoring s = {.set = set, .submission = submission, .targets = targets, .e = e};
    loom_nlb_group(s.group, set, bin_ms);
    if (look(&s, submission, "eval_rates_heldout") == NULL || look(&s, targets, "eval_spikes_heldout") == NULL)
        return LOOM_OK;
    s.into = set->prefix != NULL ? json_incref(scaling) : json_object();
    int code = score_group(&s);
    if (code == LOOM_OK && set->prefix == NULL)
        enter(list, s.group, s.into);
    json_decref(s.into);
    return code;
}

int loom_nlb_score(const struct loom_arrays *submission, const struct loom_arrays *targets, json_t **out,
                   struct loom_error *e)
{
    static const int bin_ms[] = {5, 20};
    static const char *const scaled[] = {"mc_maze_scaling", "mc_maze_scaling_20"};
    json_t *list = json_array(), *scaling[2] = {json_object(), json_object()};
    int code = LOOM_OK;
    *out = NULL;
    for (const struct loom_nlb_set *set = loom_nlb_sets; set->name != NULL && code == LOOM_OK; set++)
        for (int w = 0; w < 2 && code == LOOM_OK; w++)
            code = score_one(submission, targets, set, bin_ms[w], list, scaling[w], e);
    for (int w = 0; w < 2; w++) {
        if (json_object_size(scaling[w]) > 0)
            enter(list, scaled[w], scaling[w]);
        json_decref(scaling[w]);
    }
    if (code == LOOM_OK && json_array_size(list) == 0)
        code = loom_fail(e, LOOM_EDATA, NULL, 0,
                         "no dataset of the submission (group/eval_rates_heldout) has targets (group/"
                         "eval_spikes_heldout): groups are called %s, with _20 behind for bins of 20 ms",
                         loom_nlb_set_instead(NULL));
    if (code == LOOM_OK)
        *out = json_incref(list);
    json_decref(list);
    return code;
}

static void add_table(struct loom_str *s, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name, *key;
        json_t *scores, *value;
        json_object_foreach(json_array_get(list, i), name, scores)
        {
            loom_str_printf(s, "%s%s\n", i > 0 ? "\n" : "", name);
            json_object_foreach(scores, key, value) if (json_is_number(value))
                loom_str_printf(s, "  %-14s %8.4f\n", key, json_number_value(value));
            else loom_str_printf(s, "  %-14s %8s\n", key, "-");
        }
    }
}

int loom_nlb_score_files(const char *submission, const char *targets, int json, char **text, struct loom_error *e)
{
    struct loom_arrays sent = {0}, truth = {0};
    struct loom_str out = LOOM_STR_INIT;
    json_t *scores = NULL;
    *text = NULL;
    int code = loom_arrays_read_h5(&sent, submission, e);
    if (code == LOOM_OK)
        code = loom_arrays_read_h5(&truth, targets, e);
    if (code == LOOM_OK)
        code = loom_nlb_score(&sent, &truth, &scores, e);
    char *dump = scores != NULL && json ? json_dumps(scores, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) : NULL;
    if (dump != NULL)
        loom_str_printf(&out, "%s\n", dump);
    else if (scores != NULL)
        add_table(&out, scores);
    if (code == LOOM_OK && (*text = loom_str_take(&out)) == NULL)
        code = loom_fail(e, LOOM_ENOMEM, submission, 0, "no memory for scores: free some");
    free(dump);
    json_decref(scores);
    loom_str_release(&out);
    loom_arrays_release(&sent);
    loom_arrays_release(&truth);
    return code;
}
