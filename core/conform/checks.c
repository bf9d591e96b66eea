/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/child.h"
#include "conform/families.h"

#include <string.h>

static const struct loom_check *const checks[] = {
#define ENTRY(name) &loom_check_##name,
    LOOM_CHECKS(ENTRY)
#undef ENTRY
        NULL,
};

const struct loom_check *const *loom_checks(void)
{
    return checks;
}

const struct loom_check *loom_check_named(const char *id)
{
    for (size_t i = 0; checks[i]; i++)
        if (strcmp(checks[i]->id, id) == 0)
            return checks[i];
    return NULL;
}

static const char *const levels[] = {"", "required", "strict", "pedantic"};
enum { LEVELS = sizeof levels / sizeof *levels };

const char *loom_level_name(int level)
{
    return level > 0 && level < LEVELS ? levels[level] : "";
}

int loom_level_of(const char *name)
{
    for (int i = 1; i < LEVELS; i++)
        if (strcmp(levels[i], name) == 0)
            return i;
    return 0;
}

const char *loom_outcome_name(int outcome)
{
    static const char *const names[LOOM_OUTCOMES] = {"passed",  "failed", "crashed",  "hung",
                                                     "skipped", "warned", "expected", "unexpected"};
    return outcome >= 0 && outcome < LOOM_OUTCOMES ? names[outcome] : "";
}
