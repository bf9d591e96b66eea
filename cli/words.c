/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t loom_stop_request;

/* ---- words ---- */

int loom_line_refuse(const struct loom_line *l, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s: ", l->command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n%s", l->usage);
    return 2;
}

static int refuse_unknown(const struct loom_line *l, const char *word)
{
    enum { MOST = 32 };
    const char *names[MOST + 1] = {NULL}, *near;
    char name[64];
    for (int i = 0; i < MOST && l->words[i].name; i++)
        names[i] = l->words[i].name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    near = loom_nearest(name, names);
    return loom_line_refuse(l, "there is no option '%s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
                            near ? "'?" : "");
}

/* `text` into where the word says; -1, or the exit status. */
static int put(const struct loom_line *l, const struct loom_word *w, const char *text)
{
    char *end = NULL;
    if (w->text)
        *w->text = text;
    if (w->list)
        w->list->at[w->list->count++] = text;
    if (w->count) {
        const long most = w->most > 0 ? w->most : 1024, n = strtol(text, &end, 10);
        if (end == text || *end || n < 1 || n > most)
            return loom_line_refuse(l, "%s takes a whole number from 1 to %ld, not '%s'", w->name, most, text);
        *w->count = (int)n;
    }
    if (w->number) {
        *w->number = strtod(text, &end);
        if (end == text || *end || !isfinite(*w->number))
            return loom_line_refuse(l, "%s takes a number, not '%s'", w->name, text);
    }
    if (w->seed) {
        errno = 0;
        *w->seed = strtoull(text, &end, 10);
        if (end == text || *end || *text == '-' || errno)
            return loom_line_refuse(l, "%s takes a whole number from 0, not '%s'", w->name, text);
    }
    return -1;
}

/* argv[*i], which begins with '-'; -1 and *i at its last word, or the exit status. */
static int take(const struct loom_line *l, int argc, char **argv, int *i)
{
    const char *word = argv[*i], *text = strchr(word, '=');
    const size_t n = strcspn(word, "=");
    const struct loom_word *w = l->words;
    while (w->name && (strlen(w->name) != n || strncmp(w->name, word, n) != 0))
        w++;
    if (!w->name)
        return refuse_unknown(l, word);
    if (w->flag && text)
        return loom_line_refuse(l, "%s takes no value, not '%s'", w->name, text + 1);
    if (w->flag) {
        *w->flag = w->value ? w->value : 1;
        return -1;
    }
    if (!text && *i + 1 == argc)
        return loom_line_refuse(l, "%s needs a value behind it", w->name);
    return put(l, w, text ? text + 1 : argv[++*i]);
}

/* A path may have a '=' in it, a key no '/'. */
static int is_override(const char *word)
{
    return word[strcspn(word, "=/")] == '=';
}

static int read_words(struct loom_line *l, int argc, char **argv)
{
    int code = -1;
    for (int i = 1; i < argc && code < 0; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0')
            code = take(l, argc, argv, &i);
        else if (l->assigns && is_override(argv[i]))
            l->override[l->overrides++] = argv[i];
        else if (l->operands < l->most)
            l->operand[l->operands++] = argv[i];
        else
            code = loom_line_refuse(l, "'%s' does not fit here: %s", argv[i],
                                    l->most == 0 ? "nothing but options does" : "something was named already");
    }
    return code;
}

int loom_line_read(struct loom_line *l, int argc, char **argv)
{
    const size_t room = (size_t)argc + 1;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(l->usage, stdout);
            return 0;
        }
    l->operand = calloc(room, sizeof *l->operand);
    l->override = calloc(room, sizeof *l->override);
    int lost = !l->operand || !l->override;
    for (const struct loom_word *w = l->words; w->name; w++)
        if (w->list && !(w->list->at = calloc(room, sizeof *w->list->at)))
            lost = 1;
    if (lost) {
        fprintf(stderr, "%s: no memory for its words: free some\n", l->command);
        return 1;
    }
    return read_words(l, argc, argv);
}

