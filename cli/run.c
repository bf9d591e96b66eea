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
    const char *out, *resume, *seeds, *path;
    int dry, quiet, with_parent, threads;
};

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

static int run(const struct request *q, const struct loom_line *l)
{
    char folder[4096] = "", *seeds = NULL;
    struct loom_teller teller;
    struct loom_error e = {0};
    loom_teller_init(&teller, q->quiet);
    struct loom_run_spec spec = {
        .size = sizeof spec,
        .pipeline = l->operand[0],
        .out = q->out,
        .resume = q->resume,
        .plugin_path = q->path,
        .careful = 1,
        .threads = q->threads,
        .dry = q->dry,
        .overrides = l->overrides,
        .override = l->override,
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
            return loom_line_refuse(l, "--seeds takes whole numbers with commas between them, 1,2,3, not '%s'",
                                    q->seeds);
        }
        l->override[spec.overrides++] = seeds;
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
    const struct loom_word words[] = {
        {"--out", .text = &q.out},          {"--resume", .text = &q.resume},           {"--seeds", .text = &q.seeds},
        {"--threads", .count = &q.threads}, {"--plugin-path", .text = &q.path},        {"--dry", .flag = &q.dry},
        {"--quiet", .flag = &q.quiet},      {"--with-parent", .flag = &q.with_parent}, {.name = NULL},
    };
    struct loom_line l = {.command = "loom run", .usage = usage, .words = words, .most = 1, .assigns = 1};
    int code = loom_line_read(&l, argc, argv);
    if (code < 0 && (l.operands == 1) == (q.resume != NULL))
        code = loom_line_refuse(&l, "name one pipeline, or a run to resume");
    if (code < 0 && q.resume && (q.out || q.dry || q.seeds || l.overrides > 0))
        code = loom_line_refuse(
            &l, "--resume goes on with a run as it is: give it --threads, --quiet and --plugin-path alone");
    if (code < 0)
        code = run(&q, &l);
    loom_line_free(&l);
    return code;
}
