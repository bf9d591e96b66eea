/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include <loom/types.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *does;
} commands[] = {
    {"run", loom_cmd_run, "a pipeline: train, fine-tune, evaluate"},
    {"check", loom_cmd_check, "resolve and validate a pipeline, show parts, shapes, memory"},
    {"eval", loom_cmd_eval, "the metrics of a run again, from its checkpoints"},
    {"bench", loom_cmd_bench, "this machine's limits, and how close ops and training steps come"},
    {"data", loom_cmd_data, "look into recordings"},
    {"plugins", loom_cmd_plugins, "what there is and what it takes"},
};

static int usage(FILE *to)
{
    fprintf(to, "usage: loom COMMAND …      loom COMMAND --help      loom --version\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].does);
    return 2;
}

int main(int argc, char **argv)
{
    const char *names[sizeof commands / sizeof *commands + 1] = {NULL};
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("loom %s\n%s", loom_version(), loom_build_info());
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout), 0;
    if (argc < 2)
        return usage(stderr);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        names[i] = commands[i].name;
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    const char *near = loom_nearest(argv[1], names);
    fprintf(stderr, "loom: there is no command '%s'%s%s\n", argv[1], near ? ": did you mean " : "", near ? near : "");
    return usage(stderr);
}
