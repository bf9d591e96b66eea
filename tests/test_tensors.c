/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "train/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"

static struct loom_error e;
static char path[64];

static const float weight[2][3] = {{1, 2, 3}, {4, 5, 6}};
static const double moment[1] = {0.5};
static const struct loom_tensor list[] = {
    {.name = "head.weight", .dtype = "F32", .rank = 2, .dim = {2, 3}, .data = weight, .bytes = sizeof weight},
    {.name = "adam.m.head", .dtype = "F64", .rank = 0, .data = moment, .bytes = sizeof moment},
};
static const struct loom_meta meta[] = {{"stage", "pretrain"}, {"pipeline", "name = \"a\";\n# µ"}};

static void write_one(void)
{
    snprintf(path, sizeof path, "/tmp/loom-tensors-%d", (int)getpid());
    ck_ok(loom_tensors_write(path, list, 2, meta, 2, &e), &e);
}

static void load(char **bytes, size_t *size)
{
    ck_ok(loom_file_read(bytes, size, path, 1 << 20, &e), &e);
}

START_TEST(what_is_written_is_read)
{
    struct loom_tensors t;
    write_one();
    ck_ok(loom_tensors_read(&t, path, 1, &e), &e);
    ck_assert_int_eq(t.tensors, 2);
    const struct loom_tensor *w = loom_tensors_find(&t, "head.weight");
    ck_assert_ptr_nonnull(w);
    ck_assert_int_eq(w->rank, 2);
    ck_assert_int_eq(w->dim[1], 3);
    ck_assert_mem_eq(w->data, weight, sizeof weight);
    ck_assert_str_eq(loom_tensors_meta(&t, "pipeline"), meta[1].value);
    ck_assert_ptr_null(loom_tensors_find(&t, "head"));
    ck_assert_int_eq(strlen(t.sha256), 64);
    loom_tensors_release(&t);
    unlink(path);
}
END_TEST

/* The sum covers length, header and data, its own digits included. */
START_TEST(every_flipped_bit_is_refused)
{
    struct loom_tensors t;
    char *bytes;
    size_t size;
    write_one();
    load(&bytes, &size);
    for (size_t i = 0; i < size * 8; i++) {
        bytes[i / 8] = (char)(bytes[i / 8] ^ (1 << i % 8));
        ck_ok(loom_file_write(path, bytes, size, &e), &e);
        int code = loom_tensors_read(&t, path, 1, &e);
        if (code != LOOM_EDATA)
            ck_abort_msg("bit %zu of %zu flipped: %d", i, size * 8, code);
        loom_error_clear(&e);
        bytes[i / 8] = (char)(bytes[i / 8] ^ (1 << i % 8));
    }
    for (size_t n = 0; n < size; n += n < 16 ? 1 : 37) {
        ck_ok(loom_file_write(path, bytes, n, &e), &e);
        ck_assert_int_eq(loom_tensors_read(&t, path, 1, &e), LOOM_EDATA);
        loom_error_clear(&e);
    }
    free(bytes);
    unlink(path);
}
END_TEST

/* Files without our sum, as others write them: each wrong in one way. */
START_TEST(unsound_headers_are_refused)
{
    static const char *const wrong[] = {
        "[]",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,80]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],"
         "\"data_offsets\":[0,4]}}"),
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}",
        "{\"a\":7}",
        "{\"__metadata__\":{\"x\":1},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}",
    };
    static const char right[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    struct loom_tensors t;
    char bytes[512];
    snprintf(path, sizeof path, "/tmp/loom-tensors-%d", (int)getpid());
    for (size_t i = 0; i <= sizeof wrong / sizeof *wrong; i++) {
        const char *header = i < sizeof wrong / sizeof *wrong ? wrong[i] : right;
        size_t n = strlen(header);
        memset(bytes, 0, sizeof bytes);
        bytes[0] = (char)n;
        memcpy(bytes + 8, header, n);
        ck_ok(loom_file_write(path, bytes, 8 + n + 8, &e), &e);
        int code = loom_tensors_read(&t, path, 0, &e);
        if (code != (header == right ? LOOM_OK : LOOM_EDATA))
            ck_abort_msg("%s: %d", header, code);
        loom_error_clear(&e);
        if (code == LOOM_OK) {
            loom_tensors_release(&t);
            ck_fails(loom_tensors_read(&t, path, 1, &e), LOOM_EDATA, &e, "checksum");
        }
    }
    unlink(path);
}
END_TEST

START_TEST(names_are_unique)
{
    const struct loom_tensor twice[] = {list[0], list[0]};
    ck_fails(loom_tensors_write("/tmp/loom-tensors-twice", twice, 2, NULL, 0, &e), LOOM_EINVAL, &e, "head.weight");
}
END_TEST

/* Every half there is, by the formula of IEEE 754; bfloat16 is the upper half of a float. */
START_TEST(halves_are_converted)
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits;
        uint32_t wide = bits << 16;
        int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 1023);
        double sign = bits >> 15 ? -1 : 1,
               due = sign * ldexp(exponent ? 1024 + fraction : fraction, exponent ? exponent - 25 : -24);
        struct loom_tensor t = {.dtype = "F16", .rank = 0, .data = &half, .bytes = 2};
        loom_real x = 0;
        float brain;
        loom_tensor_reals(&x, &t, 0, 1);
        if (exponent == 31 && fraction)
            ck_assert(x != x);
        else
            ck_assert(exponent == 31 ? (double)x == sign * INFINITY : (double)x == due && !signbit(x) == !signbit(due));
        t.dtype = "BF16";
        loom_tensor_reals(&x, &t, 0, 1);
        memcpy(&brain, &wide, sizeof brain);
        ck_assert(brain != brain ? x != x : x == (loom_real)brain);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {what_is_written_is_read, every_flipped_bit_is_refused, unsound_headers_are_refused,
                                  names_are_unique, halves_are_converted};
    return run_suite("tensors", sizeof tests / sizeof *tests, tests, 60);
}
