/* SPDX-License-Identifier: Apache-2.0 */
/* loom plugins new: a folder with a plugin that works, out of the templates that came with the program. */
#include "commands.h"

#include "plugin/registry.h"
#include "words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files of the folder; "KIND" and "NAME" stand for what the user gave. */
static const struct {
    const char *from, *to;
} files[] = {{"KIND.c", "NAME.c"}, {"KIND.cfg", "NAME.cfg"}, {"Makefile", "Makefile"}, {"README.md", "README.md"}};
enum { FILES = sizeof files / sizeof *files };

struct request {
    const char *kind, *name, *in;
};

/* Templates that came with the program: of the source tree, else where they were installed. */
static const char *template_folder(void)
{
    return access("plugins/template/tokenizer.c", R_OK) == 0 ? "plugins/template" : LOOM_TEMPLATE_DIR;
}

static void file_name(const struct request *q, const char *pattern, char *out, size_t size)
{
    const char *word = strncmp(pattern, "KIND", 4) == 0 ? q->kind : strncmp(pattern, "NAME", 4) == 0 ? q->name : "";
    snprintf(out, size, "%s%s", word, *word ? pattern + 4 : pattern);
}

/* One line with @NAME@ and @KIND@ replaced. */
static void write_line(const struct request *q, const char *line, FILE *out)
{
    while (*line) {
        const size_t n = strcspn(line, "@");
        fwrite(line, 1, n, out);
        line += n;
        if (strncmp(line, "@NAME@", 6) == 0 || strncmp(line, "@KIND@", 6) == 0) {
            fputs(line[1] == 'N' ? q->name : q->kind, out);
            line += 6;
        } else if (*line) {
            fputc(*line++, out);
        }
    }
}

static int copy(const struct request *q, const char *from, const char *to, struct loom_error *e)
{
    char line[1024];
    FILE *in = fopen(from, "r"), *out = in ? fopen(to, "wx") : NULL;
    int rc = LOOM_OK;
    if (!in)
        rc = loom_fail(e, LOOM_EIO, from, 0, "the template cannot be read (%s): install neuroloom again",
                       strerror(errno));
    else if (!out)
        rc = loom_fail(e, LOOM_EIO, to, 0, "cannot be written: %s; choose another folder with --in", strerror(errno));
    while (rc == LOOM_OK && fgets(line, sizeof line, in))
        write_line(q, line, out);
    if (in)
        fclose(in);
    if (out && fclose(out) != 0 && rc == LOOM_OK)
        rc = loom_fail(e, LOOM_EIO, to, 0, "cannot be written: %s; make room", strerror(errno));
    return rc;
}

static int check(const struct request *q, struct loom_error *e)
{
    static const char *const kinds[] = {"source", "tokenizer", "backbone", "objective", "baseline", NULL};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    const char *near = loom_nearest(q->kind, kinds);
    if (loom_kind_of(q->kind) == 0)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "there is no kind of plugin '%s'%s%s%s; kinds are source, tokenizer, backbone, objective, "
                         "baseline",
                         q->kind, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    if (q->name[0] < 'a' || q->name[0] > 'z' || q->name[strspn(q->name, letters)] != '\0' || strlen(q->name) > 48)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "'%s' cannot be the name of a plugin: use a small letter, then small letters, digits, '_' or "
                         "'-', 48 at most",
                         q->name);
    return LOOM_OK;
}

/* All or nothing: what was written before a failure is removed. */
static int make(const struct request *q, const char *folder, struct loom_error *e)
{
    char from[FILES][8192], to[FILES][8192], name[256];
    int done = 0, rc = check(q, e);
    if (rc != LOOM_OK)
        return rc;
    if (mkdir(folder, 0777) != 0)
        return loom_fail(e, LOOM_ECONFIG, folder, 0,
                         "cannot be made: %s; give another name, or another folder with "
                         "--in",
                         strerror(errno));
    for (; done < FILES && rc == LOOM_OK; done++) {
        file_name(q, files[done].from, name, sizeof name);
        snprintf(from[done], sizeof *from, "%s/%s", template_folder(), name);
        file_name(q, files[done].to, name, sizeof name);
        snprintf(to[done], sizeof *to, "%s/%s", folder, name);
        rc = copy(q, from[done], to[done], e);
    }
    for (int i = 0; rc != LOOM_OK && i < done; i++)
        unlink(to[i]);
    if (rc != LOOM_OK)
        rmdir(folder);
    return rc;
}

int loom_cmd_plugins_new(int argc, char **argv)
{
    struct request q = {NULL, NULL, "."};
    struct loom_error e = {0};
    const struct loom_word words[] = {{"--in", .text = &q.in}, {.name = NULL}};
    struct loom_line l = {.command = "loom plugins new",
                          .usage = "usage: loom plugins new KIND NAME [--in FOLDER]\n",
                          .words = words,
                          .most = 2};
    char folder[4096];
    int code = loom_line_read(&l, argc, argv);
    if (code < 0 && l.operands < 2)
        code = loom_line_refuse(&l, "say which kind of plugin, and its name");
    if (code < 0) {
        q.kind = l.operand[0];
        q.name = l.operand[1];
        snprintf(folder, sizeof folder, "%s/%s", q.in, q.name);
        code = make(&q, folder, &e) == LOOM_OK ? 0 : loom_report_error("loom plugins new", &e);
        if (code == 0)
            printf("%s: %s.c is a plugin (%s) that works; `make check` in that folder builds it and holds it to its "
                   "promises\n",
                   folder, q.name, q.kind);
    }
    loom_line_free(&l);
    return code;
}
