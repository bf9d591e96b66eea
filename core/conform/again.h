/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOOM_CONFORM_AGAIN_H
#define LOOM_CONFORM_AGAIN_H

#include "base/process.h"
#include "conform/trial.h"

/* Start check `check` of the same plugin in a process of its own, which sees t->probe = probe (NULL: an ordinary run).
 * `front` (may be NULL, NULL-ended, at most 8 words) stands before the program: a tool that runs it. LOOM_EIO in t->e.
 */
int loom_trial_again(struct loom_trial *t, struct loom_process *p, const char *const *front, const char *check,
                     const char *probe);

#endif
