/* SPDX-License-Identifier: Apache-2.0 */
#include "allocations.h"
#include "commands.h"
#include "conform_print.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: loom conform [OPTIONS] PLUGIN.so|ID|KIND/ID …\n"
    "       loom conform --list [--level LEVEL] [--json]\n"
    "\n"
    "Holds plugins to their promises. Every check runs in a process of its own.\n"
    "  --list           the checks: id, level, kinds, and what each proves\n"
    "  --level LEVEL    required, strict (default) or pedantic: checks up to this level\n"
    "  --only IDS       these checks alone: ids or patterns, ',' between them\n"
    "  --skip IDS       all but these\n"
    "  --xfail FILE     lines of PLUGIN CHECK REASON: failures that are expected\n"
    "  --set KEY=VALUE  an option of the plugin, as in a pipeline; ID.KEY=VALUE: of that one alone\n"
    "  --data FILE      a recording for sources to read; ID=FILE: for that one alone\n"
    "  --seed N         of everything that is drawn; default 1\n"
    "  --timeout S      seconds for a check, instead of its own limit\n"
    "  --jobs N         checks at a time; default: one for each processor\n"
    "  --tap, --json, --junit   for programs\n"
    "  --in-process     no processes: for a debugger\n"
    "  --plugin-path    folders, ':' between them, searched before $LOOM_PLUGIN_PATH\n"
    "Exit status: 0 all passed, 1 a check failed, 2 it could not be run.\n";

enum { WORDS = 64 };
struct request {
    const char *level, *seed, *timeout, *jobs, *wrong;
    const char *plugin[WORDS], *set[WORDS], *data[WORDS];
    int list, format;
    struct loom_conform_spec spec;
};

/* 1 taken, 0 another word, -1 without its value. */
static int take(int argc, char **argv, int *i, const char *name, const char **out)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0 || (argv[*i][n] != '=' && argv[*i][n] != '\0'))
        return 0;
    *out = argv[*i][n] == '=' ? argv[*i] + n + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    return *out ? 1 : -1;
}

static int take_valued(int argc, char **argv, int *i, struct request *q)
{
    const char *set = NULL, *data = NULL;
    const struct {
        const char *name;
        const char **to;
    } words[] = {{"--level", &q->level},
                 {"--only", &q->spec.only},
                 {"--skip", &q->spec.skip},
                 {"--xfail", &q->spec.xfail},
                 {"--data", &data},
                 {"--seed", &q->seed},
                 {"--timeout", &q->timeout},
                 {"--jobs", &q->jobs},
                 {"--plugin-path", &q->spec.plugin_path},
                 {"--set", &set}};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        int taken = take(argc, argv, i, words[k].name, words[k].to);
        if (taken == 1 && set && q->spec.sets < WORDS)
            q->set[q->spec.sets++] = set;
        if (taken == 1 && data && q->spec.datas < WORDS)
            q->data[q->spec.datas++] = data;
        if (taken)
            return taken;
    }
    return 0;
}

static int read_words(int argc, char **argv, struct request *q)
{
    for (int i = 1; i < argc; i++) {
        q->wrong = argv[i];
        int taken = take_valued(argc, argv, &i, q);
        if (taken < 0)
            return 1;
        if (taken)
            continue;
        if (strcmp(argv[i], "--list") == 0)
            q->list = 1;
        else if (strcmp(argv[i], "--in-process") == 0)
            q->spec.in_process = 1;
        else if (strcmp(argv[i], "--tap") == 0)
            q->format = CONFORM_TAP;
        else if (strcmp(argv[i], "--json") == 0)
            q->format = CONFORM_JSON;
        else if (strcmp(argv[i], "--junit") == 0)
            q->format = CONFORM_JUNIT;
        else if (argv[i][0] == '-' || q->spec.plugins == WORDS)
            return 1;
        else
            q->plugin[q->spec.plugins++] = argv[i];
    }
    return 0;
}

static int understand(struct request *q)
{
    char *end = "";
    q->wrong = q->level;
    q->spec.level = q->level ? loom_level_of(q->level) : LOOM_STRICT;
    if (q->spec.level == 0)
        return 1;
    q->wrong = q->seed;
    q->spec.seed = q->seed ? strtoull(q->seed, &end, 10) : 1;
    if (*end)
        return 1;
    q->wrong = q->timeout;
    q->spec.timeout_s = q->timeout ? strtod(q->timeout, &end) : 0;
    if (*end || (q->timeout && !(q->spec.timeout_s > 0)))
        return 1;
    q->wrong = q->jobs;
    q->spec.jobs = q->jobs ? loom_words_threads(q->jobs) : 0;
    if (q->spec.jobs < 0)
        return 1;
    q->wrong = "";
    q->spec.plugin = q->plugin;
    q->spec.set = q->set;
    q->spec.data = q->data;
    return !q->list && q->spec.plugins == 0;
}

static const char *self(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? out : "loom";
}

int loom_cmd_conform(int argc, char **argv)
{
    static struct request q;
    static char program[4096];
    struct loom_conform_counts counts;
    struct loom_error e = {0};
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return loom_conform_child(argc - 1, argv + 1, loom_refusing());
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (read_words(argc, argv, &q) || understand(&q)) {
        if (q.wrong && *q.wrong)
            fprintf(stderr, "loom conform: '%s' does not fit here\n", q.wrong);
        fputs(usage, stderr);
        return 2;
    }
    if (q.list) {
        conform_print_list(q.format, q.spec.level);
        return 0;
    }
    /* Many processes side by side: one thread each in libraries. */
    setenv("OMP_NUM_THREADS", "1", 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
    q.spec.refuse = loom_refusing();
    q.spec.program = self(program, sizeof program);
    struct conform_printer printer = {.format = q.format};
    q.spec.payload = &printer;
    q.spec.plan = conform_print_plan;
    q.spec.each = conform_print_verdict;
    int code = loom_conform(&q.spec, &counts, &e);
    conform_print_end(&printer, &counts);
    if (code != LOOM_OK) {
        loom_report_error("loom conform", &e);
        return 2;
    }
    return counts.of[LOOM_FAILED] + counts.of[LOOM_CRASHED] + counts.of[LOOM_HUNG] + counts.of[LOOM_UNEXPECTED] > 0;
}
