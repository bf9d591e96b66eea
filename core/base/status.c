/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/types.h>

#include <stdio.h>
#include <string.h>

int loom_vfail(struct loom_error *e, int code, const char *file, int line, const char *fmt, va_list args)
{
    if (e == NULL || e->code != LOOM_OK)
        return code;
    e->code = code;
    e->line = line;
    snprintf(e->file, sizeof e->file, "%s", file != NULL ? file : "");
    vsnprintf(e->message, sizeof e->message, fmt, args);
    return code;
}

int loom_fail(struct loom_error *e, int code, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    loom_vfail(e, code, file, line, fmt, args);
    va_end(args);
    return code;
}

void loom_error_clear(struct loom_error *e)
{
    memset(e, 0, sizeof *e);
}

const char *loom_error_text(const struct loom_error *e, char *out, size_t size)
{
    if (e->file[0] != '\0' && e->line > 0)
        snprintf(out, size, "%s:%d: %s", e->file, e->line, e->message);
    else if (e->file[0] != '\0')
        snprintf(out, size, "%s: %s", e->file, e->message);
    else
        snprintf(out, size, "%s", e->message);
    return out;
}

/* Edit distance with swaps of neighbours (optimal string alignment), in three rows: a swap of two letters is the
 * commonest slip. Words longer than the rows count as far. */
enum { WORD = 64 };

static size_t distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    size_t rows[3][WORD + 1];
    if (na > WORD || nb > WORD)
        return WORD;
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++)
        above[j] = j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[nb];
}

const char *loom_nearest(const char *word, const char *const *candidates)
{
    const char *nearest = NULL;
    size_t least = 1 + strlen(word) / 3 + 1;
    for (; *candidates != NULL; candidates++) {
        size_t d = distance(word, *candidates);
        if (d < least && d < strlen(*candidates)) {
            least = d;
            nearest = *candidates;
        }
    }
    return nearest;
}

static struct {
    loom_log_fn fn;
    void *payload;
} host_log;

void loom_log_set(loom_log_fn fn, void *payload)
{
    host_log.fn = fn;
    host_log.payload = payload;
}

void loom_log(int level, const char *fmt, ...)
{
    char message[2048];
    va_list args;
    if (host_log.fn == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    host_log.fn(host_log.payload, level, message);
}
