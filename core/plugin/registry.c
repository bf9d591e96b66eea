/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/registry.h"

#include "base/str.h"
#include "plugin/load.h"
#include "plugin/tried.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef LOOM_PLUGIN_DIR
#error "the folder of installed plugins comes from the makefile: -DLOOM_PLUGIN_DIR"
#endif

struct module {
    dev_t dev;
    ino_t ino;
    char *file;
    struct loom_loaded *loaded; /* [n]; NULL: refused */
    int n;
};

struct loom_registry {
    char **folder;
    struct module **module;
    struct loom_known *known;
    struct loom_refused *refused;
    struct loom_loaded **builtin;
    size_t folders, modules, knowns, refusals, builtins;
    int scanned;
    enum loom_care care;
    const struct loom_build_block *host; /* NULL: this build's */
};

static int no_memory(struct loom_error *e)
{
    return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the list of plugins; free some");
}

/* Room for one more element behind the `n` of `*list`; the lists are short, so each grows by one. */
static int grow(void *list, size_t n, size_t element, struct loom_error *e)
{
    void *old, *more;
    memcpy(&old, list, sizeof old);
    if ((more = realloc(old, (n + 1) * element)) == NULL)
        return no_memory(e);
    memcpy(list, &more, sizeof more);
    return LOOM_OK;
}

static int refuse(struct loom_registry *r, const char *file, const char *reason, struct loom_error *e)
{
    if (grow(&r->refused, r->refusals, sizeof *r->refused, e) != LOOM_OK)
        return LOOM_ENOMEM;
    char *file_copy = strdup(file), *reason_copy = strdup(reason);
    r->refused[r->refusals++] = (struct loom_refused){file_copy, reason_copy};
    loom_log(LOOM_INFO, "plugin refused: %s: %s", file, reason);
    return file_copy == NULL || reason_copy == NULL ? no_memory(e) : LOOM_OK;
}

static const struct loom_known *lookup(const struct loom_registry *r, uint32_t kind, const char *id)
{
    for (size_t i = 0; i < r->knowns; i++)
        if ((kind == 0 || r->known[i].plugin->kind == kind) && strcmp(r->known[i].plugin->id, id) == 0)
            return &r->known[i];
    return NULL;
}

/* The first of two plugins of one kind and id is the one that counts, as with programs on $PATH. */
static int adopt(struct loom_registry *r, const struct loom_plugin *p, const char *file, struct loom_error *e)
{
    const struct loom_known *other = lookup(r, p->kind, p->id);
    if (other != NULL) {
        char reason[640];
        snprintf(reason, sizeof reason,
                 "hidden by the %s \"%s\" of %s; rename one of them, or name this file by its path",
                 loom_kind_name(p->kind), p->id, other->file != NULL ? other->file : "the library itself");
        return refuse(r, file, reason, e);
    }
    if (grow(&r->known, r->knowns, sizeof *r->known, e) != LOOM_OK)
        return LOOM_ENOMEM;
    r->known[r->knowns++] = (struct loom_known){p, file};
    return LOOM_OK;
}

static int add_builtins(struct loom_registry *r, struct loom_error *e)
{
    for (const struct loom_plugin *const *p = loom__builtins; *p != NULL; p++) {
        struct loom_loaded *copy = calloc(1, sizeof *copy);
        if (copy == NULL || grow(&r->builtin, r->builtins, sizeof *r->builtin, e) != LOOM_OK) {
            free(copy);
            return no_memory(e);
        }
        r->builtin[r->builtins++] = copy;
        int rc = loom_plugin_check(*p, NULL, NULL, copy, e);
        if (rc != LOOM_OK || (rc = adopt(r, &copy->plugin, NULL, e)) != LOOM_OK)
            return rc;
    }
    return LOOM_OK;
}

static int add_folders(struct loom_registry *r, const char *list, struct loom_error *e)
{
    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, ":");
        if (n > 0) {
            if (grow(&r->folder, r->folders, sizeof *r->folder, e) != LOOM_OK)
                return LOOM_ENOMEM;
            if ((r->folder[r->folders] = strndup(at, n)) == NULL)
                return no_memory(e);
            r->folders++;
        }
        at += n + (at[n] == ':');
    }
    return LOOM_OK;
}

