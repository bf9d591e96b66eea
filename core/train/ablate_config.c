/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "eval/metrics.h"
#include "train/ablate.h"

#include <loom/config.h>

#include <stdlib.h>
#include <string.h>

static const struct loom_option root_options[] = {
    {"name", LOOM_OPT_STRING, 0, "ablation", NULL, NULL, "what folders and reports are called"},
    {"pipeline", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "pipeline file of all cells, relative to this file; a value of an axis may name another"},
    {"set", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "KEY=VALUE for every cell, as behind loom run: \"stages.pretrain.steps=200\""},
    {"seeds", LOOM_OPT_REALS, 0, "1, 2, 3", "[0,inf)", NULL, "every cell is run once with each"},
    {"reference", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "the cell that others are compared with: a label of each axis, in their order; none = the first labels"},
    {"compare", LOOM_OPT_STRING, 0, "reference", "reference|all", NULL,
     "pairs of cells: each with the reference, or every two"},
    {"metrics", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "STAGE.SPLIT.METRIC, such as evaluate.test.r2; none = all that the evaluation stages give"},
    {"confidence", LOOM_OPT_REAL, 0, "0.95", "(0,1)", NULL, "of intervals"},
    {"draws", LOOM_OPT_INT, 0, "10000", "[100,10000000]", "resamples", "of the bootstrap over seeds"},
    {"jobs", LOOM_OPT_INT, 0, "0", "[0,1024]", "runs", "at a time, which share the processors; 0 = one for each"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};
static const char *const root_reserved[] = {"axes", NULL};

static const struct loom_option axis_options[] = {
    {"name", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, NULL, NULL, NULL, "a column of the table"},
    {"varies_data", LOOM_OPT_BOOL, 0, "false", NULL, NULL,
     "its cells may differ in `data`: amount of training data, units, bins; what is evaluated stays the same"},
    {"varies_test", LOOM_OPT_BOOL, 0, "false", NULL, NULL,
     "each of its values is a test of its own, other recordings or other questions; cells are held to each other, and "
     "compared, within one value alone"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};
static const char *const axis_reserved[] = {"values", NULL};

static const struct loom_option value_options[] = {
    {"label", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, NULL, NULL, NULL, "what the table says in the axis's column"},
    {"pipeline", LOOM_OPT_STRING, 0, "", NULL, NULL, "pipeline file of these cells instead of the common one"},
    {"set", LOOM_OPT_STRINGS, 0, "", NULL, NULL, "KEY=VALUE for these cells, after the common ones"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};

static const struct loom_key_group groups[] = {
    {"(root)", "The ablation's own keys.", root_options},
    {"axes[]", "What is varied. The cells are all combinations of the axes' values.", axis_options},
    {"axes[].values[]", "One value of an axis.", value_options},
};

int loom_ablate_keys(char **out, struct loom_error *e)
{
    return loom_key_groups_describe(groups, sizeof groups / sizeof *groups, out, e);
}

/* ---- axes ---- */

static int read_value(struct loom_axis *x, const struct loom_group *g, size_t i, struct loom_error *e)
{
    const struct loom_group *v = loom_group_list(g, "values", i);
    if (!v)
        return loom_group_fail(g, "values", e, LOOM_ECONFIG,
                               "element %zu of values is no group: write { label = \"…\"; set = ( … ); }", i);
    int code = loom_options_parse(&x->value[i], value_options, v, "values", NULL, e);
    if (code != LOOM_OK)
        return code;
    x->values++;
    const char *label = loom_opt_string(x->value[i], "label");
    if (strlen(label) == 0 || strlen(label) >= LOOM_LABEL)
        return loom_opt_fail(x->value[i], "label", e, "a label has 1 to %d bytes", LOOM_LABEL - 1);
    for (size_t k = 0; k < i; k++)
        if (strcmp(loom_opt_string(x->value[k], "label"), label) == 0)
            return loom_opt_fail(x->value[i], "label", e, "two values of axis '%s' are called '%s': rename one",
                                 x->name, label);
    return LOOM_OK;
}

static int read_axis(struct loom_ablation *a, size_t i, struct loom_error *e)
{
    struct loom_axis *x = &a->axis[i];
    const struct loom_group *root = loom_config_root(a->config), *g = loom_group_list(root, "axes", i);
    if (!g)
        return loom_group_fail(root, "axes", e, LOOM_ECONFIG,
                               "element %zu of axes is no group: write { name = \"…\"; values: ( … ); }", i);
    int code = loom_options_parse(&x->options, axis_options, g, "axes", axis_reserved, e);
    if (code != LOOM_OK)
        return code;
    a->axes++;
    x->name = loom_opt_string(x->options, "name");
    x->varies_data = loom_opt_bool(x->options, "varies_data");
    x->varies_test = loom_opt_bool(x->options, "varies_test");
    size_t n = loom_group_list_count(g, "values");
    if (n == 0 || n > LOOM_AXIS_VALUES)
        return loom_group_fail(g, "values", e, LOOM_ECONFIG, "axis '%s' has %zu values; it needs 1 to %d", x->name, n,
                               LOOM_AXIS_VALUES);
    for (size_t k = 0; k < n && code == LOOM_OK; k++)
        code = read_value(x, g, k, e);
    return code;
}

/* The number of the value called `label`; -1 with the error filled. */
static int find_label(const struct loom_ablation *a, int axis, const char *label, struct loom_error *e)
{
    const struct loom_axis *x = &a->axis[axis];
    const char *names[LOOM_AXIS_VALUES + 1] = {NULL};
    for (int i = 0; i < x->values; i++) {
        names[i] = loom_opt_string(x->value[i], "label");
        if (strcmp(names[i], label) == 0)
            return i;
    }
    const char *near = loom_nearest(label, names);
    loom_opt_fail(a->options, "reference", e, "axis '%s' has no value '%s': write '%s'", x->name, label,
                  near ? near : names[0]);
    return -1;
}

static int find_reference(struct loom_ablation *a, struct loom_error *e)
{
    size_t n = loom_opt_count(a->options, "reference");
    if (n == 0)
        return LOOM_OK;
    if (n != (size_t)a->axes)
        return loom_opt_fail(a->options, "reference", e, "%zu labels for %d axes: name one of each, in their order", n,
                             a->axes);
    for (int i = 0; i < a->axes; i++) {
        int value = find_label(a, i, loom_opt_string_at(a->options, "reference", (size_t)i), e);
        if (value < 0)
            return LOOM_ECONFIG;
        a->reference = a->reference * a->axis[i].values + value;
    }
    return LOOM_OK;
}

/* ---- cells ---- */

static void name_cell(const struct loom_ablation *a, struct loom_cell *c)
{
    size_t n = 0;
    for (int i = 0; i < a->axes && n < sizeof c->label; i++)
        n += (size_t)snprintf(c->label + n, sizeof c->label - n, "%s%s", i ? ", " : "",
                              loom_opt_string(a->axis[i].value[c->at[i]], "label"));
}

int loom_cells_alike(const struct loom_ablation *a, const struct loom_cell *x, const struct loom_cell *y, int tests)
{
    for (int i = 0; i < a->axes; i++)
        if ((a->axis[i].varies_test || (!tests && a->axis[i].varies_data)) && x->at[i] != y->at[i])
            return 0;
    return 1;
}

int loom_cell_reference(const struct loom_ablation *a, int k)
{
    int number = 0;
    for (int i = 0; i < a->axes; i++)
        number = number * a->axis[i].values + a->cell[a->axis[i].varies_test ? k : a->reference].at[i];
    return number;
}

static int lay_out(struct loom_ablation *a, struct loom_error *e)
{
    int n = 1;
    for (int i = 0; i < a->axes; i++) {
        n *= a->axis[i].values;
        if (n > LOOM_CELLS)
            return loom_group_fail(loom_config_root(a->config), "axes", e, LOOM_ECONFIG,
                                   "more than %d cells: make several ablations", LOOM_CELLS);
    }
    a->cell = calloc((size_t)n, sizeof *a->cell);
    if (!a->cell)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d cells: free some", n);
    a->cells = n;
    for (int k = 0; k < n; k++) {
        for (int i = a->axes - 1, rest = k; i >= 0; rest /= a->axis[i--].values)
            a->cell[k].at[i] = rest % a->axis[i].values;
        name_cell(a, &a->cell[k]);
    }
    return LOOM_OK;
}

/* `file` beside the ablation's own. */
static int beside(const struct loom_ablation *a, const char *file, char out[LOOM_PATH], struct loom_error *e)
{
    const char *slash = strrchr(a->origin, '/');
    int folder = *file == '/' || !slash ? 0 : (int)(slash - a->origin) + 1;
    if (snprintf(out, LOOM_PATH, "%.*s%s", folder, a->origin, file) >= LOOM_PATH)
        return loom_fail(e, LOOM_ECONFIG, a->origin, 0, "the path of '%.100s…' is too long: shorten it", file);
    return LOOM_OK;
}

int loom_cell_overrides(const struct loom_ablation *a, const struct loom_cell *c, const char **out, int capacity,
                        char pipeline[LOOM_PATH], struct loom_error *e)
{
    const struct loom_options *from[LOOM_AXES + 1] = {a->options}, *names = NULL;
    int n = 0;
    for (int i = 0; i < a->axes; i++)
        from[i + 1] = a->axis[i].value[c->at[i]];
    for (int i = 0; i <= a->axes; i++) {
        for (size_t k = 0; k < loom_opt_count(from[i], "set"); k++) {
            if (n == capacity)
                return loom_opt_fail(from[i], "set", e, "more than %d keys: put them into a pipeline file", capacity);
            out[n++] = loom_opt_string_at(from[i], "set", k);
        }
        if (*loom_opt_string(from[i], "pipeline") == '\0')
            continue;
        if (names && names != a->options)
            return loom_opt_fail(from[i], "pipeline", e,
                                 "cell '%s' has a pipeline from another axis too: one axis names files", c->label);
        names = from[i];
    }
    if (!names)
        return loom_opt_fail(a->options, "pipeline", e,
                             "cell '%s' has no pipeline: write pipeline = \"….cfg\" here or in its values", c->label);
    int code = beside(a, loom_opt_string(names, "pipeline"), pipeline, e);
    if (code == LOOM_OK && !loom_file_exists(pipeline))
        code = loom_opt_fail(names, "pipeline", e, "there is no file %s: name one that is there, relative to this file",
                             pipeline);
    return code == LOOM_OK ? n : code;
}

/* ---- the file ---- */

static int read_seeds(struct loom_ablation *a, struct loom_error *e)
{
    size_t n = loom_opt_count(a->options, "seeds");
    if (n == 0 || n > LOOM_ABLATE_SEEDS)
        return loom_opt_fail(a->options, "seeds", e, "%zu seeds: an ablation has 1 to %d", n, LOOM_ABLATE_SEEDS);
    for (size_t i = 0; i < n; i++) {
        a->seed[i] = (int64_t)loom_opt_real_at(a->options, "seeds", i);
        for (size_t k = 0; k < i; k++)
            if (a->seed[k] == a->seed[i])
                return loom_opt_fail(a->options, "seeds", e, "seed %lld stands here twice: name each once",
                                     (long long)a->seed[i]);
    }
    a->seeds = (int)n;
    return LOOM_OK;
}

static int open_file(struct loom_ablation *a, struct loom_error *e)
{
    const struct loom_ablate_spec *spec = a->spec;
    char path[LOOM_PATH], *text = NULL;
    size_t size;
    if (!spec->resume) {
        if (!spec->ablation || !loom_file_exists(spec->ablation))
            return loom_fail(e, LOOM_ECONFIG, spec->ablation, 0,
                             "there is no such file: name an ablation that is there");
        a->origin = realpath(spec->ablation, NULL);
        return loom_config_open(&a->config, spec->ablation, spec->overrides, spec->override, e);
    }
    snprintf(a->dir.path, sizeof a->dir.path, "%s", spec->resume);
    int code = loom_rundir_path(&a->dir, path, e, "ablation.cfg");
    if (code == LOOM_OK && !loom_file_exists(path))
        code = loom_fail(e, LOOM_ECONFIG, spec->resume, 0,
                         "is no folder of an ablation (it has no ablation.cfg): name one that loom ablate made");
    if (code == LOOM_OK && !(a->origin = loom_rundir_origin(&a->dir, e)))
        code = LOOM_EDATA;
    if (code == LOOM_OK)
        code = loom_file_read(&text, &size, path, 1 << 26, e);
    if (code == LOOM_OK)
        code = loom_config_parse(&a->config, text, a->origin, 0, NULL, e);
    free(text);
    return code;
}

int loom_ablation_open(struct loom_ablation *a, const struct loom_ablate_spec *spec, struct loom_error *e)
{
    *a = (struct loom_ablation){.spec = spec, .dir = LOOM_RUNDIR};
    int code = open_file(a, e);
    if (code != LOOM_OK)
        return code;
    const struct loom_group *root = loom_config_root(a->config);
    size_t axes = loom_group_list_count(root, "axes");
    code = loom_options_parse(&a->options, root_options, root, "ablation", root_reserved, e);
    if (code != LOOM_OK)
        return code;
    a->name = loom_opt_string(a->options, "name");
    a->metrics = (int)loom_opt_count(a->options, "metrics");
    if (!loom_pipeline_is_name(a->name))
        return loom_opt_fail(a->options, "name", e, "'%s' cannot be a folder's name: use letters, digits, - and _",
                             a->name);
    if (axes == 0 || axes > LOOM_AXES)
        return loom_group_fail(
            root, "axes", e, LOOM_ECONFIG,
            "an ablation has 1 to %d axes, this one %zu: write axes: ( { name = …; values: ( … ); } );", LOOM_AXES,
            axes);
    code = read_seeds(a, e);
    for (size_t i = 0; i < axes && code == LOOM_OK; i++)
        code = read_axis(a, i, e);
    if (code == LOOM_OK)
        code = find_reference(a, e);
    if (code == LOOM_OK)
        code = lay_out(a, e);
    return code == LOOM_OK ? loom_config_unread(a->config, e) : code;
}

void loom_ablation_release(struct loom_ablation *a)
{
    for (int k = 0; k < a->cells; k++) {
        struct loom_cell *c = &a->cell[k];
        for (int i = 0; i < a->seeds; i++)
            free(c->attempt[i].failed);
        free(c->origin);
        free(c->resolved);
        json_decref(c->identity);
    }
    free(a->cell);
    for (int i = 0; i < a->axes; i++) {
        for (int k = 0; k < a->axis[i].values; k++)
            loom_options_free(a->axis[i].value[k]);
        loom_options_free(a->axis[i].options);
    }
    loom_options_free(a->options);
    loom_config_free(a->config);
    loom_rundir_release(&a->dir);
    free(a->origin);
}
