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
