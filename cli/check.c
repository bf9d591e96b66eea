/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: loom check PIPELINE.cfg [KEY=VALUE …] [--parameters [--json]] [--threads N] [--plugin-path DIRS]\n"
    "       loom check --keys\n"
    "\n"
    "Resolves and validates a pipeline without training: what parts need and offer, "
    "parameters, shapes, memory, FLOPs,\n"
    "sizes of splits, leaks. Tries the models on data that differ where they must not look (masked, held out, later, "
    "other windows):\n"
    "each is a line `passed` or `FAILED`, and a failure makes the exit status 1. Writes nothing.\n"
    "  --parameters   names, shapes and counts of the parameters and states of each trained model alone\n"
    "  --json         the same for programs, with the names of the rows of tables\n"
    "  --keys         every key of a pipeline file, with type, default, range and meaning\n";

struct request {
    const char *path;
    int threads, parameters, json, keys;
};

static int check(const struct request *q, const struct loom_line *l)
{
    char *text = NULL;
    struct loom_error e = {0};
    struct loom_run_spec spec = {
        .size = sizeof spec,
        .pipeline = l->operand[0],
        .plugin_path = q->path,
        .careful = 1,
        .threads = q->threads,
        .overrides = l->overrides,
        .override = l->override,
    };
    int code = q->parameters ? loom_run_parameters(&spec, q->json, &text, &e) : loom_run_check(&spec, &text, &e);
    if (text)
        fputs(text, stdout);
    fflush(stdout);
    free(text);
    return code == LOOM_OK ? 0 : loom_report_error("loom check", &e);
}

int loom_cmd_check(int argc, char **argv)
{
    struct request q = {0};
    const struct loom_word words[] = {
        {"--threads", .count = &q.threads}, {"--plugin-path", .text = &q.path}, {"--parameters", .flag = &q.parameters},
        {"--json", .flag = &q.json},        {"--keys", .flag = &q.keys},        {.name = NULL}};
    struct loom_line l = {.command = "loom check", .usage = usage, .words = words, .most = 1, .assigns = 1};
    int code = loom_line_read(&l, argc, argv);
    if (code < 0 && q.keys && argc != 2)
        code = loom_line_refuse(&l, "--keys stands alone");
    if (code < 0 && !q.keys && l.operands == 0)
        code = loom_line_refuse(&l, "name a pipeline");
    if (code < 0 && q.json && !q.parameters)
        code = loom_line_refuse(&l, "--json is a form of --parameters: give that too");
    if (code < 0)
        code = q.keys ? loom_print_keys("loom check", loom_run_keys) : check(&q, &l);
    loom_line_free(&l);
    return code;
}
