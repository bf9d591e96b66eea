/* SPDX-License-Identifier: Apache-2.0 */
#include "train/rundir.h"

#include "base/io.h"
#include "base/json.h"
#include "base/threads.h"
#include "train/events.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static const size_t LIMIT_LOG = (size_t)4 << 30;

/* Nothing is in the folder but what a run that died while its folder was made leaves: it has no pipeline.cfg yet. */
static int is_free(const char *path)
{
    static const char *const early[] = {"log.jsonl",        "origin.json",   "env.json",        "checkpoints",
                                        "pipeline.cfg.tmp", "identity.json", "ablation.cfg.tmp"};
    DIR *d = opendir(path);
    struct dirent *x;
    int ours = d != NULL;
    while (ours && (x = readdir(d))) {
        ours = strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0;
        for (size_t i = 0; i < sizeof early / sizeof *early && !ours; i++)
            ours = strncmp(x->d_name, early[i], strlen(early[i])) == 0;
    }
    if (d)
        closedir(d);
    return ours;
}

static int open_log(struct loom_rundir *d, struct loom_error *e)
{
    char path[LOOM_PATH];
    int code = loom_rundir_path(d, path, e, "log.jsonl");
    if (code != LOOM_OK)
        return code;
    d->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return d->log >= 0
               ? LOOM_OK
               : loom_fail(e, LOOM_EIO, path, 0, "cannot be written: %s: choose another folder", strerror(errno));
}

static int make_numbered(struct loom_rundir *d, const char *name, struct loom_error *e)
{
    char date[16];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(date, sizeof date, "%Y%m%d", &tm);
    int code = loom_mkdirs("runs", e);
    for (int n = 1; code == LOOM_OK && n < 100000; n++) {
        snprintf(d->path, sizeof d->path, "runs/%s-%s-%d", name, date, n);
        if (mkdir(d->path, 0777) == 0)
            return LOOM_OK;
        if (errno != EEXIST)
            code = loom_fail(e, LOOM_EIO, d->path, 0, "cannot be made: %s: give another folder with --out",
                             strerror(errno));
    }
    return code != LOOM_OK
               ? code
               : loom_fail(e, LOOM_EIO, "runs", 0, "holds too many runs of today: give a folder with --out");
}

int loom_rundir_create(struct loom_rundir *d, const char *out, const char *name, struct loom_error *e)
{
    int code;
    *d = (struct loom_rundir)LOOM_RUNDIR;
    if (!out) {
        code = make_numbered(d, name, e);
    } else if (snprintf(d->path, sizeof d->path, "%s", out) >= (int)sizeof d->path) {
        code = loom_fail(e, LOOM_EIO, NULL, 0, "the name of the run's folder is too long: shorten it");
    } else if (loom_file_exists(out) && !is_free(out)) {
        code = loom_fail(e, LOOM_ECONFIG, out, 0,
                         "is there already and not empty: give another --out, or go on with it by --resume %s", out);
    } else {
        code = loom_mkdirs(out, e);
    }
    return code == LOOM_OK ? open_log(d, e) : code;
}

int loom_rundir_open(struct loom_rundir *d, const char *path, struct loom_error *e)
{
    char pipeline[LOOM_PATH];
    *d = (struct loom_rundir)LOOM_RUNDIR;
    if (snprintf(d->path, sizeof d->path, "%s", path) >= (int)sizeof d->path)
        return loom_fail(e, LOOM_EIO, NULL, 0, "the name of the run's folder is too long: shorten it");
    int code = loom_rundir_path(d, pipeline, e, "pipeline.cfg");
    if (code == LOOM_OK && !loom_file_exists(pipeline))
        code = loom_fail(e, LOOM_ECONFIG, path, 0,
                         "is no folder of a run (it has no pipeline.cfg): name one that loom run made");
    return code;
}

