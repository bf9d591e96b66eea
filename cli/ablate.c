/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "words.h"

#include <loom/ablate.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char usage[] =
    "usage: loom ablate ABLATION.cfg [KEY=VALUE …] [--out DIR] [--jobs N] [--threads N] [--dry] [--quiet]\n"
    "       loom ablate --resume DIR [--jobs N] [--threads N] [--quiet]\n"
    "       loom ablate --keys\n"
    "\n"
    "Runs every cell of a grid of pipelines with every seed, several at a time in processes of their own,\n"
    "and compares cells in pairs of the same seed. Cells must be tested on the same data, splits and\n"
    "evaluation. Ends with a table, results.json, CSV files and report.html in its folder.\n"
    "  KEY=VALUE        instead of what the file says: seeds=(1,2,3,4,5)\n"
    "  --out DIR        the folder, which must not be there; default runs/NAME-DATE-N\n"
    "  --resume DIR     go on with one that stopped or was killed: the same table as if it never had\n"
    "  --jobs N         runs at a time; default one for each processor\n"
    "  --threads N      processors that the runs share; results do not depend on it\n"
    "  --dry            check every cell, run nothing, write nothing\n"
    "  --quiet          print the table and errors alone\n"
    "  --keys           every key of the file, with type, default, range and meaning\n"
    "  --plugin-path    folders, ':' between them, searched before $LOOM_PLUGIN_PATH\n";

struct request {
    const char *out, *resume, *path;
    int dry, quiet, keys, jobs, threads;
};

struct teller {
    int terminal, quiet, moved;
};

static int terminal_width(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col - 1 : 100;
}

/* Progress goes to standard error, the table alone to standard output. */
static void tell(void *payload, const struct loom_ablate_note *n)
{
    struct teller *t = payload;
    if (t->quiet || (n->moving && !t->terminal))
        return;
    if (t->moved)
        fputs("\r\033[K", stderr);
    t->moved = n->moving;
    size_t width = (size_t)terminal_width(), size = strlen(n->text);
    if (size > width) /* not within a letter of several bytes */
        for (size = width; size > 0 && ((unsigned char)n->text[size] & 0xc0) == 0x80;)
            size--;
    if (n->moving)
        fprintf(stderr, "%.*s", (int)size, n->text);
    else
        fprintf(stderr, "%s\n", n->text);
    fflush(stderr);
}

static int ablate(const struct request *q, const struct loom_line *l)
{
    char folder[4096] = "", program[4096], *table = NULL;
    struct teller t = {.terminal = isatty(STDERR_FILENO), .quiet = q->quiet};
    struct loom_error e = {0};
    struct loom_ablate_spec spec = {
        .size = sizeof spec,
        .overrides = l->overrides,
        .override = l->override,
        .ablation = l->operand[0],
        .out = q->out,
        .resume = q->resume,
        .plugin_path = q->path,
        .program = loom_own_file(program, sizeof program),
        .jobs = q->jobs,
        .threads = q->threads,
        .dry = q->dry,
        .stop = &loom_stop_request,
        .note = tell,
        .payload = &t,
        .folder = folder,
        .folder_size = sizeof folder,
        .table = &table,
    };
    loom_stop_on_signals();
    int code = loom_ablate(&spec, &e);
    if (t.moved)
        fputs("\r\033[K", stderr);
    if (table)
        printf("%s", table);
    free(table);
    if (*folder && code == LOOM_OK)
        printf("\n%s/report.html\n", folder);
    fflush(stdout);
    return code == LOOM_OK ? 0 : loom_report_error("loom ablate", &e);
}

int loom_cmd_ablate(int argc, char **argv)
{
    struct request q = {0};
    const struct loom_word words[] = {
        {"--out", .text = &q.out},          {"--resume", .text = &q.resume},    {"--jobs", .count = &q.jobs},
        {"--threads", .count = &q.threads}, {"--plugin-path", .text = &q.path}, {"--dry", .flag = &q.dry},
        {"--quiet", .flag = &q.quiet},      {"--keys", .flag = &q.keys},        {.name = NULL},
    };
    struct loom_line l = {.command = "loom ablate", .usage = usage, .words = words, .most = 1, .assigns = 1};
    int code = loom_line_read(&l, argc, argv);
    if (code < 0 && q.keys && argc != 2)
        code = loom_line_refuse(&l, "--keys stands alone");
    if (code < 0 && !q.keys && (l.operands == 1) == (q.resume != NULL))
        code = loom_line_refuse(&l, "name one ablation, or one to resume");
    if (code < 0 && q.resume && (q.out || q.dry || l.overrides > 0))
        code = loom_line_refuse(&l, "--resume goes on with an ablation as it is: give it --jobs, --threads, --quiet "
                                    "and --plugin-path alone");
    if (code < 0)
        code = q.keys ? loom_print_keys("loom ablate", loom_ablate_keys) : ablate(&q, &l);
    loom_line_free(&l);
    return code;
}
