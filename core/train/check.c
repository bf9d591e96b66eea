/* SPDX-License-Identifier: Apache-2.0 */
#include "train/run.h"

#include <string.h>

static const char *const split_names[LOOM_SPLITS] = {"train", "valid", "test"};

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
        loom_str_printf(text, "  %-14s %.1f s in %d span%s\n", split_names[split], seconds, n, n == 1 ? "" : "s");
    }
    loom_str_add(text, "  leaks          none: no window of one split can touch the time of another\n");
}

/* Parameters by the first two parts of their names. */
static void describe_parameters(const struct loom_store *store, struct loom_str *text)
{
    int64_t sum = 0;
    size_t shown = 0;
    const char *group = "";
    for (int i = 0; i <= store->count; i++) {
        const struct loom_entry *n = i < store->count ? &store->entry[i] : NULL;
        if (n && n->lifetime != LOOM_LIFE_PARAM)
            continue;
        const char *dot = n ? strchr(n->name, '.') : NULL;
        dot = dot ? strchr(dot + 1, '.') : NULL;
        size_t length = n ? dot ? (size_t)(dot - n->name) : strlen(n->name) : 0;
        if (!n || length != shown || strncmp(group, n->name, length) != 0) {
            if (sum)
                loom_str_printf(text, "    %-36.*s %12lld\n", (int)shown, group, (long long)sum);
            sum = 0;
            shown = length;
            group = n ? n->name : "";
        }
        sum += n ? n->size : 0;
    }
}

static int describe_stage(struct loom_running *x, const struct loom_stage *s, struct loom_str *text,
                          struct loom_error *e)
{
    struct loom_runner *r = &x->runner;
    struct loom_model *m = NULL;
    int64_t frozen = 0;
    loom_str_printf(text, "\nstage %s: %s%s%s\n", s->name, s->evaluates ? "evaluates" : "trains",
                    s->from >= 0 ? ", from " : "", s->from >= 0 ? x->pipeline.stage[s->from].name : "");
    int code = loom_runner_model(r, &x->pipeline.stage[s->asks], 0, &m, e);
    if (code == LOOM_OK)
        code = loom_model_describe(m, text);
    if (code == LOOM_OK && !s->evaluates)
        code = loom_stage_scale(s, loom_model_store(m), e);
    if (code == LOOM_OK && !s->evaluates) {
        const struct loom_store *store = loom_model_store(m);
        for (int i = 0; i < store->count; i++)
            frozen +=
                store->entry[i].lifetime == LOOM_LIFE_PARAM && store->entry[i].lr_scale == 0 ? store->entry[i].size : 0;
        loom_str_printf(text, "  parameters     %lld, of these frozen %lld\n", (long long)loom_store_parameters(store),
                        (long long)frozen);
        describe_parameters(store, text);
    }
    loom_model_free(m);
    return code == LOOM_OK && !s->evaluates ? loom_train(r, s, text, e) : code;
}

int loom_run_check(const struct loom_run_spec *spec, char **text, struct loom_error *e)
{
    struct loom_running x;
    struct loom_str s = LOOM_STR_INIT;
    *text = NULL;
    int code = loom_running_open(&x, spec, e);
    if (code == LOOM_OK)
        describe_data(x.runner.catalog, &s);
    for (int i = 0; i < x.pipeline.stages && code == LOOM_OK; i++)
        code = describe_stage(&x, &x.pipeline.stage[i], &s, e);
    if (code == LOOM_OK) {
        *text = loom_str_take(&s);
        code = *text ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the report: free some");
    }
    loom_str_release(&s);
    loom_running_release(&x);
    return code;
}
