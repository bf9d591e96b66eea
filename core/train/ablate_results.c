/* SPDX-License-Identifier: Apache-2.0 */
/* results.json: what every cell's seeds gave, intervals over seeds, and paired comparisons of cells.
 *
 *   name, seeds […], axes [{name, labels, varies_data, varies_test}], reference (number of a cell), confidence, draws
 *   metrics  [{key: "STAGE.SPLIT.METRIC", stage, split, metric, rises}]
 *   cells    [{labels, label, folder, group (the first cell of its data and test), reference (the cell it is compared
 *              with, of its test), parameters, sha256, done, failed: {SEED: why},
 *              metrics: {KEY: {seeds […], mean, sd, low, high (bootstrap), student [low, high], n}},
 *              baselines: {NAME: {KEY: mean}}, compute: {seconds, steps, windows, flops} (means over seeds)}]
 *   comparisons [{metric: KEY, a, b, difference (a - b), low, high, wins, losses, n, p_sign, p_holm}] */
#include "base/io.h"
#include "eval/metrics.h"
#include "eval/stats.h"
#include "train/ablate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEYS = 256, MOST_PAIRS = LOOM_CELLS * (LOOM_CELLS - 1) / 2, KEY = 320 };
static const size_t LIMIT_LOG = (size_t)1 << 30;
static const uint64_t BOOTSTRAP_SEED = 1;

struct key {
    char text[KEY];
    char stage[LOOM_STAGE_NAME], split[16], metric[192];
};

struct gathered {
    const struct loom_ablation *a;
    json_t **metrics; /* [cells, seeds] of metrics.json; NULL: not done */
    struct key key[MOST_KEYS];
    int keys;
    double *value; /* [cells, seeds] of the metric at hand */
    int *pair;     /* [pairs, 2] numbers of cells */
    int pairs;
};

/* ---- what there is ---- */

static int load(struct gathered *g, struct loom_error *e)
{
    const struct loom_ablation *a = g->a;
    for (int k = 0; k < a->cells; k++)
        for (int i = 0; i < a->seeds; i++) {
            struct loom_rundir d = LOOM_RUNDIR;
            if (!a->cell[k].attempt[i].done)
                continue;
            snprintf(d.path, sizeof d.path, "%.4000s/seed-%lld", a->cell[k].folder, (long long)a->seed[i]);
            json_t *j = g->metrics[k * a->seeds + i] = loom_running_metrics(&d, e);
            if (!j)
                return LOOM_EDATA;
        }
    return LOOM_OK;
}

