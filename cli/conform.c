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

static int run(struct loom_conform_spec *spec, int format)
{
    static char program[4096];
    struct loom_conform_counts counts;
    struct loom_error e = {0};
    /* Many processes side by side: one thread each in libraries. */
    setenv("OMP_NUM_THREADS", "1", 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
    spec->refuse = loom_refusing();
    spec->program = loom_own_file(program, sizeof program);
    struct conform_printer printer = {.format = format};
    spec->payload = &printer;
    spec->plan = conform_print_plan;
    spec->each = conform_print_verdict;
    int code = loom_conform(spec, &counts, &e);
    conform_print_end(&printer, &counts);
    if (code != LOOM_OK) {
        loom_report_error("loom conform", &e);
        return 2;
    }
    return counts.of[LOOM_FAILED] + counts.of[LOOM_CRASHED] + counts.of[LOOM_HUNG] + counts.of[LOOM_UNEXPECTED] > 0;
}

int loom_cmd_conform(int argc, char **argv)
{
    struct loom_conform_spec spec = {.seed = 1};
    const char *level = "strict";
    struct loom_word_list sets = {0}, data = {0};
    int list = 0, format = CONFORM_TEXT;
    const struct loom_word words[] = {
        {"--list", .flag = &list},
        {"--level", .text = &level},
        {"--only", .text = &spec.only},
        {"--skip", .text = &spec.skip},
        {"--xfail", .text = &spec.xfail},
        {"--set", .list = &sets},
        {"--data", .list = &data},
        {"--seed", .seed = &spec.seed},
        {"--timeout", .number = &spec.timeout_s},
        {"--jobs", .count = &spec.jobs},
        {"--tap", .flag = &format, .value = CONFORM_TAP},
        {"--json", .flag = &format, .value = CONFORM_JSON},
        {"--junit", .flag = &format, .value = CONFORM_JUNIT},
        {"--in-process", .flag = &spec.in_process},
        {"--plugin-path", .text = &spec.plugin_path},
        {.name = NULL},
    };
    struct loom_line l = {.command = "loom conform", .usage = usage, .words = words, .most = argc};
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return loom_conform_child(argc - 1, argv + 1, loom_refusing());
    int code = loom_line_read(&l, argc, argv);
    spec.level = loom_level_of(level);
    spec.plugin = l.operand;
    spec.plugins = l.operands;
    spec.set = sets.at;
    spec.sets = sets.count;
    spec.data = data.at;
    spec.datas = data.count;
    if (code < 0 && spec.level == 0)
        code = loom_line_refuse(&l, "--level takes required, strict or pedantic, not '%s'", level);
    if (code < 0 && spec.timeout_s < 0)
        code = loom_line_refuse(&l, "--timeout takes seconds, not %g", spec.timeout_s);
    if (code < 0 && !list && spec.plugins == 0)
        code = loom_line_refuse(&l, "name a plugin");
    if (code < 0 && list) {
        conform_print_list(format, spec.level);
        code = 0;
    }
    if (code < 0)
        code = run(&spec, format);
    loom_line_free(&l);
    return code;
}
