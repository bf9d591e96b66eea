/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "conform/matrix.h"
#include "plugin/registry.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: loom plugins list [--json | --markdown] [--plugin-path DIRS]\n"
    "       loom plugins describe [ID | FILE | KIND/ID] [--json | --markdown] [--plugin-path DIRS]\n"
    "       loom plugins matrix [--plugin-path DIRS]\n"
    "       loom plugins new KIND NAME [--in FOLDER]\n"
    "\n"
    "list      every plugin that can be reached, the files that were refused and why, and the\n"
    "          folders searched; a refused file is no error\n"
    "describe  options of one plugin with types, defaults, ranges and units; of all without ID.\n"
    "          A FILE has a '/' and ends in .so. A plugin that cannot be had is exit status 4\n"
    "          Each file is tried in a process of its own first: one that crashes, or hangs for 5 s,\n"
    "          is refused like any other\n"
    "matrix    in Markdown, which tokenizer goes with which backbone and objective, and why others do not:\n"
    "          each is put together on a small simulated recording\n"
    "new       a folder NAME with a source, tokenizer, backbone, objective or baseline that works:\n"
    "          commented code, a Makefile, a pipeline to try it; change it from there\n"
    "  --in FOLDER      where the new folder is made; default: here\n"
    "  --json           for programs\n"
    "  --markdown       for documentation\n"
    "  --plugin-path    folders, ':' between them, searched before $LOOM_PLUGIN_PATH\n";

struct request {
    const char *verb, *id, *path;
    int format;
};

static int print(int rc, char *text)
{
    if (rc == LOOM_OK)
        fputs(text, stdout);
    free(text);
    return rc;
}

static int describe_all(struct loom_registry *r, int format, struct loom_error *e)
{
    int rc = loom_registry_scan(r, e);
    if (rc == LOOM_OK && format == LOOM_PLUGIN_JSON)
        putchar('[');
    for (size_t i = 0; rc == LOOM_OK && loom_registry_at(r, i) != NULL; i++) {
        char *text = NULL;
        if (i > 0)
            fputs(format == LOOM_PLUGIN_JSON ? ",\n" : "\n", stdout);
        rc = loom_registry_describe(r, loom_registry_at(r, i)->plugin, format, &text, e);
        rc = print(rc, text);
    }
    if (rc == LOOM_OK && format == LOOM_PLUGIN_JSON)
        puts("]");
    return rc;
}

/* "tokenizer/ndt2" names one of several plugins of the same id. */
static int describe_one(struct loom_registry *r, const char *id, int format, struct loom_error *e)
{
    const struct loom_plugin *p;
    char kind[16] = "", *text = NULL;
    size_t n = strcspn(id, "/");
    if (n < sizeof kind)
        memcpy(kind, id, n);
    uint32_t k = id[n] == '/' ? loom_kind_of(kind) : 0;
    int rc = loom_registry_find(r, k, k != 0 ? id + n + 1 : id, &p, e);
    if (rc == LOOM_OK)
        rc = loom_registry_describe(r, p, format, &text, e);
    return print(rc, text);
}

static int print_matrix(const struct request *q, struct loom_error *e)
{
    struct loom_matrix *m;
    char *text = NULL;
    int rc = loom_matrix_new(&m, q->path, e);
    if (rc != LOOM_OK)
        return rc;
    rc = loom_matrix_markdown(m, &text, e);
    loom_matrix_free(m);
    return print(rc, text);
}

static int run(const struct request *q, struct loom_error *e)
{
    struct loom_registry *r;
    char *text = NULL;
    if (strcmp(q->verb, "matrix") == 0)
        return print_matrix(q, e);
    int rc = loom_registry_new(&r, q->path, e);
    if (rc != LOOM_OK)
        return rc;
    loom_registry_careful(r, LOOM_CARE_ALL);
    if (strcmp(q->verb, "describe") == 0)
        rc = q->id != NULL ? describe_one(r, q->id, q->format, e) : describe_all(r, q->format, e);
    else if ((rc = loom_registry_scan(r, e)) == LOOM_OK) {
        rc = loom_registry_list(r, q->format, &text, e);
        rc = print(rc, text);
    }
    loom_registry_free(r);
    return rc;
}

/* -1, or the exit status. */
static int understand(struct request *q, const struct loom_line *l)
{
    static const char *const verbs[] = {"list", "describe", "matrix", "new", NULL};
    q->verb = l->operand[0];
    q->id = l->operand[1];
    if (!q->verb)
        return loom_line_refuse(l, "say what: list, describe, matrix, new");
    if (strcmp(q->verb, "list") != 0 && strcmp(q->verb, "describe") != 0 && strcmp(q->verb, "matrix") != 0) {
        const char *near = loom_nearest(q->verb, verbs);
        return loom_line_refuse(l, "there is no '%s'; did you mean '%s'?", q->verb, near ? near : "list");
    }
    if (q->id && strcmp(q->verb, "describe") != 0)
        return loom_line_refuse(l, "'%s' does not fit here: %s is of all plugins", q->id, q->verb);
    return -1;
}

int loom_cmd_plugins(int argc, char **argv)
{
    struct request q = {NULL, NULL, NULL, LOOM_PLUGIN_TEXT};
    struct loom_error e = {0};
    const struct loom_word words[] = {{"--json", .flag = &q.format, .value = LOOM_PLUGIN_JSON},
                                      {"--markdown", .flag = &q.format, .value = LOOM_PLUGIN_MARKDOWN},
                                      {"--plugin-path", .text = &q.path},
                                      {.name = NULL}};
    struct loom_line l = {.command = "loom plugins", .usage = usage, .words = words, .most = 2};
    if (argc > 1 && strcmp(argv[1], "new") == 0)
        return loom_cmd_plugins_new(argc - 1, argv + 1);
    int code = loom_line_read(&l, argc, argv);
    if (code < 0)
        code = understand(&q, &l);
    if (code < 0)
        code = run(&q, &e) == LOOM_OK ? 0 : loom_report_error("loom plugins", &e);
    loom_line_free(&l);
    return code;
}
