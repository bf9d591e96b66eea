/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "eval_nlb.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "usage: loom eval RUN [KEY=VALUE …] [--on FILE …] [--metrics NAME …] [--stage NAME]\n"
    "                 [--split train|valid|test] [--weights FILE [--partial]] [--out FILE] [--threads N]\n"
    "                 [--plugin-path DIRS]\n"
    "       loom eval PIPELINE.cfg --weights FILE [the same words]\n"
    "       loom eval --nlb SUBMISSION.h5 TARGETS.h5 [--json]\n"
    "\n"
    "Evaluates a run again from its checkpoints, or a pipeline with weights from elsewhere, and prints the\n"
    "metrics as JSON. Writes nothing but --out.\n"
    "  --weights FILE   safetensors file whose tensors are taken by name, over the run's checkpoints if there\n"
    "                   is a run; states that nobody has (z-scores) are fitted on the training split\n"
    "  --partial        do without tensors that the file lacks, leave those that the model lacks\n"
    "  --out FILE       write the predictions there, as in a run's predictions.h5\n"
    "  --on FILE        on this recording instead of the run's own; may stand several times\n"
    "  --metrics NAME   this metric instead of the stage's own; may stand several times\n"
    "  --stage NAME     this evaluation stage alone\n"
    "  --split NAME     on this split instead of the stage's own\n"
    "  KEY=VALUE        instead of what the run's pipeline says: data.files=(\"other.mat\")\n"
    "\n"
    "  --nlb            scores a submission to the Neural Latents Benchmark (`loom export --nlb`, or anybody's)\n"
    "                   against a file of targets: co-bps, vel R2, psth R2, fp-bps, tp corr\n"
    "  --json           these scores as JSON, as the benchmark's own tools return them\n";

struct request {
    struct loom_word_list on, metrics;
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

/* `key=("a","b")`, malloc'ed; names of files that are there are made whole, so that they do not hang on the folder. */
static char *list_of(const char *key, const struct loom_word_list *words, int files)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fprintf(f, "%s=(", key);
    for (int i = 0; i < words->count; i++) {
        char *whole = files ? realpath(words->at[i], NULL) : NULL;
        fprintf(f, "%s\"%s\"", i > 0 ? "," : "", whole ? whole : words->at[i]);
        free(whole);
    }
    fputc(')', f);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
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

/* --on and --metrics are KEY=VALUE in other words, put where there is room. */
static int evaluate_otherwise(struct request *q, struct loom_line *l)
{
    char stage[LOOM_EVALUATION_NAME], key[LOOM_EVALUATION_NAME + 32];
    struct loom_error e = {0};
    const char **override = calloc((size_t)l->overrides + 2, sizeof *override);
    char *on = q->on.count > 0 ? list_of("data.files", &q->on, 1) : NULL, *metrics = NULL;
    int code = 0;
    if (q->metrics.count > 0 && loom_run_evaluation(l->operand[0], q->stage, stage, &e) == LOOM_OK) {
        snprintf(key, sizeof key, "stages.%s.metrics", stage);
        metrics = list_of(key, &q->metrics, 0);
        q->stage = stage;
    }
    if (e.code == LOOM_OK && (!override || (q->on.count > 0 && !on) || (q->metrics.count > 0 && !metrics)))
        loom_fail(&e, LOOM_ENOMEM, NULL, 0, "no memory for what to evaluate: free some");
    if (e.code != LOOM_OK)
        code = loom_report_error("loom eval", &e);
    if (code == 0) {
        struct loom_line more = *l;
        more.override = override;
        memcpy(override, l->override, (size_t)l->overrides * sizeof *override);
        if (on)
            override[more.overrides++] = on;
        if (metrics)
            override[more.overrides++] = metrics;
        code = evaluate(q, &more);
    }
    free(override);
    free(on);
    free(metrics);
    return code;
}

int loom_cmd_eval(int argc, char **argv)
{
    struct request q = {0};
    const struct loom_word words[] = {
        {"--on", .list = &q.on},           {"--metrics", .list = &q.metrics},  {"--stage", .text = &q.stage},
        {"--split", .text = &q.split},     {"--threads", .count = &q.threads}, {"--plugin-path", .text = &q.path},
        {"--weights", .text = &q.weights}, {"--out", .text = &q.out},          {"--partial", .flag = &q.partial},
        {"--nlb", .flag = &q.nlb},         {"--json", .flag = &q.json},        {.name = NULL}};
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
        code = evaluate_otherwise(&q, &l);
    loom_line_free(&l);
    return code;
}
