/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/arena.h"
#include "base/blas.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/str.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(first_error_stays)
{
    struct loom_error e = {0};
    char text[512];
    ck_assert_int_eq(loom_fail(&e, LOOM_EDATA, "a.cfg", 3, "no %s", "units"), LOOM_EDATA);
    ck_assert_int_eq(loom_fail(&e, LOOM_EIO, "b.cfg", 4, "later"), LOOM_EIO);
    ck_assert_int_eq(e.code, LOOM_EDATA);
    ck_assert_str_eq(loom_error_text(&e, text, sizeof text), "a.cfg:3: no units");
    loom_error_clear(&e);
    ck_assert_int_eq(e.code, LOOM_OK);
    ck_assert_int_eq(loom_fail(NULL, LOOM_EIO, NULL, 0, "nobody listens"), LOOM_EIO);
}
END_TEST

START_TEST(nearest_word)
{
    static const char *const words[] = {"width", "depth", "heads", NULL};
    static const char *const none[] = {NULL};
    ck_assert_str_eq(loom_nearest("widht", words), "width");
    ck_assert_str_eq(loom_nearest("head", words), "heads");
    ck_assert_ptr_null(loom_nearest("optimizer", words));
    ck_assert_ptr_null(loom_nearest("width", none));
}
END_TEST

static void remember(void *payload, int level, const char *message)
{
    snprintf(payload, 64, "%d %s", level, message);
}

START_TEST(log_reaches_the_host)
{
    char heard[64] = "";
    loom_log(LOOM_WARN, "unheard");
    loom_log_set(remember, heard);
    loom_log(LOOM_INFO, "step %d", 7);
    loom_log_set(NULL, NULL);
    ck_assert_str_eq(heard, "1 step 7");
}
END_TEST

START_TEST(arena_bounds)
{
    struct loom_arena a;
    struct loom_error e = {0};
    ck_ok(loom_arena_init(&a, 10000, &e), &e);
    char *first = loom_arena_alloc(&a, 3);
    ck_assert_uint_eq((uintptr_t)first % LOOM_ALIGN, 0);
    size_t mark = loom_arena_mark(&a);
    char *second = loom_arena_alloc(&a, 100);
    ck_assert_ptr_eq(second, first + LOOM_ALIGN);
    memset(second, 7, 100);
    loom_arena_rewind(&a, mark);
    char *again = loom_arena_zalloc(&a, 100);
    ck_assert_ptr_eq(again, second);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(again[i], 0);
    ck_assert_ptr_null(loom_arena_alloc(&a, a.size));
    ck_assert_ptr_null(loom_arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_nonnull(loom_arena_alloc(&a, a.size - a.used));
    ck_assert_uint_eq(a.used, a.size);
    ck_assert_ptr_null(loom_arena_strdup(&a, "full"));
    loom_arena_rewind(&a, 0);
    ck_assert_str_eq(loom_arena_strdup(&a, "unit"), "unit");
    ck_assert_uint_eq(a.peak, a.size);
    loom_arena_release(&a);
    ck_fails(loom_arena_init(&a, SIZE_MAX, &e), LOOM_ENOMEM, &e, "address space");
}
END_TEST

/* Addresses are reserved, memory is not: more than a small machine has, less than valgrind refuses. */
START_TEST(arena_reserves_addresses_alone)
{
    struct loom_arena a;
    struct loom_error e = {0};
    ck_ok(loom_arena_init(&a, (size_t)16 << 30, &e), &e);
    memset(loom_arena_zalloc(&a, 1 << 20), 1, 1 << 20);
    loom_arena_release(&a);
}
END_TEST

START_TEST(str_grows)
{
    struct loom_str s = LOOM_STR_INIT;
    for (int i = 0; i < 1000; i++)
        loom_str_printf(&s, "%d,", i);
    ck_assert_uint_eq(s.length, 3890);
    ck_assert_str_eq(s.text + s.length - 8, "998,999,");
    loom_str_reset(&s);
    loom_str_html(&s, "<a b=\"c\">'&");
    ck_assert_str_eq(s.text, "&lt;a b=&quot;c&quot;&gt;&#39;&amp;");
    char *text = loom_str_take(&s);
    ck_assert_ptr_null(s.text);
    free(text);
    text = loom_str_take(&s);
    ck_assert_str_eq(text, "");
    free(text);
    s.failed = 1;
    loom_str_add(&s, "lost");
    ck_assert_ptr_null(loom_str_take(&s));
}
END_TEST

static void check_real(double x, const char *text)
{
    struct loom_str s = LOOM_STR_INIT;
    double back;
    loom_str_real(&s, x);
    ck_assert_str_eq(s.text, text);
    ck_assert_int_eq(loom_text_real(s.text, &back), 1);
    ck_assert(memcmp(&back, &x, sizeof x) == 0);
    loom_str_release(&s);
}

START_TEST(numbers_read_back)
{
    int64_t n;
    double x;
    setlocale(LC_ALL, "de_DE.UTF-8");
    check_real(0.1, "0.1");
    check_real(1e-4, "0.0001");
    check_real(1.0 / 3.0, "0.3333333333333333");
    check_real(5e-324, "4.94065645841247e-324");
    check_real(-0.0, "-0");
    check_real(INFINITY, "inf");
    ck_assert_int_eq(loom_text_real("1.5x", &x), 0);
    ck_assert_int_eq(loom_text_real(" 1", &x), 0);
    ck_assert_int_eq(loom_text_real("", &x), 0);
    ck_assert_int_eq(loom_text_int("5000000000", &n), 1);
    ck_assert_int_eq(n, 5000000000);
    ck_assert_int_eq(loom_text_int("-0x10", &n), 1);
    ck_assert_int_eq(n, -16);
    ck_assert_int_eq(loom_text_int("010", &n), 1);
    ck_assert_int_eq(n, 10);
    ck_assert_int_eq(loom_text_int("9223372036854775808", &n), 0);
    ck_assert_int_eq(loom_text_int("1.0", &n), 0);
    ck_assert_int_eq(loom_text_int("-", &n), 0);
}
END_TEST

/* "123456789" is the check value of the catalogue of CRCs; the rest are RFC 3720 B.4. */
START_TEST(crc_vectors)
{
    unsigned char bytes[32];
    ck_assert_uint_eq(loom_crc32c(0, "123456789", 9), 0xE3069283u);
    memset(bytes, 0, sizeof bytes);
    ck_assert_uint_eq(loom_crc32c(0, bytes, 32), 0x8A9136AAu);
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(loom_crc32c(0, bytes, 32), 0x62A8AB43u);
    ck_assert_uint_eq(loom_crc32c(loom_crc32c(0, bytes, 13), bytes + 13, 19), 0x62A8AB43u);
}
END_TEST

/* Lengths about the blocks that the fast one takes side by side, from unaligned places, begun anew and gone on with. */
START_TEST(crc_agrees_with_its_reference)
{
    enum { MOST = 20000 };
    static unsigned char bytes[MOST + 8];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)((x = x * 1664525u + 1013904223u) >> 24);
    for (size_t n = 0; n <= MOST; n += n < 40 || n % 3072 < 20 || n % 3072 > 3050 ? 1 : 17)
        ck_assert_uint_eq(loom_crc32c((uint32_t)n, bytes + n % 8, n),
                          loom_crc32c_portable((uint32_t)n, bytes + n % 8, n));
}
END_TEST

