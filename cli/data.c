/* SPDX-License-Identifier: Apache-2.0 */
/* `loom data info`: what a recording holds, in words and as a picture. */
#include "data.h"
#include "commands.h"

#include <loom/config.h>
#include <loom/data.h>
#include <loom/plugin.h>

#include "plugin/registry.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char usage[] =
    "usage: loom data info FILE [source=ID] [KEY=VALUE …] [--svg FILE] [--from S] [--seconds S]\n"
    "                      [--fresh] [--plugin-path DIRS]\n"
    "\n"
    "Reads a recording as a run would, through the cache, and says what is in it.\n"
    "  source=ID        who reads it: mat, nwb, …; guessed from the name of the file when not given\n"
    "  KEY=VALUE        options of the source: `loom plugins describe source/ID` names them\n"
    "  --svg FILE       a picture: spikes of all units over behaviour\n"
    "  --from, --seconds  the stretch in the picture; default the first 20 s that were observed\n"
    "  --fresh          read the file anew although the cache has it\n"
    "  --plugin-path    folders, ':' between them, searched before $LOOM_PLUGIN_PATH\n";

struct request {
    const char *verb, *file, *source, *svg, *path;
    double from_s, seconds;
    int fresh, options;
    const char **option; /* [options] KEY=VALUE */
};

struct word {
    const char *name;
    const char **text;
    double *number;
};

/* The value of --name VALUE or --name=VALUE; 0 where argv[*i] is another word, -1 where its value will not do. */
static int take_word(const struct word *w, int argc, char **argv, int *i)
{
    size_t n = strlen(w->name);
    if (strncmp(argv[*i], w->name, n) != 0 || (argv[*i][n] != '\0' && argv[*i][n] != '='))
        return 0;
    const char *value = argv[*i][n] == '=' ? argv[*i] + n + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    if (value == NULL)
        return -1;
    if (w->text != NULL) {
        *w->text = value;
        return 1;
    }
    char *end;
    *w->number = strtod(value, &end);
    return end != value && *end == '\0' ? 1 : -1;
}

static int read_words(int argc, char **argv, struct request *q, const char **why)
{
    const struct word words[] = {{"--svg", &q->svg, NULL},
                                 {"--plugin-path", &q->path, NULL},
                                 {"--from", NULL, &q->from_s},
                                 {"--seconds", NULL, &q->seconds}};
    for (int i = 1; i < argc; i++) {
        int taken = 0;
        *why = argv[i];
        for (size_t k = 0; k < sizeof words / sizeof *words && taken == 0; k++)
            taken = take_word(&words[k], argc, argv, &i);
        if (taken < 0)
            return 1;
        if (taken > 0)
            continue;
        if (strcmp(argv[i], "--fresh") == 0)
            q->fresh = 1;
        else if (argv[i][0] == '-')
            return 1;
        else if (q->verb == NULL)
            q->verb = argv[i];
        else if (strncmp(argv[i], "source=", 7) == 0)
            q->source = argv[i] + 7;
        else if (q->file == NULL && (strchr(argv[i], '=') == NULL || strchr(argv[i], '/') != NULL))
            q->file = argv[i];
        else if (strchr(argv[i], '=') != NULL)
            q->option[q->options++] = argv[i];
        else
            return 1;
    }
    *why = q->verb;
    return q->verb == NULL || strcmp(q->verb, "info") != 0 || (q->file == NULL && q->source == NULL);
}

/* By the name, since two formats may share their first bytes: NWB and LFADS files are both HDF5. */
static const char *guess(const char *file)
{
    static const char *const by_ending[][2] = {{".mat", "mat"},          {".nwb", "nwb"},   {".h5", "lfads"},
                                               {".hdf5", "lfads"},       {".edf", "edf"},   {".bdf", "edf"},
                                               {".vhdr", "brainvision"}, {".npz", "numpy"}, {".npy", "numpy"}};
    size_t n = strlen(file);
    for (size_t i = 0; i < sizeof by_ending / sizeof *by_ending; i++) {
        size_t k = strlen(by_ending[i][0]);
        if (n > k && strcasecmp(file + n - k, by_ending[i][0]) == 0)
            return by_ending[i][1];
    }
    return NULL;
}

static int read_file(const struct request *q, struct loom_recordings **out, struct loom_error *e)
{
    struct loom_registry *registry = NULL;
    struct loom_config *config = NULL;
    struct loom_options *options = NULL;
    const struct loom_plugin *source = NULL;
    const char *id = q->source != NULL ? q->source : guess(q->file);
    if (id == NULL)
        return loom_fail(e, LOOM_ECONFIG, q->file, 0,
                         "its name does not tell who reads it; add source=ID (`loom plugins list` names the sources)");
    int status = loom_registry_new(&registry, q->path, e);
    if (status == LOOM_OK)
        status = loom_registry_find(registry, LOOM_SOURCE, id, &source, e);
    if (status == LOOM_OK)
        status = loom_config_parse(&config, "", "command line", q->options, q->option, e);
    if (status == LOOM_OK)
        status = loom_options_parse(&options, source->options, loom_config_root(config), id, NULL, e);
    if (status == LOOM_OK) {
        struct loom_ingest how = {.source = source,
                                  .module = loom_registry_file(registry, source),
                                  .options = options,
                                  .file = q->file,
                                  .refresh = q->fresh};
        status = loom_recordings_read(out, &how, e);
    }
    loom_options_free(options);
    loom_config_free(config);
    loom_registry_free(registry);
    return status;
}

static int draw(const struct request *q, const struct loom_recordings *set, struct loom_error *e)
{
    FILE *f = fopen(q->svg, "w");
    if (f == NULL)
        return loom_fail(e, LOOM_EIO, q->svg, 0, "cannot write: %s", strerror(errno));
    loom_data_picture(f, loom_recordings_at(set, 0), q->from_s, q->seconds);
    if (fclose(f) != 0)
        return loom_fail(e, LOOM_EIO, q->svg, 0, "cannot write: %s", strerror(errno));
    return LOOM_OK;
}

static int run(const struct request *q, struct loom_error *e)
{
    struct loom_recordings *set = NULL;
    int status = read_file(q, &set, e);
    for (int i = 0; status == LOOM_OK && i < loom_recordings_count(set); i++) {
        if (i > 0)
            putchar('\n');
        loom_data_print(stdout, loom_recordings_at(set, i));
    }
    if (status == LOOM_OK && q->svg != NULL)
        status = draw(q, set, e);
    loom_recordings_free(set);
    return status;
}

static int exit_code(int status)
{
    return status == LOOM_ECONFIG ? 2 : status == LOOM_EDATA ? 3 : status == LOOM_EPLUGIN ? 4 : 1;
}

int loom_cmd_data(int argc, char **argv)
{
    struct request q = {.from_s = -HUGE_VAL, .seconds = 20};
    struct loom_error e = {0};
    const char *why = NULL;
    int code = 0;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    q.option = calloc((size_t)argc + 1, sizeof *q.option);
    if (q.option == NULL || read_words(argc, argv, &q, &why)) {
        if (why != NULL)
            fprintf(stderr, "loom data: cannot make sense of \"%s\"\n", why);
        fputs(usage, stderr);
        code = 2;
    } else if (run(&q, &e) != LOOM_OK) {
        char text[sizeof e.message + sizeof e.file + 32];
        fprintf(stderr, "loom data: %s\n", loom_error_text(&e, text, sizeof text));
        code = exit_code(e.code);
    }
    free(q.option);
    return code;
}
