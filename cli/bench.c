/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include "allocations.h"
#include "commands.h"
#include "words.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: loom bench [PIPELINE.cfg [KEY=VALUE …] …] [--all] [--only machine|ops|steps|scaling|stream]\n"
    "                  [--steps N] [--bins N] [--threads N] [--quick] [--json] [--picture FILE.svg]\n"
    "\n"
    "This machine's limits, how close ops and the training steps of pipelines come to them, and how\n"
    "time and memory grow. Without a pipeline the reference step, bench-ndt2.cfg, and quickstart.cfg\n"
    "are measured. Other programs on the machine make all figures worse, shares less so than times.\n"
    "  PIPELINE.cfg     a file, or the name of a pipeline that came with the program\n"
    "  KEY=VALUE        instead of what the pipeline before it says, backbone.width=512; before all\n"
    "                   pipelines: of each that is measured\n"
    "  --all            every pipeline that came with the program; without its data it is skipped\n"
    "  --only PARTS     these parts alone, ',' between them\n"
    "  --steps N        timed steps of each pipeline, 1 to 1001; default 20\n"
    "  --bins N         timed bins of each stream, 1 to 100000; default 2000\n"
    "  --threads N      workers; default: the pipeline's, or one for each processor\n"
    "  --quick          fewer and smaller measurements, in a tenth of the time, less exact\n"
    "  --json           for programs\n"
    "  --picture FILE   roofline, shares and scaling, drawn as SVG\n"
    "  --plugin-path    folders, ':' between them, searched before $LOOM_PLUGIN_PATH\n";

static const char *const section_name[LOOM_BENCH_SECTIONS + 1] = {"machine", "ops", "steps", "scaling", "stream", NULL};
enum { ALL_SECTIONS = (1 << LOOM_BENCH_SECTIONS) - 1, MOST_CURVES = 16, TITLE = 256 };

/* A pipeline with what stands behind it on the command line. */
struct target {
    const char *pipeline;
    char *path;            /* found; the target's own */
    const char **override; /* [overrides] common ones first; the target's own array of borrowed words */
    int overrides;
    int shipped; /* 1: named by --all, may be skipped */
};

struct request {
    const char *only, *path, *picture;
    int json, all, quick, sections, steps, bins, threads;
    struct target *target;
    int targets, named;  /* named: by the user */
    const char **common; /* overrides before any pipeline */
    int commons;
    struct loom_bench_spec spec;
};

/* What the picture is drawn from. */
struct found {
    const struct request *q;
    const struct loom_bench_form *form;
    struct loom_bench_machine machine;
    struct loom_bench_step *step; /* [steps] measured */
    char (*title)[TITLE];         /* [titles] of steps measured or skipped */
    int steps, titles, ops, curves;
    struct loom_bench_curve curve[MOST_CURVES];
};

/* ---- words ---- */

static int add_target(struct request *q, const char *pipeline, int shipped)
{
    struct target *more = realloc(q->target, (size_t)(q->targets + 1) * sizeof *more);
    if (!more)
        return 1;
    q->target = more;
    more[q->targets++] = (struct target){.pipeline = pipeline, .shipped = shipped};
    return 0;
}

static int add_override(const char ***list, int *n, const char *word)
{
    const char **more = realloc(*list, (size_t)(*n + 1) * sizeof *more);
    if (!more)
        return 1;
    *list = more;
    more[(*n)++] = word;
    return 0;
}

/* KEY=VALUE before any pipeline is for all, behind one for that one. */
static int sort_words(struct request *q, const struct loom_line *l)
{
    int lost = 0;
    for (int i = 0; i < l->operands && !lost; i++) {
        const char *word = l->operand[i];
        struct target *last = q->targets > 0 ? &q->target[q->targets - 1] : NULL;
        if (strchr(word, '='))
            lost = last ? add_override(&last->override, &last->overrides, word)
                        : add_override(&q->common, &q->commons, word);
        else
            lost = add_target(q, word, 0);
    }
    return lost ? 1 : -1;
}

