/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/report.h"

#include "base/io.h"
#include "eval/report_log.h"

#include <loom/report.h>

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int loom_report_path(char out[LOOM_REPORT_PATH], const char *folder, const char *name)
{
    int n = snprintf(out, LOOM_REPORT_PATH, "%s/%s", folder, name);
    return n > 0 && n < LOOM_REPORT_PATH;
}

/* From folder to folder, over what both paths begin with once links are resolved. */
void loom_report_relative(char out[LOOM_REPORT_PATH], const char *from, const char *to)
{
    char *a = realpath(from, NULL), *b = realpath(to, NULL);
    size_t same = 0, n = 0;
    snprintf(out, LOOM_REPORT_PATH, "%s", to);
    if (a != NULL && b != NULL) {
        for (size_t i = 0; a[i] == b[i] || a[i] == '\0' || b[i] == '\0'; i++) {
            int end_a = a[i] == '\0' || a[i] == '/', end_b = b[i] == '\0' || b[i] == '/';
            same = end_a && end_b ? i : same;
            if (a[i] == '\0' || b[i] == '\0')
                break;
        }
        out[0] = '\0';
        for (const char *at = a + same; *at != '\0' && n + 4 < LOOM_REPORT_PATH; at++)
            if (*at == '/' && at[1] != '\0')
                n += (size_t)snprintf(out + n, LOOM_REPORT_PATH - n, "../");
        snprintf(out + n, LOOM_REPORT_PATH - n, "%s", b[same] == '/' ? b + same + 1 : n > 0 ? b + same : ".");
    }
    free(a);
    free(b);
}

/* ---- CSV ---- */

int loom_report_csv(struct loom_page *p, const char *name, const struct loom_str *text, char href[256],
                    struct loom_error *e)
{
    char path[LOOM_REPORT_PATH];
    const char *seed = p->shown > 0 ? strrchr(p->seed[p->shown], '/') : NULL;
    int n = snprintf(href, 256, "report/%s%s%s", seed != NULL ? seed + 1 : "", seed != NULL ? "-" : "", name);
    for (char *c = href + sizeof "report"; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("-_.", *c) == NULL)
            *c = '_';
    snprintf(href + (n < 250 ? n : 250), 6, ".csv");
    if (text->failed)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a figure's numbers; free some");
    if (!loom_report_path(path, p->folder, href))
        return loom_fail(e, LOOM_EIO, p->folder, 0, "the path of a report's file is too long; move the run");
    return loom_file_write(path, text->length > 0 ? text->text : "", text->length, e);
}

void loom_report_lines_csv(struct loom_str *s, const char *x, const char *y, const struct loom_line *line, int lines)
{
    const char *last[2] = {"", ""};
    int spread = 0;
    for (int i = 0; i < lines; i++)
        spread |= line[i].spread != NULL;
    loom_str_printf(s, "line,repeat,%s,%s%s\n", x, y, spread ? ",spread" : "");
    for (int i = 0, repeat = 0; i < lines; i++) {
        repeat += line[i].name != NULL ? -repeat : 1;
        last[0] = line[i].name != NULL ? line[i].name : last[0];
        for (int64_t k = 0; k < line[i].n; k++) {
            if (isnan(line[i].y[k]))
                continue;
            loom_str_csv(s, last[0]);
            loom_str_printf(s, ",%d,%.9g,%.9g", repeat, line[i].x[k], line[i].y[k]);
            if (line[i].spread != NULL && isfinite(line[i].spread[k]))
                loom_str_printf(s, ",%.9g\n", line[i].spread[k]);
            else
                loom_str_add(s, spread ? ",\n" : "\n");
        }
    }
}

/* ---- one run ---- */

static int natural(const void *a, const void *b)
{
    const char *x = strrchr(*(char *const *)a, '-'), *y = strrchr(*(char *const *)b, '-');
    long long i = x != NULL ? atoll(x + 1) : 0, j = y != NULL ? atoll(y + 1) : 0;
    return (i > j) - (i < j);
}

static int find_seeds(struct loom_page *p, struct loom_error *e)
{
    char path[LOOM_REPORT_PATH];
    DIR *d = opendir(p->run);
    int rc = LOOM_OK;
    for (struct dirent *at; d != NULL && rc == LOOM_OK && (at = readdir(d)) != NULL;) {
        if (strncmp(at->d_name, "seed-", 5) != 0 || p->seeds == LOOM_REPORT_SEEDS ||
            !loom_report_path(path, p->run, at->d_name))
            continue;
        if ((p->seed[p->seeds] = strdup(path)) == NULL)
            rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a report; free some");
        else
            p->seeds++;
    }
    if (d != NULL)
        closedir(d);
    qsort(p->seed, (size_t)p->seeds, sizeof *p->seed, natural);
    return rc;
}

