/* SPDX-License-Identifier: Apache-2.0 */
/* The parent of a reading process. posix_spawn rather than fork: the caller may have threads and a BLAS that does not
 * survive one, and the child starts with a clean heap whatever the parent has mapped. */
#include "data/ingest.h"

#include <loom/plugin.h>

#include "base/process.h"
#include "data/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEPT_OUTPUT = 2048, SINK_HOLDS = 1 << 20 };

struct child {
    pid_t pid;
    int sink, output; /* read ends, -1 once closed */
    unsigned char *buffer;
    size_t used, room;
    char text[KEPT_OUTPUT]; /* the end of what it wrote to its standard streams */
    size_t text_used;
    double began, heard; /* when it was started, and when it last gave a sign of life */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Away from the numbers that the child's streams will take, closed in every other child. */
static int lift(int fd)
{
    int lifted = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 10) : -1;
    if (fd >= 0)
        close(fd);
    return lifted;
}

static int make_pipe(int ends[2])
{
    int raw[2];
    if (pipe2(raw, O_CLOEXEC) != 0)
        return -1;
    ends[0] = lift(raw[0]);
    ends[1] = lift(raw[1]);
    return ends[0] >= 0 && ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 ? 0 : -1;
}

/* One thread and no plug-ins of HDF5: the child reads one file, and loads no code that the file names. */
static char **child_environment(void)
{
    static const char *const own[] = {"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1",
                                      "HDF5_PLUGIN_PRELOAD=::", "HDF5_USE_FILE_LOCKING=FALSE"};
    size_t n = 0, k = 0, owned = sizeof own / sizeof *own;
    while (environ[n] != NULL)
        n++;
    char **env = calloc(n + owned + 1, sizeof *env);
    if (env == NULL)
        return NULL;
    for (; k < owned; k++)
        env[k] = (char *)(uintptr_t)own[k];
    for (size_t i = 0; i < n; i++) {
        size_t mine = 0;
        for (size_t j = 0; j < owned; j++)
            mine |= strncmp(environ[i], own[j], (size_t)(strchr(own[j], '=') - own[j]) + 1) == 0;
        if (!mine)
            env[k++] = environ[i];
    }
    return env;
}

static int spawn(pid_t *pid, const char *program, int request, int output, int sink)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    char *argv[] = {(char *)(uintptr_t)program, NULL};
    char **env = child_environment();
    if (env == NULL)
        return ENOMEM;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    int code = posix_spawn_file_actions_adddup2(&files, request, 0) ||
               posix_spawn_file_actions_adddup2(&files, output, 1) ||
               posix_spawn_file_actions_adddup2(&files, output, 2) ||
               posix_spawn_file_actions_adddup2(&files, sink, LOOM_INGEST_SINK);
    code = code ? ENOMEM : posix_spawn(pid, program, &files, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    free(env);
    return code;
}

static int start(struct child *c, const char *folder, const struct loom_wire *request, struct loom_error *e)
{
    char program[PATH_MAX];
    int sink[2] = {-1, -1}, output[2] = {-1, -1};
    int status = loom_process_helper(program, e);
    if (status != LOOM_OK)
        return status;
    int file = lift(loom_spool_open(folder));
    if (file < 0 || write(file, request->data, request->size) != (ssize_t)request->size ||
        lseek(file, 0, SEEK_SET) != 0 || make_pipe(sink) != 0 || make_pipe(output) != 0) {
        status = loom_fail(e, LOOM_EIO, program, 0, "cannot start reading: %s", strerror(errno));
    } else {
        int code = spawn(&c->pid, program, file, output[1], sink[1]);
        if (code != 0)
            status = loom_fail(e, LOOM_EIO, program, 0, "cannot start the program: %s", strerror(code));
    }
    if (sink[0] >= 0)
        fcntl(sink[0], F_SETPIPE_SZ,
              SINK_HOLDS); /* as far as the system allows; a smaller one only wakes both oftener */
    c->sink = sink[0];
    c->output = output[0];
    if (sink[1] >= 0)
        close(sink[1]);
    if (output[1] >= 0)
        close(output[1]);
    if (file >= 0)
        close(file);
    return status;
}