/* "ops,steps" as bits; 0 where a word is none, which is said. */
static int sections_of(const struct loom_line *l, const char *list)
{
    int sections = 0;
    char word[32];
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        int known = 0;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
        for (int i = 0; i < LOOM_BENCH_SECTIONS; i++)
            if (strcmp(word, section_name[i]) == 0)
                known = 1 << i;
        if (!known) {
            const char *near = loom_nearest(word, section_name);
            loom_line_refuse(l, "--only: there is no part '%s'; did you mean '%s'?", word, near ? near : "steps");
            return 0;
        }
        sections |= known;
    }
    return sections;
}

static int understand(struct request *q, const struct loom_line *l)
{
    size_t n = q->picture ? strlen(q->picture) : 0;
    q->sections = q->only ? sections_of(l, q->only) : ALL_SECTIONS;
    if (!q->sections)
        return 2;
    if (!q->bins)
        q->bins = q->quick ? 200 : 2000;
    if (!q->steps)
        q->steps = q->quick ? 5 : 20;
    if (q->picture && (n < 5 || strcmp(q->picture + n - 4, ".svg") != 0)) {
        fprintf(stderr, "loom bench: --picture %s: pictures are SVG, which browsers show and print: name a FILE.svg\n",
                q->picture);
        return 2;
    }
    q->spec = (struct loom_bench_spec){.threads = q->threads,
                                       .rounds = q->quick ? 3 : 9,
                                       .steps = q->steps,
                                       .quick = q->quick,
                                       .plugin_path = q->path,
                                       .allocations = loom_allocations()};
    return sort_words(q, l);
}

/* ---- pipelines ---- */

/* Pipelines that came with the program: of the source tree, else where they were installed. */
static const char *shipped_folder(void)
{
    return access("pipelines/bench-ndt2.cfg", R_OK) == 0 ? "pipelines" : LOOM_PIPELINE_DIR;
}

static int find_file(struct target *t, struct loom_error *e)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", t->pipeline);
    if (access(path, R_OK) != 0 && !strchr(t->pipeline, '/'))
        snprintf(path, sizeof path, "%s/%s", shipped_folder(), t->pipeline);
    if (access(path, R_OK) != 0)
        return loom_fail(e, LOOM_ECONFIG, t->pipeline, 0,
                         "there is no such pipeline, here or in %s: name one that is there", shipped_folder());
    t->path = strdup(path);
    return t->path ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a name: free some");
}

static int add_shipped(struct request *q, glob_t *shipped)
{
    char pattern[4096];
    int lost = 0;
    snprintf(pattern, sizeof pattern, "%s/*.cfg", shipped_folder());
    if (glob(pattern, 0, NULL, shipped) != 0)
        return 0;
    for (size_t i = 0; i < shipped->gl_pathc && !lost; i++) {
        const char *name = strrchr(shipped->gl_pathv[i], '/');
        if (!name || strncmp(name, "/ablate-", 8) != 0) /* those name pipelines, and are none */
            lost = add_target(q, shipped->gl_pathv[i], 1);
    }
    return lost;
}

/* Which pipelines are measured, where they are, and what each of them is told. */
static int choose_targets(struct request *q, glob_t *shipped, struct loom_error *e)
{
    int lost = q->all ? add_shipped(q, shipped) : 0, code = LOOM_OK;
    q->named = q->targets;
    if (!lost && q->targets == 0)
        lost = add_target(q, "bench-ndt2.cfg", 0) || add_target(q, "quickstart.cfg", 0);
    for (int i = 0; i < q->targets && !lost && code == LOOM_OK; i++) {
        struct target *t = &q->target[i];
        const char **all = calloc((size_t)(q->commons + t->overrides) + 1, sizeof *all);
        if (!all) {
            lost = 1;
            break;
        }
        if (q->commons > 0)
            memcpy(all, q->common, (size_t)q->commons * sizeof *all);
        if (t->overrides > 0)
            memcpy(all + q->commons, t->override, (size_t)t->overrides * sizeof *all);
        free(t->override);
        t->override = all;
        t->overrides += q->commons;
        code = find_file(t, e);
    }
    return lost ? loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for names of pipelines: free some") : code;
}

/* The pipeline's file without folder and ending. */
static void stem_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    snprintf(out, size, "%.*s", (int)(n > 4 && strcmp(name + n - 4, ".cfg") == 0 ? n - 4 : n), name);
}

