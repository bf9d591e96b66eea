/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void loom_str_release(struct loom_str *s)
{
    free(s->text);
    memset(s, 0, sizeof *s);
}

void loom_str_reset(struct loom_str *s)
{
    s->length = 0;
    s->failed = 0;
    if (s->text != NULL)
        s->text[0] = '\0';
}

/* Room for `more` bytes and the terminator; capacity doubles so that adding stays linear. */
static int reserve(struct loom_str *s, size_t more)
{
    if (s->failed)
        return 0;
    if (more >= SIZE_MAX / 4 - s->length) {
        s->failed = 1;
        return 0;
    }
    size_t need = s->length + more + 1;
    if (need <= s->capacity)
        return 1;
    size_t capacity = s->capacity < 64 ? 64 : s->capacity;
    while (capacity < need)
        capacity *= 2;
    char *text = realloc(s->text, capacity);
    if (text == NULL) {
        s->failed = 1;
        return 0;
    }
    s->text = text;
    s->capacity = capacity;
    return 1;
}

void loom_str_addn(struct loom_str *s, const char *bytes, size_t n)
{
    if (!reserve(s, n))
        return;
    memcpy(s->text + s->length, bytes, n);
    s->length += n;
    s->text[s->length] = '\0';
}

void loom_str_add(struct loom_str *s, const char *text)
{
    loom_str_addn(s, text, strlen(text));
}

void loom_str_vprintf(struct loom_str *s, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0)
        s->failed = 1;
    else if (reserve(s, (size_t)n)) {
        vsnprintf(s->text + s->length, (size_t)n + 1, fmt, again);
        s->length += (size_t)n;
    }
    va_end(again);
}

void loom_str_printf(struct loom_str *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    loom_str_vprintf(s, fmt, args);
    va_end(args);
}

char *loom_str_take(struct loom_str *s)
{
    if (s->text == NULL && !s->failed)
        loom_str_add(s, "");
    char *text = s->failed ? NULL : s->text;
    if (s->failed)
        free(s->text);
    memset(s, 0, sizeof *s);
    return text;
}

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

int loom_text_real(const char *text, double *x)
{
    char *end;
    pthread_once(&c_locale_once, make_c_locale);
    if (c_locale == (locale_t)0 || *text == '\0' || strchr(" \t\n\r\f\v", *text) != NULL)
        return 0;
    *x = strtod_l(text, &end, c_locale);
    return *end == '\0';
}

int loom_text_int(const char *text, int64_t *x)
{
    char *end;
    if (*text == '\0' || strchr(" \t\n\r\f\v", *text) != NULL)
        return 0;
    const char *digits = text + (*text == '+' || *text == '-');
    errno = 0;
    long long value = strtoll(text, &end, digits[0] == '0' && (digits[1] | 32) == 'x' ? 16 : 10);
    if (*end != '\0' || end == text || errno != 0)
        return 0;
    *x = value;
    return 1;
}

void loom_str_real(struct loom_str *s, double x)
{
    char text[64];
    if (!isfinite(x)) {
        loom_str_add(s, isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
        return;
    }
    pthread_once(&c_locale_once, make_c_locale);
    locale_t before = c_locale != (locale_t)0 ? uselocale(c_locale) : (locale_t)0;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        double back = strtod(text, NULL);
        if (!(back < x) && !(back > x))
            break;
    }
    if (before != (locale_t)0)
        uselocale(before);
    loom_str_add(s, text);
}

void loom_str_html(struct loom_str *s, const char *text)
{
    static const char specials[] = "&<>\"'";
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (; *text != '\0'; text++) {
        const char *special = strchr(specials, *text);
        if (special != NULL)
            loom_str_add(s, entities[special - specials]);
        else
            loom_str_addn(s, text, 1);
    }
}

void loom_str_csv(struct loom_str *s, const char *text)
{
    loom_str_add(s, "\"");
    for (; *text != '\0'; text++)
        loom_str_addn(s, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
    loom_str_add(s, "\"");
}

size_t loom_utf8_bytes(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

void loom_str_utf8(struct loom_str *s, const char *text)
{
    while (*text != '\0') {
        size_t n = loom_utf8_bytes((const unsigned char *)text);
        loom_str_addn(s, n > 0 ? text : "\xEF\xBF\xBD", n > 0 ? n : 3);
        text += n > 0 ? n : 1;
    }
}