void loom_line_free(struct loom_line *l)
{
    free(l->operand);
    free(l->override);
    for (const struct loom_word *w = l->words; w->name; w++)
        if (w->list)
            free(w->list->at);
}

int loom_exit_code(int status)
{
    switch (status) {
    case LOOM_OK:
        return 0;
    case LOOM_ECONFIG:
    case LOOM_EINVAL:
        return 2;
    case LOOM_EDATA:
        return 3;
    case LOOM_EPLUGIN:
        return 4;
    default:
        return 1;
    }
}

int loom_report_error(const char *command, const struct loom_error *e)
{
    char text[1400];
    fprintf(stderr, "%s: %s\n", command, loom_error_text(e, text, sizeof text));
    return loom_exit_code(e->code);
}

void loom_print_json(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == '"' || *c == '\\')
            printf("\\u%04x", *c);
        else
            putchar(*c);
    putchar('"');
}

int loom_print_keys(const char *command, int (*keys)(char **out, struct loom_error *e))
{
    char *text = NULL;
    struct loom_error e = {0};
    if (keys(&text, &e) != LOOM_OK)
        return loom_report_error(command, &e);
    fputs(text, stdout);
    free(text);
    return 0;
}

const char *loom_own_file(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? out : "loom";
}

/* ---- progress ---- */

static const double PLAIN_EVERY_S = 5.0, MOVE_EVERY_S = 0.1;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void loom_teller_init(struct loom_teller *t, int quiet)
{
    *t = (struct loom_teller){.terminal = isatty(STDOUT_FILENO), .quiet = quiet, .last_s = -1e9};
}

static void wipe(struct loom_teller *t)
{
    if (t->width > 0)
        printf("\r%*s\r", t->width, "");
    t->width = 0;
}

static void eta(char *out, size_t size, double s)
{
    if (!isfinite(s))
        snprintf(out, size, "-");
    else if (s >= 3600)
        snprintf(out, size, "%.0fh%02.0fm", floor(s / 3600), floor(fmod(s, 3600) / 60));
    else
        snprintf(out, size, "%.0fm%02.0fs", floor(s / 60), floor(fmod(s, 60)));
}

static void step_line(struct loom_teller *t, const struct loom_run_note *n)
{
    char left[32], valid[64] = "";
    double now = now_s();
    int due = n->kind == LOOM_NOTE_VALID || now - t->last_s >= (t->terminal ? MOVE_EVERY_S : PLAIN_EVERY_S);
    if (!due)
        return;
    t->last_s = now;
    eta(left, sizeof left, n->eta_s);
    if (!isnan(n->valid))
        snprintf(valid, sizeof valid, "  valid %.5g (best %.5g)", n->valid, n->best);
    wipe(t);
    int width = printf("%s %lld/%lld  loss %.5g%s  lr %.2g  |g| %.2g  %.3g rows/s  data %.0f%%  left %s", n->stage,
                       (long long)n->step, (long long)n->steps, n->loss, valid, n->lr, n->norm, n->tokens_per_s,
                       100 * n->wait, left);
    if (t->terminal && n->kind == LOOM_NOTE_STEP)
        t->width = width;
    else
        putchar('\n');
    fflush(stdout);
}

void loom_teller_note(void *teller, const struct loom_run_note *n)
{
    struct loom_teller *t = teller;
    if (t->quiet)
        return;
    if (n->kind == LOOM_NOTE_STEP || n->kind == LOOM_NOTE_VALID) {
        step_line(t, n);
        return;
    }
    wipe(t);
    printf("%s%s%s%s\n", n->kind == LOOM_NOTE_STAGE ? "== " : "   ", n->stage, *n->stage ? ": " : "", n->text);
    fflush(stdout);
}

/* ---- signals ---- */

static void on_signal(int number)
{
    loom_stop_request = 1;
    signal(number, SIG_DFL);
}

void loom_stop_on_signals(void)
{
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
}
