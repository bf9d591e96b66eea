/* SPDX-License-Identifier: Apache-2.0 */
#include "data/ingest.h"

#include <loom/plugin.h>

#include "base/hash.h"
#include "base/str.h"
#include "data/cache.h"
#include "data/cache_format.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int starved(struct loom_error *e)
{
    return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory; close other programs");
}

static void add_text(struct loom_str *s, const char *text)
{
    loom_str_add(s, "\"");
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '"' || *c == '\\')
            loom_str_printf(s, "\\%c", *c);
        else if ((unsigned char)*c < ' ')
            loom_str_printf(s, "\\x%02x", (unsigned char)*c);
        else
            loom_str_addn(s, c, 1);
    loom_str_add(s, "\"");
}

/* libconfig tells reals from integers by their point. */
static void add_real(struct loom_str *s, double x)
{
    size_t from = s->length;
    loom_str_real(s, x);
    if (s->text != NULL && strpbrk(s->text + from, ".en") == NULL)
        loom_str_add(s, ".0");
}

static void add_value(struct loom_str *s, const struct loom_options *o, const struct loom_option *t)
{
    switch (t->type) {
    case LOOM_OPT_INT:
        loom_str_printf(s, "%lldL", (long long)loom_opt_int(o, t->name));
        break;
    case LOOM_OPT_REAL:
        add_real(s, loom_opt_real(o, t->name));
        break;
    case LOOM_OPT_BOOL:
        loom_str_add(s, loom_opt_bool(o, t->name) ? "true" : "false");
        break;
    case LOOM_OPT_STRING:
        add_text(s, loom_opt_string(o, t->name));
        break;
    default:
        loom_str_add(s, "( ");
        for (size_t i = 0; i < loom_opt_count(o, t->name); i++) {
            loom_str_add(s, i > 0 ? ", " : "");
            if (t->type == LOOM_OPT_REALS)
                add_real(s, loom_opt_real_at(o, t->name, i));
            else
                add_text(s, loom_opt_string_at(o, t->name, i));
        }
        loom_str_add(s, " )");
    }
}

/* The source's options in the language of pipeline files. What the user wrote is what the child reads by the same
 * table; all of them name the cache, so that another default is other data, and a resolved pipeline the same. */
static char *options_text(const struct loom_ingest *how, int all)
{
    struct loom_str s = LOOM_STR_INIT;
    for (const struct loom_option *t = how->source->options; t != NULL && t->name != NULL; t++)
        if (how->options != NULL && (all || loom_opt_given(how->options, t->name))) {
            loom_str_printf(&s, "%s = ", t->name);
            add_value(&s, how->options, t);
            loom_str_add(&s, ";\n");
        }
    return loom_str_take(&s);
}

