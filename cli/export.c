/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "words.h"

#include <loom/export.h>

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: loom export RUN [--rates] [--latents] [--predictions] [--format h5|npz|safetensors] [--out FILE] "
    "[KEY=VALUE …]\n"
    "       loom export RUN --nlb [--dataset NAME] [--out FILE] [KEY=VALUE …]\n"
    "       loom export FILE.nwb --targets --dataset NAME [--bin-ms 5|20] [--eval val|test] [--inputs] [--out FILE]\n"
    "\n"
    "Evaluates a finished run's model and writes what it answers as named arrays, with axes and units.\n"
    "  --rates          expected spikes of every unit at every bin, of held-out units and bins to come too;\n"
    "                   the default\n"
    "  --latents        what the backbone answers at each bin, before it is read as rates\n"
    "  --predictions    what the evaluation stage asks: targets and answers of each modality\n"
    "  --format NAME    h5, npz or safetensors; by default what the name of the file ends with, else h5\n"
    "  --nlb            a submission to the Neural Latents Benchmark: rates of the train split and of the test\n"
    "                   split (valid, where there is no test); a file that is there keeps other datasets\n"
    "  --dataset NAME   mc_maze, mc_rtt, area2_bump, dmfc_rsg, mc_maze_large, _medium or _small; by default\n"
    "                   the pipeline's data.nlb\n"
    "  --targets        what such submissions are scored against, made of the benchmark's file: held-out spikes,\n"
    "                   behaviour, histograms; --bin-ms 5 by default; --eval says which trials are scored: val\n"
    "                   (the default) with train trained on, or test with both; --inputs adds what a model sees\n"
    "  --out FILE       default: export.h5, or submission.h5, in the folder of the run; targets.h5 here\n"
    "  --stage NAME     evaluation stage that says whose weights and which splits; default: the first\n"
    "  --split NAME     this split instead of the stage's own: train, valid or test\n"
    "  --threads N      threads\n"
    "  --plugin-path DIRS  where else to look for plugins\n";

static const char *const formats[] = {"h5", "npz", "safetensors", NULL};

static int format_of(const char *name)
{
    for (int i = 0; formats[i]; i++)
        if (strcmp(formats[i], name) == 0)
            return i;
    return -1;
}

static int export_run(struct loom_export_spec *spec, const char *format)
{
    char path[4096];
    struct loom_error e = {0};
    const char *dot = spec->out ? strrchr(spec->out, '.') : NULL;
    if (format)
        spec->format = format_of(format);
    else if (dot && format_of(dot + 1) >= 0)
        spec->format = format_of(dot + 1);
    if (!spec->out) {
        snprintf(path, sizeof path, "%s/%s.%s", spec->run, spec->nlb ? "submission" : "export", formats[spec->format]);
        spec->out = path;
    }
    if (loom_export(spec, &e) != LOOM_OK)
        return loom_report_error("loom export", &e);
    printf("%s\n", spec->out);
    return 0;
}

static int export_targets(struct loom_nlb_target_spec *spec)
{
    struct loom_error e = {0};
    if (!spec->out)
        spec->out = "targets.h5";
    if (loom_nlb_target_file(spec, &e) != LOOM_OK)
        return loom_report_error("loom export", &e);
    printf("%s\n", spec->out);
    return 0;
}

/* Words that say nothing where they stand are refused; -1, or the exit status. parts: some of --rates and its like. */
static int check(const struct loom_line *l, const struct loom_export_spec *spec,
                 const struct loom_nlb_target_spec *target, int targets, const char *format, int parts)
{
    if (l->operands == 0)
        return loom_line_refuse(l, "name the folder of a run, or a file to make targets of");
    if (format && format_of(format) < 0)
        return loom_line_refuse(l, "there is no format '%s': write h5, npz or safetensors", format);
    if (spec->nlb && (parts || format))
        return loom_line_refuse(l, "a submission holds rates and is HDF5: leave out what else to export");
    if (targets && (spec->nlb || parts || format || spec->stage || spec->split || l->overrides > 0))
        return loom_line_refuse(l, "--targets are made of a file, not of a run: give it --dataset, --bin-ms, --eval, "
                                   "--inputs, --out and --plugin-path alone");
    if (!targets && (target->bin_ms || target->eval || target->inputs))
        return loom_line_refuse(l, "--bin-ms, --eval and --inputs are for --targets: give that too");
    return -1;
}

int loom_cmd_export(int argc, char **argv)
{
    struct loom_nlb_target_spec target = {.size = sizeof target};
    struct loom_export_spec spec = {.size = sizeof spec};
    int rates = 0, latents = 0, predictions = 0, targets = 0;
    const char *format = NULL;
    const struct loom_word words[] = {{"--rates", .flag = &rates},
                                      {"--latents", .flag = &latents},
                                      {"--predictions", .flag = &predictions},
                                      {"--format", .text = &format},
                                      {"--nlb", .flag = &spec.nlb},
                                      {"--dataset", .text = &spec.dataset},
                                      {"--out", .text = &spec.out},
                                      {"--stage", .text = &spec.stage},
                                      {"--split", .text = &spec.split},
                                      {"--targets", .flag = &targets},
                                      {"--bin-ms", .count = &target.bin_ms},
                                      {"--eval", .text = &target.eval},
                                      {"--inputs", .flag = &target.inputs},
                                      {"--threads", .count = &spec.threads},
                                      {"--plugin-path", .text = &spec.plugin_path},
                                      {.name = NULL}};
    struct loom_line l = {.command = "loom export", .usage = usage, .words = words, .most = 1, .assigns = 1};
    int code = loom_line_read(&l, argc, argv);
    if (code < 0)
        code = check(&l, &spec, &target, targets, format, rates || latents || predictions);
    if (code < 0 && targets) {
        target.file = l.operand[0];
        target.dataset = spec.dataset;
        target.out = spec.out;
        target.plugin_path = spec.plugin_path;
        code = export_targets(&target);
    }
    if (code < 0) {
        spec.run = l.operand[0];
        spec.what = (predictions ? LOOM_EXPORT_PREDICTIONS : 0) | (latents ? LOOM_EXPORT_LATENTS : 0);
        spec.what |= rates || spec.what == 0 ? LOOM_EXPORT_RATES : 0;
        spec.overrides = l.overrides;
        spec.override = l.override;
        code = export_run(&spec, format);
    }
    loom_line_free(&l);
    return code;
}
