/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a pipeline before libconfig sees it.
 *
 * Includes are spliced in, each relative to the file that names it; a table leads from every line of the spliced text
 * back to its file. What libconfig 1.5 reads wrongly without a word is put right here: an integer gets the suffix L,
 * since without it 5000000000 becomes 705032704; one that does not fit 64 bits, and a real that is no finite number,
 * are refused. [ ] becomes ( ), so that [1, 2.5] is a list like any other. */
#ifndef LOOM_CONFIG_SOURCE_H
#define LOOM_CONFIG_SOURCE_H

#include "base/arena.h"
#include "base/str.h"

struct loom_place {
    const char *file; /* in the arena */
    int line;
};

struct loom_source {
    struct loom_str text;
    struct loom_place *places; /* of each line of `text`, the first line at [0] */
    size_t count, capacity;
    struct loom_arena *arena; /* borrowed */
    int depth, files;         /* of includes */
};

void loom_source_init(struct loom_source *s, struct loom_arena *arena);
void loom_source_release(struct loom_source *s);
/* Append `text` as if it stood in file `name`. LOOM_ECONFIG, LOOM_EIO for an include, LOOM_ENOMEM. */
int loom_source_add(struct loom_source *s, const char *text, size_t n, const char *name, struct loom_error *e);
/* Append the file at `path`. */
int loom_source_add_file(struct loom_source *s, const char *path, struct loom_error *e);
/* The place of line `line` (from 1) of the spliced text. */
struct loom_place loom_source_place(const struct loom_source *s, int line);

#endif
