/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/report.h"

#include "config/walk.h"

#include <loom/config.h>

#include <string.h>

static void take(void *into, const char *path, const char *value)
{
    json_object_set_new(into, path, json_string(value));
}

/* Stages and objectives are lists, one value each to a walk: their elements are walked under their names. */
struct prefixed {
    json_t *into;
    const char *prefix;
};

static void take_prefixed(void *payload, const char *path, const char *value)
{
    static const char *const lists[] = {"objectives", "lr_scale"};
    const struct prefixed *p = payload;
    const char *key = strrchr(path, '.');
    char name[512];
    key = key != NULL ? key + 1 : path;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (strcmp(key, lists[i]) == 0 && strchr(value, '{') != NULL)
            return;
    /* groups in the element keep the part of the path that is their own */
    const char *own = strstr(path, ".optimizer."), *lora = strstr(path, ".lora."), *base = strstr(path, ".baselines.");
    own = own != NULL ? own : lora != NULL ? lora : base;
    snprintf(name, sizeof name, "%s%s%s", p->prefix, own != NULL ? "" : ".", own != NULL ? own : key);
    json_object_set_new(p->into, name, json_string(value));
}

static int take_elements(json_t *into, const struct loom_group *of, const char *list, const char *prefix,
                         const char *named, struct loom_error *e)
{
    int code = LOOM_OK;
    for (size_t i = 0; i < loom_group_list_count(of, list) && code == LOOM_OK; i++) {
        const struct loom_group *g = loom_group_list(of, list, i);
        const char *name = g != NULL ? loom_group_text(g, named) : NULL;
        char path[256];
        struct prefixed p = {into, path};
        snprintf(path, sizeof path, "%.120s.%.100s", prefix, name != NULL ? name : "?");
        code = loom_group_values(g, take_prefixed, &p, e);
        if (code == LOOM_OK && strcmp(list, "stages") == 0 && g != NULL)
            code = take_elements(into, g, "objectives", path, "plugin", e);
    }
    return code;
}

int loom_report_keys(json_t **out, const char *pipeline, struct loom_error *e)
{
    struct loom_config *config = NULL;
    int code = loom_config_open(&config, pipeline, 0, NULL, e);
    *out = NULL;
    if (code != LOOM_OK)
        return code;
    *out = json_object();
    code = loom_group_values(loom_config_root(config), take, *out, e);
    json_object_del(*out, "stages");
    json_object_del(*out, "name");
    if (code == LOOM_OK)
        code = take_elements(*out, loom_config_root(config), "stages", "stages", "name", e);
    loom_config_free(config);
    return code;
}
