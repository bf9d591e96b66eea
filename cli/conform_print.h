/* SPDX-License-Identifier: Apache-2.0 */
/* How `loom conform` shows what it finds. */
#ifndef LOOM_CLI_CONFORM_PRINT_H
#define LOOM_CLI_CONFORM_PRINT_H

#include "conform/conform.h"

enum conform_format { CONFORM_TEXT, CONFORM_TAP, CONFORM_JSON, CONFORM_JUNIT };
enum { CONFORM_CAUSES = 8 };
struct conform_printer {
    int format, count, open; /* verdicts so far; TEXT: a plugin's heading is out */
    char plugin[256];        /* TEXT: the one at hand */
    struct conform_cause {
        const char *check;
        char says[1024], wrote[256];
    } cause[CONFORM_CAUSES]; /* TEXT: its failures so far that differ; what has failed for one of them is not told again
                              */
    int causes;
};
void conform_print_list(int format, int level);
void conform_print_plan(void *printer, int checks);
void conform_print_verdict(void *printer, const struct loom_verdict *v);
void conform_print_end(struct conform_printer *p, const struct loom_conform_counts *counts);

#endif
