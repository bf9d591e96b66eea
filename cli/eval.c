/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "usage: loom eval RUN [KEY=VALUE …] [--stage NAME] [--split train|valid|test] [--weights FILE [--partial]]\n"
    "                 [--out FILE] [--threads N] [--plugin-path DIRS]\n"
    "       loom eval PIPELINE.cfg --weights FILE [the same words]\n"
    "\n"
    "Evaluates a run again from its checkpoints, or a pipeline with weights from elsewhere, and prints the\n"
    "metrics as JSON. Writes nothing but --out.\n"
    "  --weights FILE   safetensors file whose tensors are taken by name, over the run's checkpoints if there\n"
    "                   is a run; states that nobody has (z-scores) are fitted on the training split\n"
    "  --partial        do without tensors that the file lacks, leave those that the model lacks\n"
    "  --out FILE       write the predictions there, as in a run's predictions.h5\n"
    "  --stage NAME     this evaluation stage alone\n"
    "  --split NAME     on this split instead of the stage's own\n"
    "  KEY=VALUE        instead of what the run's pipeline says: data.files=(\"other.mat\")\n";

struct request {
    const char *run, *stage, *split, *threads, *path, *weights, *out, *wrong;
    int overrides, partial;
};

static void say(void *payload, const struct loom_run_note *n)
{
    (void)payload;
    if (n->kind == LOOM_NOTE_TEXT)
        fprintf(stderr, "loom eval: %s: %s\n", n->stage, n->text);
}

/* A folder is a run, a file a pipeline. */
static int is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) != 0 || S_ISDIR(s.st_mode);
}

static int evaluate(const struct request *q, const char **override)
{
    char *json = NULL;
    struct loom_error e = {0};
    struct loom_run_spec spec = {
        .size = sizeof spec,
        .resume = is_folder(q->run) ? q->run : NULL,
        .pipeline = q->run,
        .plugin_path = q->path,
        .careful = 1,
        .threads = q->threads ? loom_words_threads(q->threads) : 0,
        .overrides = q->overrides,
        .override = override,
        .note = say,
        .weights = q->weights,
        .partial = q->partial,
        .predictions = q->out,
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
    const struct loom_word words[] = {{"--stage", &q.stage, NULL},     {"--split", &q.split, NULL},
                                      {"--threads", &q.threads, NULL}, {"--plugin-path", &q.path, NULL},
                                      {"--weights", &q.weights, NULL}, {"--out", &q.out, NULL},
                                      {"--partial", NULL, &q.partial}, {NULL, NULL, NULL}};
    const char **override = calloc((size_t)argc + 1, sizeof *override);
    int code;
    if (!override)
        return 1;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        code = 0;
    } else if (loom_words_read(argc, argv, words, &q.run, override, &q.overrides, &q.wrong) || !q.run ||
               (q.threads && loom_words_threads(q.threads) < 0) || (q.partial && !q.weights)) {
        fprintf(stderr, "loom eval: %s does not fit here\n%s", q.wrong ? q.wrong : "nothing", usage);
        code = 2;
    } else {
        code = evaluate(&q, override);
    }
    free(override);
    return code;
}
