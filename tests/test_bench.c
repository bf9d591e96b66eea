/* SPDX-License-Identifier: Apache-2.0 */
/* `loom bench --json`: its form, that a training step takes nothing from the heap, and how memory grows. Times are not
 * judged. */
#include "suite.h"

#include "train/bench.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char pipeline[] = "name = \"tiny\";\n"
                               "data: { source = \"sim\"; units = 20; trials = 12; window_ms = 400.0;\n"
                               "        split: { by = \"trial\"; train = 0.8; valid = 0.1; test = 0.1; }; };\n"
                               "tokenizer: { plugin = \"ndt2\"; patch_units = 8; };\n"
                               "backbone: { plugin = \"vit\"; width = 32; depth = 2; decoder_depth = 1; heads = 2; };\n"
                               "shards = 4;\n"
                               "stages: ( { name = \"pretrain\"; objectives: ( { plugin = \"mae\"; },\n"
                               "            { plugin = \"decode\"; target = \"handVel\"; } ); batch = 8; } );\n";

/* A new file with this text; its name in `path`. */
static void make_file(char *path, const char *text)
{
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
}

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

static void expect_all_positive(const json_t *object, const char *const *name)
{
    for (; *name; name++)
        expect_positive(object, *name);
}

static void expect_sections(const json_t *j)
{
    static const char *const section[] = {"machine", "ops", "steps", "scaling", "stream"};
    for (size_t i = 0; i < sizeof section / sizeof *section; i++)
        ck_assert_msg(json_object_get(j, section[i]) != NULL, "there is no '%s'", section[i]);
}

START_TEST(times_a_pipeline)
{
    static const char *const positive[] = {"ms",           "flops",      "sgemm_share", "sgemm_cpu_share",
                                           "tokens_per_s", "peak_bytes", "cpu_ms",      NULL};
    char path[] = "/tmp/loom-bench-XXXXXX", words[256];
    int status;
    make_file(path, pipeline);
    snprintf(words, sizeof words, "--only steps --steps 3 --threads 2 '%s' '%s' backbone.width=64 '%s'", path, path,
             path);
    json_t *j = bench(words, &status);
    unlink(path);
    ck_assert_int_eq(status, 0);
    expect_sections(j);
    const json_t *steps = json_object_get(j, "steps"), *step = json_object_get(steps, "tiny");
    ck_assert_uint_eq(json_object_size(steps), 3);
    ck_assert_ptr_nonnull(step);
    expect_all_positive(step, positive);
    /* Nobody counts under sanitizers: then there is no number to judge. */
    if (!json_is_null(json_object_get(step, "heap_allocations")))
        ck_assert(number(step, "heap_allocations") == 0);
    ck_assert(json_array_size(json_object_get(step, "parts")) > 5);
    /* Words behind a pipeline are that one's alone. */
    const json_t *wide = json_object_get(steps, "tiny backbone.width=64"), *again = json_object_get(steps, "tiny #2");
    ck_assert(number(wide, "parameters") > 2 * number(step, "parameters"));
    ck_assert(number(again, "parameters") == number(step, "parameters"));
    json_decref(j);
}
END_TEST

START_TEST(streams_a_pipeline)
{
    static const char *const positive[] = {"min_us", "p50_us",  "p99_us", "p999_us", "max_us", "plan_us",    "build_us",
                                           "run_us", "work_us", "flops",  "rows",    "nodes",  "peak_bytes", NULL};
    char path[] = "/tmp/loom-bench-XXXXXX", words[256];
    int status;
    make_file(path, pipeline);
    snprintf(words, sizeof words, "--only stream --bins 40 --threads 2 '%s' '%s' backbone.width=64", path, path);
    json_t *j = bench(words, &status);
    unlink(path);
    ck_assert_int_eq(status, 0);
    expect_sections(j);
    const json_t *streams = json_object_get(j, "stream"), *stream = json_object_get(streams, "tiny");
    ck_assert_uint_eq(json_object_size(streams), 2);
    ck_assert_ptr_nonnull(stream);
    expect_all_positive(stream, positive);
    if (!json_is_null(json_object_get(stream, "heap_allocations")))
        ck_assert(number(stream, "heap_allocations") == 0);
    ck_assert(number(stream, "threads") == 2 && number(stream, "bins") == 40);
    ck_assert(number(stream, "min_us") <= number(stream, "p50_us"));
    ck_assert(number(stream, "p50_us") <= number(stream, "p99_us"));
    ck_assert(number(stream, "p99_us") <= number(stream, "p999_us"));
    ck_assert(number(stream, "p999_us") <= number(stream, "max_us"));
    ck_assert(json_array_size(json_object_get(stream, "parts")) > 5);
    json_decref(j);
}
END_TEST