/* "quickstart backbone.width=512", with " #2" where that was said before: the keys of an object differ. */
static void make_title(struct found *f, const char *name, const struct target *t)
{
    char plain[TITLE];
    char *out = f->title[f->titles];
    snprintf(plain, sizeof plain, "%s", name);
    for (int k = 0; k < t->overrides; k++)
        snprintf(plain + strlen(plain), sizeof plain - strlen(plain), " %s", t->override[k]);
    snprintf(out, TITLE, "%s", plain);
    for (int k = 0, same = 2; k < f->titles; k++)
        if (strcmp(f->title[k], out) == 0) {
            snprintf(out, TITLE, "%.*s #%d", TITLE - 16, plain, same++);
            k = -1;
        }
    f->titles++;
}

/* ---- sections ---- */

static void tell_op(void *payload, const struct loom_bench_op *op)
{
    struct found *f = payload;
    f->form->op(op, f->ops++);
}

static void tell_curve(void *payload, const struct loom_bench_curve *curve)
{
    struct found *f = payload;
    f->form->curve(curve, f->curves);
    if (f->curves < MOST_CURVES)
        f->curve[f->curves++] = *curve;
}

static int bench_steps(struct found *f, struct loom_error *e)
{
    const struct request *q = f->q;
    int code = LOOM_OK;
    for (int i = 0; i < q->targets && code == LOOM_OK; i++) {
        const struct target *t = &q->target[i];
        struct loom_bench_step *s = &f->step[f->steps];
        char stem[64];
        code = loom_bench_step(s, t->path, t->override, t->overrides, &q->spec, e);
        if (code == LOOM_OK) {
            make_title(f, s->name, t);
            snprintf(s->name, sizeof s->name, "%.*s", (int)sizeof s->name - 1, f->title[f->titles - 1]);
            f->form->step(s, f->title[f->titles - 1], f->titles - 1);
            f->steps++;
        } else if (t->shipped && (code == LOOM_EDATA || code == LOOM_ECONFIG || code == LOOM_EPLUGIN)) {
            stem_of(t->path, stem, sizeof stem);
            make_title(f, stem, t);
            f->form->skipped(f->title[f->titles - 1], e->message, f->titles - 1);
            loom_error_clear(e);
            code = LOOM_OK;
        }
    }
    return code;
}

static int bench_machine(struct found *f, struct loom_error *e)
{
    int code = loom_bench_machine(&f->machine, &f->q->spec, e);
    if (code == LOOM_OK)
        f->form->machine(&f->machine);
    return code;
}

static int bench_ops(struct found *f, struct loom_error *e)
{
    return loom_bench_ops(&f->machine, &f->q->spec, tell_op, f, e);
}

static int bench_scaling(struct found *f, struct loom_error *e)
{
    return loom_bench_scaling(&f->q->spec, tell_curve, f, e);
}

/* The reference streams, in single precision and, where there is one, in bfloat16. */
static int reference_streams(struct found *f, struct loom_error *e)
{
    static const char *const bf16[] = {"stages.0.numerics=fast", "stages.0.precision=bf16"};
    static const char *const name[] = {"bench-stream.cfg", "bench-stream-encoder.cfg"};
    const int kinds = loom_bench_has_bf16() ? 2 : 1;
    int code = LOOM_OK;
    for (int i = 0; i < 2 * kinds && code == LOOM_OK; i++) {
        struct target t = {.pipeline = name[i % 2]};
        struct loom_bench_stream s;
        char title[TITLE];
        code = find_file(&t, e);
        if (code == LOOM_OK)
            code = loom_bench_stream(&s, t.path, bf16, i / 2 ? 2 : 0, f->q->bins, &f->q->spec, e);
        if (code == LOOM_OK) {
            snprintf(title, sizeof title, "%s%s", s.name, i / 2 ? ".bf16" : "");
            f->form->stream(&s, title, i);
        }
        free(t.path);
    }
    return code;
}

