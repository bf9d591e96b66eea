/* SPDX-License-Identifier: Apache-2.0 */
/* `loom bench --json` on a small pipeline: its form, and that a training step takes nothing from the heap. Times are
 * not judged. */
#include "suite.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char pipeline[] = "name = \"tiny\";\n"
                               "data: { source = \"sim\"; units = 20; trials = 12; window_ms = 400.0;\n"
                               "        split: { by = \"trial\"; train = 0.8; valid = 0.1; test = 0.1; }; };\n"
                               "tokenizer: { plugin = \"ndt2\"; patch_units = 8; };\n"
                               "backbone: { plugin = \"vit\"; width = 32; depth = 2; decoder_depth = 1; heads = 2; };\n"
                               "shards = 4;\n"
                               "stages: ( { name = \"pretrain\"; objectives: ( { plugin = \"mae\"; },\n"
                               "            { plugin = \"decode\"; target = \"handVel\"; } ); batch = 8; } );\n";

/* The output of `loom bench` with these words, as JSON; its exit code in *status. */
static json_t *bench(const char *words, int *status)
{
    const char *program = getenv("LOOM_PROGRAM");
    char command[4096];
    json_error_t e;
    ck_assert_ptr_nonnull(program);
    snprintf(command, sizeof command, "'%s' bench --json %s", program, words);
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    json_t *j = json_loadf(f, JSON_REJECT_DUPLICATES, &e);
    *status = pclose(f);
    if (*status == 0 && !j)
        ck_abort_msg("line %d: %s", e.line, e.text);
    return j;
}

static double number(const json_t *object, const char *name)
{
    const json_t *x = json_object_get(object, name);
    if (!json_is_number(x))
        ck_abort_msg("'%s' is no number", name);
    return json_number_value(x);
}

static void expect_positive(const json_t *object, const char *name)
{
    if (!(number(object, name) > 0))
        ck_abort_msg("'%s' is %g", name, number(object, name));
}

START_TEST(times_a_pipeline)
{
    char path[] = "/tmp/loom-bench-XXXXXX", words[128];
    int file = mkstemp(path), status;
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, pipeline, strlen(pipeline)), (ssize_t)strlen(pipeline));
    close(file);
    snprintf(words, sizeof words, "--only steps --steps 3 --threads 2 '%s'", path);
    json_t *j = bench(words, &status);
    unlink(path);
    ck_assert_int_eq(status, 0);
    const json_t *step = json_object_get(json_object_get(j, "steps"), "tiny");
    ck_assert_ptr_nonnull(step);
    static const char *const positive[] = {"ms", "flops", "sgemm_share", "tokens_per_s", "peak_bytes", "cpu_ms"};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        expect_positive(step, positive[i]);
    /* Nobody counts under sanitizers: then there is no number to judge. */
    if (!json_is_null(json_object_get(step, "heap_allocations")))
        ck_assert(number(step, "heap_allocations") == 0);
    ck_assert(json_array_size(json_object_get(step, "parts")) > 5);
    static const char *const parts[] = {"machine", "ops", "stream"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_ptr_nonnull(json_object_get(j, parts[i]));
    json_decref(j);
}
END_TEST

START_TEST(refuses_words)
{
    int status;
    json_t *j = bench("--only nothing 2>/dev/null", &status);
    ck_assert_ptr_null(j);
    ck_assert_int_eq(WEXITSTATUS(status), 2);
    j = bench("--steps 0 2>/dev/null", &status);
    ck_assert_ptr_null(j);
    ck_assert_int_eq(WEXITSTATUS(status), 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {times_a_pipeline, refuses_words};
    return run_suite("bench", (int)(sizeof tests / sizeof *tests), tests, 60);
}
