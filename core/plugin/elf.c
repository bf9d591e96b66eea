/* SPDX-License-Identifier: Apache-2.0 */
/* Every offset is looked at before it is followed: the file may be anything. */
#include "plugin/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const void *loom_elf_at(const struct loom_elf *f, uint64_t offset, uint64_t bytes)
{
    return offset <= f->size && bytes <= f->size - offset ? (const char *)f->map + offset : NULL;
}

const char *loom_elf_text(const struct loom_elf *f, uint64_t offset, uint64_t size, uint64_t name)
{
    const char *table = loom_elf_at(f, offset, size);
    return table && name < size && memchr(table + name, '\0', size - name) ? table + name : NULL;
}

static void read_symbols(struct loom_elf *f, const ElfW(Ehdr) * head)
{
    const ElfW(Shdr) *sections = loom_elf_at(f, head->e_shoff, (uint64_t)head->e_shnum * sizeof *sections);
    for (int i = 0; sections && head->e_shentsize == sizeof *sections && i < head->e_shnum; i++) {
        const ElfW(Shdr) *s = &sections[i];
        if (s->sh_type != SHT_DYNSYM || s->sh_link >= head->e_shnum)
            continue;
        const ElfW(Sym) *symbol = loom_elf_at(f, s->sh_offset, s->sh_size);
        const ElfW(Shdr) *names = &sections[s->sh_link];
        for (uint64_t k = 1; symbol && k < s->sh_size / sizeof *symbol; k++) {
            int bind = symbol[k].st_info >> 4, shown = (symbol[k].st_other & 3) == STV_DEFAULT;
            const char *name = loom_elf_text(f, names->sh_offset, names->sh_size, symbol[k].st_name);
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
    const ElfW(Dyn) *d = loom_elf_at(f, dynamic->p_offset, dynamic->p_filesz);
    uint64_t count = dynamic->p_filesz / sizeof *d, table = UINT64_MAX, size = 0;
    for (uint64_t i = 0; d && i < count && d[i].d_tag != DT_NULL; i++) {
        if (d[i].d_tag == DT_STRTAB)
            table = offset_of(p, n, d[i].d_un.d_ptr);
        if (d[i].d_tag == DT_STRSZ)
            size = d[i].d_un.d_val;
    }
    for (uint64_t i = 0; d && i < count && d[i].d_tag != DT_NULL; i++) {
        const char *name = loom_elf_text(f, table, size, d[i].d_un.d_val);
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

/* Headers as far as they are followed below: of this machine, and inside the file. */
static int check_headers(const struct loom_elf *f, const char *path, struct loom_error *e)
{
    const ElfW(Ehdr) *head = f->map;
    if (f->size < SELFMAG || memcmp(f->map, ELFMAG, SELFMAG) != 0)
        return loom_fail(e, LOOM_EPLUGIN, path, 0,
                         "not a shared object (it does not begin as one); give the .so that the plugin was linked to");
    int whole = f->size >= sizeof *head;
    if (whole && !same_machine(head))
        return loom_fail(e, LOOM_EPLUGIN, path, 0, "is made for another kind of processor; compile it on this one");
    if (whole && head->e_type != ET_DYN)
        return loom_fail(e, LOOM_EPLUGIN, path, 0, "is no shared object; compile it with -shared -fPIC");
    whole = whole && loom_elf_at(f, head->e_phoff, (uint64_t)head->e_phnum * sizeof(ElfW(Phdr))) &&
            loom_elf_at(f, head->e_shoff, (uint64_t)head->e_shnum * sizeof(ElfW(Shdr)));
    const ElfW(Phdr) *p = whole ? loom_elf_at(f, head->e_phoff, sizeof *p) : NULL;
    for (int i = 0; p && whole && i < head->e_phnum; i++)
        whole = p[i].p_type == PT_GNU_STACK || loom_elf_at(f, p[i].p_offset, p[i].p_filesz) != NULL;
    if (!whole)
        return loom_fail(e, LOOM_EPLUGIN, path, 0,
                         "is cut short: its headers speak of more than its %zu bytes; copy or build it again", f->size);
    return LOOM_OK;
}

/* Regular files alone: opening a pipe would wait for its other end. */
static int map_file(struct loom_elf *f, const char *path, struct loom_error *e)
{
    struct stat st;
    int fd;
    if (stat(path, &st) != 0)
        return loom_fail(e, LOOM_EPLUGIN, path, 0, "cannot be opened: %s; give the path of a .so file",
                         strerror(errno));
    if (!S_ISREG(st.st_mode))
        return loom_fail(e, LOOM_EPLUGIN, path, 0, "is %s, not a plugin; give the path of a .so file",
                         S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        return loom_fail(e, LOOM_EPLUGIN, path, 0, "cannot be opened: %s; check its permissions", strerror(errno));
    f->size = (size_t)st.st_size;
    f->map = f->size > 0 ? mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (f->map != MAP_FAILED)
        return LOOM_OK;
    f->map = NULL;
    return loom_fail(e, LOOM_EPLUGIN, path, 0, "cannot be mapped: %s; free some memory", strerror(errno));
}

int loom_elf_open(struct loom_elf *f, const char *path, struct loom_error *e)
{
    memset(f, 0, sizeof *f);
    int code = map_file(f, path, e);
    if (code == LOOM_OK)
        code = check_headers(f, path, e);
    const char *why = code == LOOM_OK ? loom_elf_damage(f) : NULL;
    if (why)
        code = loom_fail(e, LOOM_EPLUGIN, path, 0, "is damaged: %s; copy or build it again", why);
    if (code != LOOM_OK) {
        loom_elf_release(f);
        return code;
    }
    const ElfW(Ehdr) *head = f->map;
    read_symbols(f, head);
    const ElfW(Phdr) *p = loom_elf_at(f, head->e_phoff, (uint64_t)head->e_phnum * sizeof *p);
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
