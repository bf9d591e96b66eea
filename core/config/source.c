/* SPDX-License-Identifier: Apache-2.0 */
#include "config/source.h"

#include "base/io.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 4 << 20, MAX_INCLUDES = 10, MAX_FILES = 100, MAX_BRACKETS = 64 };

/* One file being read. */
struct reader {
    const char *at, *end;
    const char *file;
    int line;
    int brackets;
};

void loom_source_init(struct loom_source *s, struct loom_arena *arena)
{
    memset(s, 0, sizeof *s);
    s->arena = arena;
}

void loom_source_release(struct loom_source *s)
{
    loom_str_release(&s->text);
    free(s->places);
    memset(s, 0, sizeof *s);
}

struct loom_place loom_source_place(const struct loom_source *s, int line)
{
    if (s->count == 0)
        return (struct loom_place){NULL, 0};
    size_t i = line < 1 ? 0 : (size_t)line - 1;
    return s->places[i < s->count ? i : s->count - 1];
}

static void begin_line(struct loom_source *s, const struct reader *r)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 256 : 2 * s->capacity;
        struct loom_place *places = realloc(s->places, capacity * sizeof *places);
        if (places == NULL) {
            s->text.failed = 1;
            return;
        }
        s->places = places;
        s->capacity = capacity;
    }
    s->places[s->count++] = (struct loom_place){r->file, r->line};
}

/* Copy n bytes and keep the table of lines in step. */
static void copy(struct loom_source *s, struct reader *r, size_t n)
{
    loom_str_addn(&s->text, r->at, n);
    for (const char *end = r->at + n; r->at < end; r->at++)
        if (*r->at == '\n') {
            r->line++;
            begin_line(s, r);
        }
}

static int letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*' || c == '_';
}

static int digit(char c)
{
    return c >= '0' && c <= '9';
}

static int starts(const struct reader *r, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(r->end - r->at) >= n && memcmp(r->at, word, n) == 0;
}

/* Length of a string with its quotes, 0 if it does not end. */
static size_t string_length(const struct reader *r)
{
    for (const char *p = r->at + 1; p < r->end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == '"')
            return (size_t)(p - r->at) + 1;
    }
    return 0;
}

/* Length of a comment, 0 if none starts here, -1 if it does not end. */
static ptrdiff_t comment_length(const struct reader *r)
{
    if (*r->at == '#' || starts(r, "//")) {
        const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
        return (stop == NULL ? r->end : stop) - r->at;
    }
    if (!starts(r, "/*"))
        return 0;
    const char *stop = memmem(r->at + 2, (size_t)(r->end - r->at) - 2, "*/", 2);
    return stop == NULL ? -1 : stop + 2 - r->at;
}

struct number {
    size_t length; /* without a suffix L */
    size_t suffix;
    int real, hex;
};

static struct number scan_number(const struct reader *r)
{
    struct number n = {0};
    const char *p = r->at;
    p += *p == '+' || *p == '-';
    if (r->end - p > 2 && p[0] == '0' && (p[1] | 32) == 'x') {
        n.hex = 1;
        for (p += 2; p < r->end && (digit(*p) || ((*p | 32) >= 'a' && (*p | 32) <= 'f')); p++)
            ;
    } else {
        for (; p < r->end && (digit(*p) || (*p == '.' && !n.real)); p++)
            n.real |= *p == '.';
        const char *q = p + 1;
        q += q < r->end && (*q == '+' || *q == '-');
        if (p < r->end && (*p | 32) == 'e' && q < r->end && digit(*q)) {
            n.real = 1;
            for (p = q; p < r->end && digit(*p); p++)
                ;
        }
    }
    n.length = (size_t)(p - r->at);
    while (!n.real && n.suffix < 2 && p < r->end && *p == 'L') {
        n.suffix++;
        p++;
    }
    return n;
}

static int copy_number(struct loom_source *s, struct reader *r, struct loom_error *e)
{
    char text[512];
    struct number n = scan_number(r);
    int64_t integer;
    double real;
    if (n.length >= sizeof text)
        return loom_fail(e, LOOM_ECONFIG, r->file, r->line, "a number of %zu characters; shorten it", n.length);
    memcpy(text, r->at, n.length);
    text[n.length] = '\0';
    if (n.real && loom_text_real(text, &real) && !isfinite(real))
        return loom_fail(e, LOOM_ECONFIG, r->file, r->line, "%s is beyond double precision; write a smaller number",
                         text);
    if (!n.real && !loom_text_int(text, &integer))
        return loom_fail(e, LOOM_ECONFIG, r->file, r->line,
                         "%s is no integer of 64 bits; write a smaller number or text", text);
    loom_str_add(&s->text, text);
    if (!n.real)
        loom_str_add(&s->text, "L");
    r->at += n.length + n.suffix;
    return LOOM_OK;
}

