/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, status codes and errors: what every other header of neuroloom stands on.
 *
 * Rules that hold for the whole library:
 *  - A function that can fail returns LOOM_OK (0) or a negative enum loom_status and fills a caller-owned struct
 * loom_error.
 *  - Nothing in the library prints, exits or aborts.
 *  - An object handed out through a double pointer belongs to the caller; one returned directly is borrowed.
 *  - `_init` prepares a struct in place, `_release` frees its contents, `_clear` does both, `_free` frees contents and
 * struct.
 */
#ifndef LOOM_TYPES_H
#define LOOM_TYPES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define LOOM_EXTERN extern "C"
#else
#define LOOM_EXTERN extern
#endif
/* Marks what libloom.so exports. Everything else in the library is hidden. */
#define LOOM_API LOOM_EXTERN __attribute__((visibility("default")))
#define LOOM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* The engine's working precision: float, or double in a library configured with --enable-double (element-wise gradient
 * checks). Times, masses and sums are `double` in both. A plugin and its host must agree; the loader checks. */
#ifdef LOOM_DOUBLE
typedef double loom_real;
#else
typedef float loom_real;
#endif

/* Every failure that a caller may want to tell apart. The program's exit code follows from it (see loom(1)). */
enum loom_status {
    LOOM_OK = 0,
    LOOM_ENOMEM = -1,   /* memory or an arena is exhausted */
    LOOM_EINVAL = -2,   /* an argument that the caller controls is out of its domain */
    LOOM_ECONFIG = -3,  /* the pipeline file or a command-line option is wrong */
    LOOM_EDATA = -4,    /* a recording cannot be read, or cannot serve what is asked of it */
    LOOM_EPLUGIN = -5,  /* a plugin cannot be found or loaded, or broke its contract */
    LOOM_EIO = -6,      /* the operating system refused to read or write */
    LOOM_ESHAPE = -7,   /* tensors do not fit each other */
    LOOM_ENUMERIC = -8, /* NaN or infinity where a finite number is needed */
    LOOM_ESTOP = -9,    /* stopped on request (signal), state saved */
};

/* What went wrong, in words that end with the remedy. Owned by the caller, no pointers inside: it outlives any plugin.
 * `file` and `line` name the place in the user's input (pipeline file, recording); empty and 0 where there is none. */
struct loom_error {
    int code; /* enum loom_status; LOOM_OK while nothing is wrong */
    int line;
    char file[256];
    char message[1024];
};

/* Fill `e` (may be NULL) and return `code`, so that `return loom_fail(e, LOOM_EDATA, path, 0, "…")` is one line.
 * The first error stays: a second call on a filled `e` is ignored (its code is still returned). */
LOOM_API int loom_fail(struct loom_error *e, int code, const char *file, int line, const char *fmt, ...)
    LOOM_PRINTF(5, 6);
LOOM_API int loom_vfail(struct loom_error *e, int code, const char *file, int line, const char *fmt, va_list args)
    LOOM_PRINTF(5, 0);
LOOM_API void loom_error_clear(struct loom_error *e);
/* "file:line: message" into `out` (always terminated); returns `out`. */
LOOM_API const char *loom_error_text(const struct loom_error *e, char *out, size_t size);

/* The candidate nearest to `word` by edit distance, or NULL if none is near enough to suggest. `candidates` ends with
 * NULL. */
LOOM_API const char *loom_nearest(const char *word, const char *const *candidates);

/* Messages for a person go to the host's callback, never to a stream. The default callback is NULL: silence. */
enum loom_log_level { LOOM_DEBUG, LOOM_INFO, LOOM_WARN };
typedef void (*loom_log_fn)(void *payload, int level, const char *message);
LOOM_API void loom_log_set(loom_log_fn fn, void *payload); /* not thread-safe: call before any other thread runs */
LOOM_API void loom_log(int level, const char *fmt, ...) LOOM_PRINTF(2, 3);

/* Library version "0.1.0", and what it was built with and now runs on, one "name: value" a line ("BLAS: OpenBLAS
 * 0.3.21, threads: pthread, kernels: Haswell", …). */
LOOM_API const char *loom_version(void);
LOOM_API const char *loom_build_info(void);

#endif