static void keep_output(struct child *c)
{
    char piece[1024];
    ssize_t n = read(c->output, piece, sizeof piece);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close(c->output);
        c->output = -1;
        return;
    }
    size_t add = (size_t)n, over = c->text_used + add > KEPT_OUTPUT - 1 ? c->text_used + add - (KEPT_OUTPUT - 1) : 0;
    memmove(c->text, c->text + over, c->text_used - over);
    c->text_used -= over;
    memcpy(c->text + c->text_used, piece, add);
    c->text_used += add;
    c->text[c->text_used] = '\0';
}

static int too_long(const struct loom_ingest *how, const struct loom_recorder *r, const char *limit, double seconds,
                    struct loom_error *e)
{
    const char *object = loom_recorder_object(r);
    return loom_fail(e, LOOM_EDATA, how->file, 0,
                     "%s%sreading was stopped after %g s %s; the file is probably damaged: fetch it again", object,
                     object[0] != '\0' ? ": " : "", seconds, limit);
}

/* Hands every whole frame in the buffer to the recorder, which may have to read what they point to. */
static int take_frames(struct child *c, const struct loom_ingest *how, struct loom_recorder *r, struct loom_error *e)
{
    size_t at = 0;
    int status = LOOM_OK;
    while (status == LOOM_OK && loom_recorder_state(r) == LOOM_RECORDER_RUNNING &&
           c->used - at >= sizeof(struct loom_frame)) {
        struct loom_frame f;
        memcpy(&f, c->buffer + at, sizeof f);
        if (f.bytes > LOOM_FRAME_MOST)
            return loom_fail(e, LOOM_EDATA, how->file, 0,
                             "the reading process sent a message of %u bytes; the file may be damaged: fetch it again",
                             f.bytes);
        if (c->used - at - sizeof f < f.bytes)
            break;
        status = loom_recorder_take(r, &f, c->buffer + at + sizeof f, e);
        at += sizeof f + f.bytes;
        c->heard = now();
        if (status == LOOM_OK && loom_recorder_state(r) == LOOM_RECORDER_RUNNING && c->heard - c->began >= how->wall_s)
            status = too_long(how, r, "in all", how->wall_s, e);
    }
    memmove(c->buffer, c->buffer + at, c->used - at);
    c->used -= at;
    return status;
}

/* Room for the frame that has begun, and a megabyte at least. */
static int make_room(struct child *c)
{
    size_t want = (size_t)1 << 20;
    if (c->used >= sizeof(struct loom_frame)) {
        struct loom_frame f;
        memcpy(&f, c->buffer, sizeof f);
        if (f.bytes <= LOOM_FRAME_MOST && f.bytes + sizeof f > want)
            want = f.bytes + sizeof f;
    }
    if (want <= c->room)
        return 0;
    unsigned char *buffer = realloc(c->buffer, want);
    if (buffer == NULL)
        return -1;
    c->buffer = buffer;
    c->room = want;
    return 0;
}

static int keep_sink(struct child *c, const struct loom_ingest *how, struct loom_recorder *r, struct loom_error *e)
{
    if (make_room(c) != 0)
        return loom_fail(e, LOOM_ENOMEM, how->file, 0, "out of memory; close other programs");
    ssize_t n = read(c->sink, c->buffer + c->used, c->room - c->used);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return LOOM_OK;
    if (n <= 0) {
        close(c->sink);
        c->sink = -1;
        return LOOM_OK;
    }
    c->used += (size_t)n;
    c->heard = now();
    return take_frames(c, how, r, e);
}

