/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, size_t guess, size_t limit, char **out, size_t *size)
{
    size_t used = 0, capacity = guess + 1;
    char *text = malloc(capacity + 1);
    while (text != NULL) {
        ssize_t got = read(fd, text + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        used += (size_t)got;
        if (used > limit) {
            errno = EFBIG;
            break;
        }
        if (got == 0) {
            text[used] = '\0';
            *out = text;
            *size = used;
            return 0;
        }
        if (used == capacity) {
            char *more = realloc(text, 2 * capacity + 1);
            if (more == NULL)
                break;
            text = more;
            capacity *= 2;
        }
    }
    free(text);
    return -1;
}

int loom_file_read(char **out, size_t *size, const char *path, size_t limit, struct loom_error *e)
{
    struct stat st;
    int status = LOOM_OK;
    *out = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return loom_fail(e, LOOM_EIO, path, 0, "cannot open: %s", strerror(errno));
    if (fstat(fd, &st) != 0 || (S_ISDIR(st.st_mode) && (errno = EISDIR)))
        status = loom_fail(e, LOOM_EIO, path, 0, "cannot read: %s", strerror(errno));
    else if (st.st_size > 0 && (uint64_t)st.st_size > limit)
        status =
            loom_fail(e, LOOM_EIO, path, 0, "holds %lld bytes where at most %zu are expected; is it the right file?",
                      (long long)st.st_size, limit);
    else if (read_all(fd, st.st_size > 0 ? (size_t)st.st_size : 4096, limit, out, size) != 0)
        status = loom_fail(e, LOOM_EIO, path, 0, "cannot read: %s", strerror(errno));
    close(fd);
    return status;
}

static void atomic_clear(struct loom_atomic *a)
{
    if (a->fd >= 0)
        close(a->fd);
    free(a->path);
    free(a->temp);
    *a = (struct loom_atomic){.fd = -1};
}

/* A new file called `name`, or that name for the nameless one. */
static int make_file(const char *name, int nameless)
{
    char link[64];
    if (nameless < 0)
        return open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    snprintf(link, sizeof link, "/proc/self/fd/%d", nameless);
    int fd = fcntl(nameless, F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || linkat(AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int open_as(struct loom_atomic *a, const char *path, int nameless, struct loom_error *e)
{
    static atomic_uint ordinal;
    *a = (struct loom_atomic){.fd = -1};
    a->path = strdup(path);
    /* Two processes or threads may write the same file: each has its own temporary, the last rename wins. */
    do {
        free(a->temp);
        if (asprintf(&a->temp, "%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&ordinal, 1u)) < 0)
            a->temp = NULL;
        if (a->path == NULL || a->temp == NULL) {
            atomic_clear(a);
            return loom_fail(e, LOOM_ENOMEM, path, 0, "out of memory for the name of a file");
        }
        a->fd = make_file(a->temp, nameless);
    } while (a->fd < 0 && errno == EEXIST);
    if (a->fd < 0) {
        int status = loom_fail(e, LOOM_EIO, path, 0, "cannot create: %s", strerror(errno));
        atomic_clear(a);
        return status;
    }
    return LOOM_OK;
}

int loom_atomic_open(struct loom_atomic *a, const char *path, struct loom_error *e)
{
    return open_as(a, path, -1, e);
}

int loom_atomic_adopt(struct loom_atomic *a, int nameless, const char *path, struct loom_error *e)
{
    return open_as(a, path, nameless, e);
}

int loom_atomic_write(struct loom_atomic *a, const void *bytes, size_t n, struct loom_error *e)
{
    const char *b = bytes;
    while (n > 0) {
        ssize_t put = write(a->fd, b, n < ((size_t)1 << 30) ? n : (size_t)1 << 30);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return loom_fail(e, LOOM_EIO, a->path, 0, "cannot write: %s", strerror(errno));
        b += put;
        n -= (size_t)put;
    }
    return LOOM_OK;
}

/* A rename lasts through a power cut once the folder is on disk. Some file systems cannot fsync a folder; theirs is
 * order. */
static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    int fd = folder == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP);
    int why = errno;
    if (fd >= 0)
        close(fd);
    free(folder);
    errno = why;
    return failed ? -1 : 0;
}

static int put_failed(struct loom_atomic *a, struct loom_error *e)
{
    int status = loom_fail(e, LOOM_EIO, a->path, 0, "cannot write: %s", strerror(errno));
    loom_atomic_abort(a);
    return status;
}

int loom_atomic_commit(struct loom_atomic *a, struct loom_error *e)
{
    if (fsync(a->fd) != 0 || rename(a->temp, a->path) != 0 || sync_folder(a->path) != 0)
        return put_failed(a, e);
    atomic_clear(a);
    return LOOM_OK;
}

/* Some file systems write a file out before they let it replace another, so the other goes first. */
int loom_atomic_publish(struct loom_atomic *a, struct loom_error *e)
{
    if ((unlink(a->path) != 0 && errno != ENOENT) || rename(a->temp, a->path) != 0)
        return put_failed(a, e);
    atomic_clear(a);
    return LOOM_OK;
}

void loom_atomic_abort(struct loom_atomic *a)
{
    if (a->temp != NULL)
        unlink(a->temp);
    atomic_clear(a);
}

int loom_file_write(const char *path, const void *bytes, size_t n, struct loom_error *e)
{
    struct loom_atomic a;
    int status = loom_atomic_open(&a, path, e);
    if (status == LOOM_OK)
        status = loom_atomic_write(&a, bytes, n, e);
    if (status == LOOM_OK)
        return loom_atomic_commit(&a, e);
    loom_atomic_abort(&a);
    return status;
}

int loom_mkdirs(const char *path, struct loom_error *e)
{
    struct stat st;
    int status = LOOM_OK;
    char *copy = strdup(path);
    if (copy == NULL)
        return loom_fail(e, LOOM_ENOMEM, path, 0, "out of memory for the name of a folder");
    for (char *slash = copy; slash != NULL && status == LOOM_OK;) {
        slash = strchr(slash + 1, '/');
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST && !(stat(copy, &st) == 0 && S_ISDIR(st.st_mode)))
            status = loom_fail(e, LOOM_EIO, copy, 0, "cannot make this folder: %s", strerror(errno));
        if (slash != NULL)
            *slash = '/';
    }
    if (status == LOOM_OK && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        status = loom_fail(e, LOOM_EIO, path, 0, "is there and is no folder; remove it or choose another name");
    free(copy);
    return status;
}

int loom_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
