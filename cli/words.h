/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the words of a command, saying what went wrong, telling how a run fares, and texts as JSON has them. */
#ifndef LOOM_CLI_WORDS_H
#define LOOM_CLI_WORDS_H

#include <loom/run.h>

struct loom_word_list {
    const char **at; /* [count] borrowed words; the array belongs to the line that read it */
    int count;
};

/* One option of the command line, "--name" or "--name VALUE" or "--name=VALUE", and where it goes: one of these. */
struct loom_word {
    const char *name;
    int *flag;         /* takes no value: becomes `value`, or 1 */
    int value;         /* not 0 where several options set one flag to different things */
    const char **text; /* as it stands; borrowed from argv */
    int *count;        /* a whole number from 1 to `most`, or to 1024 */
    int most;
    double *number; /* finite */
    uint64_t *seed;
    struct loom_word_list *list; /* may stand several times: each is appended */
};

/* The words of a command. Set the first four, read, free. */
struct loom_line {
    const char *command, *usage;   /* "loom run"; printed by --help and below what is wrong */
    const struct loom_word *words; /* until one without a name */
    int most;                      /* operands at most */
    int assigns;                   /* 1: KEY=VALUE is an override; 0: an operand like others */
    const char **operand;          /* [operands] in their order; words are borrowed from argv, arrays the line's own */
    const char **override;         /* [overrides], with room for one more */
    int operands, overrides;
};

/* Reads argv[1 …]. -1: go on; else the exit status, with everything said: 0 after --help or -h, 2 for a word that does
 * not fit, 1 without memory. Free the line in any case. */
int loom_line_read(struct loom_line *l, int argc, char **argv);
/* Prints what is wrong and the usage; 2. */
int loom_line_refuse(const struct loom_line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
void loom_line_free(struct loom_line *l);

int loom_exit_code(int status);                                         /* of a command, from enum loom_status */
int loom_report_error(const char *command, const struct loom_error *e); /* prints it, returns the exit code */
void loom_print_json(const char *text);                                 /* with its quotes */

/* What --keys does: prints the text that `keys` makes, returns the exit code. */
int loom_print_keys(const char *command, int (*keys)(char **out, struct loom_error *e));
/* The file of this program into out, "loom" where that is not known. */
const char *loom_own_file(char *out, size_t size);

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
