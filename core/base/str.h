/* SPDX-License-Identifier: Apache-2.0 */
/* A string that grows. Failure is sticky: add what you like, look once at the end. */
#ifndef LOOM_BASE_STR_H
#define LOOM_BASE_STR_H

#include <loom/types.h>

struct loom_str {
    char *text; /* always terminated once anything was added; NULL before */
    size_t length, capacity;
    int failed; /* 1: memory ran out, the text is not complete */
};

#define LOOM_STR_INIT                                                                                                  \
    {                                                                                                                  \
        NULL, 0, 0, 0                                                                                                  \
    }

void loom_str_release(struct loom_str *s);
void loom_str_reset(struct loom_str *s); /* empty, memory kept */
void loom_str_add(struct loom_str *s, const char *text);
void loom_str_addn(struct loom_str *s, const char *bytes, size_t n);
void loom_str_printf(struct loom_str *s, const char *fmt, ...) LOOM_PRINTF(2, 3);
void loom_str_vprintf(struct loom_str *s, const char *fmt, va_list args) LOOM_PRINTF(2, 0);
/* Give the text away (the caller frees it, "" when nothing was added) and start anew; NULL if memory ran out. */
char *loom_str_take(struct loom_str *s);
/* Shortest decimal that reads back as the same double; non-finite as inf, -inf, nan. */
void loom_str_real(struct loom_str *s, double x);
/* Text with & < > " ' made safe for HTML and XML, attributes included. */
void loom_str_html(struct loom_str *s, const char *text);
/* Text with its quotes, as CSV has it (RFC 4180). */
void loom_str_csv(struct loom_str *s, const char *text);
/* Text with every byte that is no UTF-8 as U+FFFD. */
void loom_str_utf8(struct loom_str *s, const char *text);

/* Bytes of the UTF-8 character at `s`, which NUL ends: 0 if it is malformed, overlong, a surrogate or beyond U+10FFFF.
 */
size_t loom_utf8_bytes(const unsigned char *s);

/* Read a whole text as a number, decimal point whatever the locale; 1 on success, 0 if anything else stands there. */
int loom_text_real(const char *text, double *x); /* "1e-3", "inf", "nan" */
int loom_text_int(const char *text, int64_t *x); /* "64", "0x40"; no overflow */

#endif