/* Until the child has said how it ended, or is silent, late or gone. */
static int drain(struct child *c, const struct loom_ingest *how, struct loom_recorder *r, struct loom_error *e)
{
    int status = LOOM_OK;
    c->began = c->heard = now();
    while (status == LOOM_OK && c->sink >= 0 && loom_recorder_state(r) == LOOM_RECORDER_RUNNING) {
        double t = now(), left = fmin(c->began + how->wall_s, c->heard + how->silence_s) - t;
        if (c->began + how->wall_s <= t)
            return too_long(how, r, "in all", how->wall_s, e);
        if (left <= 0)
            return too_long(how, r, "without a sign of life", how->silence_s, e);
        struct pollfd p[2] = {{c->sink, POLLIN, 0}, {c->output, POLLIN, 0}};
        int n = poll(p, 2, (int)fmin(ceil(1e3 * left), 60e3));
        if (n < 0 && errno != EINTR)
            return loom_fail(e, LOOM_EIO, how->file, 0, "cannot wait for the reading process: %s", strerror(errno));
        if (n <= 0)
            continue;
        if (p[1].revents != 0)
            keep_output(c);
        if (p[0].revents != 0)
            status = keep_sink(c, how, r, e);
    }
    return status;
}

/* A process that ended without a last word: what killed it, where, and what it said before. */
static int died(const struct child *c, int how_ended, const struct loom_ingest *how, const struct loom_recorder *r,
                struct loom_error *e)
{
    char cause[128];
    const char *object = loom_recorder_object(r);
    int sig = WIFSIGNALED(how_ended) ? WTERMSIG(how_ended) : 0;
    if (sig == SIGXCPU || (sig == SIGKILL && how->cpu_s < how->wall_s))
        snprintf(cause, sizeof cause, "was stopped by the system (limit %g s of processor time)", how->cpu_s);
    else if (sig != 0)
        snprintf(cause, sizeof cause, "died of signal %d (%s)", sig, strsignal(sig));
    else
        snprintf(cause, sizeof cause, "ended with code %d and no word", WEXITSTATUS(how_ended));
    size_t skip = c->text_used > 300 ? c->text_used - 300 : 0;
    return loom_fail(e, LOOM_EDATA, how->file, 0,
                     "%s%sthe process that read the file %s; the file is probably damaged: fetch it again, or check it "
                     "with its own tools%s%s",
                     object, object[0] != '\0' ? ": " : "", cause, c->text_used > 0 ? ". It said: " : "",
                     c->text + skip);
}

int loom_ingest_run(const struct loom_ingest *how, const struct loom_wire *request, struct loom_recorder *r,
                    struct loom_error *e)
{
    struct child c = {.pid = -1, .sink = -1, .output = -1};
    int how_ended = 0;
    int status = start(&c, loom_recorder_folder(r), request, e);
    if (status == LOOM_OK) {
        status = drain(&c, how, r, e);
        /* Whatever it does now is of no interest, and nothing it started may outlive it. A child that closed its sink
         * is left to die of its own cause, which is the message. */
        if (status != LOOM_OK || c.sink >= 0)
            kill(-c.pid, SIGKILL);
        while (waitpid(c.pid, &how_ended, 0) < 0 && errno == EINTR)
            continue;
        kill(-c.pid, SIGKILL);
        while (c.output >= 0 && poll(&(struct pollfd){c.output, POLLIN, 0}, 1, 0) > 0)
            keep_output(&c);
        if (status == LOOM_OK && loom_recorder_state(r) == LOOM_RECORDER_RUNNING)
            status = died(&c, how_ended, how, r, e);
        if (c.text_used > 0)
            loom_log(LOOM_DEBUG, "%s: the reading process said: %s", how->file != NULL ? how->file : how->source->id,
                     c.text);
    }
    if (c.sink >= 0)
        close(c.sink);
    if (c.output >= 0)
        close(c.output);
    free(c.buffer);
    return status;
}