int loom_registry_new(struct loom_registry **out, const char *path, struct loom_error *e)
{
    struct loom_registry *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r == NULL)
        return no_memory(e);
    int rc = add_builtins(r, e);
    if (rc == LOOM_OK)
        rc = add_folders(r, path, e);
    if (rc == LOOM_OK)
        rc = add_folders(r, getenv("LOOM_PLUGIN_PATH"), e);
    if (rc == LOOM_OK)
        rc = add_folders(r, LOOM_PLUGIN_DIR, e);
    if (rc == LOOM_OK)
        *out = r;
    else
        loom_registry_free(r);
    return rc;
}

void loom_registry_free(struct loom_registry *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->folders; i++)
        free(r->folder[i]);
    for (size_t i = 0; i < r->modules; i++) {
        free(r->module[i]->file);
        free(r->module[i]->loaded);
        free(r->module[i]);
    }
    for (size_t i = 0; i < r->refusals; i++) {
        free(r->refused[i].file);
        free(r->refused[i].reason);
    }
    for (size_t i = 0; i < r->builtins; i++)
        free(r->builtin[i]);
    free(r->folder);
    free(r->module);
    free(r->known);
    free(r->refused);
    free(r->builtin);
    free(r);
}

void loom_registry_careful(struct loom_registry *r, enum loom_care care)
{
    r->care = care;
}

static int is_tried(const struct loom_registry *r, const char *file)
{
    const size_t n = strlen(LOOM_PLUGIN_DIR);
    const int installed = strncmp(file, LOOM_PLUGIN_DIR, n) == 0 && file[n] == '/';
    return r->care == LOOM_CARE_ALL || (r->care == LOOM_CARE_STRANGERS && !installed);
}

void loom_registry_host(struct loom_registry *r, const struct loom_build_block *host)
{
    r->host = host;
}

static struct module *known_module(const struct loom_registry *r, const struct stat *st)
{
    for (size_t i = 0; i < r->modules; i++)
        if (r->module[i]->dev == st->st_dev && r->module[i]->ino == st->st_ino)
            return r->module[i];
    return NULL;
}

/* Load here what did not end the process that tried it: `tried`, or one that is started now. */
static int load(const struct loom_registry *r, struct module *m, const struct loom_tried *tried, struct loom_error *why)
{
    struct loom_tried now;
    if (tried == NULL && is_tried(r, m->file)) {
        int rc = loom_plugin_try(m->file, LOOM_TRIED_SECONDS, &now, why);
        if (rc != LOOM_OK)
            return rc;
        tried = &now;
    }
    if (tried != NULL && tried->end != LOOM_TRIED_SOUND)
        return loom_fail(why, LOOM_EPLUGIN, m->file, 0, "%s", tried->text);
    return loom_module_load(m->file, r->host, &m->loaded, &m->n, why);
}

/* The module of an existing file: one file is one module, whatever its path (links, "./"). `tried`: how it went
 * elsewhere, or NULL. NULL with `e` filled only when memory ran out; a refused file gives a module without descriptors.
 */
static struct module *open_module(struct loom_registry *r, const char *file, const struct stat *st,
                                  const struct loom_tried *tried, struct loom_error *e)
{
    struct module *known = known_module(r, st);
    if (known != NULL)
        return known;
    struct module *m = calloc(1, sizeof *m);
    if (m == NULL || grow(&r->module, r->modules, sizeof *r->module, e) != LOOM_OK ||
        (m->file = strdup(file)) == NULL) {
        free(m);
        no_memory(e);
        return NULL;
    }
    m->dev = st->st_dev;
    m->ino = st->st_ino;
    r->module[r->modules++] = m;
    struct loom_error why = {0};
    int rc = load(r, m, tried, &why);
    if (rc != LOOM_OK)
        return refuse(r, m->file, why.message, e) == LOOM_OK ? m : NULL;
    for (int i = 0; i < m->n; i++)
        if (adopt(r, &m->loaded[i].plugin, m->file, e) != LOOM_OK)
            return NULL;
    return m;
}

