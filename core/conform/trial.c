/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/trial.h"

#include <stdio.h>
#include <string.h>

LOOM_PRINTF(3, 0)
static int say(struct loom_trial *t, int outcome, const char *fmt, va_list args)
{
    vsnprintf(t->reason, sizeof t->reason, fmt, args);
    return outcome;
}

int loom_trial_pass(struct loom_trial *t)
{
    t->reason[0] = '\0';
    return LOOM_PASSED;
}

int loom_trial_fail(struct loom_trial *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int outcome = say(t, LOOM_FAILED, fmt, args);
    va_end(args);
    return outcome;
}

int loom_trial_skip(struct loom_trial *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int outcome = say(t, LOOM_SKIPPED, fmt, args);
    va_end(args);
    return outcome;
}

int loom_trial_warn(struct loom_trial *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int outcome = say(t, LOOM_WARNED, fmt, args);
    va_end(args);
    return outcome;
}

int loom_trial_fail_error(struct loom_trial *t, const char *doing)
{
    char text[1400];
    return loom_trial_fail(t, "%s: %s", doing, loom_error_text(&t->e, text, sizeof text));
}

int loom_trial_load(struct loom_trial *t)
{
    int code = LOOM_OK;
    if (t->plugin)
        return LOOM_OK;
    if (!t->registry)
        code = loom_registry_new(&t->registry, t->plugin_path, &t->e);
    if (code == LOOM_OK)
        code = loom_registry_find(t->registry, loom_kind_of(t->kind), t->id, &t->plugin, &t->e);
    return code;
}
