/* SPDX-License-Identifier: Apache-2.0 */
/* Named arrays in files, and submissions to the Neural Latents Benchmark that nlb_tools wrote and scored
 * (tests/peers/nlb_files.py). */
#include "suite.h"

#include "base/hash.h"
#include "base/io.h"
#include "eval/nlb_score.h"
#include "eval/predictions.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static struct loom_error error;

static char *temporary(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/loom-arrays-%ld", (long)getpid());
    return path;
}

static struct loom_arrays some(void)
{
    static const float rates[6] = {0.5f, 1, 2, 3, 4, -5};
    static const int32_t trials[2] = {7, 9};
    struct loom_arrays a = {0};
    loom_array_describe(loom_arrays_add(&a, "test/rates", LOOM_ARRAY_F32, 3, (int64_t[]){1, 2, 3}, rates, &error),
                        "trial,bin,unit", "spikes/bin");
    ck_assert_ptr_nonnull(loom_arrays_add(&a, "test/trial", LOOM_ARRAY_I32, 1, (int64_t[]){2}, trials, &error));
    ck_assert_ptr_nonnull(loom_arrays_add(&a, "test/none", LOOM_ARRAY_F64, 2, (int64_t[]){0, 4}, NULL, &error));
    a.metadata = strdup("{\"run\": \"x\"}");
    return a;
}

static uint64_t number(const unsigned char *at, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++)
        x |= (uint64_t)at[i] << (8 * i);
    return x;
}

/* CRC-32 of "123456789" is the standard's check value. */
START_TEST(checksum_of_zip)
{
    ck_assert_uint_eq(loom_crc32(0, "123456789", 9), 0xcbf43926u);
    ck_assert_uint_eq(loom_crc32(loom_crc32(0, "1234", 4), "56789", 5), 0xcbf43926u);
    ck_assert_uint_eq(loom_crc32c(0, "123456789", 9), 0xe3069283u);
}
END_TEST

