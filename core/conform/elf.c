/* SPDX-License-Identifier: Apache-2.0 */
/* Every offset is looked at before it is followed: the file may be anything. */
#include "conform/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const void *at(const struct loom_elf *f, uint64_t offset, uint64_t bytes)
{
    return offset <= f->size && bytes <= f->size - offset ? (const char *)f->map + offset : NULL;
}

/* A string of a table of `size` bytes at `offset`; NULL where it does not end inside. */
static const char *text(const struct loom_elf *f, uint64_t offset, uint64_t size, uint64_t name)
{
    const char *table = at(f, offset, size);
    return table && name < size && memchr(table + name, '\0', size - name) ? table + name : NULL;
}

static void read_symbols(struct loom_elf *f, const ElfW(Ehdr) * head)
{
    const ElfW(Shdr) *sections = at(f, head->e_shoff, (uint64_t)head->e_shnum * sizeof *sections);
    for (int i = 0; sections && head->e_shentsize == sizeof *sections && i < head->e_shnum; i++) {
        const ElfW(Shdr) *s = &sections[i];
        if (s->sh_type != SHT_DYNSYM || s->sh_link >= head->e_shnum)
            continue;
        const ElfW(Sym) *symbol = at(f, s->sh_offset, s->sh_size);
        const ElfW(Shdr) *names = &sections[s->sh_link];
        for (uint64_t k = 1; symbol && k < s->sh_size / sizeof *symbol; k++) {
            int bind = symbol[k].st_info >> 4, shown = (symbol[k].st_other & 3) == STV_DEFAULT;
            const char *name = text(f, names->sh_offset, names->sh_size, symbol[k].st_name);
            if (name && shown && bind != STB_LOCAL && symbol[k].st_shndx != SHN_UNDEF && f->exports < LOOM_ELF_NAMES)
                f->exported[f->exports++] = name;
        }
    }
}

/* File offset of an address in a loaded segment. */
static uint64_t offset_of(const ElfW(Phdr) * p, int n, uint64_t address)
{
    for (int i = 0; i < n; i++)
        if (p[i].p_type == PT_LOAD && address >= p[i].p_vaddr && address - p[i].p_vaddr < p[i].p_filesz)
            return address - p[i].p_vaddr + p[i].p_offset;
    return UINT64_MAX;
}

static void read_dynamic(struct loom_elf *f, const ElfW(Phdr) * p, int n, const ElfW(Phdr) * dynamic)
{
    const ElfW(Dyn) *d = at(f, dynamic->p_offset, dynamic->p_filesz);
    uint64_t count = dynamic->p_filesz / sizeof *d, table = UINT64_MAX, size = 0;
    for (uint64_t i = 0; d && i < count && d[i].d_tag != DT_NULL; i++) {
        if (d[i].d_tag == DT_STRTAB)
            table = offset_of(p, n, d[i].d_un.d_ptr);
        if (d[i].d_tag == DT_STRSZ)
            size = d[i].d_un.d_val;
    }
    for (uint64_t i = 0; d && i < count && d[i].d_tag != DT_NULL; i++) {
        const char *name = text(f, table, size, d[i].d_un.d_val);
        if (d[i].d_tag == DT_NEEDED && name && f->needs < LOOM_ELF_NAMES)
            f->needed[f->needs++] = name;
        if ((d[i].d_tag == DT_RPATH || d[i].d_tag == DT_RUNPATH) && name)
            f->rpath = name;
    }
}

/* This program's own header says what kind of machine it is made for. */
static int same_machine(const ElfW(Ehdr) * head)
{
    ElfW(Ehdr) self;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int known = fd >= 0 && read(fd, &self, sizeof self) == sizeof self;
    if (fd >= 0)
        close(fd);
    return !known || (head->e_machine == self.e_machine && head->e_ident[EI_CLASS] == self.e_ident[EI_CLASS]);
}

static const char *fault(const struct loom_elf *f, const ElfW(Ehdr) * head)
{
    if (f->size < sizeof *head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0)
        return "no ELF file at all: compile it with -shared";
    if (!same_machine(head))
        return "made for another kind of processor: compile it on this one";
    if (head->e_type != ET_DYN)
        return "no shared object: compile it with -shared -fPIC";
    return NULL;
}

int loom_elf_open(struct loom_elf *f, const char *path, struct loom_error *e)
{
    struct stat st;
    memset(f, 0, sizeof *f);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        if (fd >= 0)
            close(fd);
        return loom_fail(e, LOOM_EPLUGIN, path, 0, "cannot be read as a file: name a plugin's .so");
    }
    f->size = (size_t)st.st_size;
    f->map = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (f->map == MAP_FAILED) {
        f->map = NULL;
        return loom_fail(e, LOOM_EPLUGIN, path, 0, "cannot be mapped: free some memory");
    }
    const ElfW(Ehdr) *head = f->map;
    const char *why = fault(f, head);
    if (why) {
        loom_elf_release(f);
        return loom_fail(e, LOOM_EPLUGIN, path, 0, "%s", why);
    }
    read_symbols(f, head);
    const ElfW(Phdr) *p = at(f, head->e_phoff, (uint64_t)head->e_phnum * sizeof *p);
    for (int i = 0; p && i < head->e_phnum; i++) {
        if (p[i].p_type == PT_DYNAMIC)
            read_dynamic(f, p, head->e_phnum, &p[i]);
        if (p[i].p_type == PT_GNU_STACK)
            f->executable_stack = (p[i].p_flags & PF_X) != 0;
    }
    return LOOM_OK;
}

void loom_elf_release(struct loom_elf *f)
{
    if (f->map)
        munmap(f->map, f->size);
    memset(f, 0, sizeof *f);
}
