/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "eval_nlb.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "usage: loom eval RUN [KEY=VALUE …] [--stage NAME] [--split train|valid|test] [--weights FILE [--partial]]\n"
    "                 [--out FILE] [--threads N] [--plugin-path DIRS]\n"
    "       loom eval PIPELINE.cfg --weights FILE [the same words]\n"
    "       loom eval --nlb SUBMISSION.h5 TARGETS.h5 [--json]\n"
    "\n"
    "Evaluates a run again from its checkpoints, or a pipeline with weights from elsewhere, and prints the\n"
    "metrics as JSON. Writes nothing but --out.\n"
    "  --weights FILE   safetensors file whose tensors are taken by name, over the run's checkpoints if there\n"
    "                   is a run; states that nobody has (z-scores) are fitted on the training split\n"
    "  --partial        do without tensors that the file lacks, leave those that the model lacks\n"
    "  --out FILE       write the predictions there, as in a run's predictions.h5\n"
    "  --stage NAME     this evaluation stage alone\n"
    "  --split NAME     on this split instead of the stage's own\n"
    "  KEY=VALUE        instead of what the run's pipeline says: data.files=(\"other.mat\")\n"
    "\n"
    "  --nlb            scores a submission to the Neural Latents Benchmark (`loom export --nlb`, or anybody's)\n"
    "                   against a file of targets: co-bps, vel R2, psth R2, fp-bps, tp corr\n"
    "  --json           these scores as JSON, as the benchmark's own tools return them\n";

struct request {
    const char *stage, *split, *path, *weights, *out;
    int threads, partial, nlb, json;
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

static int evaluate(const struct request *q, const struct loom_line *l)
{
    char *json = NULL;
    struct loom_error e = {0};
    struct loom_run_spec spec = {
        .size = sizeof spec,
        .resume = is_folder(l->operand[0]) ? l->operand[0] : NULL,
        .pipeline = l->operand[0],
        .plugin_path = q->path,
        .careful = 1,
        .threads = q->threads,
        .overrides = l->overrides,
        .override = l->override,
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
    const struct loom_word words[] = {{"--stage", .text = &q.stage},      {"--split", .text = &q.split},
                                      {"--threads", .count = &q.threads}, {"--plugin-path", .text = &q.path},
                                      {"--weights", .text = &q.weights},  {"--out", .text = &q.out},
                                      {"--partial", .flag = &q.partial},  {"--nlb", .flag = &q.nlb},
                                      {"--json", .flag = &q.json},        {.name = NULL}};
    struct loom_line l = {.command = "loom eval", .usage = usage, .words = words, .most = 2, .assigns = 1};
    int code = loom_line_read(&l, argc, argv);
    if (code < 0 && q.nlb != (l.operands == 2))
        code = loom_line_refuse(&l, q.nlb ? "--nlb scores a submission against targets: name two files"
                                          : "name the folder of a run, or a pipeline");
    if (code < 0 && q.nlb)
        code = loom_eval_nlb(l.operand[0], l.operand[1], q.json);
    if (code < 0 && l.operands == 0)
        code = loom_line_refuse(&l, "name the folder of a run, or a pipeline");
    if (code < 0 && q.partial && !q.weights)
        code = loom_line_refuse(&l, "--partial says how --weights are taken: name their file too");
    if (code < 0)
        code = evaluate(&q, &l);
    loom_line_free(&l);
    return code;
}