static const char *reason_of(const struct loom_registry *r, const struct module *m)
{
    for (size_t i = 0; i < r->refusals; i++)
        if (strcmp(r->refused[i].file, m->file) == 0)
            return r->refused[i].reason;
    return "refused";
}

static const char *kind_word(uint32_t kind)
{
    return kind != 0 ? loom_kind_name(kind) : "plugin";
}

static int find_file(struct loom_registry *r, uint32_t kind, const char *file, const struct loom_plugin **out,
                     struct loom_error *e)
{
    struct stat st;
    if (stat(file, &st) != 0)
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "cannot be opened: %s; a name with '/' is the path of a file, a name without is searched for",
                         strerror(errno));
    const struct module *m = open_module(r, file, &st, NULL, e);
    if (m == NULL)
        return LOOM_ENOMEM;
    if (m->loaded == NULL)
        return loom_fail(e, LOOM_EPLUGIN, file, 0, "%s", reason_of(r, m));
    for (int i = 0; i < m->n; i++)
        if (kind == 0 || m->loaded[i].plugin.kind == kind) {
            *out = &m->loaded[i].plugin;
            return LOOM_OK;
        }
    return loom_fail(e, LOOM_EPLUGIN, file, 0, "holds the %s \"%s\", and a %s is needed here; give another file",
                     loom_kind_name(m->loaded->plugin.kind), m->loaded->plugin.id, kind_word(kind));
}

/* Look for NAME.so in every folder until one serves; what would not do goes into `tried`. */
static int find_name(struct loom_registry *r, uint32_t kind, const char *name, struct loom_str *tried,
                     struct loom_error *e)
{
    struct loom_str file = LOOM_STR_INIT;
    int rc = LOOM_OK;
    for (size_t i = 0; i < r->folders && rc == LOOM_OK && lookup(r, kind, name) == NULL; i++) {
        struct stat st;
        loom_str_reset(&file);
        loom_str_printf(&file, "%s/%s.so", r->folder[i], name);
        if (file.failed) {
            rc = no_memory(e);
        } else if (stat(file.text, &st) != 0) {
            loom_str_printf(tried, "\n  %s: %s", file.text, strerror(errno));
        } else {
            const struct module *m = open_module(r, file.text, &st, NULL, e);
            if (m == NULL)
                rc = LOOM_ENOMEM;
            else if (m->loaded == NULL)
                loom_str_printf(tried, "\n  %s: %s", file.text, reason_of(r, m));
            else
                loom_str_printf(tried, "\n  %s: is a %s", file.text, loom_kind_name(m->loaded->plugin.kind));
        }
    }
    loom_str_release(&file);
    return rc;
}

static const char *nearest(const struct loom_registry *r, uint32_t kind, const char *name)
{
    const char **ids = calloc(r->knowns + 1, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; ids != NULL && i < r->knowns; i++)
        if (kind == 0 || r->known[i].plugin->kind == kind)
            ids[n++] = r->known[i].plugin->id;
    const char *best = ids != NULL ? loom_nearest(name, ids) : NULL;
    free(ids);
    return best;
}

static int unknown(const struct loom_registry *r, uint32_t kind, const char *name, const struct loom_str *tried,
                   struct loom_error *e)
{
    enum { SHOWN = 640 }; /* of the paths: the remedy behind them must not fall off the message's end */
    const char *near = nearest(r, kind, name), *text = tried->text != NULL ? tried->text : " no folder";
    char hint[160] = "";
    if (near != NULL)
        snprintf(hint, sizeof hint, "; did you mean \"%s\"?", near);
    return loom_fail(
        e, LOOM_EPLUGIN, NULL, 0,
        "there is no %s \"%s\"%s Tried:%.*s%s\n  set --plugin-path or $LOOM_PLUGIN_PATH to the folder that "
        "holds it, or give the path of its file; `loom plugins list` shows what there is",
        kind_word(kind), name, near != NULL ? hint : ".", SHOWN, text, strlen(text) > SHOWN ? " …" : "");
}

