/* SPDX-License-Identifier: Apache-2.0 */
/* Between the parent and the process of a check. */
#ifndef LOOM_CONFORM_CHILD_H
#define LOOM_CONFORM_CHILD_H

#include "conform/trial.h"

struct loom_process;

enum {
    LOOM_CONFORM_EXIT = 64, /* exit status = this + outcome: what a plugin's own exit() is not likely to give */
};

const struct loom_check *loom_check_named(const char *id); /* NULL: there is none */
/* What became of the check whose process ended. */
int loom_outcome_of(const struct loom_process *p);
/* Its words: those of the check, or how the process died and what the check was at. */
void loom_conform_reason(const struct loom_process *p, char *out, size_t size);
/* A new folder in `place` (NULL: $TMPDIR or /tmp). LOOM_EIO. */
int loom_conform_folder(char *out, size_t size, const char *place, struct loom_error *e);
void loom_conform_clear(const char *folder); /* remove it and all that is in it; "": nothing */
/* Run t->check with a folder of its own; the outcome. */
int loom_trial_run(struct loom_trial *t);

#endif
