/* SPDX-License-Identifier: Apache-2.0 */
/* What a shared object says of itself, read without loading it. */
#ifndef LOOM_PLUGIN_ELF_H
#define LOOM_PLUGIN_ELF_H

#include <loom/types.h>

#include <link.h>

enum { LOOM_ELF_NAMES = 256 };
struct loom_elf {
    void *map;
    size_t size;
    const char *exported[LOOM_ELF_NAMES]; /* global and weak symbols that it defines and shows */
    const char *needed[LOOM_ELF_NAMES];   /* DT_NEEDED */
    const char *rpath;                    /* DT_RPATH or DT_RUNPATH, or NULL */
    int exports, needs, executable_stack;
};
/* LOOM_EPLUGIN: no file, no shared object of this machine, cut short or damaged, with what it is instead and the
 * remedy. Names point into the map. What opens may be handed to the dynamic linker, which trusts headers and tables:
 * only damage of code and of relocated words is beyond what is looked at. */
int loom_elf_open(struct loom_elf *f, const char *path, struct loom_error *e);
void loom_elf_release(struct loom_elf *f);

/* ---- between elf.c and elf_check.c ---- */

/* `bytes` of the file at `offset`; NULL where it has not as many. */
const void *loom_elf_at(const struct loom_elf *f, uint64_t offset, uint64_t bytes);
/* A string of a table of `size` bytes at `offset`; NULL where it does not end inside. */
const char *loom_elf_text(const struct loom_elf *f, uint64_t offset, uint64_t size, uint64_t name);
/* What the dynamic linker would stumble over, in words that follow "is damaged: "; NULL: nothing. The headers
 * themselves are known to lie inside the file. */
const char *loom_elf_damage(const struct loom_elf *f);

#endif