static int bench_stream(struct found *f, struct loom_error *e)
{
    const struct request *q = f->q;
    int code = LOOM_OK;
    if (q->named == 0)
        return reference_streams(f, e);
    f->titles = 0;
    for (int i = 0; i < q->targets && code == LOOM_OK; i++) {
        const struct target *t = &q->target[i];
        struct loom_bench_stream s;
        code = loom_bench_stream(&s, t->path, t->override, t->overrides, q->bins, &q->spec, e);
        if (code == LOOM_OK) {
            make_title(f, s.name, t);
            f->form->stream(&s, f->title[f->titles - 1], f->titles - 1);
        } else if (t->shipped && (code == LOOM_EDATA || code == LOOM_ECONFIG || code == LOOM_EPLUGIN)) {
            loom_error_clear(e);
            code = LOOM_OK;
        }
    }
    return code;
}

/* Ops are judged by the machine's limits; so is a step in a picture. */
static int wants_machine(const struct request *q)
{
    return (q->sections & (1 << LOOM_BENCH_MACHINE | 1 << LOOM_BENCH_OPS)) != 0 ||
           (q->picture && q->sections & 1 << LOOM_BENCH_STEPS);
}

static int draw(const struct found *f, struct loom_error *e)
{
    const struct loom_bench_picture p = {.machine = wants_machine(f->q) ? &f->machine : NULL,
                                         .step = f->step,
                                         .steps = f->steps,
                                         .curve = f->curve,
                                         .curves = f->curves};
    return loom_bench_picture(&p, f->q->picture, e);
}

static int bench(struct found *f, struct loom_error *e)
{
    static int (*const measure[LOOM_BENCH_SECTIONS])(struct found *, struct loom_error *) = {
        bench_machine, bench_ops, bench_steps, bench_scaling, bench_stream};
    int code = LOOM_OK;
    for (int i = 0; i < LOOM_BENCH_SECTIONS && code == LOOM_OK; i++) {
        int measured = i == LOOM_BENCH_MACHINE ? wants_machine(f->q) : (f->q->sections & 1 << i) != 0;
        f->form->open((enum loom_bench_section)i, measured);
        if (measured)
            code = measure[i](f, e);
        if (code == LOOM_OK)
            f->form->close((enum loom_bench_section)i, measured);
    }
    return code == LOOM_OK && f->q->picture ? draw(f, e) : code;
}

/* ---- the command ---- */

static int run(struct request *q)
{
    glob_t shipped = {0};
    struct loom_error e = {0};
    struct found *f = calloc(1, sizeof *f);
    int code = f ? LOOM_OK : loom_fail(&e, LOOM_ENOMEM, NULL, 0, "no memory for figures: free some");
    if (code == LOOM_OK && q->sections & (1 << LOOM_BENCH_STEPS | 1 << LOOM_BENCH_STREAM))
        code = choose_targets(q, &shipped, &e);
    if (code == LOOM_OK) {
        f->q = q;
        f->form = q->json ? &loom_bench_json : &loom_bench_text;
        f->step = calloc((size_t)q->targets + 1, sizeof *f->step);
        f->title = calloc((size_t)q->targets + 1, sizeof *f->title);
        code = f->step && f->title ? bench(f, &e)
                                   : loom_fail(&e, LOOM_ENOMEM, NULL, 0, "no memory for figures: free some");
    }
    globfree(&shipped);
    if (f) {
        free(f->step);
        free(f->title);
    }
    free(f);
    fflush(stdout);
    return code == LOOM_OK ? 0 : loom_report_error("loom bench", &e);
}

int loom_cmd_bench(int argc, char **argv)
{
    struct request q = {0};
    const struct loom_word words[] = {
        {"--only", .text = &q.only},
        {"--steps", .count = &q.steps, .most = LOOM_BENCH_ROUNDS},
        {"--bins", .count = &q.bins, .most = LOOM_BENCH_BINS},
        {"--threads", .count = &q.threads},
        {"--plugin-path", .text = &q.path},
        {"--picture", .text = &q.picture},
        {"--all", .flag = &q.all},
        {"--quick", .flag = &q.quick},
        {"--json", .flag = &q.json},
        {.name = NULL},
    };
    struct loom_line l = {.command = "loom bench", .usage = usage, .words = words, .most = argc};
    int code = loom_line_read(&l, argc, argv);
    if (code < 0)
        code = understand(&q, &l);
    if (code < 0)
        code = run(&q);
    loom_line_free(&l);
    for (int i = 0; i < q.targets; i++) {
        free(q.target[i].path);
        free(q.target[i].override);
    }
    free(q.target);
    free(q.common);
    return code;
}
