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

static int is_series(const void *payload, int32_t recording, int32_t unit, int64_t t_ns)
{
    (void)payload, (void)recording, (void)t_ns;
    return unit < 0;
}

/* Of the logits [n] of one element -ln p(target), of one number its squared distance from the target. */
static double misfit(const loom_real *value, int64_t n, double target)
{
    double sum = 0, top = (double)value[0];
    if (n == 1)
        return ((double)value[0] - target) * ((double)value[0] - target);
    for (int64_t k = 1; k < n; k++)
        top = (double)value[k] > top ? (double)value[k] : top;
    for (int64_t k = 0; k < n; k++)
        sum += exp((double)value[k] - top);
    return log(sum) + top - (double)value[(int64_t)target];
}

/* How far what `said` says lies from the targets of `due`, added to *sum. */
static int add_misfit(const struct loom_said *said, const struct loom_said *due, double *sum, double *mass)
{
    for (int64_t i = 0, end; i < due->n && said->n == due->n; i = end) {
        for (end = i + 1; end < due->n && due->read[end] == due->read[i] && due->element[end] == due->element[i]; end++)
            ;
        if (due->weight[i] > 0) {
            *sum += misfit(said->value + i, end - i, (double)due->target[i]);
            *mass += 1;
        }
    }
    return said->n == due->n;
}

/* Mean misfits of `p` and of `q`, from the targets of p, over the windows that both were fitted to. */
static int errors_of(struct loom_probe *p, struct loom_probe *q, const struct loom_windows *w, double error[2],
                     struct loom_error *e)
{
    struct loom_said own = {0}, others = {0};
    double sum[2] = {0, 0}, mass[2] = {0, 0};
    int code = LOOM_OK, n = w->n < LOOM_PROBE_FIT_WINDOWS ? w->n : LOOM_PROBE_FIT_WINDOWS;
    for (int at = 0; at < n && code == LOOM_OK; at += LOOM_PROBE_WINDOWS) {
        const int some = n - at < LOOM_PROBE_WINDOWS ? n - at : LOOM_PROBE_WINDOWS;
        code = loom_probe_pass(p, w->sample + at, some, LOOM_EVALUATE, 0, NULL, NULL, &own, e);
        if (code == LOOM_OK)
            code = loom_probe_pass(q, w->sample + at, some, LOOM_EVALUATE, 0, NULL, NULL, &others, e);
        if (code == LOOM_OK && (!add_misfit(&own, &own, sum, mass) || !add_misfit(&others, &own, sum + 1, mass + 1)))
            code = loom_fail(e, LOOM_ESHAPE, NULL, 0, "it answers other questions where behaviour is noise");
    }
    loom_said_release(&own);
    loom_said_release(&others);
    for (int i = 0; i < 2; i++)
        error[i] = sum[i] / mass[i];
    return code;
}

/* A baseline is fitted: to the behaviour as it is, and to noise in its place. */
static int fitted(struct loom_trial *t)
{
    const struct loom_alteration noise = {.here = is_series, .series = LOOM_SERIES_NOISE, .seed = t->seed + 1};
    struct loom_probe p, q = {0};
    struct loom_world w;
    double error[2] = {NAN, NAN};
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    int code = loom_probe_like(&q, &p, &noise, 1, &t->e), outcome;
    if (code == LOOM_OK)
        code = errors_of(&p, &q, &w.windows, error, &t->e);
    if (code != LOOM_OK)
        outcome = loom_trial_fail_error(t, "fitting it twice");
    else if (error[0] < error[1])
        outcome = loom_trial_pass(t);
    else
        outcome = loom_trial_fail(
            t,
            "it answers the windows that it was fitted to with a mean squared error, or cross-entropy, of %.4g, and "
            "with %.4g where it was fitted to noise in the place of their behaviour; less is "
            "due: look for sums that nobody adds to, and for an update that changes no state",
            error[0], error[1]);
    loom_probe_release(&q);
    loom_probe_release(&p);
    loom_world_release(&w);
    return outcome;
}

static int learns(struct loom_trial *t)
{
    return strcmp(t->kind, loom_kind_name(LOOM_BASELINE)) == 0 ? fitted(t) : overfit(t);
}
const struct loom_check loom_check_learn_overfit = {
    .id = "learn-overfit",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_STRICT,
    .what =
        "With partners that suit it, 200 steps on four fixed windows must halve what the loss has above the least "
        "that is possible. What "
        "cannot learn four windows by heart learns nothing else. A baseline, which is fitted, must answer the windows "
        "that it was fitted to better than when it is fitted to noise in the place of their behaviour.",
    .seconds = 120,
    .run = learns,
};

/* What `loom check` found wrong: the first such line of its report. */
static int fail_report(struct loom_trial *t, const char *report)
{
    const char *at = report ? strstr(report, "FAILED") : NULL;
    while (at && at > report && at[-1] != '\n')
        at--;
    if (!at)
        return loom_trial_fail_error(t, "loom check of a pipeline that names it");
    at += strspn(at, " ");
    return loom_trial_fail(t, "with its defaults loom check says: %.*s", (int)strcspn(at, "\n"), at);
}

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
    const int outcome = code == LOOM_OK ? loom_trial_pass(t) : fail_report(t, text);
    free(text);
    loom_world_release(&w);
    return outcome;
}
const struct loom_check loom_check_doc_example_runs = {
    .id = "doc-example-runs",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_PEDANTIC,
    .what = "A pipeline that names the plugin and leaves all its options at their defaults must pass `loom check`, "
            "training step included: it is the first thing that anybody tries.",
    .run = example,
};
