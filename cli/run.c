/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char usage[] =
    "usage: loom run PIPELINE.cfg [KEY=VALUE …] [--out DIR] [--seeds 1,2,3] [--threads N] [--dry] [--quiet]\n"
    "       loom run --resume DIR [--threads N] [--quiet]\n"
    "\n"
    "Runs the stages of a pipeline in their order.\n"
    "  KEY=VALUE        instead of what the file says: stages.pretrain.optimizer.lr=1e-3\n"
    "  --out DIR        the run's folder, which must not be there; default runs/NAME-DATE-N\n"
    "  --resume DIR     go on with a run that stopped: the same bits as if it never had\n"
    "  --seeds LIST     the whole pipeline once for each seed, with means and intervals over them\n"
    "  --threads N      workers; results do not depend on it\n"
    "  --dry            build everything, take one step of each stage, write nothing\n"
    "  --quiet          print errors alone\n"
    "  --with-parent    end, as by kill -9, when the program that started this one ends; --resume goes on\n"
    "  --plugin-path    folders, ':' between them, searched before $LOOM_PLUGIN_PATH\n";

struct request {
    const char *pipeline, *out, *resume, *seeds, *threads, *path, *wrong;
    int dry, quiet, with_parent, overrides;
};

static int read_request(int argc, char **argv, struct request *q, const char **override)
{
    const struct loom_word words[] = {
        {"--out", &q->out, NULL},         {"--resume", &q->resume, NULL},           {"--seeds", &q->seeds, NULL},
        {"--threads", &q->threads, NULL}, {"--plugin-path", &q->path, NULL},        {"--dry", NULL, &q->dry},
        {"--quiet", NULL, &q->quiet},     {"--with-parent", NULL, &q->with_parent}, {NULL, NULL, NULL},
    };
    if (loom_words_read(argc, argv, words, &q->pipeline, override, &q->overrides, &q->wrong))
        return 1;
    q->wrong = NULL;
    if (!q->pipeline == !q->resume)
        return 1;
    if (q->threads && loom_words_threads(q->threads) < 0)
        q->wrong = q->threads;
    if (q->resume && (q->out || q->dry || q->seeds || q->overrides > 0))
        q->wrong = "--resume goes on with a run as it is: give it --threads, --quiet and --plugin-path alone";
    return q->wrong != NULL;
}

/* "1,2,3" as the override "seeds=(1,2,3)"; NULL when it is no such list. */
static char *seeds_override(const char *list)
{
    char *text = malloc(strlen(list) + 16);
    if (text && strspn(list, "0123456789,") == strlen(list) && *list)
        sprintf(text, "seeds=(%s)", list);
    else if (text)
        *text = '\0';
    return text;
}

/* 1 when the parent is gone already. */
static int end_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() == 1;
}

static int run(const struct request *q, const char **override)
{
    char folder[4096] = "", *seeds = NULL;
    struct loom_teller teller;
    struct loom_error e = {0};
    loom_teller_init(&teller, q->quiet);
    struct loom_run_spec spec = {
        .size = sizeof spec,
        .pipeline = q->pipeline,
        .out = q->out,
        .resume = q->resume,
        .plugin_path = q->path,
        .careful = 1,
        .threads = q->threads ? loom_words_threads(q->threads) : 0,
        .dry = q->dry,
        .overrides = q->overrides,
        .override = override,
        .stop = &loom_stop_request,
        .note = loom_teller_note,
        .payload = &teller,
        .folder = folder,
        .folder_size = sizeof folder,
    };
    if (q->seeds) {
        seeds = seeds_override(q->seeds);
        if (!seeds || !*seeds) {
            free(seeds);
            fprintf(stderr, "loom run: --seeds takes whole numbers with commas between them, 1,2,3\n");
            return 2;
        }
        override[spec.overrides++] = seeds;
    }
    loom_stop_on_signals();
    if (q->with_parent && end_with_parent()) {
        free(seeds);
        return 1;
    }
    int code = loom_run(&spec, &e);
    free(seeds);
    if (code == LOOM_OK && *folder && !q->quiet)
        printf("%s\n", folder);
    return code == LOOM_OK ? 0 : loom_report_error("loom run", &e);
}

int loom_cmd_run(int argc, char **argv)
{
    struct request q = {0};
    const char **override = calloc((size_t)argc + 1, sizeof *override);
    int code;
    if (!override)
        return 1;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        code = 0;
    } else if (read_request(argc, argv, &q, override)) {
        fprintf(stderr, "loom run: %s%s\n%s", q.wrong ? q.wrong : "name one pipeline, or a run to resume",
                q.wrong && q.wrong[1] != '-' ? " does not fit here" : "", usage);
        code = 2;
    } else {
        code = run(&q, override);
    }
    free(override);
    return code;
}
