/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/again.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRONT = 8, WORDS = 9, SETS = 32, ALL = FRONT + 3 + WORDS + SETS + 1 };

struct words {
    char self[4096], own[WORDS][4700], set[SETS][256];
};

static void fill(struct words *w, const struct loom_trial *t, const char *check, const char *probe)
{
    ssize_t length = readlink("/proc/self/exe", w->self, sizeof w->self - 1);
    w->self[length > 0 ? length : 0] = '\0';
    snprintf(w->own[0], sizeof *w->own, "check=%s", check);
    snprintf(w->own[1], sizeof *w->own, "file=%s", t->file ? t->file : "");
    snprintf(w->own[2], sizeof *w->own, "kind=%s", t->kind);
    snprintf(w->own[3], sizeof *w->own, "id=%s", t->id);
    snprintf(w->own[4], sizeof *w->own, "seed=%llu", (unsigned long long)t->seed);
    snprintf(w->own[5], sizeof *w->own, "path=%s", t->plugin_path);
    snprintf(w->own[6], sizeof *w->own, "%s%s", t->data ? "data=" : "", t->data ? t->data : "");
    snprintf(w->own[7], sizeof *w->own, "%s%s", probe ? "probe=" : "", probe ? probe : "");
    snprintf(w->own[8], sizeof *w->own, "place=%s", t->folder);
    for (int i = 0; i < t->spec->sets && i < SETS; i++)
        snprintf(w->set[i], sizeof *w->set, "set=%.240s", t->spec->set[i]);
}

int loom_trial_again(struct loom_trial *t, struct loom_process *p, const char *const *front, const char *check,
                     const char *probe)
{
    const char *argv[ALL] = {NULL};
    struct words *w = calloc(1, sizeof *w);
    int n = 0;
    if (!w)
        return loom_fail(&t->e, LOOM_ENOMEM, NULL, 0, "no memory for a process: free some");
    fill(w, t, check, probe);
    for (int i = 0; front && front[i] && i < FRONT; i++)
        argv[n++] = front[i];
    argv[n++] = w->self;
    argv[n++] = "conform";
    argv[n++] = "--child";
    for (int i = 0; i < WORDS; i++)
        if (w->own[i][0])
            argv[n++] = w->own[i];
    for (int i = 0; i < t->spec->sets && i < SETS; i++)
        argv[n++] = w->set[i];
    int code = loom_process_start(p, argv, 1, &t->e);
    free(w);
    return code;
}
