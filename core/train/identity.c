/* SPDX-License-Identifier: Apache-2.0 */
#include "train/identity.h"

#include "base/hash.h"
#include "base/io.h"
#include "config/walk.h"

#include <stdlib.h>
#include <string.h>

static void put(json_t *into, const char *path, const struct loom_str *value)
{
    json_object_set_new(into, path, json_string(value->text ? value->text : ""));
}

static void take(void *into, const char *path, const char *value)
{
    json_object_set_new(into, path, json_string(value));
}

/* Of an evaluation stage those keys that decide about numbers. */
static void take_evaluation(void *into, const char *path, const char *value)
{
    static const char *const keys[] = {".metrics",    ".against",   ".splits",   ".draws",          ".recordings",
                                       ".objectives", ".condition", ".behavior", ".behavior_lag_ms"};
    const char *key = strrchr(path, '.');
    int matters = strstr(path, ".baselines.") != NULL;
    for (size_t i = 0; key && i < sizeof keys / sizeof *keys; i++)
        matters |= strcmp(key, keys[i]) == 0;
    if (matters)
        take(into, path, value);
}

/* Names, units, numbers of spikes and samples of each recording: another file under the same name is found out. */
static void add_recordings(json_t *into, const struct loom_catalog *c)
{
    struct loom_str value = LOOM_STR_INIT;
    uint32_t crc = 0;
    for (int i = 0; i < loom_catalog_count(c); i++) {
        const struct loom_recording *r = loom_catalog_recording(c, i);
        crc = loom_crc32c(crc, r->id, strlen(r->id));
        crc = loom_crc32c(crc, &r->start_s, sizeof r->start_s);
        crc = loom_crc32c(crc, &r->stop_s, sizeof r->stop_s);
        if (r->first_spike)
            crc = loom_crc32c(crc, r->first_spike, ((size_t)r->units + 1) * sizeof *r->first_spike);
        if (r->counts)
            crc = loom_crc32c(crc, r->counts->first_bin, ((size_t)r->counts->blocks + 1) * sizeof(int64_t));
        for (int k = 0; k < r->series_count; k++)
            crc = loom_crc32c(crc, &r->series[k].samples, sizeof r->series[k].samples);
    }
    loom_str_printf(&value, "%d recordings, checksum %08x", (int)loom_catalog_count(c), crc);
    put(into, "data.files (what they hold)", &value);
    loom_str_release(&value);
}

static void add_spans(json_t *into, const struct loom_catalog *c)
{
    int32_t n = 0;
    struct loom_str value = LOOM_STR_INIT;
    const struct loom_span *span = loom_catalog_spans(c, &n);
    uint32_t crc = 0;
    for (int32_t i = 0; i < n; i++) {
        const int64_t x[] = {span[i].begin_ns, span[i].end_ns,    span[i].window_ns,
                             span[i].stop_ns,  span[i].recording, span[i].split};
        crc = loom_crc32c(crc, x, sizeof x);
    }
    loom_str_printf(&value, "%d spans, checksum %08x", (int)n, crc);
    put(into, "data.split (its spans)", &value);
    loom_str_release(&value);
}

int loom_identity_of(json_t **out, const struct loom_running *x, struct loom_error *e)
{
    struct loom_config *resolved;
    int code = loom_config_parse(&resolved, x->runner.resolved, x->origin, 0, NULL, e);
    *out = NULL;
    if (code != LOOM_OK)
        return code;
    json_t *into = *out = json_object();
    code = loom_group_values(loom_config_group(resolved, "data"), take, into, e);
    add_recordings(into, x->runner.catalog);
    add_spans(into, x->runner.catalog);
    for (int i = 0; i < x->pipeline.stages && code == LOOM_OK; i++) {
        char path[LOOM_STAGE_NAME + 16];
        snprintf(path, sizeof path, "stages.%s", x->pipeline.stage[i].name);
        if (x->pipeline.stage[i].evaluates)
            code = loom_group_values(loom_config_group(resolved, path), take_evaluation, into, e);
    }
    loom_config_free(resolved);
    return code;
}

int loom_identity_write(const struct loom_running *x, struct loom_error *e)
{
    char path[LOOM_PATH], *text = NULL;
    json_t *identity = NULL;
    int code = loom_rundir_path(&x->dir, path, e, "identity.json");
    if (code != LOOM_OK || loom_file_exists(path))
        return code;
    code = loom_identity_of(&identity, x, e);
    if (code == LOOM_OK && !(text = json_dumps(identity, JSON_SORT_KEYS | JSON_INDENT(2))))
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for what runs have in common: free some");
    if (code == LOOM_OK)
        code = loom_file_write(path, text, strlen(text), e);
    free(text);
    json_decref(identity);
    return code;
}