int loom_report_open(struct loom_page *p, const char *run, struct loom_error *e)
{
    char path[LOOM_REPORT_PATH];
    p->run = run;
    if (!loom_report_path(path, run, "pipeline.cfg") || !loom_file_exists(path))
        return loom_fail(e, LOOM_ECONFIG, run, 0,
                         "is no folder of a run: it has no pipeline.cfg; give one that `loom "
                         "run` made");
    int rc = find_seeds(p, e);
    if (rc == LOOM_OK && loom_report_path(path, run, "metrics.json") && loom_file_exists(path)) {
        p->metrics = loom_json_load(path, (size_t)1 << 28, e);
        rc = p->metrics != NULL ? LOOM_OK : e != NULL && e->code != LOOM_OK ? e->code : LOOM_EDATA;
    }
    return rc;
}

void loom_report_close(struct loom_page *p)
{
    for (int k = 0; k < p->seeds; k++)
        free(p->seed[k]);
    json_decref(p->metrics);
    p->seeds = 0;
    p->metrics = NULL;
}

/* A text file of the run that opens at a touch. */
static int folded(struct loom_page *p, const char *file, const char *title, struct loom_error *e)
{
    char path[LOOM_REPORT_PATH], *text;
    size_t size;
    if (!loom_report_path(path, p->run, file) || !loom_file_exists(path))
        return LOOM_OK;
    int rc = loom_file_read(&text, &size, path, (size_t)1 << 24, e);
    if (rc != LOOM_OK)
        return rc;
    loom_str_printf(&p->html, "<details><summary>%s</summary><pre>", title);
    loom_str_html(&p->html, text);
    loom_str_add(&p->html, "</pre></details>\n");
    free(text);
    return LOOM_OK;
}

