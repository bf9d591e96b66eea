/* SPDX-License-Identifier: Apache-2.0 */
#include "eval_nlb.h"

#include "words.h"

#include <loom/export.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int score(const char *submission, const char *targets, int as_json)
{
    struct loom_error e = {0};
    char *text = NULL;
    if (loom_nlb_score_files(submission, targets, as_json, &text, &e) != LOOM_OK)
        return loom_report_error("loom eval", &e);
    fputs(text, stdout);
    free(text);
    return fflush(stdout) == 0 ? 0 : 1;
}

/* The files come from anywhere, and a damaged one can take down the process that reads it: this one forks another for
 * that, and stays to say so. */
int loom_eval_nlb(const char *submission, const char *targets, int as_json)
{
    /* The largest dataset takes 3 GiB and a minute. */
    const struct rlimit none = {0, 0}, memory = {(rlim_t)16 << 30, (rlim_t)16 << 30}, cpu = {1800, 1800};
    int status = 0;
    (void)memory;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they map terabytes that they never touch */
        setrlimit(RLIMIT_AS, &memory);
#endif
        setrlimit(RLIMIT_CPU, &cpu);
        _exit(score(submission, targets, as_json));
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (child < 0) {
        fprintf(stderr, "loom eval: cannot start a process to read %s: %s\n", submission, strerror(errno));
        return 1;
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    fprintf(stderr,
            "loom eval: %s or %s is damaged: the process that read them was ended by signal %d; write it anew\n",
            submission, targets, WTERMSIG(status));
    return 3;
}
