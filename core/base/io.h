/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are whole or not there, and folders. */
#ifndef LOOM_BASE_IO_H
#define LOOM_BASE_IO_H

#include <loom/types.h>

/* Whole file, a terminating NUL behind it that `size` does not count. LOOM_EIO if it cannot be read or exceeds `limit`
 * bytes. The caller frees *out. */
int loom_file_read(char **out, size_t *size, const char *path, size_t limit, struct loom_error *e);

/* A file being written beside its final name. Readers see the old file or the new one, whatever dies and when:
 * temporary, fsync, rename, fsync of the folder (Pillai et al., All file systems are not created equal, OSDI 2014). */
struct loom_atomic {
    int fd; /* open for reading and writing; -1 when there is none */
    char *path, *temp;
};

int loom_atomic_open(struct loom_atomic *a, const char *path, struct loom_error *e);
/* The same over what stands in a file without a name (O_TMPFILE, in the folder of `path`); `nameless` stays the
 * caller's. LOOM_EIO where the system gives it no name; nothing has happened then. */
int loom_atomic_adopt(struct loom_atomic *a, int nameless, const char *path, struct loom_error *e);
int loom_atomic_write(struct loom_atomic *a, const void *bytes, size_t n, struct loom_error *e);
int loom_atomic_commit(struct loom_atomic *a, struct loom_error *e); /* releases `a`, on failure too */
/* The same without waiting for the disk: readers see the old file, none, or the new one, but a power cut may leave it
 * with holes. For what is checked whenever it is read, and can be made anew. */
int loom_atomic_publish(struct loom_atomic *a, struct loom_error *e);
void loom_atomic_abort(struct loom_atomic *a); /* removes the temporary; no-op once released */
/* All three for bytes in memory. */
int loom_file_write(const char *path, const void *bytes, size_t n, struct loom_error *e);

int loom_mkdirs(const char *path, struct loom_error *e); /* like mkdir -p */
int loom_file_exists(const char *path);                  /* 1 or 0 */

#endif