int loom_registry_find(struct loom_registry *r, uint32_t kind, const char *name, const struct loom_plugin **out,
                       struct loom_error *e)
{
    struct loom_str tried = LOOM_STR_INIT;
    *out = NULL;
    if (strchr(name, '/') != NULL)
        return find_file(r, kind, name, out, e);
    int rc = find_name(r, kind, name, &tried, e);
    /* The second and later plugins of a file do not bear its name: only loading everything finds them. Where files
     * cannot be tried, what is wrong stays that there is no such name. */
    if (rc == LOOM_OK && lookup(r, kind, name) == NULL) {
        struct loom_error why = {0};
        rc = loom_registry_scan(r, &why);
        if (rc == LOOM_EIO)
            loom_log(LOOM_INFO, "plugins cannot be tried: %s", why.message);
        rc = rc == LOOM_ENOMEM ? no_memory(e) : LOOM_OK;
    }
    const struct loom_known *known = lookup(r, kind, name);
    if (rc == LOOM_OK && known == NULL)
        rc = unknown(r, kind, name, &tried, e);
    if (rc == LOOM_OK)
        *out = known->plugin;
    loom_str_release(&tried);
    return rc;
}

static int is_module(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return d->d_name[0] != '.' && n > 3 && strcmp(d->d_name + n - 3, ".so") == 0;
}

/* The order of a folder, and so which of two plugins comes first, must not hang on the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* The files of a folder that are not loaded yet, behind the `n` of *file. */
static int list_folder(struct loom_registry *r, const char *folder, char ***file, size_t *n, struct loom_error *e)
{
    struct dirent **names = NULL;
    int rc = LOOM_OK, found = scandir(folder, &names, is_module, by_bytes);
    for (int i = 0; i < found; i++) {
        struct stat st;
        char *path = NULL;
        if (rc == LOOM_OK && asprintf(&path, "%s/%s", folder, names[i]->d_name) < 0)
            rc = no_memory(e);
        free(names[i]);
        if (rc == LOOM_OK && stat(path, &st) != 0) {
            rc = refuse(r, path, strerror(errno), e);
        } else if (rc == LOOM_OK && known_module(r, &st) == NULL &&
                   (rc = grow(file, *n, sizeof **file, e)) == LOOM_OK) {
            (*file)[(*n)++] = path;
            path = NULL;
        }
        free(path);
    }
    free(names);
    return rc;
}

int loom_registry_scan(struct loom_registry *r, struct loom_error *e)
{
    char **file = NULL;
    struct loom_tried *tried = NULL;
    size_t n = 0;
    int rc = LOOM_OK;
    for (size_t i = 0; i < r->folders && rc == LOOM_OK && !r->scanned; i++)
        rc = list_folder(r, r->folder[i], &file, &n, e);
    if (rc == LOOM_OK && (tried = calloc(n + 1, sizeof *tried)) == NULL)
        rc = no_memory(e);
    if (rc == LOOM_OK)
        rc = loom_plugin_try_all((const char *const *)file, n, tried, e);
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        if (rc == LOOM_OK && stat(file[i], &st) == 0 && open_module(r, file[i], &st, &tried[i], e) == NULL)
            rc = LOOM_ENOMEM;
        free(file[i]);
    }
    free(file);
    free(tried);
    r->scanned |= rc == LOOM_OK;
    return rc;
}

const struct loom_known *loom_registry_at(const struct loom_registry *r, size_t i)
{
    return i < r->knowns ? &r->known[i] : NULL;
}

const struct loom_refused *loom_registry_refused(const struct loom_registry *r, size_t i)
{
    return i < r->refusals ? &r->refused[i] : NULL;
}

const char *loom_registry_folder(const struct loom_registry *r, size_t i)
{
    return i < r->folders ? r->folder[i] : NULL;
}

const char *loom_registry_file(const struct loom_registry *r, const struct loom_plugin *p)
{
    for (size_t i = 0; i < r->modules; i++)
        for (int j = 0; j < r->module[i]->n; j++)
            if (&r->module[i]->loaded[j].plugin == p)
                return r->module[i]->file;
    return NULL;
}