START_TEST(measures_machine_and_ops)
{
    static const char *const limits[] = {"sgemm_gflops",      "sgemm_one_gflops", "bandwidth_gbs",
                                         "bandwidth_one_gbs", "threads",          NULL};
    static const char *const both[] = {"triad_gbs", "read_gbs", NULL};
    size_t i, seen = 0;
    json_t *limit, *op;
    int status;
    json_t *j = bench("--only machine,ops --quick --threads 2", &status);
    ck_assert_int_eq(status, 0);
    expect_sections(j);
    const json_t *machine = json_object_get(j, "machine");
    expect_all_positive(machine, limits);
    ck_assert_uint_eq(json_array_size(json_object_get(machine, "limits")), 2);
    json_array_foreach(json_object_get(machine, "limits"), i, limit)
    {
        ck_assert_int_eq((int)number(limit, "threads"), (int)i + 1);
        expect_all_positive(limit, both);
        expect_positive(json_array_get(json_object_get(limit, "sgemm"), 0), "together_gflops");
    }
    ck_assert(json_array_size(json_object_get(machine, "levels")) >= 1);
    json_array_foreach(json_object_get(j, "ops"), i, op)
    {
        const char *name = json_string_value(json_object_get(op, "op"));
        const char *bound = json_string_value(json_object_get(op, "bound"));
        ck_assert(name && bound);
        expect_positive(op, "forward_us");
        expect_positive(op, "forward_share");
        seen += strncmp(name, "linear", 6) == 0 && strcmp(bound, "compute") == 0;
        seen += strncmp(name, "add", 3) == 0 && strcmp(bound, "compute") != 0;
    }
    ck_assert_msg(seen > 10, "%zu ops are bound as they must be", seen);
    json_decref(j);
}
END_TEST

/* Memory is the same in every run: attention never keeps its scores, so it grows with length, not with its square. */
START_TEST(tells_how_things_grow)
{
    static const char *const finite[] = {"time_exponent", "time_residual", "memory_exponent", "memory_residual"};
    char path[] = "/tmp/loom-bench-XXXXXX.svg", words[256], *text = NULL;
    size_t size = 0;
    const char *name;
    json_t *curve;
    int status;
    int file = mkstemps(path, 4);
    ck_assert_int_ge(file, 0);
    close(file);
    snprintf(words, sizeof words, "--only scaling --quick --threads 2 --picture '%s'", path);
    json_t *j = bench(words, &status);
    ck_assert_int_eq(status, 0);
    expect_sections(j);
    json_t *scaling = json_object_get(j, "scaling");
    ck_assert_uint_ge(json_object_size(scaling), 6);
    json_object_foreach(scaling, name, curve) for (size_t i = 0; i < 4; i++)
        ck_assert_msg(isfinite(number(curve, finite[i])), "%s: %s", name, finite[i]);
    ck_near(number(json_object_get(scaling, "attention.length"), "memory_exponent"), 1, 0.2);
    ck_near(number(json_object_get(scaling, "block.split"), "memory_exponent"), 0, 0.1);
    ck_near(number(json_object_get(scaling, "shards.threads"), "memory_exponent"), 1, 1e-6);
    FILE *f = fopen(path, "r");
    ck_assert(f && getdelim(&text, &size, '\0', f) > 0);
    ck_assert(strncmp(text, "<svg ", 5) == 0 && strstr(text, "</svg>") && !strstr(text, "nan") && !strstr(text, "inf"));
    ck_assert_ptr_nonnull(strstr(text, "attention.length"));
    fclose(f);
    free(text);
    unlink(path);
    json_decref(j);
}
END_TEST

START_TEST(fits_laws)
{
    const double x[] = {1, 2, 4, 8}, square[] = {3, 12, 48, 192}, rough[] = {1, 3, 3, 9}, none[] = {1, 0, NAN, 0};
    struct loom_bench_law law = loom_bench_law(4, x, square);
    ck_near(law.exponent, 2, 1e-12);
    ck_near(law.residual, 0, 1e-12);
    law = loom_bench_law(4, x, rough);
    ck_near(law.exponent, 3 * log2(9) / 10, 1e-12);
    ck_assert(law.residual > 0.1 && law.residual < 0.5);
    ck_assert(isnan(loom_bench_law(4, x, none).exponent));
}
END_TEST

/* What `loom bench` says to words that do not fit. */
static void refused(const char *words, const char *with)
{
    char command[512], said[4096] = "";
    snprintf(command, sizeof command, "'%s' bench %s 2>&1 >/dev/null", getenv("LOOM_PROGRAM"), words);
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(said, 1, sizeof said - 1, f);
    int status = pclose(f);
    said[n] = '\0';
    ck_assert_msg(WEXITSTATUS(status) == 2 && strstr(said, with), "%s: %d, %s", words, WEXITSTATUS(status), said);
}

START_TEST(refuses_words)
{
    refused("--only scalin", "did you mean 'scaling'");
    refused("--only ops,stepz", "did you mean 'steps'");
    refused("--pictur a.svg", "did you mean '--picture'");
    refused("--picture a.pdf", "SVG");
    refused("--steps 0", "from 1 to 1001, not '0'");
    refused("--threads none", "from 1 to 1024, not 'none'");
    refused("--json=1", "--json takes no value, not '1'");
    refused("--only steps there-is-none.cfg", "there is no such pipeline");
    char path[] = "/tmp/loom-bench-XXXXXX", words[256];
    make_file(path, pipeline);
    snprintf(words, sizeof words, "--only steps '%s' backbone.widht=64", path);
    refused(words, "did you mean 'width'");
    unlink(path);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        fits_laws,    times_a_pipeline, streams_a_pipeline, measures_machine_and_ops, tells_how_things_grow,
        refuses_words};
    return run_suite("bench", (int)(sizeof tests / sizeof *tests), tests, 180);
}
