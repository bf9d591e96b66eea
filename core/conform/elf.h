/* SPDX-License-Identifier: Apache-2.0 */
/* What a shared object says of itself, read without loading it. */
#ifndef LOOM_CONFORM_ELF_H
#define LOOM_CONFORM_ELF_H

#include <loom/types.h>

enum { LOOM_ELF_NAMES = 256 };
struct loom_elf {
    void *map;
    size_t size;
    const char *exported[LOOM_ELF_NAMES]; /* global and weak symbols that it defines and shows */
    const char *needed[LOOM_ELF_NAMES];   /* DT_NEEDED */
    const char *rpath;                    /* DT_RPATH or DT_RUNPATH, or NULL */
    int exports, needs, executable_stack;
};
/* LOOM_EPLUGIN: no shared object of this machine, with what it is instead. Names point into the map. */
int loom_elf_open(struct loom_elf *f, const char *path, struct loom_error *e);
void loom_elf_release(struct loom_elf *f);

#endif
