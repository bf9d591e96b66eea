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
/* Run t->check with a folder of its own; the outcome. */
int loom_trial_run(struct loom_trial *t);

#endif