/* Folder of the including file + path, unless that is absolute. */
static int include(struct loom_source *s, struct reader *r, struct loom_error *e)
{
    struct loom_str path = LOOM_STR_INIT;
    struct loom_error inner = {0};
    const char *slash = strrchr(r->file, '/');
    r->at += strlen("@include");
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
    size_t n = r->at < r->end && *r->at == '"' ? string_length(r) : 0;
    if (n < 3)
        return loom_fail(e, LOOM_ECONFIG, r->file, r->line, "@include wants a file name: @include \"base.cfg\"");
    if (s->depth >= MAX_INCLUDES)
        return loom_fail(e, LOOM_ECONFIG, r->file, r->line,
                         "includes are more than %d deep; does a file include itself?", MAX_INCLUDES);
    if (r->at[1] != '/' && slash != NULL)
        loom_str_addn(&path, r->file, (size_t)(slash - r->file) + 1);
    loom_str_addn(&path, r->at + 1, n - 2);
    r->at += n;
    int status = path.failed ? LOOM_ENOMEM : LOOM_OK;
    if (status == LOOM_OK) {
        loom_str_add(&s->text, "\n");
        s->depth++;
        status = loom_source_add_file(s, path.text, &inner);
        s->depth--;
        begin_line(s, r);
    }
    if (status == LOOM_EIO)
        status = loom_fail(e, LOOM_ECONFIG, r->file, r->line, "@include \"%s\": %s; the name is relative to this file",
                           path.text, inner.message);
    else if (status != LOOM_OK)
        loom_fail(e, status, inner.file, inner.line, "%s", inner.message);
    loom_str_release(&path);
    return status;
}

static int unfinished(const struct reader *r, const char *what, const char *remedy, struct loom_error *e)
{
    return loom_fail(e, LOOM_ECONFIG, r->file, r->line, "the %s that starts here does not end; %s", what, remedy);
}

static int copy_bracket(struct loom_source *s, struct reader *r, struct loom_error *e)
{
    static const char from[] = "[]{}()", to[] = "(){}()";
    const char *which = strchr(from, *r->at);
    r->brackets += *which == '[' || *which == '{' || *which == '(' ? 1 : -1;
    if (r->brackets > MAX_BRACKETS)
        return loom_fail(e, LOOM_ECONFIG, r->file, r->line, "brackets are more than %d deep; is one not closed?",
                         MAX_BRACKETS);
    loom_str_addn(&s->text, &to[which - from], 1);
    r->at++;
    return LOOM_OK;
}

static int copy_token(struct loom_source *s, struct reader *r, struct loom_error *e)
{
    char c = *r->at;
    ptrdiff_t comment = comment_length(r);
    if (comment < 0)
        return unfinished(r, "comment", "close it with */", e);
    if (comment > 0) {
        copy(s, r, (size_t)comment);
    } else if (c == '"') {
        size_t n = string_length(r);
        if (n == 0)
            return unfinished(r, "text", "close it with a double quote", e);
        copy(s, r, n);
    } else if (c == '\0') {
        return loom_fail(e, LOOM_ECONFIG, r->file, r->line, "a NUL byte: this is no text file; give a pipeline file");
    } else if (c == '@') {
        if (starts(r, "@include"))
            return include(s, r, e);
        return loom_fail(e, LOOM_ECONFIG, r->file, r->line,
                         "'@' begins nothing but @include \"file\"; quote it in text");
    } else if (strchr("[]{}()", c) != NULL) {
        return copy_bracket(s, r, e);
    } else if (letter(c)) {
        const char *p = r->at;
        while (p < r->end && (letter(*p) || digit(*p) || *p == '-'))
            p++;
        copy(s, r, (size_t)(p - r->at));
    } else {
        const char *p = r->at + (c == '+' || c == '-');
        p += p < r->end && *p == '.';
        if (p < r->end && digit(*p))
            return copy_number(s, r, e);
        copy(s, r, 1);
    }
    return LOOM_OK;
}

int loom_source_add(struct loom_source *s, const char *text, size_t n, const char *name, struct loom_error *e)
{
    struct reader r = {text, text + n, loom_arena_strdup(s->arena, name), 1, 0};
    int status = LOOM_OK;
    if (r.file == NULL)
        return loom_fail(e, LOOM_ENOMEM, name, 0, "the pipeline is too large to read; shorten it");
    if (++s->files > MAX_FILES)
        return loom_fail(e, LOOM_ECONFIG, name, 0, "the pipeline has more than %d files; does one include itself?",
                         MAX_FILES);
    begin_line(s, &r);
    while (r.at < r.end && status == LOOM_OK)
        status = copy_token(s, &r, e);
    loom_str_add(&s->text, "\n");
    if (status == LOOM_OK && s->text.failed)
        status = loom_fail(e, LOOM_ENOMEM, name, 0, "out of memory reading the pipeline");
    return status;
}

int loom_source_add_file(struct loom_source *s, const char *path, struct loom_error *e)
{
    char *text;
    size_t n;
    int status = loom_file_read(&text, &n, path, MAX_BYTES, e);
    if (status == LOOM_OK)
        status = loom_source_add(s, text, n, path, e);
    free(text);
    return status;
}