static int split_key(struct key *k)
{
    const char *dot = strchr(k->text, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;
    if (!second || dot - k->text >= LOOM_STAGE_NAME || second - dot > 15 || strlen(second) > sizeof k->metric)
        return 0;
    snprintf(k->stage, sizeof k->stage, "%.*s", (int)(dot - k->text), k->text);
    snprintf(k->split, sizeof k->split, "%.*s", (int)(second - dot - 1), dot + 1);
    snprintf(k->metric, sizeof k->metric, "%s", second + 1);
    return 1;
}

static void add_key(struct gathered *g, const char *stage, const char *split, const char *metric)
{
    struct key *k = &g->key[g->keys];
    if (g->keys == MOST_KEYS ||
        snprintf(k->text, sizeof k->text, "%s.%s.%s", stage, split, metric) >= (int)sizeof k->text)
        return;
    for (int i = 0; i < g->keys; i++)
        if (strcmp(g->key[i].text, k->text) == 0)
            return;
    g->keys += split_key(k);
}

static void find_keys(struct gathered *g)
{
    const struct loom_ablation *a = g->a;
    for (int k = 0; k < a->metrics && g->keys < MOST_KEYS; k++) {
        snprintf(g->key[g->keys].text, KEY, "%s", loom_opt_string_at(a->options, "metrics", (size_t)k));
        g->keys += split_key(&g->key[g->keys]);
    }
    for (int k = 0; a->metrics == 0 && k < a->cells * a->seeds; k++) {
        const char *stage, *split, *metric;
        json_t *splits, *of, *value;
        json_object_foreach(g->metrics[k], stage, splits)
        {
            json_object_foreach(splits, split, of)
            {
                json_object_foreach(of, metric, value)
                {
                    if (json_object_get(value, "mean"))
                        add_key(g, stage, split, metric);
                }
            }
        }
    }
}

static double look_up(const json_t *metrics, const struct key *k, const char *baseline)
{
    const json_t *j = json_object_get(json_object_get(metrics, k->stage), k->split);
    if (baseline)
        j = json_object_get(json_object_get(j, "baselines"), baseline);
    return loom_json_real_at(json_object_get(j, k->metric), "mean");
}

static void fetch(struct gathered *g, const struct key *k)
{
    for (int i = 0; i < g->a->cells * g->a->seeds; i++)
        g->value[i] = look_up(g->metrics[i], k, NULL);
}

/* ---- statistics ---- */

static double confidence(const struct gathered *g)
{
    return loom_opt_real(g->a->options, "confidence");
}

static int summarise(const struct gathered *g, const double *x, json_t **out, struct loom_error *e)
{
    static const double zeros[LOOM_ABLATE_SEEDS];
    struct loom_paired p;
    double squares = 0;
    int seeds = g->a->seeds,
        code = loom_paired_compare(&p, x, zeros, seeds, confidence(g), (int32_t)loom_opt_int(g->a->options, "draws"),
                                   BOOTSTRAP_SEED, e);
    if (code != LOOM_OK)
        return code;
    json_t *j = *out = json_object(), *each = json_array();
    for (int i = 0; i < seeds; i++) {
        json_array_append_new(each, loom_json_number(x[i]));
        squares += isnan(x[i]) ? 0 : (x[i] - p.difference) * (x[i] - p.difference);
    }
    json_object_set_new(j, "seeds", each);
    json_object_set_new(j, "n", json_integer(p.n));
    json_object_set_new(j, "mean", loom_json_number(p.difference));
    json_object_set_new(j, "low", loom_json_number(p.low));
    json_object_set_new(j, "high", loom_json_number(p.high));
    if (p.n > 1) {
        double sd = sqrt(squares / (double)(p.n - 1)), half = loom_student((int)p.n - 1) * sd / sqrt((double)p.n);
        json_object_set_new(j, "sd", loom_json_number(sd));
        json_object_set_new(j, "student", json_pack("[f,f]", p.difference - half, p.difference + half));
    }
    return LOOM_OK;
}

static int compare(struct gathered *g, const struct key *k, json_t *into, struct loom_error *e)
{
    size_t first = json_array_size(into);
    int code = LOOM_OK;
    for (int i = 0; i < g->pairs && code == LOOM_OK; i++) {
        int a = g->pair[2 * i], b = g->pair[2 * i + 1], seeds = g->a->seeds;
        struct loom_paired p;
        code = loom_paired_compare(&p, g->value + a * seeds, g->value + b * seeds, seeds, confidence(g),
                                   (int32_t)loom_opt_int(g->a->options, "draws"), BOOTSTRAP_SEED, e);
        if (code == LOOM_OK)
            json_array_append_new(into, loom_paired_json(&p, k->text, a, b));
    }
    return code == LOOM_OK ? loom_paired_adjust(into, first, e) : code;
}

static int find_pairs(struct gathered *g, struct loom_error *e)
{
    int n = g->a->cells, all = loom_opt_is(g->a->options, "compare", "all");
    g->pair = calloc((size_t)n * (size_t)n + 1, 2 * sizeof *g->pair);
    if (!g->pair)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for comparisons: free some");
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            if (all ? b < a && loom_cells_alike(g->a, &g->a->cell[a], &g->a->cell[b], 1)
                    : b == loom_cell_reference(g->a, a) && a != b) {
                g->pair[2 * g->pairs] = a;
                g->pair[2 * g->pairs++ + 1] = b;
            }
    return LOOM_OK;
}

/* ---- compute ---- */

/* Sums over the stages of one run, out of the lines that say a stage is done. */
static int add_compute(const char *folder, double sum[4], struct loom_error *e)
{
    static const char *const names[] = {"seconds", "step", "windows", "flops"};
    char path[LOOM_PATH], *bytes = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%.4000s/log.jsonl", folder);
    int code = loom_file_read(&bytes, &size, path, LIMIT_LOG, e);
    for (char *line = bytes, *next; code == LOOM_OK && line < bytes + size; line = next) {
        char *end = memchr(line, '\n', (size_t)(bytes + size - line));
        next = end ? end + 1 : bytes + size;
        if (!memmem(line, (size_t)(next - line), "\"event\":\"done\"", 14))
            continue;
        json_t *j = json_loadb(line, (size_t)(next - line), 0, NULL);
        for (int i = 0; i < 4; i++)
            sum[i] += loom_json_real_at(j, names[i]);
        json_decref(j);
    }
    free(bytes);
    return code;
}

static int compute_of(const struct loom_ablation *a, const struct loom_cell *c, json_t *into, struct loom_error *e)
{
    static const char *const names[] = {"seconds", "steps", "windows", "flops"};
    double sum[4] = {0};
    int n = 0, code = LOOM_OK;
    for (int i = 0; i < a->seeds && code == LOOM_OK; i++) {
        char folder[LOOM_PATH];
        if (!c->attempt[i].done)
            continue;
        snprintf(folder, sizeof folder, "%.4000s/seed-%lld", c->folder, (long long)a->seed[i]);
        code = add_compute(folder, sum, e);
        n++;
    }
    for (int i = 0; i < 4; i++)
        json_object_set_new(into, names[i], loom_json_number(n ? sum[i] / n : NAN));
    return code;
}

/* ---- cells ---- */

static int group_of(const struct loom_ablation *a, int k)
{
    for (int i = 0; i < k; i++)
        if (loom_cells_alike(a, &a->cell[i], &a->cell[k], 0))
            return i;
    return k;
}

/* Means over seeds of what baselines reached. */
static json_t *baselines_of(const struct gathered *g, int cell)
{
    const struct loom_ablation *a = g->a;
    json_t *out = json_object();
    for (int k = 0; k < g->keys; k++) {
        const json_t *first = NULL;
        const char *name;
        json_t *of;
        for (int i = 0; i < a->seeds && !first; i++)
            first = json_object_get(
                json_object_get(json_object_get(g->metrics[cell * a->seeds + i], g->key[k].stage), g->key[k].split),
                "baselines");
        json_object_foreach((json_t *)(uintptr_t)first, name, of)
        {
            double sum = 0;
            int n = 0;
            for (int i = 0; i < a->seeds; i++) {
                double x = look_up(g->metrics[cell * a->seeds + i], &g->key[k], name);
                sum += isnan(x) ? 0 : x;
                n += !isnan(x);
            }
            if (n == 0)
                continue;
            if (!json_object_get(out, name))
                json_object_set_new(out, name, json_object());
            json_object_set_new(json_object_get(out, name), g->key[k].text, json_real(sum / n));
        }
    }
    return out;
}

static json_t *describe_cell(const struct gathered *g, int k)
{
    const struct loom_ablation *a = g->a;
    const struct loom_cell *c = &a->cell[k];
    json_t *j = json_object(), *labels = json_array(), *failed = json_object();
    int done = 0;
    for (int i = 0; i < a->axes; i++)
        json_array_append_new(labels, json_string(loom_opt_string(a->axis[i].value[c->at[i]], "label")));
    for (int i = 0; i < a->seeds; i++) {
        char seed[32];
        snprintf(seed, sizeof seed, "%lld", (long long)a->seed[i]);
        done += c->attempt[i].done;
        if (c->attempt[i].failed)
            json_object_set_new(failed, seed, json_string(c->attempt[i].failed));
    }
    json_object_set_new(j, "label", json_string(c->label));
    json_object_set_new(j, "labels", labels);
    json_object_set_new(j, "folder", json_string(c->folder + strlen(a->dir.path) + 1));
    json_object_set_new(j, "group", json_integer(group_of(a, k)));
    json_object_set_new(j, "reference", json_integer(loom_cell_reference(a, k)));
    json_object_set_new(j, "parameters", json_integer(c->parameters));
    json_object_set_new(j, "sha256", json_string(c->sha256));
    json_object_set_new(j, "done", json_integer(done));
    json_object_set_new(j, "failed", failed);
    json_object_set_new(j, "metrics", json_object());
    json_object_set_new(j, "baselines", baselines_of(g, k));
    json_object_set_new(j, "compute", json_object());
    return j;
}

static json_t *describe(const struct gathered *g)
{
    const struct loom_ablation *a = g->a;
    json_t *j = json_object(), *seeds = json_array(), *axes = json_array(), *metrics = json_array(),
           *cells = json_array();
    for (int i = 0; i < a->seeds; i++)
        json_array_append_new(seeds, json_integer(a->seed[i]));
    for (int i = 0; i < a->axes; i++) {
        json_t *labels = json_array();
        for (int k = 0; k < a->axis[i].values; k++)
            json_array_append_new(labels, json_string(loom_opt_string(a->axis[i].value[k], "label")));
        json_array_append_new(axes,
                              json_pack("{s:s,s:o,s:b,s:b}", "name", a->axis[i].name, "labels", labels, "varies_data",
                                        a->axis[i].varies_data, "varies_test", a->axis[i].varies_test));
    }
    for (int k = 0; k < g->keys; k++)
        json_array_append_new(metrics, json_pack("{s:s,s:s,s:s,s:s,s:b}", "key", g->key[k].text, "stage",
                                                 g->key[k].stage, "split", g->key[k].split, "metric", g->key[k].metric,
                                                 "rises", loom_metric_rises(g->key[k].metric)));
    for (int k = 0; k < a->cells; k++)
        json_array_append_new(cells, describe_cell(g, k));
    json_object_set_new(j, "name", json_string(a->name));
    json_object_set_new(j, "version", json_string(loom_version()));
    json_object_set_new(j, "seeds", seeds);
    json_object_set_new(j, "axes", axes);
    json_object_set_new(j, "reference", json_integer(a->reference));
    json_object_set_new(j, "compare", json_string(loom_opt_string(a->options, "compare")));
    json_object_set_new(j, "confidence", json_real(confidence(g)));
    json_object_set_new(j, "draws", json_integer(loom_opt_int(a->options, "draws")));
    json_object_set_new(j, "metrics", metrics);
    json_object_set_new(j, "cells", cells);
    json_object_set_new(j, "comparisons", json_array());
    return j;
}

static int fill(struct gathered *g, json_t *j, struct loom_error *e)
{
    const struct loom_ablation *a = g->a;
    int code = LOOM_OK;
    for (int k = 0; k < g->keys && code == LOOM_OK; k++) {
        fetch(g, &g->key[k]);
        for (int c = 0; c < a->cells && code == LOOM_OK; c++) {
            json_t *summary = NULL, *cell = json_array_get(json_object_get(j, "cells"), (size_t)c);
            code = summarise(g, g->value + c * a->seeds, &summary, e);
            if (code == LOOM_OK)
                json_object_set_new(json_object_get(cell, "metrics"), g->key[k].text, summary);
        }
        if (code == LOOM_OK)
            code = compare(g, &g->key[k], json_object_get(j, "comparisons"), e);
    }
    for (int c = 0; c < a->cells && code == LOOM_OK; c++)
        code = compute_of(a, &a->cell[c],
                          json_object_get(json_array_get(json_object_get(j, "cells"), (size_t)c), "compute"), e);
    return code;
}

json_t *loom_ablation_results(const struct loom_ablation *a, struct loom_error *e)
{
    struct gathered *g = calloc(1, sizeof *g);
    size_t n = (size_t)a->cells * (size_t)a->seeds;
    json_t *j = NULL;
    int code = LOOM_ENOMEM;
    if (g) {
        g->a = a;
        g->metrics = calloc(n + 1, sizeof(json_t *));
        g->value = calloc(n + 1, sizeof *g->value);
        code = g->metrics && g->value ? LOOM_OK : LOOM_ENOMEM;
    }
    if (code == LOOM_ENOMEM)
        loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for results: free some");
    if (code == LOOM_OK)
        code = load(g, e);
    if (code == LOOM_OK) {
        find_keys(g);
        code = find_pairs(g, e);
    }
    if (code == LOOM_OK) {
        j = describe(g);
        code = fill(g, j, e);
    }
    for (size_t i = 0; g && g->metrics && i < n; i++)
        json_decref(g->metrics[i]);
    if (g) {
        free(g->metrics);
        free(g->value);
        free(g->pair);
    }
    free(g);
    if (code == LOOM_OK)
        return j;
    json_decref(j);
    return NULL;
}
