/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t loom_stop_request;

/* ---- words ---- */

static int take(const struct loom_word *w, int argc, char **argv, int *i)
{
    size_t n = strlen(w->name);
    const char *word = argv[*i];
    if (strncmp(word, w->name, n) != 0 || (word[n] != '\0' && word[n] != '='))
        return 0;
    if (w->flag) {
        *w->flag = 1;
        return word[n] == '\0' ? 1 : -1;
    }
    *w->text = word[n] == '=' ? word + n + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    return *w->text ? 1 : -1;
}

int loom_words_take(int argc, char **argv, const struct loom_word *words, int *i)
{
    int taken = 0;
    for (const struct loom_word *w = words; w->name && !taken; w++)
        taken = take(w, argc, argv, i);
    return taken;
}

int loom_words_read(int argc, char **argv, const struct loom_word *words, const char **operand, const char **override,
                    int *overrides, const char **wrong)
{
    *overrides = 0;
    for (int i = 1; i < argc; i++) {
        *wrong = argv[i];
        int taken = loom_words_take(argc, argv, words, &i);
        if (taken < 0 || (!taken && argv[i][0] == '-'))
            return 1;
        if (taken)
            continue;
        if (strchr(argv[i], '='))
            override[(*overrides)++] = argv[i];
        else if (*operand)
            return 1;
        else
            *operand = argv[i];
    }
    return 0;
}

int loom_words_threads(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    return end != text && *end == '\0' && n >= 1 && n <= 1024 ? (int)n : -1;
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
