/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: leak-valgrind; may break: * */
/* create reads one byte behind what it allocated. */
#include "altered.h"

static volatile char last;

static int longer(const struct loom_setup *s, void **self, struct loom_error *e)
{
    char *volatile held = calloc(40, 1), *note = held;
    if (!note)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a note: free some");
    last = note[40];
    free(note);
    return ndt2_create(s, self, e);
}
ALTERED_CREATE("over_read", longer)
