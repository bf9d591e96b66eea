/* SPDX-License-Identifier: Apache-2.0 */
#include "train/leaks.h"
#include "train/run.h"

#include <string.h>

static void describe_data(const struct loom_catalog *c, struct loom_str *text)
{
    int32_t spans, units = 0;
    const struct loom_span *span = loom_catalog_spans(c, &spans);
    for (int i = 0; i < loom_catalog_count(c); i++)
        units += loom_catalog_recording(c, i)->units;
    loom_str_printf(text, "data\n  recordings     %d, %d units, bins of %g ms, windows of %g s\n",
                    loom_catalog_count(c), units, loom_catalog_bin_s(c) * 1e3, loom_catalog_window_s(c));
    for (int split = 0; split < LOOM_SPLITS; split++) {
        double seconds = 0;
        int n = 0;
        for (int32_t i = 0; i < spans; i++)
            if (span[i].split == split) {
                seconds += 1e-9 * (double)(span[i].end_ns - span[i].begin_ns);
                n++;
            }
        loom_str_printf(text, "  %-14s %.1f s in %d span%s\n", loom_split_name((enum loom_split)split), seconds, n,
                        n == 1 ? "" : "s");
    }
    loom_str_add(text, "  leaks          none: no window of one split can touch the time of another\n");
}

/* Length of the first two parts of a dotted name: what parameters are summed up by. */
static size_t group_length(const char *name)
{
    const char *dot = strchr(name, '.');
    dot = dot ? strchr(dot + 1, '.') : NULL;
    return dot ? (size_t)(dot - name) : strlen(name);
}

static int in_group(const struct loom_entry *n, const char *group, size_t length)
{
    return n->lifetime == LOOM_LIFE_PARAM && group_length(n->name) == length && strncmp(n->name, group, length) == 0;
}

static void describe_parameters(const struct loom_store *store, struct loom_str *text)
{
    loom_str_add(text, "parameters by group (frozen)\n");
    for (int i = 0; i < store->count; i++) {
        const char *group = store->entry[i].name;
        size_t length = group_length(group);
        int64_t sum = 0, frozen = 0;
        int first = 1;
        for (int k = 0; k < i && first; k++)
            first = !in_group(&store->entry[k], group, length);
        for (int k = i; k < store->count && first; k++) {
            const struct loom_entry *n = &store->entry[k];
            if (in_group(n, group, length)) {
                sum += n->size;
                frozen += n->lr_scale == 0 ? n->size : 0;
            }
        }
        if (sum > 0)
            loom_str_printf(text, "  %-40.*s %12lld (%lld)\n", (int)length, group, (long long)sum, (long long)frozen);
    }
}

static int describe_stage(struct loom_running *x, const struct loom_stage *s, struct loom_str *text,
                          struct loom_error *e)
{
    struct loom_runner *r = &x->runner;
    struct loom_model *m = NULL;
    loom_str_printf(text, "\nstage %s: %s%s%s\n", s->name, s->evaluates ? "evaluates" : "trains",
                    s->from >= 0 ? ", from " : "", s->from >= 0 ? x->pipeline.stage[s->from].name : "");
    int code = loom_runner_model(r, &x->pipeline.stage[s->asks], 0, &m, e);
    if (code == LOOM_OK)
        code = loom_model_describe(m, text);
    if (code == LOOM_OK && !s->evaluates)
        code = loom_stage_scale(s, loom_model_store(m), 0, e);
    if (code == LOOM_OK && !s->evaluates) {
        describe_parameters(loom_model_store(m), text);
        loom_str_add(text, "training\n");
    }
    loom_model_free(m);
    return code == LOOM_OK && !s->evaluates ? loom_train(r, s, text, e) : code;
}

/* ---- science ---- */

struct proof {
    const char *name, *passed;
    int (*run)(struct loom_probe *p, struct loom_leak *out, struct loom_error *e);
};
static const struct proof proofs[] = {
    {"masked values", "what is asked for is not seen", loom_leak_mask},
    {"masked NaN", "hidden values are not even read", loom_leak_nan},
    {"held out", "loss, gradients and fits know nothing of validation, test and held-out data", loom_leak_heldout},
    {"causal", "answers hang on nothing that comes later", loom_leak_causal},
    {"batch", "windows do not see each other", loom_leak_batch},
};

