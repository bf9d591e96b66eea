/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/tried.h"

#include "base/process.h"
#include "base/threads.h"
#include "plugin/elf.h"
#include "plugin/load.h"
#include "plugin/registry.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- the parent ---- */

static int start(struct loom_process *p, const char *file, struct loom_error *e)
{
    char program[PATH_MAX];
    const char *argv[] = {program, "--plugin", file, NULL};
    int rc = loom_process_helper(program, e);
    return rc == LOOM_OK ? loom_process_start(p, argv, 0, e) : rc;
}

/* Its status is an enum loom_tried_end. A child that says nothing was ended by what it loaded, with exit(0) perhaps. */
static void conclude(const struct loom_process *p, struct loom_tried *out)
{
    const int spoke = p->channel[0] != '\0';
    if (spoke && p->status >= LOOM_TRIED_SOUND && p->status <= LOOM_TRIED_UNLINKED) {
        out->end = p->status;
        snprintf(out->text, sizeof out->text, "%s", p->channel);
    } else {
        out->end = p->late ? LOOM_TRIED_HUNG : LOOM_TRIED_CRASHED;
        snprintf(out->text, sizeof out->text,
                 "%s while loading: the process that tried it %s; mend its constructors, its destructors or "
                 "loom_plugin_entry",
                 p->late ? "hangs" : "crashes", p->why);
    }
}

int loom_plugin_try(const char *file, double limit_s, struct loom_tried *out, struct loom_error *e)
{
    struct loom_process p;
    int rc = start(&p, file, e);
    if (rc != LOOM_OK)
        return rc;
    loom_process_wait(&p, limit_s);
    conclude(&p, out);
    loom_process_release(&p);
    return LOOM_OK;
}

int loom_plugin_try_all(const char *const *file, size_t n, struct loom_tried *out, struct loom_error *e)
{
    const size_t jobs = (size_t)loom_cpu_count();
    struct loom_process *p = calloc(n + 1, sizeof *p);
    int rc = p != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to look at plugins; free some");
    for (size_t begun = 0, ended = 0; rc == LOOM_OK && ended < n;) {
        if (begun < n && begun - ended < jobs) {
            rc = start(&p[begun], file[begun], e);
            begun++;
        } else {
            loom_process_wait(&p[ended], LOOM_TRIED_SECONDS);
            conclude(&p[ended], &out[ended]);
            loom_process_release(&p[ended++]);
        }
    }
    for (size_t i = 0; p != NULL && i < n; i++)
        loom_process_release(&p[i]);
    free(p);
    return rc;
}

/* ---- the child ---- */

/* Of a file that was refused: was it the dynamic linker that would not have it? It says the same again, and what it
 * opened stays open. */
static int links(const char *file)
{
    struct loom_elf elf;
    struct loom_error e;
    if (loom_elf_open(&elf, file, &e) != LOOM_OK)
        return 1;
    loom_elf_release(&elf);
    return dlopen(file, RTLD_NOW | RTLD_LOCAL) != NULL;
}

int loom_plugin_try_child(const char *file)
{
    static struct loom_error e;
    const struct rlimit none = {0, 0};
    struct loom_loaded *all;
    char text[4096] = "";
    size_t used = 0;
    int n;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &none);
    const int rc = loom_module_load(file, NULL, &all, &n, &e);
    if (rc != LOOM_OK)
        used = (size_t)snprintf(text, sizeof text, "%s", e.message);
    for (int i = 0; rc == LOOM_OK && i < n && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %s\n", loom_kind_name(all[i].plugin.kind),
                                 all[i].plugin.id);
    if (rc == LOOM_OK)
        free(all);
    used = used < sizeof text ? used : sizeof text - 1;
    if (write(LOOM_PROCESS_CHANNEL, text, used) != (ssize_t)used)
        return LOOM_TRIED_CRASHED;
    return rc == LOOM_OK ? LOOM_TRIED_SOUND : links(file) ? LOOM_TRIED_REFUSED : LOOM_TRIED_UNLINKED;
}
