/* SPDX-License-Identifier: Apache-2.0 */
/* posix_spawn rather than fork: the caller may have threads and a BLAS that does not survive one. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHANNEL, OUTPUT };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Two ends above the numbers that the child uses, closed in it unless they are handed over. */
static int make_pipe(int ends[2])
{
    int raw[2];
    if (pipe2(raw, O_CLOEXEC) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        ends[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 16);
        close(raw[i]);
    }
    return ends[0] >= 0 && ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 ? 0 : -1;
}

static int spawn(struct loom_process *p, const char *const *argv, const int channel[2], const int output[2])
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(
        &attr, (short)((p->within ? 0 : POSIX_SPAWN_SETPGROUP) | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output[1], 1);
    posix_spawn_file_actions_adddup2(&files, output[1], 2);
    posix_spawn_file_actions_adddup2(&files, channel[1], LOOM_PROCESS_CHANNEL);
    int code = posix_spawnp(&p->pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

int loom_process_start(struct loom_process *p, const char *const *argv, int within, struct loom_error *e)
{
    int channel[2] = {-1, -1}, output[2] = {-1, -1}, code = -1;
    *p = (struct loom_process){.within = within, .stream = {-1, -1}};
    if (make_pipe(channel) == 0 && make_pipe(output) == 0)
        code = spawn(p, argv, channel, output);
    for (int i = 0; i < 2; i++)
        if ((i ? output : channel)[1] >= 0)
            close((i ? output : channel)[1]);
    p->stream[CHANNEL] = channel[0];
    p->stream[OUTPUT] = output[0];
    p->began = now_s();
    if (code == 0)
        return LOOM_OK;
    p->pid = 0;
    loom_process_release(p);
    return loom_fail(e, LOOM_EIO, argv[0], 0, "cannot be started (%s): close other programs",
                     strerror(code > 0 ? code : errno));
}

/* Of the channel the beginning of the last record is kept, of the output the end. */
static void take(struct loom_process *p, int k)
{
    char whole[4096], *text = k == CHANNEL ? p->channel : p->output;
    ssize_t n;
    while (p->stream[k] >= 0 && (n = read(p->stream[k], whole, sizeof whole)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        const char *anew = k == CHANNEL ? memrchr(whole, LOOM_PROCESS_ANEW, (size_t)n) : NULL;
        const char *piece = anew ? anew + 1 : whole;
        n -= piece - whole;
        if (anew)
            text[p->used[k] = 0] = '\0';
        size_t room = LOOM_PROCESS_TEXT - 1 - p->used[k], m = (size_t)n < room ? (size_t)n : room;
        if (k == OUTPUT && (size_t)n > room) {
            size_t drop = (size_t)n - room;
            if (drop > p->used[k])
                drop = p->used[k];
            memmove(text, text + drop, p->used[k] - drop);
            p->used[k] -= drop;
            m = (size_t)n < LOOM_PROCESS_TEXT - 1 - p->used[k] ? (size_t)n : LOOM_PROCESS_TEXT - 1 - p->used[k];
        }
        memcpy(text + p->used[k], piece, m);
        p->used[k] += m;
        text[p->used[k]] = '\0';
    }
    if (p->stream[k] >= 0)
        close(p->stream[k]);
    p->stream[k] = -1;
}

/* It, and whatever it started. */
static void stop(const struct loom_process *p)
{
    kill(p->within ? p->pid : -p->pid, SIGKILL);
}

static void ended(struct loom_process *p, int status, int late, double limit_s)
{
    p->pid = 0;
    p->seconds = now_s() - p->began;
    p->late = late;
    p->status = WIFEXITED(status) && !late ? WEXITSTATUS(status) : -1;
    if (late)
        snprintf(p->why, sizeof p->why, "did not end within %.0f s and was stopped", limit_s);
    else if (WIFSIGNALED(status))
        snprintf(p->why, sizeof p->why, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(p->why, sizeof p->why, "ended the process with status %d: a plugin returns errors and never exits",
                 p->status);
}

int loom_process_poll(struct loom_process *p, double limit_s, int wait_ms)
{
    struct pollfd set[2] = {{p->stream[0], POLLIN, 0}, {p->stream[1], POLLIN, 0}};
    int status, late = 0;
    if (p->pid == 0)
        return 1;
    poll(set, 2, wait_ms);
    take(p, CHANNEL);
    take(p, OUTPUT);
    if (waitpid(p->pid, &status, WNOHANG) != p->pid) {
        late = now_s() - p->began > limit_s;
        if (late)
            stop(p);
        if (!late || waitpid(p->pid, &status, 0) != p->pid)
            return 0;
    }
    if (!p->within)
        stop(p); /* what it left behind */
    take(p, CHANNEL);
    take(p, OUTPUT);
    ended(p, status, late, limit_s);
    return 1;
}

void loom_process_wait(struct loom_process *p, double limit_s)
{
    while (!loom_process_poll(p, limit_s, 20))
        ;
}

void loom_process_release(struct loom_process *p)
{
    int status;
    if (p->pid > 0) {
        stop(p);
        waitpid(p->pid, &status, 0);
        p->pid = 0;
    }
    for (int i = 0; i < 2; i++) {
        if (p->stream[i] > 2)
            close(p->stream[i]);
        p->stream[i] = -1;
    }
}

static int usable(const char *path)
{
    return access(path, X_OK) == 0;
}

int loom_process_helper(char out[PATH_MAX], struct loom_error *e)
{
    const char *set = getenv("LOOM_LIBEXEC");
    char self[PATH_MAX - 64];
    if (set != NULL && set[0] != '\0') {
        snprintf(out, PATH_MAX, "%s/loom-ingest", set);
        if (usable(out))
            return LOOM_OK;
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    if (slash != NULL) {
        *slash = '\0';
        snprintf(out, PATH_MAX, "%s/loom-ingest", self);
        if (usable(out))
            return LOOM_OK;
        snprintf(out, PATH_MAX, "%s/../libexec/loom/loom-ingest", self);
        if (usable(out))
            return LOOM_OK;
    }
    snprintf(out, PATH_MAX, "%s/loom-ingest", LOOM_LIBEXEC_DIR);
    if (usable(out))
        return LOOM_OK;
    return loom_fail(
        e, LOOM_EIO, out, 0,
        "the helper program loom-ingest is not there; install neuroloom, or set LOOM_LIBEXEC to its folder");
}
