/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests share: running a suite as TAP, and comparisons that a NaN fails. */
#ifndef LOOM_TESTS_SUITE_H
#define LOOM_TESTS_SUITE_H

#include <loom/types.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* |a - b| <= tol, false for NaN on either side. */
#define ck_near(a, b, tol)                                                                                             \
    do {                                                                                                               \
        double near_a = (double)(a), near_b = (double)(b), near_gap = near_a - near_b, near_tol = (double)(tol);       \
        if (!(near_gap <= near_tol && -near_gap <= near_tol))                                                          \
            ck_abort_msg("%s = %.17g, %s = %.17g, apart by more than %g", #a, near_a, #b, near_b, near_tol);           \
    } while (0)

/* A call that must succeed: its error is shown when it does not. */
#define ck_ok(call, e)                                                                                                 \
    do {                                                                                                               \
        char ok_text[1400];                                                                                            \
        int ok_status = (call);                                                                                        \
        if (ok_status != LOOM_OK)                                                                                      \
            ck_abort_msg("%s = %d: %s", #call, ok_status, loom_error_text(e, ok_text, sizeof ok_text));                \
    } while (0)

/* A call that must fail with `status`, in a message that holds `words`. Clears the error for the next one. */
#define ck_fails(call, status, e, words)                                                                               \
    do {                                                                                                               \
        char fails_text[1400];                                                                                         \
        int fails_status = (call);                                                                                     \
        loom_error_text(e, fails_text, sizeof fails_text);                                                             \
        if (fails_status != (status) || strstr(fails_text, words) == NULL)                                             \
            ck_abort_msg("%s = %d: \"%s\" where %d with \"%s\" was due", #call, fails_status, fails_text, status,      \
                         words);                                                                                       \
        loom_error_clear(e);                                                                                           \
    } while (0)

/* A suite, reported as TAP on standard output; the exit status of main. */
static inline int run_tap(Suite *s)
{
    SRunner *sr = srunner_create(s);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* One test case made of functions, each between `setup` and `teardown` (both NULL: alone). */
static inline int run_between(const char *name, int ntests, const TTest *const *tests, double seconds, SFun setup,
                              SFun teardown)
{
    Suite *s = suite_create(name);
    TCase *t = tcase_create(name);
    if (setup != NULL)
        tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, seconds);
    for (int i = 0; i < ntests; i++)
        tcase_add_test(t, tests[i]);
    suite_add_tcase(s, t);
    return run_tap(s);
}

static inline int run_suite(const char *name, int ntests, const TTest *const *tests, double seconds)
{
    return run_between(name, ntests, tests, seconds, NULL, NULL);
}

/* Path of a file of the sources, "tests/tiny.cfg"; valid for three more calls. */
static inline const char *in_sources(const char *file)
{
    static char path[4][4096];
    static int next;
    const char *top = getenv("top_srcdir");
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", top != NULL ? top : ".", file);
    return p;
}

#endif
