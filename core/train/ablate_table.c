/* SPDX-License-Identifier: Apache-2.0 */
/* An ablation's results for a terminal, and as comma-separated values. */
#include "base/io.h"
#include "train/ablate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CELL = 28 };

static json_int_t whole(const json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

/* The comparison of cell `a` with its reference on a metric; NULL: none. */
static const json_t *against_reference(const json_t *results, const char *key, json_int_t a)
{
    size_t i;
    json_t *c, *list = json_object_get(results, "comparisons");
    json_int_t reference = whole(json_array_get(json_object_get(results, "cells"), (size_t)a), "reference");
    json_array_foreach(list, i, c)
    {
        if (strcmp(loom_json_text_at(c, "metric"), key) == 0 && whole(c, "a") == a && whole(c, "b") == reference)
            return c;
    }
    return NULL;
}

/* ---- terminal ---- */

/* Columns that UTF-8 text takes on a terminal. */
static int columns(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void left(struct loom_str *s, const char *word, int width)
{
    loom_str_printf(s, "%s%*s", word, width > columns(word) ? width - columns(word) : 0, "");
}

static void interval(struct loom_str *s, const json_t *j, const char *mean, int sign)
{
    char word[96];
    double x = loom_json_real_at(j, mean), low = loom_json_real_at(j, "low"), high = loom_json_real_at(j, "high");
    if (isnan(x))
        snprintf(word, sizeof word, "-");
    else if (isnan(low))
        snprintf(word, sizeof word, sign ? "%+.4f" : "%.4f", x);
    else
        snprintf(word, sizeof word, sign ? "%+.4f [%+.4f, %+.4f]" : "%.4f [%.4f, %.4f]", x, low, high);
    left(s, word, CELL);
}

/* A row for each baseline, a column for each kind of data: all cells of one have the same. */
static void baselines(struct loom_str *s, const json_t *results, const char *key, int width)
{
    const json_t *cells = json_object_get(results, "cells");
    json_t *names = json_object(), *cell, *of;
    const char *name;
    size_t k, groups = 0;
    json_array_foreach(cells, k, cell)
    {
        groups += whole(cell, "group") == (json_int_t)k;
        json_object_foreach(json_object_get(cell, "baselines"), name, of) if (!isnan(loom_json_real_at(of, key)))
            json_object_set(names, name, of);
    }
    if (groups > 1 && json_object_size(names) > 0) {
        loom_str_add(s, "  ");
        left(s, "baselines", width);
        json_array_foreach(cells, k, cell) if (whole(cell, "group") == (json_int_t)k)
            left(s, loom_json_text_at(cell, "label"), CELL);
        loom_str_add(s, "\n");
    }
    json_object_foreach(names, name, of)
    {
        loom_str_add(s, "  ");
        left(s, name, width);
        json_array_foreach(cells, k, cell) if (whole(cell, "group") == (json_int_t)k)
            interval(s, json_object_get(json_object_get(cell, "baselines"), name), key, 0);
        loom_str_add(s, groups > 1 ? "\n" : "(baseline)\n");
    }
    json_decref(names);
}

static void rows(struct loom_str *s, const json_t *results, const char *key, int width)
{
    size_t k;
    json_t *cell, *cells = json_object_get(results, "cells");
    json_array_foreach(cells, k, cell)
    {
        const json_t *m = json_object_get(json_object_get(cell, "metrics"), key);
        const json_t *c = against_reference(results, key, (json_int_t)k);
        int own = (json_int_t)k == whole(cell, "reference");
        loom_str_add(s, own ? "* " : "  ");
        left(s, loom_json_text_at(cell, "label"), width);
        interval(s, m, "mean", 0);
        if (c) {
            interval(s, c, "difference", 1);
            loom_str_printf(s, " %lld/%lld  %-7.3g %-7.3g", (long long)whole(c, "wins"), (long long)whole(c, "losses"),
                            loom_json_real_at(c, "p_sign"), loom_json_real_at(c, "p_holm"));
        }
        loom_str_add(s, "\n");
    }
    baselines(s, results, key, width);
}

static void spent(struct loom_str *s, const json_t *results, int width)
{
    size_t k;
    json_t *cell, *cells = json_object_get(results, "cells");
    loom_str_add(s, "compute, mean over seeds\n  ");
    left(s, "", width);
    loom_str_add(s, "seconds     steps       FLOPs       parameters\n");
    json_array_foreach(cells, k, cell)
    {
        const json_t *c = json_object_get(cell, "compute");
        loom_str_add(s, "  ");
        left(s, loom_json_text_at(cell, "label"), width);
        loom_str_printf(s, "%-11.3g %-11.6g %-11.3g %lld\n", loom_json_real_at(c, "seconds"),
                        loom_json_real_at(c, "steps"), loom_json_real_at(c, "flops"),
                        (long long)json_integer_value(json_object_get(cell, "parameters")));
    }
}

static void failures(struct loom_str *s, const json_t *results)
{
    size_t k;
    const char *seed;
    json_t *cell, *why;
    json_array_foreach(json_object_get(results, "cells"), k, cell)
    {
        json_object_foreach(json_object_get(cell, "failed"), seed, why) loom_str_printf(
            s, "FAILED %s, seed %s: %s\n", loom_json_text_at(cell, "label"), seed, json_string_value(why));
    }
}

char *loom_ablation_table(const json_t *results)
{
    struct loom_str s = LOOM_STR_INIT;
    size_t k;
    int width = 10, seeds = (int)json_array_size(json_object_get(results, "seeds"));
    json_t *metric, *cell, *metrics = json_object_get(results, "metrics");
    json_array_foreach(json_object_get(results, "cells"), k, cell)
    {
        width = columns(loom_json_text_at(cell, "label")) + 2 > width ? columns(loom_json_text_at(cell, "label")) + 2
                                                                      : width;
    }
    loom_str_printf(&s, "%s: %zu cells, %d seeds, %g %% intervals by bootstrap over seeds\n",
                    loom_json_text_at(results, "name"), json_array_size(json_object_get(results, "cells")), seeds,
                    100 * loom_json_real_at(results, "confidence"));
    json_array_foreach(metrics, k, metric)
    {
        char head[400];
        snprintf(head, sizeof head, "%s, %s split: %s%s", loom_json_text_at(metric, "stage"),
                 loom_json_text_at(metric, "split"), loom_json_text_at(metric, "metric"),
                 json_is_true(json_object_get(metric, "rises")) ? "" : " (less is better)");
        loom_str_printf(&s, "\n%s\n  ", head);
        left(&s, "", width);
        left(&s, "mean", CELL);
        left(&s, "minus reference *", CELL);
        loom_str_add(&s, " +/-  p sign  p Holm\n");
        rows(&s, results, loom_json_text_at(metric, "key"), width);
    }
    loom_str_add(&s, "\n");
    spent(&s, results, width);
    loom_str_printf(&s, "\nSign tests pair seeds; with %d of them no p is below %.3g.\n", seeds,
                    fmin(1, pow(2, 1 - seeds)));
    failures(&s, results);
    return loom_str_take(&s);
}

/* ---- comma-separated values ---- */

static void quoted(struct loom_str *s, const char *word)
{
    loom_str_csv(s, word);
    loom_str_add(s, ",");
}

static void value(struct loom_str *s, double x, const char *end)
{
    if (isfinite(x))
        loom_str_real(s, x);
    loom_str_add(s, end);
}

static void labels(struct loom_str *s, const json_t *cell)
{
    size_t i;
    json_t *label;
    json_array_foreach(json_object_get(cell, "labels"), i, label) quoted(s, json_string_value(label));
}

static void axis_names(struct loom_str *s, const json_t *results)
{
    size_t i;
    json_t *axis;
    json_array_foreach(json_object_get(results, "axes"), i, axis) quoted(s, loom_json_text_at(axis, "name"));
}

static void table_csv(struct loom_str *s, const json_t *results)
{
    size_t k, i;
    json_t *metric, *cell;
    axis_names(s, results);
    loom_str_add(s, "metric,n,mean,low,high,sd,difference,difference_low,difference_high,wins,losses,p_sign,p_holm\n");
    json_array_foreach(json_object_get(results, "metrics"), i, metric)
    {
        json_array_foreach(json_object_get(results, "cells"), k, cell)
        {
            const char *key = loom_json_text_at(metric, "key");
            const json_t *m = json_object_get(json_object_get(cell, "metrics"), key);
            const json_t *c = against_reference(results, key, (json_int_t)k);
            const struct {
                const json_t *of;
                const char *name;
            } out[] = {{m, "n"},   {m, "mean"}, {m, "low"},  {m, "high"},   {m, "sd"},     {c, "difference"},
                       {c, "low"}, {c, "high"}, {c, "wins"}, {c, "losses"}, {c, "p_sign"}, {c, "p_holm"}};
            size_t n = sizeof out / sizeof *out;
            labels(s, cell);
            quoted(s, key);
            for (size_t x = 0; x < n; x++)
                value(s, loom_json_real_at(out[x].of, out[x].name), x + 1 < n ? "," : "\n");
        }
    }
}

static void seeds_csv(struct loom_str *s, const json_t *results)
{
    size_t k, i, n;
    json_t *metric, *cell, *x, *seeds = json_object_get(results, "seeds");
    axis_names(s, results);
    loom_str_add(s, "metric,seed,value\n");
    json_array_foreach(json_object_get(results, "metrics"), i, metric)
    {
        json_array_foreach(json_object_get(results, "cells"), k, cell)
        {
            const json_t *m = json_object_get(json_object_get(cell, "metrics"), loom_json_text_at(metric, "key"));
            json_array_foreach(json_object_get(m, "seeds"), n, x)
            {
                labels(s, cell);
                quoted(s, loom_json_text_at(metric, "key"));
                loom_str_printf(s, "%lld,", (long long)json_integer_value(json_array_get(seeds, n)));
                value(s, loom_json_to_real(x), "\n");
            }
        }
    }
}

static void compute_csv(struct loom_str *s, const json_t *results)
{
    size_t k;
    json_t *cell;
    axis_names(s, results);
    loom_str_add(s, "seconds,steps,windows,flops,parameters\n");
    json_array_foreach(json_object_get(results, "cells"), k, cell)
    {
        const json_t *c = json_object_get(cell, "compute");
        labels(s, cell);
        value(s, loom_json_real_at(c, "seconds"), ",");
        value(s, loom_json_real_at(c, "steps"), ",");
        value(s, loom_json_real_at(c, "windows"), ",");
        value(s, loom_json_real_at(c, "flops"), ",");
        value(s, loom_json_real_at(cell, "parameters"), "\n");
    }
}

int loom_ablation_csv(const struct loom_ablation *a, const json_t *results, struct loom_error *e)
{
    static const struct {
        const char *name;
        void (*fill)(struct loom_str *s, const json_t *results);
    } files[] = {{"table.csv", table_csv}, {"seeds.csv", seeds_csv}, {"compute.csv", compute_csv}};
    int code = LOOM_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && code == LOOM_OK; i++) {
        char path[LOOM_PATH];
        struct loom_str s = LOOM_STR_INIT;
        files[i].fill(&s, results);
        code = s.failed ? loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a table: free some")
                        : loom_rundir_path(&a->dir, path, e, "%s", files[i].name);
        if (code == LOOM_OK)
            code = loom_file_write(path, s.text, s.length, e);
        loom_str_release(&s);
    }
    return code;
}
