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
    const char *pipeline, *threads, *path, *wrong;
    int overrides, parameters, json;
};

static int check(const struct request *q, const char **override)
{
    char *text = NULL;
    struct loom_error e = {0};
    struct loom_run_spec spec = {
        .size = sizeof spec,
        .pipeline = q->pipeline,
        .plugin_path = q->path,
        .careful = 1,
        .threads = q->threads ? loom_words_threads(q->threads) : 0,
        .overrides = q->overrides,
        .override = override,
    };
    int code = q->parameters ? loom_run_parameters(&spec, q->json, &text, &e) : loom_run_check(&spec, &text, &e);
    if (text)
        fputs(text, stdout);
    fflush(stdout);
    free(text);
    return code == LOOM_OK ? 0 : loom_report_error("loom check", &e);
}

static int print_keys(void)
{
    char *text = NULL;
    struct loom_error e = {0};
    if (loom_run_keys(&text, &e) != LOOM_OK)
        return loom_report_error("loom check", &e);
    fputs(text, stdout);
    free(text);
    return 0;
}

int loom_cmd_check(int argc, char **argv)
{
    struct request q = {0};
    const struct loom_word words[] = {{"--threads", &q.threads, NULL},
                                      {"--plugin-path", &q.path, NULL},
                                      {"--parameters", NULL, &q.parameters},
                                      {"--json", NULL, &q.json},
                                      {NULL, NULL, NULL}};
    const char **override = calloc((size_t)argc + 1, sizeof *override);
    int code;
    if (!override)
        return 1;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        code = 0;
    } else if (argc == 2 && strcmp(argv[1], "--keys") == 0) {
        code = print_keys();
    } else if (loom_words_read(argc, argv, words, &q.pipeline, override, &q.overrides, &q.wrong) || !q.pipeline ||
               (q.threads && loom_words_threads(q.threads) < 0) || (q.json && !q.parameters)) {
        fprintf(stderr, "loom check: %s does not fit here\n%s", q.wrong ? q.wrong : "nothing", usage);
        code = 2;
    } else {
        code = check(&q, override);
    }
    free(override);
    return code;
}
