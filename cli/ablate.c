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
    const char *ablation, *out, *resume, *jobs, *threads, *path, *wrong;
    int dry, quiet, keys, overrides;
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

static int read_request(int argc, char **argv, struct request *q, const char **override)
{
    const struct loom_word words[] = {
        {"--out", &q->out, NULL},         {"--resume", &q->resume, NULL},    {"--jobs", &q->jobs, NULL},
        {"--threads", &q->threads, NULL}, {"--plugin-path", &q->path, NULL}, {"--dry", NULL, &q->dry},
        {"--quiet", NULL, &q->quiet},     {"--keys", NULL, &q->keys},        {NULL, NULL, NULL},
    };
    if (loom_words_read(argc, argv, words, &q->ablation, override, &q->overrides, &q->wrong))
        return 1;
    q->wrong = NULL;
    if (q->keys)
        return argc != 2;
    if (!q->ablation == !q->resume)
        return 1;
    if (q->threads && loom_words_threads(q->threads) < 0)
        q->wrong = q->threads;
    if (q->jobs && loom_words_threads(q->jobs) < 0)
        q->wrong = q->jobs;
    if (q->resume && (q->out || q->dry || q->overrides > 0))
        q->wrong =
            "--resume goes on with an ablation as it is: give it --jobs, --threads, --quiet and --plugin-path alone";
    return q->wrong != NULL;
}

static int print_keys(void)
{
    char *text = NULL;
    struct loom_error e = {0};
    if (loom_ablate_keys(&text, &e) != LOOM_OK)
        return loom_report_error("loom ablate", &e);
    fputs(text, stdout);
    free(text);
    return 0;
}

static int ablate(const struct request *q, const char **override)
{
    char folder[4096] = "", program[4096], *table = NULL;
    struct teller t = {.terminal = isatty(STDERR_FILENO), .quiet = q->quiet};
    struct loom_error e = {0};
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    struct loom_ablate_spec spec = {
        .size = sizeof spec,
        .overrides = q->overrides,
        .override = override,
        .ablation = q->ablation,
        .out = q->out,
        .resume = q->resume,
        .plugin_path = q->path,
        .program = *program ? program : "loom",
        .jobs = q->jobs ? loom_words_threads(q->jobs) : 0,
        .threads = q->threads ? loom_words_threads(q->threads) : 0,
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
    const char **override = calloc((size_t)argc + 1, sizeof *override);
    int code;
    if (!override)
        return 1;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        code = 0;
    } else if (read_request(argc, argv, &q, override)) {
        fprintf(stderr, "loom ablate: %s%s\n%s", q.wrong ? q.wrong : "name one ablation, or one to resume",
                q.wrong && q.wrong[1] != '-' ? " does not fit here" : "", usage);
        code = 2;
    } else if (q.keys) {
        code = print_keys();
    } else {
        code = ablate(&q, override);
    }
    free(override);
    return code;
}