static int cache_folder(char *out, size_t size, const struct loom_ingest *how, struct loom_error *e)
{
    const char *set = getenv("LOOM_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (how->cache != NULL && how->cache[0] != '\0')
        n = snprintf(out, size, "%s", how->cache);
    else if (set != NULL && set[0] != '\0')
        n = snprintf(out, size, "%s", set);
    else if (xdg != NULL && xdg[0] == '/')
        n = snprintf(out, size, "%s/loom", xdg);
    else if (home != NULL && home[0] != '\0')
        n = snprintf(out, size, "%s/.cache/loom", home);
    else
        return loom_fail(e, LOOM_EIO, NULL, 0, "no folder for the cache: set LOOM_CACHE");
    if (n < 0 || (size_t)n >= size)
        return loom_fail(e, LOOM_EIO, NULL, 0, "the name of the cache folder is too long; set LOOM_CACHE");
    return loom_mkdirs(out, e);
}

static int64_t modified(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int origin_of(struct loom_origin *o, const struct loom_ingest *how, const char *options, char file[PATH_MAX],
                     struct loom_error *e)
{
    struct loom_sha256 h;
    struct stat st;
    memset(o, 0, sizeof *o);
    file[0] = '\0';
    if (how->file != NULL) {
        if (realpath(how->file, file) == NULL || stat(file, &st) != 0)
            return loom_fail(e, LOOM_EDATA, how->file, 0, "cannot open: %s; check its name", strerror(errno));
        if (!S_ISREG(st.st_mode))
            return loom_fail(e, LOOM_EDATA, how->file, 0, "is no file; name the recording itself");
        o->bytes = st.st_size;
        o->modified_ns = modified(&st);
    }
    const char *const parts[] = {how->source->id, how->source->version, file, options};
    loom_sha256_init(&h);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        loom_sha256_add(&h, parts[i], strlen(parts[i]) + 1);
    loom_sha256_hex(&h, o->key);
    return LOOM_OK;
}

/* What was read is of one state of the file, if it is now as it was before: a part may have been read by the child, and
 * another by this process. */
static int check_unchanged(const struct loom_ingest *how, const char *file, const struct loom_origin *origin,
                           struct loom_error *e)
{
    struct stat st;
    if (how->file == NULL)
        return LOOM_OK;
    if (stat(file, &st) != 0)
        return loom_fail(e, LOOM_EDATA, how->file, 0, "is gone since reading began: %s; read it again when it is back",
                         strerror(errno));
    if (st.st_size != origin->bytes || modified(&st) != origin->modified_ns)
        return loom_fail(e, LOOM_EDATA, how->file, 0,
                         "was changed while it was read, from %lld bytes to %lld: read it again when it is complete",
                         (long long)origin->bytes, (long long)st.st_size);
    return LOOM_OK;
}

static int read_anew(struct loom_recordings **out, const struct loom_ingest *how, const char *options, const char *file,
                     const char *folder, const char *path, const struct loom_origin *origin, struct loom_error *e)
{
    int sealed = -1;
    struct loom_wire request = {0};
    struct loom_recorder *r = NULL;
    loom_wire_text(&request, how->module);
    loom_wire_text(&request, how->source->id);
    loom_wire_text(&request, file);
    loom_wire_text(&request, options);
    loom_wire_i64(&request, how->memory_bytes);
    loom_wire_f64(&request, how->cpu_s);
    int status = request.failed ? starved(e) : LOOM_OK;
    if (status == LOOM_OK)
        status = loom_recorder_new(&r, folder, (uint64_t)how->data_bytes,
                                   how->file != NULL ? how->file : how->source->id, file, e);
    if (status == LOOM_OK)
        status = loom_ingest_run(how, &request, r, e);
    if (status == LOOM_OK)
        status = check_unchanged(how, file, origin, e);
    if (status == LOOM_OK)
        status = loom_recorder_save(r, path, origin, &sealed, e);
    if (status == LOOM_OK)
        status = loom_cache_open_sealed(out, sealed, path, file, e);
    if (sealed >= 0)
        close(sealed);
    loom_recorder_free(r);
    loom_wire_release(&request);
    return status;
}

/* The cache if it is sound, 1 if it has to be made. */
static int take_cached(struct loom_recordings **out, const char *path, const struct loom_origin *origin,
                       const char *file, struct loom_error *e)
{
    struct loom_error why = {0};
    int status = loom_cache_open(out, path, origin, file, &why);
    if (status == LOOM_OK)
        return LOOM_OK;
    if (status == LOOM_ENOMEM)
        return loom_fail(e, status, why.file, 0, "%s", why.message);
    if (status == LOOM_EDATA)
        loom_log(LOOM_INFO, "%s: %s", why.file, why.message);
    return 1;
}

int loom_recordings_read(struct loom_recordings **out, const struct loom_ingest *how, struct loom_error *e)
{
    struct loom_ingest full = *how;
    struct loom_origin origin;
    char folder[PATH_MAX - 512], path[PATH_MAX], file[PATH_MAX];
    *out = NULL;
    full.memory_bytes = how->memory_bytes > 0 ? how->memory_bytes : (int64_t)8 << 30;
    full.data_bytes = how->data_bytes > 0 ? how->data_bytes : (int64_t)256 << 30;
    full.cpu_s = how->cpu_s > 0 ? how->cpu_s : 3600;
    full.wall_s = how->wall_s > 0 ? how->wall_s : 7200;
    full.silence_s = how->silence_s > 0 ? how->silence_s : 300;
    char *options = options_text(how, 0), *all = options_text(how, 1);
    int status = options == NULL || all == NULL ? starved(e) : cache_folder(folder, sizeof folder, how, e);
    if (status == LOOM_OK)
        status = origin_of(&origin, how, all, file, e);
    if (status == LOOM_OK) {
        const char *slash = strrchr(file, '/');
        snprintf(path, sizeof path, "%s/%.200s-%.16s.loom", folder, slash != NULL ? slash + 1 : how->source->id,
                 origin.key);
        status = how->refresh ? 1 : take_cached(out, path, &origin, file, e);
        if (status == 1)
            status = read_anew(out, &full, options, file, folder, path, &origin, e);
    }
    free(options);
    free(all);
    return status;
}
