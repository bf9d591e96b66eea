/* SPDX-License-Identifier: Apache-2.0 */
/* Weights that PyTorch made (tests/golden/weights.py): loom says with them what PyTorch says, and tells what is wrong
 * with those that do not fit. */
#include "base/io.h"
#include "base/json.h"
#include "eval/predictions.h"
#include "train/safetensors.h"

#include <loom/run.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"

enum { PATH = 4096 };
static char folder[PATH], pipeline[PATH], golden[PATH], other[PATH], h5[PATH];

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/loom-weights-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(pipeline, sizeof pipeline, "%s", in_sources("tests/golden/weights.cfg"));
    snprintf(golden, sizeof golden, "%s", in_sources("tests/golden/weights.safetensors"));
    snprintf(other, sizeof other, "%.100s/other.safetensors", folder);
    snprintf(h5, sizeof h5, "%.100s/p.h5", folder);
    setenv("LOOM_CACHE", folder, 1);
    unsetenv("LOOM_DATA");
}

static void tear_down(void)
{
    char command[PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static int evaluate(const char *weights, int partial, struct loom_error *e)
{
    char *json = NULL;
    struct loom_run_spec spec = {.size = sizeof spec,
                                 .pipeline = pipeline,
                                 .threads = 1,
                                 .weights = weights,
                                 .partial = partial,
                                 .predictions = h5};
    *e = (struct loom_error){0};
    int code = loom_run_evaluate(&spec, NULL, NULL, &json, e);
    ck_assert_int_eq(code == LOOM_OK, json != NULL);
    free(json);
    return code;
}

/* Largest distance of what loom says from what PyTorch says. */
static double distance(void)
{
    struct loom_predictions p;
    struct loom_error e = {0};
    double most = 0;
    json_t *j = loom_json_load(in_sources("tests/golden/weights.json"), 1 << 20, &e),
           *due = json_object_get(j, "predicted");
    ck_ok(loom_predictions_read(&p, h5, "evaluate", "test", "velocity", &e), &e);
    ck_assert_int_eq(p.n, 80);
    ck_assert_int_eq((int)json_array_size(due), 80);
    for (int i = 0; i < 80; i++) {
        double d = p.row[i].predicted - json_real_value(json_array_get(due, (size_t)i));
        most = !(d * d <= most * most) ? (d < 0 ? -d : d) : most;
    }
    loom_predictions_release(&p);
    json_decref(j);
    return most;
}

START_TEST(loom_says_what_pytorch_says)
{
    struct loom_error e;
    set_up();
    ck_ok(evaluate(golden, 0, &e), &e);
    double d = distance();
    ck_assert_msg(d <= 5e-6, "differs by %g where values reach 5", d);
    tear_down();
}
END_TEST

/* The golden file with tensor `name` changed by `change`; NULL: without it. */
static void make_other(const char *name, void (*change)(struct loom_tensor *t), const char *vocabularies)
{
    struct loom_tensors f;
    struct loom_error e = {0};
    ck_ok(loom_tensors_read(&f, golden, 0, &e), &e);
    const struct loom_meta meta = {"vocabularies", vocabularies ? vocabularies : loom_tensors_meta(&f, "vocabularies")};
    int n = 0;
    for (int i = 0; i < f.tensors; i++) {
        int here = strcmp(f.tensor[i].name, name) == 0;
        f.tensor[n] = f.tensor[i];
        if (here && change)
            change(&f.tensor[n]);
        n += !here || change;
    }
    ck_ok(loom_tensors_write(other, f.tensor, n, &meta, 1, &e), &e);
    loom_tensors_release(&f);
}

static void rename_it(struct loom_tensor *t)
{
    t->name = "head.velocty.bias";
}

static void turn_it(struct loom_tensor *t)
{
    t->dim[0] = 12;
    t->dim[1] = 2;
}

static void make_whole_numbers(struct loom_tensor *t)
{
    t->dtype = t->bytes == 16 ? "I64" : t->bytes == 8 ? "I32" : "I16";
}

static void refused(int code, const struct loom_error *e, const char *says)
{
    ck_assert_int_eq(code, LOOM_EDATA);
    ck_assert_msg(strstr(e->message, says), "'%s' does not say '%s'", e->message, says);
}

START_TEST(names_that_do_not_match_are_told)
{
    struct loom_error e;
    set_up();
    make_other("head.velocity.bias", NULL, NULL);
    refused(evaluate(other, 0, &e), &e, "no 'head.velocity.bias'");
    ck_ok(evaluate(other, 1, &e), &e);
    ck_assert(distance() > 1e-3);
    make_other("head.velocity.bias", rename_it, NULL);
    refused(evaluate(other, 0, &e), &e, "no 'head.velocity.bias' (nearest there: 'head.velocty.bias')");
    make_other("state.tokenizer.velocity.mean", rename_it, NULL);
    refused(evaluate(other, 0, &e), &e, "the model has no 'head.velocty.bias' (nearest: 'head.velocity.bias')");
    ck_ok(evaluate(other, 1, &e), &e);
    tear_down();
}
END_TEST

START_TEST(shapes_and_dtypes_that_do_not_fit_are_told)
{
    struct loom_error e;
    set_up();
    make_other("head.velocity.weight", turn_it, NULL);
    refused(evaluate(other, 0, &e), &e, "'head.velocity.weight' is [12, 2] instead of [2, 12] (transpose it)");
    refused(evaluate(other, 1, &e), &e, "[12, 2]");
    make_other("head.velocity.bias", make_whole_numbers, NULL);
    refused(evaluate(other, 0, &e), &e, "write F32, F64, F16 or BF16");
    tear_down();
}
END_TEST

/* Rows go by name: without names three rows are no two, with others one is missing, and swapped ones are felt. */
START_TEST(rows_of_tables_go_by_name)
{
    struct loom_error e;
    set_up();
    make_other("none", NULL, "{}");
    refused(evaluate(other, 0, &e), &e, "'backbone.session' is [3, 12] instead of [2, 12]");
    make_other("none", NULL, "{\"session\": [\"weights_b\", \"elsewhere\", \"weights_c\"]}");
    refused(evaluate(other, 0, &e), &e, "'backbone.session' has no row 'weights_a'");
    ck_ok(evaluate(other, 1, &e), &e);
    make_other("none", NULL, "{\"session\": [\"weights_b\", \"weights_a\"]}");
    refused(evaluate(other, 0, &e), &e, "3 rows, its vocabulary 2 names");
    make_other("none", NULL, "{\"session\": [\"weights_a\", \"elsewhere\", \"weights_b\"]}");
    ck_ok(evaluate(other, 0, &e), &e);
    ck_assert(distance() > 1e-3);
    tear_down();
}
END_TEST

START_TEST(states_that_nobody_has_are_fitted)
{
    struct loom_error e;
    set_up();
    make_other("state.tokenizer.velocity.mean", NULL, NULL);
    ck_ok(evaluate(other, 0, &e), &e);
    double d = distance();
    ck_assert_msg(d > 0.1 && d < 6, "the mean of the training split is near 0, the file's is 1 and -2: %g", d);
    tear_down();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {loom_says_what_pytorch_says, names_that_do_not_match_are_told,
                                  shapes_and_dtypes_that_do_not_fit_are_told, rows_of_tables_go_by_name,
                                  states_that_nobody_has_are_fitted};
    return run_suite("weights", sizeof tests / sizeof *tests, tests, 60);
}
