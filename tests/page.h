/* SPDX-License-Identifier: Apache-2.0 */
/* What every page of a report must be. */
#ifndef LOOM_TESTS_PAGE_H
#define LOOM_TESTS_PAGE_H

#include "suite.h"

#include <stdio.h>
#include <string.h>

static inline int page_count(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
        n++;
    return n;
}

/* Nothing from outside, nothing that a browser would stumble over. */
static inline void page_sound(const char *html)
{
    static const char *const pairs[] = {"figure", "table", "details", "svg", "div", "tr", "text", "small", "p", "a"};
    ck_assert_ptr_null(strstr(html, "http:"));
    ck_assert_ptr_null(strstr(html, "https:"));
    ck_assert_ptr_null(strstr(html, "<script"));
    ck_assert_ptr_null(strstr(html, " src="));
    ck_assert_ptr_null(strstr(html, "nan"));
    ck_assert_ptr_null(strstr(html, "inf "));
    ck_assert_ptr_nonnull(strstr(html, "prefers-color-scheme"));
    ck_assert_ptr_nonnull(strstr(html, "width=device-width"));
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char open[16], bare[16], close[16];
        snprintf(open, sizeof open, "<%s ", pairs[i]);
        snprintf(bare, sizeof bare, "<%s>", pairs[i]);
        snprintf(close, sizeof close, "</%s>", pairs[i]);
        ck_assert_msg(page_count(html, open) + page_count(html, bare) == page_count(html, close), "<%s> is not closed",
                      pairs[i]);
    }
}

#endif