const char *loom_report_name(const char *run, char buffer[64])
{
    size_t n = strlen(run);
    while (n > 1 && run[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && run[from - 1] != '/')
        from--;
    snprintf(buffer, 64, "%.*s", (int)(n - from), run + from);
    return buffer;
}

static void status_line(struct loom_page *p)
{
    char path[LOOM_REPORT_PATH], *text = NULL;
    size_t size;
    loom_str_add(&p->html, "<p class=soft>");
    if (loom_report_path(path, p->run, "status") && loom_file_exists(path) &&
        loom_file_read(&text, &size, path, 65536, NULL) == LOOM_OK) {
        while (size > 0 && isspace((unsigned char)text[size - 1]))
            text[--size] = '\0';
        loom_str_html(&p->html, text);
        free(text);
    }
    if (p->seeds > 0)
        loom_str_printf(&p->html, ", %d seeds", p->seeds);
    loom_str_printf(&p->html, ", neuroloom %s", loom_version());
}

/* What it took: of a run over seeds, each of them. */
static int effort(struct loom_page *p, struct loom_error *e)
{
    struct loom_report_log log = {.n = 0};
    int rc = LOOM_OK;
    for (int k = 0; k < (p->seeds > 0 ? p->seeds : 1) && rc == LOOM_OK; k++)
        rc = loom_report_log_read(&log, p->seeds > 0 ? p->seed[k] : p->run, k, e);
    if (rc == LOOM_OK && log.steps > 0.0 && isfinite(log.parameters)) {
        loom_str_printf(&p->html, "<br>%.0f parameters, %.0f steps of training in ", log.parameters, log.steps);
        loom_str_printf(&p->html, log.seconds < 120.0 ? "%.0f s" : "%.1f min",
                        log.seconds < 120.0 ? log.seconds : log.seconds / 60.0);
        loom_str_add(&p->html, p->seeds > 1 ? " each (mean)" : "");
    }
    loom_str_add(&p->html, "</p>\n");
    loom_report_log_release(&log);
    return rc;
}

static int run_sections(struct loom_page *p, struct loom_error *e)
{
    char name[64];
    loom_str_add(&p->html, "<h1>");
    loom_str_html(&p->html, loom_report_name(p->run, name));
    loom_str_add(&p->html, "</h1>\n");
    status_line(p);
    int rc = effort(p, e);
    loom_report_tiles(p);
    loom_report_metrics(p);
    loom_report_seeds(p);
    if (rc == LOOM_OK)
        rc = loom_report_predictions(p, e);
    if (rc == LOOM_OK)
        rc = loom_report_curves(p, e);
    if (rc == LOOM_OK)
        loom_str_add(&p->html, "<h2>How it ran</h2>\n");
    if (rc == LOOM_OK)
        rc = folded(p, "pipeline.cfg", "The pipeline as it ran, with every default", e);
    if (rc == LOOM_OK)
        rc = folded(p, "env.json", "Machine and build", e);
    return rc;
}

/* ---- the page ---- */

void loom_report_head(struct loom_str *s, const char *title)
{
    loom_str_add(s, "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
                    "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n"
                    "<meta name=color-scheme content=\"light dark\">\n<title>");
    loom_str_html(s, title);
    loom_str_add(s, "</title>\n<style>\n");
    loom_str_add(s, loom_report_style);
    loom_str_add(s, "</style></head><body>\n");
}

static void page_begin(struct loom_page *p, const struct loom_report_spec *spec)
{
    char name[64], title[96];
    loom_report_name(spec->run[0], name);
    snprintf(title, sizeof title, spec->runs > 1 ? "%s and %d more" : "%s", name, spec->runs - 1);
    loom_report_head(&p->html, title);
}

static int page_body(struct loom_page *p, const struct loom_report_spec *spec, struct loom_error *e)
{
    if (spec->runs > 1)
        return loom_report_compare(p, spec->run, spec->runs, e);
    int rc = loom_report_open(p, spec->run[0], e);
    if (rc == LOOM_OK)
        rc = run_sections(p, e);
    loom_report_close(p);
    return rc;
}

/* The page's folder, and the folder of numbers in it. */
static int make_folders(struct loom_page *p, const char *out, struct loom_error *e)
{
    char path[LOOM_REPORT_PATH];
    const char *slash = strrchr(out, '/');
    snprintf(p->folder, sizeof p->folder, "%.*s", slash != NULL ? (int)(slash - out) : 1, slash != NULL ? out : ".");
    if (slash == out)
        snprintf(p->folder, sizeof p->folder, "/.");
    if (!loom_report_path(path, p->folder, "report"))
        return loom_fail(e, LOOM_EIO, out, 0, "the path of the report is too long; choose a shorter one");
    return loom_mkdirs(path, e);
}

/* The folder of an ablation has results and no pipeline of its own. */
static int is_ablation(const char *folder, char results[LOOM_REPORT_PATH])
{
    char pipeline[LOOM_REPORT_PATH];
    return loom_report_path(pipeline, folder, "pipeline.cfg") && !loom_file_exists(pipeline) &&
           loom_report_path(results, folder, "results.json") && loom_file_exists(results);
}

/* Its page anew, out of its results. */
static int write_ablation(const struct loom_report_spec *spec, const char *path, struct loom_error *e)
{
    if (spec->out != NULL)
        return loom_fail(e, LOOM_EINVAL, spec->run[0], 0,
                         "is an ablation, whose report links to its cells: it is written into its folder alone");
    json_t *results = loom_json_load(path, (size_t)1 << 28, e);
    int rc = results == NULL ? LOOM_EDATA : loom_report_ablation(spec->run[0], results, e);
    json_decref(results);
    return rc;
}

int loom_report_write(const struct loom_report_spec *spec, struct loom_error *e)
{
    struct loom_page p = {.html = LOOM_STR_INIT};
    char out[LOOM_REPORT_PATH];
    if (spec->runs < 1)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "a report needs a run; name its folder");
    if (spec->runs == 1 && is_ablation(spec->run[0], out))
        return write_ablation(spec, out, e);
    snprintf(out, sizeof out, "%s%s", spec->out != NULL ? spec->out : spec->run[0],
             spec->out != NULL ? ""
             : spec->runs == 1 ? "/report.html"
                               : "/comparison.html");
    int rc = loom_report_open(&p, spec->run[0], e);
    loom_report_close(&p);
    if (rc == LOOM_OK)
        rc = make_folders(&p, out, e);
    if (rc == LOOM_OK) {
        page_begin(&p, spec);
        rc = page_body(&p, spec, e);
        loom_str_add(&p.html, "</body></html>\n");
    }
    if (rc == LOOM_OK)
        rc = p.html.failed ? loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a report; free some")
                           : loom_file_write(out, p.html.text, p.html.length, e);
    loom_str_release(&p.html);
    return rc;
}