/* Walks the directory from the end of the file, as readers do, to each member and its checksum. */
START_TEST(numpy_archive)
{
    static const char *const names[] = {"test/rates.npy", "test/trial.npy", "test/none.npy", "metadata.npy"};
    struct loom_arrays a = some();
    char *bytes;
    size_t size;
    ck_ok(loom_arrays_write_npz(&a, temporary(), &error), &error);
    ck_ok(loom_file_read(&bytes, &size, temporary(), 1 << 20, &error), &error);
    const unsigned char *b = (const unsigned char *)bytes, *end = b + size - 22, *end64 = end - 20 - 56;
    ck_assert_uint_eq(number(end, 4), 0x06054b50);
    ck_assert_uint_eq(number(end64, 4), 0x06064b50);
    ck_assert_uint_eq(number(end - 20 + 8, 8), (uint64_t)(end64 - b));
    ck_assert_uint_eq(number(end64 + 32, 8), 4);
    const unsigned char *entry = b + number(end64 + 48, 8);
    for (int i = 0; i < 4; i++) {
        const size_t name = number(entry + 28, 2);
        ck_assert_uint_eq(number(entry, 4), 0x02014b50);
        ck_assert(name == strlen(names[i]) && memcmp(entry + 46, names[i], name) == 0);
        const unsigned char *local = b + number(entry + 46 + name + 4 + 16, 8);
        const size_t length = number(entry + 46 + name + 4, 8);
        const unsigned char *data = local + 30 + number(local + 26, 2) + number(local + 28, 2);
        ck_assert_uint_eq(number(local, 4), 0x04034b50);
        ck_assert_uint_eq(number(local + 14, 4), loom_crc32(0, data, length));
        ck_assert(memcmp(data, "\x93NUMPY\x01\x00", 8) == 0 && (10 + number(data + 8, 2)) % 64 == 0);
        if (i == 0) {
            ck_assert_ptr_nonnull(
                strstr((const char *)data + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }"));
            ck_assert(memcmp(data + 10 + number(data + 8, 2), a.at[0].data, 24) == 0);
        }
        entry += 46 + name + number(entry + 30, 2);
    }
    ck_assert_ptr_eq(entry, end64);
    free(bytes);
    loom_arrays_release(&a);
    unlink(temporary());
}
END_TEST

START_TEST(hdf5_there_and_back)
{
    struct loom_arrays a = some(), b = {0};
    static const int64_t trial[3] = {4, 0, 2};
    if (!loom_predictions_supported())
        return;
    struct loom_array *lists = loom_arrays_add(&a, "lists", LOOM_ARRAY_I64, 1, (int64_t[]){3}, trial, &error);
    lists->rows = 3;
    lists->first = malloc(4 * sizeof *lists->first);
    memcpy(lists->first, (int64_t[]){0, 1, 1, 3}, 4 * sizeof *lists->first);
    ck_ok(loom_arrays_write_h5(&a, temporary(), &error), &error);
    ck_ok(loom_arrays_read_h5(&b, temporary(), &error), &error);
    const struct loom_array *rates = loom_arrays_find(&b, "test/rates"), *back = loom_arrays_find(&b, "lists");
    ck_assert(rates != NULL && rates->rank == 3 && rates->dim[1] == 2 && rates->dim[2] == 3);
    ck_assert(rates->type == LOOM_ARRAY_F64 && ((double *)rates->data)[5] == -5);
    ck_assert(back != NULL && back->rows == 3 && back->first[1] == 1 && back->first[2] == 1 && back->first[3] == 3);
    ck_assert(((int64_t *)back->data)[0] == 4 && ((int64_t *)back->data)[2] == 2);
    ck_fails(loom_arrays_write_npz(&a, temporary(), &error), LOOM_EINVAL, &error, "ragged");
    loom_arrays_release(&a);
    loom_arrays_release(&b);
    unlink(temporary());
}
END_TEST

START_TEST(nothing_else_is_held)
{
    struct loom_arrays a = {0};
    ck_assert_ptr_null(loom_arrays_add(&a, "big", LOOM_ARRAY_U8, 2, (int64_t[]){1 << 30, 1 << 30}, NULL, &error));
    ck_assert_int_eq(error.code, LOOM_EDATA);
    ck_assert_ptr_null(loom_arrays_add(&a, "less", LOOM_ARRAY_U8, 1, (int64_t[]){-1}, NULL, &error));
    ck_fails(loom_arrays_read_h5(&a, "/nowhere", &error), loom_predictions_supported() ? LOOM_EIO : LOOM_ECONFIG,
             &error, "");
    loom_arrays_release(&a);
}
END_TEST

static void load(struct loom_arrays *sent, struct loom_arrays *truth)
{
    ck_ok(loom_arrays_read_h5(sent, in_sources("tests/golden/nlb_submission.h5"), &error), &error);
    ck_ok(loom_arrays_read_h5(truth, in_sources("tests/golden/nlb_targets.h5"), &error), &error);
}

/* Every score that nlb_tools gave, no more and no fewer. */
START_TEST(scores_of_nlb_tools)
{
    struct loom_arrays sent = {0}, truth = {0};
    json_t *ours, *their;
    if (!loom_predictions_supported())
        return;
    load(&sent, &truth);
    json_t *file = json_load_file(in_sources("tests/golden/nlb_scores.json"), 0, NULL),
           *theirs = json_object_get(file, "scores");
    ck_assert_ptr_nonnull(theirs);
    ck_ok(loom_nlb_score(&sent, &truth, &ours, &error), &error);
    ck_assert_uint_eq(json_array_size(ours), json_array_size(theirs));
    for (size_t i = 0; i < json_array_size(theirs); i++) {
        const char *name, *key;
        json_t *value;
        json_object_foreach(json_array_get(theirs, i), name, their)
        {
            const json_t *our = json_object_get(json_array_get(ours, i), name);
            ck_assert_msg(json_object_size(our) == json_object_size(their), "%s", name);
            json_object_foreach(their, key, value)
                ck_near(json_number_value(json_object_get(our, key)), json_number_value(value), 1e-6);
        }
    }
    json_decref(ours);
    json_decref(file);
    loom_arrays_release(&sent);
    loom_arrays_release(&truth);
}
END_TEST

static void rename_array(struct loom_arrays *a, const char *name)
{
    struct loom_array *found = (struct loom_array *)(uintptr_t)loom_arrays_find(a, name);
    ck_assert_ptr_nonnull(found);
    snprintf(found->name, sizeof found->name, "gone");
}

START_TEST(what_is_wrong_with_a_submission)
{
    struct loom_arrays sent = {0}, truth = {0};
    json_t *out;
    if (!loom_predictions_supported())
        return;
    load(&sent, &truth);
    struct loom_array *a = (struct loom_array *)(uintptr_t)loom_arrays_find(&sent, "mc_rtt_20/eval_rates_heldout");
    double *x = a->data, kept = x[3];
    x[3] = -0.25;
    ck_fails(loom_nlb_score(&sent, &truth, &out, &error), LOOM_EDATA, &error, "-0.25");
    x[3] = kept;
    a->dim[0]--;
    ck_fails(loom_nlb_score(&sent, &truth, &out, &error), LOOM_ESHAPE, &error, "");
    a->dim[0]++;
    a = (struct loom_array *)(uintptr_t)loom_arrays_find(&truth, "area2_bump/eval_cond_idx");
    ((int64_t *)a->data)[0] = 99;
    ck_fails(loom_nlb_score(&sent, &truth, &out, &error), LOOM_EDATA, &error, "99");
    ((int64_t *)a->data)[0] = 0;
    rename_array(&sent, "mc_rtt_20/train_rates_heldin");
    ck_fails(loom_nlb_score(&sent, &truth, &out, &error), LOOM_EDATA, &error, "train_rates_heldin");
    rename_array(&sent, "mc_rtt_20/eval_rates_heldout");
    ck_ok(loom_nlb_score(&sent, &truth, &out, &error), &error);
    ck_assert_uint_eq(json_array_size(out), 3);
    json_decref(out);
    loom_arrays_release(&truth);
    ck_fails(loom_nlb_score(&sent, &truth, &out, &error), LOOM_EDATA, &error, "no dataset");
    loom_arrays_release(&sent);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {checksum_of_zip,      numpy_archive,       hdf5_there_and_back,
                                  nothing_else_is_held, scores_of_nlb_tools, what_is_wrong_with_a_submission};
    return run_suite("arrays", (int)(sizeof tests / sizeof *tests), tests, 20);
}
