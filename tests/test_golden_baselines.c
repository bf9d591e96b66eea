/* SPDX-License-Identifier: Apache-2.0 */
/* Baselines beside other programs (tests/golden/baselines.py): the same recordings, the same answers. */
#include "fitting.h"
#include "recorded.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

/* The recording of the file. */
static void read_recording(struct recorded *x, const json_t *from)
{
    const json_t *counts = json_object_get(from, "counts"), *value = json_object_get(from, "value");
    const int bins = (int)json_array_size(counts), units = (int)json_array_size(json_array_get(counts, 0));
    recorded_init(x, "golden", bins, 0, units, "vel", 2);
    for (int i = 0; i < bins; i++) {
        for (int u = 0; u < units; u++)
            x->count[i * units + u] =
                (uint16_t)json_integer_value(json_array_get(json_array_get(counts, (size_t)i), (size_t)u));
        for (int d = 0; d < 2; d++)
            x->value[2 * i + d] = (float)json_number_value(json_array_get(json_array_get(value, (size_t)i), (size_t)d));
    }
    for (int u = 0; u < units; u++)
        x->unit[u].held_out = u >= units - (int)json_integer_value(json_object_get(from, "held_out"));
}

/* What is said of the test split, one question after another, beside the file's. */
static void compare(const struct fitted *f, const struct loom_catalog *c, const json_t *what, const char *modality)
{
    const json_t *test = json_object_get(what, "test");
    const json_int_t skip = json_integer_value(json_object_get(what, "skip"));
    const double tolerance = json_number_value(json_object_get(what, "tolerance"));
    struct loom_windows w;
    int seen = 0;
    fit_windows(&w, c, LOOM_TEST, 0);
    ck_assert_int_eq(w.n, 1);
    ck_ok(loom_shard_plan(f->shard, &w.sample[0], 1, LOOM_EVALUATE, 0, &error), &error);
    ck_ok(loom_shard_build(f->shard, loom_shard_masses(f->shard), NULL, 1, &error), &error);
    loom_shard_run(f->shard);
    for (int k = 0; k < loom_shard_readings(f->shard); k++) {
        const struct loom_reading *read = loom_shard_reading(f->shard, k);
        if (strcmp(loom_model_modality(f->model, read->modality), modality) != 0)
            continue;
        for (int32_t r = (int32_t)skip; r < read->ask->rows; r++) {
            const json_t *row = json_array_get(test, (size_t)(r - skip));
            size_t d = 0;
            for (int32_t i = read->ask->first_elem[r]; i < read->ask->first_elem[r + 1]; i++)
                if (read->weight[i] > 0) {
                    ck_near(read->predicted[i], json_number_value(json_array_get(row, d++)), tolerance);
                    seen++;
                }
            ck_assert_uint_eq(d, json_array_size(row));
        }
        ck_assert_int_eq(read->ask->rows - (int32_t)skip, (int)json_array_size(test));
    }
    ck_assert_int_gt(seen, 0);
    loom_windows_release(&w);
}

static json_t *golden;

/* test_i: case i of the file, over all its recordings. */
START_TEST(as_others_say)
{
    static struct recorded x;
    const struct loom_recording *one[] = {&x.r};
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *c;
    const char *key;
    json_t *from, *what;
    size_t i;
    json_object_foreach(golden, key, from)
    {
        read_recording(&x, from);
        ck_ok(loom_catalog_new(&c, one, 1, &spec, &error), &error);
        json_array_foreach(json_object_get(from, "cases"), i, what)
        {
            const char *id = json_string_value(json_object_get(what, "baseline"));
            char text[512];
            struct fitted f;
            printf("# %s: %s %s\n", key, id, json_string_value(json_object_get(what, "options")));
            fflush(stdout);
            snprintf(text, sizeof text,
                     "stage: { objectives: ( { plugin = \"decode\"; target = \"vel\"; } ); }; %s: { %s };", id,
                     json_string_value(json_object_get(what, "options")));
            fit_all(&f, c, text, id);
            compare(&f, c, what, json_string_value(json_object_get(from, "asked")));
            fit_release(&f);
        }
        loom_catalog_free(c);
        recorded_release(&x);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {as_others_say};
    golden = json_load_file(in_sources("tests/golden/baselines.json"), 0, NULL);
    if (golden == NULL) {
        puts("Bail out! tests/golden/baselines.json cannot be read");
        return EXIT_FAILURE;
    }
    int status = run_suite("golden", sizeof tests / sizeof *tests, tests, 120);
    json_decref(golden);
    return status;
}