static void check_sha(const char *piece, int times, const char *hex)
{
    struct loom_sha256 h;
    char out[65];
    loom_sha256_init(&h);
    for (int i = 0; i < times; i++)
        loom_sha256_add(&h, piece, strlen(piece));
    loom_sha256_hex(&h, out);
    ck_assert_str_eq(out, hex);
}

/* FIPS 180-4 examples; a million of "a" in pieces that straddle blocks. */
START_TEST(sha_vectors)
{
    check_sha("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_sha("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              10000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

static char folder[] = "/tmp/loom-base-XXXXXX";

START_TEST(files_whole_or_absent)
{
    struct loom_error e = {0};
    struct loom_atomic a;
    char path[128], *text;
    size_t n;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/one/two/", folder);
    ck_ok(loom_mkdirs(path, &e), &e);
    ck_ok(loom_mkdirs(path, &e), &e);
    snprintf(path, sizeof path, "%s/one/two/file", folder);
    ck_ok(loom_file_write(path, "old", 3, &e), &e);
    ck_fails(loom_mkdirs(path, &e), LOOM_EIO, &e, "no folder");
    ck_ok(loom_atomic_open(&a, path, &e), &e);
    ck_ok(loom_atomic_write(&a, "half", 4, &e), &e);
    ck_ok(loom_file_read(&text, &n, path, 100, &e), &e);
    ck_assert_str_eq(text, "old");
    free(text);
    loom_atomic_abort(&a);
    loom_atomic_abort(&a);
    ck_ok(loom_file_write(path, "new\0one", 7, &e), &e);
    ck_ok(loom_file_read(&text, &n, path, 7, &e), &e);
    ck_assert_uint_eq(n, 7);
    ck_assert(memcmp(text, "new\0one", 8) == 0);
    free(text);
    ck_fails(loom_file_read(&text, &n, path, 6, &e), LOOM_EIO, &e, "at most 6");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(loom_file_exists(path), 0);
    snprintf(path, sizeof path, "%s/one/two", folder);
    ck_fails(loom_file_read(&text, &n, path, 6, &e), LOOM_EIO, &e, "Is a directory");
    ck_assert_int_eq(rmdir(path), 0); /* nothing temporary was left in it */
    snprintf(path, sizeof path, "%s/one", folder);
    rmdir(path);
    rmdir(folder);
    ck_fails(loom_file_write("/nowhere/at/all", "", 0, &e), LOOM_EIO, &e, "cannot create");
}
END_TEST

/* What stands in a nameless file is the beginning of the named one, which is there when it is committed; a file that
 * was unlinked gets no name, and nothing has happened to it. */
START_TEST(nameless_files_get_a_name)
{
    struct loom_error e = {0};
    struct loom_atomic a;
    char path[128], back[8] = "", *text;
    size_t n;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    for (int k = 0; k < 2; k++) {
        int fd = open(folder, O_TMPFILE | O_RDWR, 0666);
        ck_assert(fd >= 0 || errno == EOPNOTSUPP);
        if (fd < 0)
            break;
        ck_assert_int_eq(write(fd, "abc", 3), 3);
        ck_ok(loom_atomic_adopt(&a, fd, path, &e), &e);
        ck_ok(loom_atomic_write(&a, "def", 3, &e), &e);
        ck_assert_int_eq(loom_file_exists(path), 0);
        if (k == 0)
            loom_atomic_abort(&a);
        else
            ck_ok(loom_atomic_commit(&a, &e), &e);
        ck_assert_int_eq(loom_file_exists(path), k);
        ck_assert_int_eq(pread(fd, back, sizeof back, 0), 6);
        ck_assert_str_eq(back, "abcdef");
        close(fd);
    }
    if (loom_file_exists(path)) {
        ck_ok(loom_file_read(&text, &n, path, 7, &e), &e);
        ck_assert_str_eq(text, "abcdef");
        free(text);
        unlink(path);
    }
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    ck_assert_int_eq(write(fd, "abc", 3), 3);
    unlink(path);
    ck_fails(loom_atomic_adopt(&a, fd, path, &e), LOOM_EIO, &e, "cannot create");
    ck_assert_int_eq(a.fd, -1);
    ck_assert_int_eq(pread(fd, back, 3, 0), 3);
    close(fd);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing temporary was left in it */
}
END_TEST

START_TEST(read_of_what_has_no_size)
{
    struct loom_error e = {0};
    char *text;
    size_t n;
    ck_ok(loom_file_read(&text, &n, "/proc/self/status", 1 << 20, &e), &e);
    ck_assert_uint_eq(n, strlen(text));
    ck_assert_ptr_nonnull(strstr(text, "VmPeak"));
    free(text);
    ck_fails(loom_file_read(&text, &n, "/dev/zero", 100000, &e), LOOM_EIO, &e, "too large");
}
END_TEST

START_TEST(json_written_is_json)
{
    struct loom_error e = {0};
    struct loom_str s = LOOM_STR_INIT;
    loom_str_add(&s, "{\"text\": ");
    loom_json_string(&s, "a\"b\\c\n\x01 µV \xff\xc0\xaf\xed\xa0\x80 \xf0\x9f\xa7\xa0 \xe2");
    loom_str_add(&s, ", \"x\": ");
    loom_json_real(&s, 0.1);
    loom_str_add(&s, ", \"nan\": ");
    loom_json_real(&s, NAN);
    loom_str_add(&s, "}");
    json_t *json = loom_json_parse(s.text, s.length, "x.json", &e);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(json_string_value(json_object_get(json, "text")),
                     "a\"b\\c\n\x01 µV \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD "
                     "\xf0\x9f\xa7\xa0 \xEF\xBF\xBD");
    ck_near(json_real_value(json_object_get(json, "x")), 0.1, 0);
    ck_assert(json_is_null(json_object_get(json, "nan")));
    json_decref(json);
    loom_str_release(&s);
}
END_TEST

static int parses(const char *text, struct loom_error *e)
{
    json_t *json = loom_json_parse(text, strlen(text), "x.json", e);
    int status = json != NULL ? LOOM_OK : e->code;
    json_decref(json);
    return status;
}

START_TEST(json_read_strictly)
{
    struct loom_error e = {0};
    char deep[100001];
    memset(deep, '[', 100000);
    deep[100000] = '\0';
    ck_fails(parses(deep, &e), LOOM_EDATA, &e, "x.json:1:");
    ck_fails(parses("{\"a\": 1,\n \"a\": 2}", &e), LOOM_EDATA, &e, "x.json:2:");
    ck_fails(parses("[1] x", &e), LOOM_EDATA, &e, "not valid JSON");
    ck_fails(parses("[1, NaN]", &e), LOOM_EDATA, &e, "not valid JSON");
    ck_fails(parses("", &e), LOOM_EDATA, &e, "not valid JSON");
    ck_ok(parses("3", &e), &e);
}
END_TEST

START_TEST(version_and_build)
{
    ck_assert_ptr_nonnull(strchr(loom_version(), '.'));
    ck_assert_ptr_nonnull(strstr(loom_build_info(), "BLAS: OpenBLAS "));
    ck_assert_ptr_nonnull(strstr(loom_build_info(), loom_blas_kind()));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        first_error_stays,
        nearest_word,
        log_reaches_the_host,
        arena_bounds,
        arena_reserves_addresses_alone,
        str_grows,
        numbers_read_back,
        crc_vectors,
        crc_agrees_with_its_reference,
        sha_vectors,
        files_whole_or_absent,
        nameless_files_get_a_name,
        json_read_strictly,
        json_written_is_json,
        read_of_what_has_no_size,
        version_and_build,
    };
    return run_suite("base", sizeof tests / sizeof *tests, tests, 20);
}
