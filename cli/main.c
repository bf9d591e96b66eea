/* SPDX-License-Identifier: Apache-2.0 */
/* loom: one file a command, found in one table. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include <loom/graph.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *does;
} commands[] = {
    {"run", loom_cmd_run, "a pipeline: train, fine-tune, evaluate"},
    {"check", loom_cmd_check, "resolve and validate a pipeline, show parts, shapes, memory"},
    {"ablate", loom_cmd_ablate, "a grid of pipelines × seeds, compared in pairs: one table, one report"},
    {"eval", loom_cmd_eval, "the metrics of a run again, from its checkpoints"},
    {"export", loom_cmd_export, "a run's rates and predictions as arrays; submissions to the Neural Latents Benchmark"},
    {"bench", loom_cmd_bench, "this machine's limits, and how close ops and training steps come"},
    {"report", loom_cmd_report, "report.html of one run, or of several side by side"},
    {"data", loom_cmd_data, "look into recordings"},
    {"conform", loom_cmd_conform, "hold plugins to their promises"},
    {"plugins", loom_cmd_plugins, "what there is and what it takes; begin a new one"},
    {NULL, NULL, NULL},
};

static void usage(FILE *to)
{
    fputs("usage: loom COMMAND [WORDS…]\n\n", to);
    for (const struct command *c = commands; c->name; c++)
        fprintf(to, "  %-10s %s\n", c->name, c->does);
    fputs("\nloom COMMAND --help tells more; loom --version says what it was built with.\n"
          "Exit status: 0 done, 1 run failed, 2 usage or pipeline error, 3 data error, 4 plugin error.\n",
          to);
}

static int unknown(const char *word)
{
    const char *names[sizeof(commands) / sizeof(commands[0])];
    size_t n = 0;
    for (const struct command *c = commands; c->name; c++)
        names[n++] = c->name;
    names[n] = NULL;
    const char *near = loom_nearest(word, names);
    fprintf(stderr, "loom: there is no command '%s'%s%s%s\n", word, near ? "; did you mean '" : "", near ? near : "",
            near ? "'?" : "");
    usage(stderr);
    return 2;
}

static void say_warnings(void *payload, int level, const char *message)
{
    (void)payload;
    if (level >= LOOM_WARN)
        fprintf(stderr, "loom: %s\n", message);
}

static int version(void)
{
    struct loom_error e = {0};
    const char *kernels = loom_kernels_name(&e);
    printf("loom %s\n%skernels: %s\n", loom_version(), loom_build_info(), kernels ? kernels : e.message);
    return kernels ? 0 : 2;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        return version();
    }
    loom_log_set(say_warnings, NULL);
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(argv[1], c->name) == 0)
            return c->run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
