/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the words behind `loom run`, `loom check` and `loom eval`, and telling how a run fares. */
#ifndef LOOM_CLI_WORDS_H
#define LOOM_CLI_WORDS_H

#include <loom/run.h>

/* One option of the command line: "--name VALUE" or "--name=VALUE" into *text, or "--name" into *flag. */
struct loom_word {
    const char *name;
    const char **text;
    int *flag;
};

/* argv[*i] is one of `words`: 1 and *i at its last word; 0 it is none; -1 its value is missing, or it takes none. */
int loom_words_take(int argc, char **argv, const struct loom_word *words, int *i);
/* Positional words without '=' into *operand (one at most), KEY=VALUE into override [capacity of argc]. 0, or 1 with
 * *wrong naming the word that does not fit. */
int loom_words_read(int argc, char **argv, const struct loom_word *words, const char **operand, const char **override,
                    int *overrides, const char **wrong);
/* The whole number in `text`, 1 to 1024; -1 when it is none. */
int loom_words_threads(const char *text);

int loom_exit_code(int status);                                         /* of a command, from enum loom_status */
int loom_report_error(const char *command, const struct loom_error *e); /* prints it, returns the exit code */

/* Prints notes of a run: on a terminal one line that moves, else a plain line every few seconds. */
struct loom_teller {
    int terminal, quiet;
    double last_s; /* when a line was last printed */
    int width;     /* of the moving line now on the terminal */
};
void loom_teller_init(struct loom_teller *t, int quiet);
void loom_teller_note(void *teller, const struct loom_run_note *n);

/* Becomes non-zero at SIGINT or SIGTERM; a second one ends the process at once. */
extern volatile sig_atomic_t loom_stop_request;
void loom_stop_on_signals(void);

#endif