int loom_rundir_lock(struct loom_rundir *d, struct loom_error *e)
{
    d->lock = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->lock < 0)
        return loom_fail(e, LOOM_EIO, d->path, 0, "cannot be opened: %s: choose another folder", strerror(errno));
    if (flock(d->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return loom_fail(e, LOOM_ECONFIG, d->path, 0,
                         "another process is running in this folder: wait for it, or stop it");
    return LOOM_OK; /* a file system without locks is used without them */
}

static void close_log(struct loom_rundir *d)
{
    if (d->log >= 0)
        close(d->log);
    d->log = -1;
}

void loom_rundir_release(struct loom_rundir *d)
{
    close_log(d);
    if (d->lock >= 0)
        close(d->lock);
    d->lock = -1;
}

int loom_rundir_path(const struct loom_rundir *d, char out[LOOM_PATH], struct loom_error *e, const char *fmt, ...)
{
    va_list args;
    int head = snprintf(out, LOOM_PATH, "%s/", d->path), rest = -1;
    va_start(args, fmt);
    if (head < LOOM_PATH)
        rest = vsnprintf(out + head, (size_t)(LOOM_PATH - head), fmt, args);
    va_end(args);
    return rest >= 0 && head + rest < LOOM_PATH
               ? LOOM_OK
               : loom_fail(e, LOOM_EIO, d->path, 0,
                           "the name of a file in this folder is too long: choose a shorter folder");
}

int loom_rundir_log(struct loom_rundir *d, const struct loom_str *line, struct loom_error *e)
{
    if (d->log < 0)
        return open_log(d, e) == LOOM_OK ? loom_rundir_log(d, line, e) : LOOM_EIO;
    if (line->failed)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a line of the log: free some");
    if (dprintf(d->log, "%s\n", line->text) < 0)
        return loom_fail(e, LOOM_EIO, d->path, 0, "log.jsonl cannot be written: %s: make room", strerror(errno));
    return d->events ? loom_events_log(d, line->text, e) : LOOM_OK;
}

/* Whether a line stays: whole, and not said by `stage` about a later step. */
static int keeps(const char *line, size_t n, const char *stage, int64_t step)
{
    json_t *j = json_loadb(line, n, 0, NULL);
    const char *of = json_string_value(json_object_get(j, "stage"));
    int keep = j && (!of || strcmp(of, stage) != 0 || json_integer_value(json_object_get(j, "step")) <= step);
    json_decref(j);
    return keep;
}

int loom_rundir_log_rewind(struct loom_rundir *d, const char *stage, int64_t step, struct loom_error *e)
{
    char path[LOOM_PATH], *bytes = NULL;
    struct loom_str kept = LOOM_STR_INIT;
    size_t size = 0;
    int code = loom_rundir_path(d, path, e, "log.jsonl");
    if (code != LOOM_OK || !loom_file_exists(path))
        return code;
    close_log(d);
    code = loom_file_read(&bytes, &size, path, LIMIT_LOG, e);
    for (size_t at = 0; code == LOOM_OK && at < size;) {
        const char *end = memchr(bytes + at, '\n', size - at);
        size_t n = end ? (size_t)(end - (bytes + at)) : size - at;
        if (end && keeps(bytes + at, n, stage, step))
            loom_str_addn(&kept, bytes + at, n + 1);
        at += n + 1;
    }
    if (code == LOOM_OK && kept.failed)
        code = loom_fail(e, LOOM_ENOMEM, path, 0, "no memory to read the log: free some");
    if (code == LOOM_OK)
        code = loom_file_write(path, kept.text ? kept.text : "", kept.length, e);
    free(bytes);
    loom_str_release(&kept);
    if (code == LOOM_OK)
        code = loom_events_rewind(d, stage, step, e);
    return code == LOOM_OK ? open_log(d, e) : code;
}

int loom_rundir_status(const struct loom_rundir *d, const char *text, struct loom_error *e)
{
    char path[LOOM_PATH];
    struct loom_str s = LOOM_STR_INIT;
    int code = loom_rundir_path(d, path, e, "status");
    loom_str_printf(&s, "%s\n", text);
    if (code == LOOM_OK)
        code = s.failed ? loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory: free some")
                        : loom_file_write(path, s.text, s.length, e);
    loom_str_release(&s);
    return code;
}

/* "model name" of the first processor, as Linux tells it. */
static void processor(char *out, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(out, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!colon)
            continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(out, size, "%s", colon + 2);
        break;
    }
    if (f)
        fclose(f);
}

