/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/report_log.h"

#include "base/io.h"
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct loom_curve *curve_of(struct loom_report_log *c, const char *stage, const char *name, int valid, int seed)
{
    for (int i = 0; i < c->n; i++)
        if (c->at[i].valid == valid && c->at[i].seed == seed && strcmp(c->at[i].stage, stage) == 0 &&
            strcmp(c->at[i].name, name) == 0)
            return &c->at[i];
    struct loom_curve *more = realloc(c->at, (size_t)(c->n + 1) * sizeof *more);
    if (more == NULL)
        return NULL;
    c->at = more;
    struct loom_curve *new = &c->at[c->n++];
    *new = (struct loom_curve){.valid = valid, .seed = seed};
    snprintf(new->stage, sizeof new->stage, "%s", stage);
    snprintf(new->name, sizeof new->name, "%s", name);
    return new;
}

static int add(struct loom_report_log *c, const char *stage, const char *name, int valid, int seed, double x,
               const json_t *value)
{
    if (!json_is_number(value))
        return 1;
    struct loom_curve *to = curve_of(c, stage, name, valid, seed);
    if (to != NULL && to->n == to->capacity) {
        int64_t capacity = to->capacity * 2 + 64;
        double *px = realloc(to->x, (size_t)capacity * sizeof *px);
        to->x = px != NULL ? px : to->x;
        double *py = realloc(to->y, (size_t)capacity * sizeof *py);
        to->y = py != NULL ? py : to->y;
        to->capacity = px != NULL && py != NULL ? capacity : to->capacity;
    }
    if (to == NULL || to->n == to->capacity)
        return 0;
    to->x[to->n] = x;
    to->y[to->n++] = json_number_value(value);
    return 1;
}

/* A line of the log: {"event": "step", "stage", "step", "loss", "terms": {…}} or {"event": "valid", …, MONITOR} or
 * {"event": "done", "seconds", "flops", "parameters"}. */
static int add_line(struct loom_report_log *c, int seed, const json_t *line)
{
    const char *event = json_string_value(json_object_get(line, "event"));
    const char *stage = json_string_value(json_object_get(line, "stage"));
    double step = json_number_value(json_object_get(line, "step"));
    json_t *value;
    const char *key;
    int ok = 1;
    if (event == NULL || stage == NULL)
        return 1;
    if (strcmp(event, "step") == 0) {
        ok = add(c, stage, "loss", 0, seed, step, json_object_get(line, "loss"));
        json_t *terms = json_object_get(line, "terms");
        json_object_foreach(terms, key, value) ok = ok && add(c, stage, key, 0, seed, step, value);
    } else if (strcmp(event, "valid") == 0) {
        static const char *const others[] = {"event", "stage", "step", "best", "best_step", "seconds"};
        json_t *all = (json_t *)(uintptr_t)line;
        json_object_foreach(all, key, value)
        {
            int other = 0;
            for (size_t i = 0; i < sizeof others / sizeof *others; i++)
                other |= strcmp(key, others[i]) == 0;
            ok = ok && (other || add(c, stage, key, 1, seed, step, value));
        }
    } else if (strcmp(event, "done") == 0) {
        c->steps += step;
        c->seconds += loom_json_real_at(line, "seconds");
        c->flops += loom_json_real_at(line, "flops");
        c->parameters = fmax(c->parameters, loom_json_real_at(line, "parameters"));
    }
    return ok;
}

int loom_report_log_read(struct loom_report_log *c, const char *run, int seed, struct loom_error *e)
{
    char path[LOOM_REPORT_PATH], *text;
    size_t size;
    if (!loom_report_path(path, run, "log.jsonl") || !loom_file_exists(path))
        return LOOM_OK;
    int rc = loom_file_read(&text, &size, path, (size_t)1 << 31, e), before = c->logs++;
    if (rc != LOOM_OK)
        return rc;
    double *const sum[] = {&c->steps, &c->seconds, &c->flops};
    for (int i = 0; i < 3; i++)
        *sum[i] *= before;
    c->parameters = before > 0 ? c->parameters : NAN;
    for (char *at = text, *end; rc == LOOM_OK && at < text + size; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + size - at));
        if (end == NULL)
            break; /* a line that a running or killed stage did not finish */
        json_t *line = loom_json_parse(at, (size_t)(end - at), path, e);
        if (line == NULL)
            rc = LOOM_EDATA;
        else if (!add_line(c, seed, line))
            rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the curves of %s; free some", run);
        json_decref(line);
    }
    for (int i = 0; i < 3; i++)
        *sum[i] /= c->logs;
    free(text);
    return rc;
}

void loom_report_log_release(struct loom_report_log *c)
{
    for (int i = 0; i < c->n; i++) {
        free(c->at[i].x);
        free(c->at[i].y);
    }
    free(c->at);
    *c = (struct loom_report_log){.n = 0};
}
