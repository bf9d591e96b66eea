/* SPDX-License-Identifier: Apache-2.0 */
/* Does it learn at all? */
#include "conform/families.h"
#include "conform/trial.h"
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 200 };

/* Mean cost above the least that any answer can have: the deviance of counts. What is shown counts where all is. */
static double excess(const struct loom_said *s)
{
    double sum[2] = {0, 0}, mass[2] = {0, 0}; /* of what is hidden, and of what is shown */
    for (int64_t i = 0; i < s->n; i++) {
        if (!(s->weight[i] > 0))
            continue;
        double y = (double)s->target[i], z = (double)s->value[i];
        sum[s->shown[i]] += (exp(z) - y * z) - (y > 0 ? y - y * log(y) : 0);
        mass[s->shown[i]] += 1;
    }
    const int only_shown = mass[0] == 0;
    return mass[only_shown] > 0 ? sum[only_shown] / mass[only_shown] : NAN;
}

/* All that was read are log-rates of counts. */
static int reads_counts(const struct loom_probe *p, const struct loom_said *s)
{
    for (int i = 0; i < s->reads; i++) {
        const char *name = loom_model_likelihood(p->model, s->modality[i]);
        if (!name || strcmp(name, "poisson") != 0)
            return 0;
    }
    return s->n > 0;
}

static int train(struct loom_trial *t, struct loom_probe *p, double *before, double *after)
{
    struct loom_optimizer o = {0};
    struct loom_said said = {0};
    const struct loom_optimizer_spec spec = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .clip = 10};
    double norm;
    int code = loom_optimizer_init(&o, loom_model_store(p->model), &spec, &t->e);
    for (int step = 0; step <= STEPS && code == LOOM_OK; step++) {
        code = loom_probe_pass(p, p->sample, p->n, LOOM_STEP, 1, NULL, NULL, &said, &t->e);
        if (code != LOOM_OK)
            break;
        double cost = reads_counts(p, &said) ? excess(&said) : said.loss;
        *(step == 0 ? before : after) = cost;
        code = loom_optimizer_step(&o, p->block.grad, 1.0, 1e-2 * (1.0 - 0.9 * step / STEPS), p->runner.pool, &norm,
                                   &t->e);
    }
    loom_optimizer_release(&o);
    loom_said_release(&said);
    return code;
}

static int overfit(struct loom_trial *t)
{
    struct loom_world w;
    struct loom_probe p;
    double before = NAN, after = NAN;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    int outcome;
    if (train(t, &p, &before, &after) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "200 training steps");
    else if (after <= 0.5 * before)
        outcome = loom_trial_pass(t);
    else
        outcome = loom_trial_fail(t,
                                  "200 steps on %d fixed windows bring the cost, above the least that is possible, "
                                  "from %.4g to %.4g; half is due: look for gradients that do not arrive, and scales "
                                  "far from 1",
                                  p.n, before, after);
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome;
}
const struct loom_check loom_check_learn_overfit = {
    .id = "learn-overfit",
    .kinds = LOOM_KIND(LOOM_TOKENIZER) | LOOM_KIND(LOOM_BACKBONE) | LOOM_KIND(LOOM_OBJECTIVE),
    .level = LOOM_STRICT,
    .what = "With partners that suit it, 200 steps on four fixed windows must halve what the loss has above the least "
            "that is possible. What "
            "cannot learn four windows by heart learns nothing else.",
    .seconds = 120,
    .run = overfit,
};

/* The summary's promise in use: the plugin with defaults alone, in a whole stage of one step. */
static int example(struct loom_trial *t)
{
    struct loom_world w;
    char *text = NULL;
    if (loom_trial_load(t) != LOOM_OK)
        return loom_trial_fail_error(t, "loading it");
    t->whole = 1;
    if (loom_world_open(&w, t, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a pipeline that names it and nothing else");
    struct loom_run_spec spec = {.size = sizeof spec,
                                 .pipeline = w.pipeline,
                                 .override = w.spec.override,
                                 .overrides = 0,
                                 .plugin_path = t->plugin_path,
                                 .threads = 1};
    int code = t->spec->sets ? LOOM_OK : loom_run_check(&spec, &text, &t->e);
    free(text);
    loom_world_release(&w);
    return code == LOOM_OK ? loom_trial_pass(t) : loom_trial_fail_error(t, "loom check of a pipeline that names it");
}
const struct loom_check loom_check_doc_example_runs = {
    .id = "doc-example-runs",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_PEDANTIC,
    .what = "A pipeline that names the plugin and leaves all its options at their defaults must pass `loom check`, "
            "training step included: it is the first thing that anybody tries.",
    .run = example,
};
