/* SPDX-License-Identifier: Apache-2.0 */
/* A child with two streams, which are read while it runs: a full pipe would look like a hang. */
#ifndef LOOM_BASE_PROCESS_H
#define LOOM_BASE_PROCESS_H

#include <loom/types.h>

#include <limits.h>
#include <sys/types.h>

enum {
    LOOM_PROCESS_CHANNEL = 3, /* the descriptor on which the child says what it has to say */
    LOOM_PROCESS_TEXT = 4096,
    LOOM_PROCESS_ANEW = '\f', /* on the channel: forget what was said before */
};
struct loom_process {
    pid_t pid;     /* 0: none */
    int within;    /* 1: it shares the caller's process group */
    int stream[2]; /* channel, output; -1 once closed */
    int status;    /* once it ended: of its exit, 0 to 255; -1: by a signal, or late */
    int late;      /* 1: did not end in time and was stopped */
    double began, seconds;
    char channel[LOOM_PROCESS_TEXT]; /* what it said */
    char output[LOOM_PROCESS_TEXT];  /* the end of what it wrote to its standard streams */
    size_t used[2];
    char why[256]; /* how it ended, in words that follow its name */
};
/* argv[0] is the program; NULL-ended. within 0: in a process group of its own, which ends with it; 1: in the caller's,
 * with which it ends. LOOM_EIO. */
int loom_process_start(struct loom_process *p, const char *const *argv, int within, struct loom_error *e);
/* Read what is there, waiting `wait_ms` at most; 1 = it has ended, by itself or because `limit_s` are over. */
int loom_process_poll(struct loom_process *p, double limit_s, int wait_ms);
void loom_process_wait(struct loom_process *p, double limit_s);
void loom_process_release(struct loom_process *p); /* kills what still runs; may be all zero */

/* Path of loom-ingest, the program for what the caller must survive: reading of files, loading of plugins. Looked for
 * in $LOOM_LIBEXEC, beside the running program, where the package was moved to, where it was installed. LOOM_EIO. */
int loom_process_helper(char out[PATH_MAX], struct loom_error *e);

#endif
