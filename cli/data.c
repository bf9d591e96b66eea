/* SPDX-License-Identifier: Apache-2.0 */
/* `loom data`: what a recording holds, in words and as a picture, or as a file of another format. */
#include "data.h"
#include "commands.h"
#include "words.h"

#include "data/by_source.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char usage[] =
    "usage: loom data info FILE [source=ID] [KEY=VALUE …] [--svg FILE] [--from S] [--seconds S]\n"
    "                      [--fresh] [--plugin-path DIRS]\n"
    "       loom data convert FILE OUT [source=ID] [KEY=VALUE …] [--fresh] [--plugin-path DIRS]\n"
    "\n"
    "Reads a recording as a run would, through the cache, and says what is in it, or writes it as\n"
    "OUT, whose ending names the format: .h5 is a brainset (temporaldata, torch_brain), .npz a NumPy\n"
    "archive.\n"
    "  source=ID        who reads it: mat, nwb, …; guessed from the name of the file when not given\n"
    "  KEY=VALUE        options of the source: `loom plugins describe source/ID` names them\n"
    "  --svg FILE       a picture: spikes of all units over behaviour\n"
    "  --from, --seconds  the stretch in the picture; default the first 20 s that were observed\n"
    "  --fresh          read the file anew although the cache has it\n"
    "  --plugin-path    folders, ':' between them, searched before $LOOM_PLUGIN_PATH\n";

struct request {
    const char *file, *into, *source, *svg, *path; /* into: file to write, NULL = say what is there */
    double from_s, seconds;
    int fresh;
    struct loom_line line; /* its overrides are options of the source */
};

/* By the name, since two formats may share their first bytes: NWB and LFADS files are both HDF5. */
const char *const *loom_data_sources(const char *file)
{
    static const struct {
        const char *ending, *id[3];
    } formats[] = {{".mat", {"mat"}},
                   {".nwb", {"nwb"}},
                   {".h5", {"brainset", "lfads"}},
                   {".hdf5", {"brainset", "lfads"}},
                   {".npz", {"npz"}},
                   {".edf", {"edf"}},
                   {".bdf", {"edf"}},
                   {".vhdr", {"brainvision"}},
                   {"", {NULL}}};
    size_t n = strlen(file), i = 0;
    for (; formats[i].ending[0] != '\0'; i++) {
        size_t k = strlen(formats[i].ending);
        if (n > k && strcasecmp(file + n - k, formats[i].ending) == 0)
            break;
    }
    return formats[i].id;
}

static int read_by(const struct request *q, const char *id, struct loom_recordings **out, struct loom_error *e)
{
    const struct loom_by_source by = {
        .id = id, .plugin_path = q->path, .override = q->line.override, .overrides = q->line.overrides};
    return loom_recordings_by(out, &by, (struct loom_ingest){.file = q->file, .refresh = q->fresh}, e);
}

/* Several may own an ending: each is tried, and if none can read the file, what all of them said is told. */
static int read_file(const struct request *q, struct loom_recordings **out, struct loom_error *e)
{
    if (q->source != NULL)
        return read_by(q, q->source, out, e);
    const char *const *ids = loom_data_sources(q->file);
    if (ids[0] == NULL)
        return loom_fail(e, LOOM_ECONFIG, q->file, 0,
                         "its name does not tell who reads it; add source=ID (`loom plugins list` names the sources)");
    struct loom_error why[3] = {{0}};
    int n = 0, status = LOOM_OK;
    for (; ids[n] != NULL; n++)
        if ((status = read_by(q, ids[n], out, &why[n])) == LOOM_OK)
            return LOOM_OK;
    if (n == 1)
        return loom_fail(e, status, why[0].file, why[0].line, "%s", why[0].message);
    return loom_fail(e, status, q->file, 0, "%s: %.400s; %s: %.400s", ids[0], why[0].message, ids[1], why[1].message);
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
    if (status == LOOM_OK && q->into != NULL)
        status = loom_data_convert(set, q->into, q->path, e);
    for (int i = 0; status == LOOM_OK && q->into == NULL && i < loom_recordings_count(set); i++) {
        if (i > 0)
            putchar('\n');
        loom_data_print(stdout, loom_recordings_at(set, i));
    }
    if (status == LOOM_OK && q->svg != NULL)
        status = draw(q, set, e);
    loom_recordings_free(set);
    return status;
}

/* -1, or the exit status. "source=ID" is taken out of the overrides. */
static int understand(struct request *q)
{
    struct loom_line *l = &q->line;
    int kept = 0;
    for (int i = 0; i < l->overrides; i++)
        if (strncmp(l->override[i], "source=", 7) == 0)
            q->source = l->override[i] + 7;
        else
            l->override[kept++] = l->override[i];
    l->overrides = kept;
    int converts = l->operands > 0 && strcmp(l->operand[0], "convert") == 0;
    if (l->operands == 0 || (!converts && strcmp(l->operand[0], "info") != 0))
        return loom_line_refuse(l, "the first word is `info` or `convert`, not '%s'",
                                l->operands > 0 ? l->operand[0] : "");
    if (!converts && l->operands > 2)
        return loom_line_refuse(l, "one recording at a time, not '%s' too", l->operand[2]);
    if (converts && l->operands < (q->source != NULL ? 2 : 3))
        return loom_line_refuse(l, "name the recording and the file to write");
    q->into = converts ? l->operand[l->operands - 1] : NULL;
    q->file = converts && l->operands == 2 ? NULL : l->operand[1];
    return q->file || q->source ? -1 : loom_line_refuse(l, "name a recording, or a source that needs no file");
}

int loom_cmd_data(int argc, char **argv)
{
    struct request q = {.from_s = -HUGE_VAL, .seconds = 20};
    struct loom_error e = {0};
    const struct loom_word words[] = {{"--svg", .text = &q.svg},       {"--plugin-path", .text = &q.path},
                                      {"--from", .number = &q.from_s}, {"--seconds", .number = &q.seconds},
                                      {"--fresh", .flag = &q.fresh},   {.name = NULL}};
    q.line = (struct loom_line){.command = "loom data", .usage = usage, .words = words, .most = 3, .assigns = 1};
    int code = loom_line_read(&q.line, argc, argv);
    if (code < 0)
        code = understand(&q);
    if (code < 0)
        code = run(&q, &e) == LOOM_OK ? 0 : loom_report_error("loom data", &e);
    loom_line_free(&q.line);
    return code;
}
