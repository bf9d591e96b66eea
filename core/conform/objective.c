/* SPDX-License-Identifier: Apache-2.0 */
/* What an objective's numbers mean. */
#include "conform/families.h"
#include "conform/trial.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The batch in `times` shards, each holding all of it. */
static int repeated(struct loom_probe *p, int times, double *loss, struct loom_error *e)
{
    const struct loom_store *store = loom_model_store(p->model);
    struct loom_masses joined = {0};
    int code = loom_shard_plan(p->shard, p->sample, p->n, LOOM_STEP, 1, e);
    for (int i = 0; i < times && code == LOOM_OK; i++)
        loom_masses_add(&joined, loom_shard_masses(p->shard));
    loom_block_zero(&p->block, store);
    for (int i = 0; i < times && code == LOOM_OK; i++) {
        code = loom_shard_build(p->shard, &joined, &p->block, i == 0, e);
        if (code == LOOM_OK)
            loom_shard_run(p->shard);
    }
    *loss = 0;
    for (int i = 0; i < store->count; i++)
        if (store->entry[i].lifetime == LOOM_LIFE_TERM && !(store->entry[i].flags & LOOM_LOG_ONLY))
            *loss += p->block.term[store->entry[i].offset];
    return code;
}

static int mean_kept(struct loom_trial *t, struct loom_probe *p, double *loss)
{
    double twice = 0;
    int code = repeated(p, 1, loss, &t->e);
    if (code == LOOM_OK)
        code = repeated(p, 2, &twice, &t->e);
    if (code != LOOM_OK)
        return loom_trial_fail_error(t, "a batch, once and twice");
    return fabs(twice - *loss) <= 1e-6 * (1e-3 + fabs(*loss))
               ? LOOM_PASSED
               : loom_trial_fail(t,
                                 "the loss of a batch is %.9g, and %.9g when it comes twice: name what is scored with "
                                 "loom_plan_mass and divide by loom_mass",
                                 *loss, twice);
}

static int has_weight(const struct loom_plugin *p)
{
    for (const struct loom_option *o = p->options; o && o->name; o++)
        if (strcmp(o->name, "weight") == 0 && o->type == LOOM_OPT_REAL)
            return 1;
    return 0;
}

/* Weight 0: no loss, no gradient. Weight 2: twice the loss. */
static int weighed(struct loom_trial *t, const char *weight, double factor, double loss)
{
    struct loom_world w;
    struct loom_probe p;
    char line[160];
    double is;
    snprintf(line, sizeof line, "%s.weight=%s", loom_world_prefix(t), weight);
    if (loom_world_probe(t, &w, &p, (const char *const[]){line}, 1) != LOOM_OK)
        return loom_trial_fail_error(t, line);
    int outcome = LOOM_PASSED;
    if (repeated(&p, 1, &is, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, line);
    else if (!(fabs(is - factor * loss) <= 1e-6 * fabs(factor * loss)))
        outcome =
            loom_trial_fail(t,
                            "the loss is %.9g with weight 1 and %.9g with weight %s: give loom_emit the weight as "
                            "a factor of its scale",
                            loss, is, weight);
    const struct loom_store *store = loom_model_store(p.model);
    for (int i = 0; i < store->count && factor == 0 && outcome == LOOM_PASSED; i++)
        for (int64_t k = store->entry[i].offset;
             store->entry[i].lifetime == LOOM_LIFE_PARAM && k < store->entry[i].offset + store->entry[i].size; k++)
            if (!(p.block.grad[k] == 0)) {
                outcome = loom_trial_fail(t,
                                          "with weight 0, '%s' still gets the gradient %g: scale the term, do not add "
                                          "to it afterwards",
                                          store->entry[i].name, (double)p.block.grad[k]);
                break;
            }
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome;
}

/* ---- answers that no model gives ---- */

/* Loss and gradients of a training pass that is answered like this. */
static int answered(struct loom_trial *t, struct loom_probe *p, const struct loom_stand_in *x, const char *what,
                    double *loss)
{
    const struct loom_store *store = loom_model_store(p->model);
    struct loom_said said = {0};
    loom_shard_stand_in(p->shard, x);
    int code = loom_probe_pass(p, p->sample, p->n, LOOM_STEP, 1, NULL, NULL, &said, &t->e);
    loom_shard_stand_in(p->shard, NULL);
    *loss = said.loss;
    loom_said_release(&said);
    if (code != LOOM_OK)
        return loom_trial_fail_error(t, what);
    if (!isfinite(*loss))
        return loom_trial_fail(t, "with %s the loss is %g: score with loom_nll, or bound what is exponentiated", what,
                               *loss);
    for (int64_t i = 0; i < store->size[LOOM_LIFE_PARAM]; i++)
        if (!isfinite((double)p->block.grad[i]))
            return loom_trial_fail(t,
                                   "with %s the loss is %g and a gradient is not finite: a step from there never "
                                   "comes back",
                                   what, *loss);
    return LOOM_PASSED;
}

static int extremes(struct loom_trial *t)
{
    static const struct {
        struct loom_stand_in answer;
        const char *what;
    } far[] = {{{1, 0, 1e4}, "answers of about 10000"},
               {{1, 0, -1e4}, "answers of about -10000"},
               {{1e5, 0, 0}, "answers 100000 times too large"},
               {{1e-3, 1, 0}, "right answers"},
               {{1e-3, 1, 3}, "answers 3 too high"},
               {{1e-3, 1, -3}, "answers 3 too low"}};
    enum { FAR = sizeof far / sizeof *far, RIGHT = FAR - 3 };
    struct loom_world w;
    struct loom_probe p;
    double loss[FAR];
    int outcome = LOOM_PASSED;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    for (int i = 0; i < FAR && outcome == LOOM_PASSED; i++)
        outcome = answered(t, &p, &far[i].answer, far[i].what, &loss[i]);
    for (int i = RIGHT + 1; i < FAR && outcome == LOOM_PASSED; i++)
        if (!(loss[RIGHT] <= loss[i]))
            outcome = loom_trial_fail(t,
                                      "the loss is %.6g with right answers and %.6g with %s: what is right must "
                                      "cost least; look at the sign of the scale",
                                      loss[RIGHT], loss[i], far[i].what);
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome;
}
const struct loom_check loom_check_obj_extremes = {
    .id = "obj-extremes",
    .kinds = LOOM_KIND(LOOM_OBJECTIVE),
    .level = LOOM_REQUIRED,
    .what = "In the place of what a model answers stand numbers of 10000 and -10000, of both signs, the right answers, "
            "and answers too high and too low. Loss and gradients must be finite, and right answers cost least.",
    .run = extremes,
};

static int reduction(struct loom_trial *t)
{
    struct loom_world w;
    struct loom_probe p;
    double loss = 0;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    int outcome = mean_kept(t, &p, &loss);
    loom_probe_release(&p);
    loom_world_release(&w);
    if (outcome == LOOM_PASSED && has_weight(t->plugin))
        outcome = weighed(t, "0.0", 0, loss);
    if (outcome == LOOM_PASSED && has_weight(t->plugin))
        outcome = weighed(t, "2.0", 2, loss);
    return outcome;
}
const struct loom_check loom_check_obj_reduction = {
    .id = "obj-reduction",
    .kinds = LOOM_KIND(LOOM_OBJECTIVE),
    .level = LOOM_REQUIRED,
    .what = "A batch that comes twice, in two shards, must have the loss of one that comes once. Where there is an "
            "option `weight`, 0 must leave neither loss nor gradient, and 2 give twice the loss: otherwise an ablation "
            "ablates something else.",
    .run = reduction,
};
