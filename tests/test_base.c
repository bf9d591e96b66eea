/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/types.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

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
    ck_assert_str_eq(loom_nearest("widht", words), "width");
    ck_assert_str_eq(loom_nearest("head", words), "heads");
    ck_assert_ptr_null(loom_nearest("optimizer", words));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("status");
    tcase_add_test(t, first_error_stays);
    tcase_add_test(t, nearest_word);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
