/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: loom eval RUN [KEY=VALUE …] [--stage NAME] [--split train|valid|test] [--threads N] [--plugin-path DIRS]\n"
    "\n"
    "Evaluates a run again from its checkpoints and prints its metrics as JSON. Writes nothing.\n"
    "  --stage NAME     this evaluation stage alone\n"
    "  --split NAME     on this split instead of the stage's own\n"
    "  KEY=VALUE        instead of what the run's pipeline says: data.files=(\"other.mat\")\n";

struct request {
    const char *run, *stage, *split, *threads, *path, *wrong;
    int overrides;
};

static int evaluate(const struct request *q, const char **override)
{
    char *json = NULL;
    struct loom_error e = {0};
    struct loom_run_spec spec = {
        .size = sizeof spec,
        .resume = q->run,
        .plugin_path = q->path,
        .threads = q->threads ? loom_words_threads(q->threads) : 0,
        .overrides = q->overrides,
        .override = override,
    };
    if (loom_run_evaluate(&spec, q->stage, q->split, &json, &e) != LOOM_OK)
        return loom_report_error("loom eval", &e);
    printf("%s\n", json);
    free(json);
    return 0;
}

int loom_cmd_eval(int argc, char **argv)
{
    struct request q = {0};
    const struct loom_word words[] = {{"--stage", &q.stage, NULL},
                                      {"--split", &q.split, NULL},
                                      {"--threads", &q.threads, NULL},
                                      {"--plugin-path", &q.path, NULL},
                                      {NULL, NULL, NULL}};
    const char **override = calloc((size_t)argc + 1, sizeof *override);
    int code;
    if (!override)
        return 1;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        code = 0;
    } else if (loom_words_read(argc, argv, words, &q.run, override, &q.overrides, &q.wrong) || !q.run ||
               (q.threads && loom_words_threads(q.threads) < 0)) {
        fprintf(stderr, "loom eval: %s does not fit here\n%s", q.wrong ? q.wrong : "nothing", usage);
        code = 2;
    } else {
        code = evaluate(&q, override);
    }
    free(override);
    return code;
}