static int prove(struct loom_running *x, const struct loom_stage *s, struct loom_str *text, int *failed,
                 struct loom_error *e)
{
    struct loom_probe p;
    struct loom_leak leak;
    int code = loom_probe_open(&p, &x->runner, s, NULL, NULL, e);
    if (code != LOOM_OK)
        return code;
    loom_str_printf(text, "\nscience of stage %s, on %d training windows\n", s->name, p.n);
    for (size_t i = 0; i < sizeof proofs / sizeof *proofs && code == LOOM_OK; i++) {
        code = proofs[i].run(&p, &leak, e);
        if (code != LOOM_OK)
            break;
        *failed += leak.outcome == LOOM_LEAK_FOUND;
        loom_str_printf(text, "  %-14s %s: %s\n", proofs[i].name,
                        leak.outcome == LOOM_LEAK_NONE    ? "passed"
                        : leak.outcome == LOOM_LEAK_FOUND ? "FAILED"
                                                          : "not asked",
                        leak.outcome == LOOM_LEAK_NONE ? proofs[i].passed : leak.text);
    }
    loom_probe_release(&p);
    return code;
}

static const char *sees(int ahead)
{
    return ahead ? "past and future" : "the past alone";
}

/* What an evaluation sets beside each other, and how far each sees. A difference of sight is one of scores. */
static int compare_sight(struct loom_running *x, const struct loom_stage *s, struct loom_str *text,
                         struct loom_error *e)
{
    const struct loom_stage *asks = &x->pipeline.stage[s->asks];
    struct loom_probe p;
    int ahead = 0, uneven = 0, code = loom_probe_open(&p, &x->runner, asks, NULL, NULL, e);
    if (code != LOOM_OK)
        return code;
    code = loom_leak_sight(&p, &ahead, e);
    loom_probe_release(&p);
    loom_str_printf(text, "\nsight of stage %s\n  %-14s %s\n", s->name, asks->name, sees(ahead));
    for (size_t i = 0; i < loom_opt_count(s->options, "against") && code == LOOM_OK; i++) {
        const char *id = loom_opt_string_at(s->options, "against", i);
        struct loom_model *m = NULL;
        code = loom_runner_baseline(&x->runner, s, asks, id, &m, e);
        if (code != LOOM_OK)
            break;
        loom_str_printf(text, "  %-14s %s\n", id, sees(!loom_model_causal(m)));
        uneven |= ahead && loom_model_causal(m);
        loom_model_free(m);
    }
    if (code == LOOM_OK && uneven)
        loom_str_printf(text,
                        "  uneven         %s also sees what comes after the time it is asked about: where it must not, "
                        "set the backbone's causal = true\n",
                        asks->name);
    return code;
}

int loom_run_check(const struct loom_run_spec *spec, char **text, struct loom_error *e)
{
    struct loom_running x;
    struct loom_str s = LOOM_STR_INIT;
    int failed = 0;
    *text = NULL;
    int code = loom_running_open(&x, spec, e);
    if (code == LOOM_OK)
        describe_data(x.runner.catalog, &s);
    for (int i = 0; i < x.pipeline.stages && code == LOOM_OK; i++)
        code = describe_stage(&x, &x.pipeline.stage[i], &s, e);
    for (int i = 0; i < x.pipeline.stages && code == LOOM_OK; i++)
        code = x.pipeline.stage[i].evaluates ? compare_sight(&x, &x.pipeline.stage[i], &s, e)
                                             : prove(&x, &x.pipeline.stage[i], &s, &failed, e);
    if (code == LOOM_OK) {
        *text = loom_str_take(&s);
        code = *text ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the report: free some");
    }
    if (code == LOOM_OK && failed)
        code = loom_fail(e, LOOM_EPLUGIN, NULL, 0,
                         "%d of the checks of science failed: what this pipeline reports would not be what it claims. "
                         "The report says where and what to change",
                         failed);
    loom_str_release(&s);
    loom_running_release(&x);
    return code;
}