int loom_rundir_environment(const struct loom_rundir *d, int threads, struct loom_error *e)
{
    char path[LOOM_PATH], cpu[256], when[64];
    struct loom_str s = LOOM_STR_INIT;
    struct utsname os = {0};
    time_t now = time(NULL);
    struct tm tm;
    int code = loom_rundir_path(d, path, e, "env.json");
    processor(cpu, sizeof cpu);
    uname(&os);
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    loom_str_add(&s, "{\n  \"version\": ");
    loom_json_string(&s, loom_version());
    loom_str_add(&s, ",\n  \"build\": ");
    loom_json_string(&s, loom_build_info());
    loom_str_printf(&s, ",\n  \"started\": \"%s\",\n  \"processor\": ", when);
    loom_json_string(&s, cpu);
    loom_str_add(&s, ",\n  \"system\": ");
    loom_json_string(&s, os.release);
    loom_str_printf(&s, ",\n  \"machine\": \"%s\",\n  \"processors\": %d,\n  \"threads\": %d\n}\n", os.machine,
                    loom_cpu_count(), threads);
    if (code == LOOM_OK)
        code = s.failed ? loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory: free some")
                        : loom_file_write(path, s.text, s.length, e);
    loom_str_release(&s);
    return code;
}

int loom_rundir_set_origin(const struct loom_rundir *d, const char *origin, struct loom_error *e)
{
    char path[LOOM_PATH];
    struct loom_str s = LOOM_STR_INIT;
    int code = loom_rundir_path(d, path, e, "origin.json");
    loom_str_add(&s, "{\"pipeline\": ");
    loom_json_string(&s, origin);
    loom_str_add(&s, "}\n");
    if (code == LOOM_OK)
        code = s.failed ? loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory: free some")
                        : loom_file_write(path, s.text, s.length, e);
    loom_str_release(&s);
    return code;
}

char *loom_rundir_origin(const struct loom_rundir *d, struct loom_error *e)
{
    char path[LOOM_PATH];
    if (loom_rundir_path(d, path, e, "origin.json") != LOOM_OK)
        return NULL;
    json_t *j = loom_json_load(path, 1 << 20, e);
    const char *text = json_string_value(json_object_get(j, "pipeline"));
    char *origin = text ? strdup(text) : NULL;
    if (j && !origin)
        loom_fail(e, LOOM_EDATA, path, 0, "does not name the run's pipeline: start a new run");
    json_decref(j);
    return origin;
}

int loom_rundir_begin(struct loom_rundir *d, const char *out, const struct loom_rundir_made *made, struct loom_error *e)
{
    char path[LOOM_PATH];
    int code = loom_rundir_create(d, out, made->name, e);
    if (code == LOOM_OK)
        code = loom_rundir_lock(d, e);
    if (code == LOOM_OK)
        code = loom_rundir_set_origin(d, made->origin, e);
    if (code == LOOM_OK)
        code = loom_rundir_environment(d, made->threads, e);
    for (const char *const *stage = made->stage; *stage && code == LOOM_OK; stage++) {
        code = loom_rundir_path(d, path, e, "checkpoints/%s", *stage);
        if (code == LOOM_OK)
            code = loom_mkdirs(path, e);
    }
    if (code == LOOM_OK)
        code = loom_rundir_path(d, path, e, "pipeline.cfg");
    return code == LOOM_OK ? loom_file_write(path, made->resolved, strlen(made->resolved), e) : code;
}
