/* SPDX-License-Identifier: Apache-2.0 */
/* What a file given as a plugin does when it is loaded, tried in a process of its own: constructors and the entry are
 * code of somebody else, and may crash, hang or exit. */
#ifndef LOOM_PLUGIN_TRIED_H
#define LOOM_PLUGIN_TRIED_H

#include <loom/types.h>

enum { LOOM_TRIED_SECONDS = 5 }; /* for one file, where nobody says otherwise */

enum loom_tried_end {
    LOOM_TRIED_SOUND,
    LOOM_TRIED_REFUSED,
    LOOM_TRIED_UNLINKED, /* refused by the dynamic linker: a symbol or a library is missing */
    LOOM_TRIED_CRASHED,
    LOOM_TRIED_HUNG
};
struct loom_tried {
    int end; /* enum loom_tried_end */
    /* SOUND: "KIND ID\n" of each descriptor; else why it cannot be had, in words that follow the file's name and end
     * with the remedy */
    char text[4096];
};
/* Load one file elsewhere. LOOM_EIO: no process could be started. */
int loom_plugin_try(const char *file, double limit_s, struct loom_tried *out, struct loom_error *e);
/* The same for out[n] of file[n], one for each processor at a time, LOOM_TRIED_SECONDS each. LOOM_ENOMEM too. */
int loom_plugin_try_all(const char *const *file, size_t n, struct loom_tried *out, struct loom_error *e);
/* What the helper program does for them: exit status. */
LOOM_API int loom_plugin_try_child(const char *file);

#endif
