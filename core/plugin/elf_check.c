/* SPDX-License-Identifier: Apache-2.0 */
/* The dynamic linker takes every offset, count and index in a shared object at its word. Here each of those that it
 * follows before any code of the object runs is compared with what the file has: segments, the dynamic section, names,
 * hash table, symbols, versions, places of relocations; and the section headers, which the linker never reads, must say
 * the same as the dynamic section. (System V ABI, chapter 5; GNU extensions as in glibc's elf/dl-load.c.) */
#include "plugin/elf.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

/* Dynamic tags that are looked at; slots of struct image. */
static const struct {
    int64_t tag;
    uint64_t due; /* the one value that the linker accepts (it ends the process at another), 0 = any */
} tags[] = {
    {DT_STRTAB, 0},
    {DT_STRSZ, 0},
    {DT_SYMTAB, 0},
    {DT_SYMENT, sizeof(ElfW(Sym))},
    {DT_GNU_HASH, 0},
    {DT_HASH, 0},
    {DT_RELA, 0},
    {DT_RELASZ, 0},
    {DT_RELAENT, sizeof(ElfW(Rela))},
    {DT_JMPREL, 0},
    {DT_PLTRELSZ, 0},
    {DT_PLTREL, sizeof(void *) == 8 ? DT_RELA : 0},
    {DT_INIT, 0},
    {DT_FINI, 0},
    {DT_INIT_ARRAY, 0},
    {DT_INIT_ARRAYSZ, 0},
    {DT_FINI_ARRAY, 0},
    {DT_FINI_ARRAYSZ, 0},
    {DT_VERSYM, 0},
    {DT_VERNEED, 0},
    {DT_VERNEEDNUM, 0},
    {DT_RELACOUNT, 0},
    {DT_VERDEF, 0},
    {DT_VERDEFNUM, 0},
    {DT_RELR, 0},
    {DT_RELRSZ, 0},
    {DT_RELRENT, sizeof(ElfW(Addr))},
};
enum { TAGS = sizeof tags / sizeof *tags };

struct image {
    const struct loom_elf *f;
    const ElfW(Phdr) * p;
    int parts;
    uint64_t value[TAGS];
    unsigned char there[TAGS];
    uint64_t symbols; /* that anything speaks of */
    uint64_t versions;
};

static int slot(int64_t tag)
{
    int i = 0;
    while (i < TAGS && tags[i].tag != tag)
        i++;
    return i;
}

static int has(const struct image *m, int64_t tag)
{
    return m->there[slot(tag)];
}

static uint64_t get(const struct image *m, int64_t tag)
{
    return m->value[slot(tag)];
}

/* The file's bytes behind an address; NULL unless one segment has them all. */
static const void *bytes_at(const struct image *m, uint64_t address, uint64_t bytes)
{
    for (int i = 0; i < m->parts; i++) {
        const ElfW(Phdr) *p = &m->p[i];
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr <= p->p_filesz &&
            bytes <= p->p_filesz - (address - p->p_vaddr))
            return loom_elf_at(m->f, p->p_offset + (address - p->p_vaddr), bytes);
    }
    return NULL;
}

/* 1: these addresses are memory of one segment, whose permissions hold all of `flags`. */
static int in_memory(const struct image *m, uint64_t address, uint64_t bytes, unsigned flags)
{
    for (int i = 0; i < m->parts; i++) {
        const ElfW(Phdr) *p = &m->p[i];
        if (p->p_type == PT_LOAD && (p->p_flags & flags) == flags && address >= p->p_vaddr &&
            address - p->p_vaddr <= p->p_memsz && bytes <= p->p_memsz - (address - p->p_vaddr))
            return 1;
    }
    return 0;
}

/* ---- segments ---- */

/* Each begins on a page behind the one before it, so that nothing is mapped over anything. */
static const char *check_loads(const struct image *m)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), most = (uint64_t)1 << 40;
    uint64_t end = 0;
    int loads = 0;
    for (int i = 0; i < m->parts; i++) {
        const ElfW(Phdr) *p = &m->p[i];
        if (p->p_type != PT_LOAD)
            continue;
        if (p->p_memsz < p->p_filesz || p->p_vaddr > most || p->p_memsz > most || !(p->p_flags & PF_R))
            return "a segment has an impossible place or size";
        if ((p->p_align & (p->p_align - 1)) != 0 || (p->p_vaddr - p->p_offset) % page != 0 ||
            (p->p_align > 1 && (p->p_vaddr - p->p_offset) % p->p_align != 0))
            return "a segment is not aligned to pages";
        if (loads++ && p->p_vaddr / page * page < (end + page - 1) / page * page)
            return "segments overlap";
        end = p->p_vaddr + p->p_memsz;
    }
    return loads ? NULL : "it has no segment to load";
}

/* What other program headers point to must be in memory, and where the file says that it is. */
static const char *check_parts(const struct image *m)
{
    const ElfW(Ehdr) *head = m->f->map;
    int dynamic = 0;
    for (int i = 0; i < m->parts; i++) {
        const ElfW(Phdr) *p = &m->p[i];
        const unsigned flags = p->p_type == PT_GNU_RELRO ? PF_R | PF_W : PF_R;
        switch (p->p_type) {
        case PT_PHDR:
            if (p->p_offset != head->e_phoff)
                return "its program headers are not where they say";
            break;
        case PT_DYNAMIC:
            dynamic++;
            break;
        case PT_TLS:
            if ((p->p_align & (p->p_align - 1)) != 0 || p->p_memsz < p->p_filesz || p->p_memsz > 1 << 30)
                return "its thread-local segment has an impossible size";
            break;
        case PT_NOTE:
        case PT_GNU_PROPERTY:
        case PT_GNU_EH_FRAME:
        case PT_GNU_RELRO:
            break;
        default:
            continue;
        }
        /* Of the part that becomes read-only whole pages count, so linkers let it end behind its segment. */
        uint64_t memory = p->p_type == PT_TLS || p->p_type == PT_GNU_RELRO ? p->p_filesz : p->p_memsz;
        if (p->p_type == PT_TLS && memory == 0)
            continue;
        if (!in_memory(m, p->p_vaddr, memory, flags) || p->p_memsz - p->p_filesz > 65536 ||
            bytes_at(m, p->p_vaddr, p->p_filesz) == NULL ||
            bytes_at(m, p->p_vaddr, p->p_filesz) != loom_elf_at(m->f, p->p_offset, p->p_filesz))
            return "a program header points outside the segments";
    }
    return dynamic == 1 ? NULL : "it has no dynamic section, or several";
}

/* ---- the dynamic section ---- */

static const char *check_dynamic(struct image *m)
{
    const ElfW(Phdr) *p = m->p;
    while (p->p_type != PT_DYNAMIC)
        p++;
    const ElfW(Dyn) *d = loom_elf_at(m->f, p->p_offset, p->p_filesz);
    uint64_t n = p->p_filesz / sizeof *d, count = 0;
    while (d && count < n && d[count].d_tag != DT_NULL) {
        int i = slot((int64_t)d[count].d_tag);
        if (i < TAGS) {
            m->value[i] = d[count].d_un.d_val;
            m->there[i] = 1;
            if (tags[i].due && m->value[i] != tags[i].due)
                return "its dynamic section speaks of tables of another kind";
        }
        count++;
    }
    if (!d || count == n || (p->p_flags & PF_W && !in_memory(m, p->p_vaddr, p->p_filesz, PF_W)))
        return "its dynamic section does not end";
    if (!has(m, DT_SYMTAB) || !has(m, DT_STRTAB) || !has(m, DT_SYMENT))
        return "its dynamic section lacks symbols or names";
    const char *names = bytes_at(m, get(m, DT_STRTAB), get(m, DT_STRSZ));
    if (!names || get(m, DT_STRSZ) == 0 || names[get(m, DT_STRSZ) - 1] != '\0')
        return "its table of names is not there";
    for (uint64_t i = 0; i < count; i++)
        switch (d[i].d_tag) {
        case DT_NEEDED:
        case DT_SONAME:
        case DT_RPATH:
        case DT_RUNPATH:
        case DT_AUXILIARY:
        case DT_FILTER:
            if (d[i].d_un.d_val >= get(m, DT_STRSZ))
                return "a name in its dynamic section is outside the table of names";
        }
    return NULL;
}

/* Functions run at loading and unloading: DT_INIT and DT_FINI are code, the arrays are words. */
static const char *check_starters(const struct image *m)
{
    static const int64_t code[] = {DT_INIT, DT_FINI},
                         array[][2] = {{DT_INIT_ARRAY, DT_INIT_ARRAYSZ}, {DT_FINI_ARRAY, DT_FINI_ARRAYSZ}};
    for (int i = 0; i < 2; i++) {
        if (has(m, code[i]) && !in_memory(m, get(m, code[i]), 1, PF_X))
            return "what it runs at loading is no code";
        uint64_t bytes = get(m, array[i][1]);
        if (has(m, array[i][0]) && (bytes % sizeof(ElfW(Addr)) != 0 || !in_memory(m, get(m, array[i][0]), bytes, PF_R)))
            return "its list of functions run at loading is outside the segments";
    }
    return NULL;
}

/* ---- symbols ---- */

/* Walks every chain once: the linker would, at the next look-up. */
static const char *check_gnu_hash(struct image *m)
{
    const uint64_t at = get(m, DT_GNU_HASH), word = sizeof(ElfW(Addr));
    const uint32_t *head = bytes_at(m, at, 16);
    if (!head || head[2] == 0 || (head[2] & (head[2] - 1)) != 0)
        return "its hash table is damaged";
    const uint64_t buckets_at = at + 16 + head[2] * word, chains_at = buckets_at + (uint64_t)head[0] * 4;
    const uint32_t *bucket = bytes_at(m, buckets_at, (uint64_t)head[0] * 4);
    if (!bucket || !bytes_at(m, at + 16, head[2] * word))
        return "its hash table is cut short";
    m->symbols = head[1];
    for (uint32_t b = 0; b < head[0]; b++) {
        const uint32_t *link;
        uint64_t k = bucket[b];
        if (k == 0)
            continue;
        if (k < head[1])
            return "its hash table points to symbols that it does not have";
        do {
            link = bytes_at(m, chains_at + (k - head[1]) * 4, 4);
            k++;
        } while (link && !(*link & 1));
        if (!link)
            return "its hash table does not end";
        m->symbols = k > m->symbols ? k : m->symbols;
    }
    return NULL;
}

static const char *check_sysv_hash(struct image *m)
{
    const uint32_t *head = bytes_at(m, get(m, DT_HASH), 8);
    if (!head || head[0] == 0 || !bytes_at(m, get(m, DT_HASH), 8 + 4 * ((uint64_t)head[0] + head[1])))
        return "its hash table is cut short";
    const uint32_t *bucket = head + 2, *chain = bucket + head[0];
    uint64_t steps = 0;
    for (uint32_t b = 0; b < head[0]; b++)
        for (uint32_t k = bucket[b]; k != 0; k = chain[k])
            if (k >= head[1] || steps++ > head[1])
                return "its hash table does not end";
    m->symbols = head[1] > m->symbols ? head[1] : m->symbols;
    return NULL;
}

/* A symbol that is defined stands in the section that it names, and what is called is code. */
static int symbol_stands(const struct image *m, const ElfW(Sym) * s)
{
    const ElfW(Ehdr) *head = m->f->map;
    const ElfW(Shdr) *section = loom_elf_at(m->f, head->e_shoff, (uint64_t)head->e_shnum * sizeof *section);
    const unsigned type = s->st_info & 15;
    if (s->st_shndx == SHN_UNDEF)
        return (s->st_other & 3) == STV_DEFAULT;
    if (s->st_shndx == SHN_ABS || type == STT_TLS)
        return 1;
    if (!in_memory(m, s->st_value, 0, PF_R) ||
        ((type == STT_FUNC || type == STT_GNU_IFUNC) && !in_memory(m, s->st_value, 1, PF_X)))
        return 0;
    if (!section || head->e_shnum == 0)
        return 1;
    section += s->st_shndx < head->e_shnum ? s->st_shndx : 0;
    return s->st_shndx < head->e_shnum && s->st_value >= section->sh_addr &&
           s->st_value - section->sh_addr <= section->sh_size;
}

/* Names, places and versions of all symbols that hash tables and relocations speak of. */
static const char *check_symbols(const struct image *m)
{
    const ElfW(Sym) *s = bytes_at(m, get(m, DT_SYMTAB), m->symbols * sizeof *s);
    const uint16_t *version = has(m, DT_VERSYM) ? bytes_at(m, get(m, DT_VERSYM), m->symbols * 2) : NULL;
    const char *names = bytes_at(m, get(m, DT_STRTAB), get(m, DT_STRSZ));
    if (!s || !names || (has(m, DT_VERSYM) && !version))
        return "its table of symbols is cut short";
    for (uint64_t i = 0; i < m->symbols; i++) {
        if (s[i].st_name >= get(m, DT_STRSZ) || (version && (version[i] & 0x7fff) > m->versions))
            return "a symbol has a name or a version that is not there";
        if (!symbol_stands(m, &s[i]) || (strcmp(names + s[i].st_name, "loom_plugin_entry") == 0 &&
                                         s[i].st_shndx != SHN_UNDEF && !in_memory(m, s[i].st_value, 1, PF_X)))
            return "a symbol is outside the segments";
    }
    return NULL;
}

/* Versions that it needs of other libraries, and that it gives itself: two linked lists each. */
static const char *check_versions(struct image *m)
{
    uint64_t at = get(m, DT_VERNEED), most = get(m, DT_STRSZ);
    m->versions = 1; /* local and global */
    for (uint64_t i = 0; has(m, DT_VERNEED); i++) {
        const ElfW(Verneed) *n = bytes_at(m, at, sizeof *n);
        uint64_t k = n ? at + n->vn_aux : 0;
        if (!n || n->vn_version != 1 || n->vn_file >= most)
            return "its list of versions is damaged";
        for (int j = 0;; j++) {
            const ElfW(Vernaux) *a = bytes_at(m, k, sizeof *a);
            if (!a || a->vna_name >= most || j > UINT16_MAX)
                return "its list of versions is damaged";
            if ((a->vna_other & 0x7fffu) > m->versions)
                m->versions = a->vna_other & 0x7fffu;
            if (a->vna_next == 0)
                break;
            k += a->vna_next;
        }
        if (n->vn_next == 0)
            break;
        at += n->vn_next;
    }
    at = get(m, DT_VERDEF);
    for (uint64_t i = 0; has(m, DT_VERDEF); i++) {
        const ElfW(Verdef) *d = bytes_at(m, at, sizeof *d);
        const ElfW(Verdaux) *a = d ? bytes_at(m, at + d->vd_aux, sizeof *a) : NULL;
        if (!a || a->vda_name >= most || d->vd_version != 1)
            return "its list of versions is damaged";
        if ((d->vd_ndx & 0x7fffu) > m->versions)
            m->versions = d->vd_ndx & 0x7fffu;
        if (d->vd_next == 0)
            break;
        at += d->vd_next;
    }
    return NULL;
}

/* ---- relocations ---- */

/* Words to be changed must be writable memory of the object, and symbols ones that it has. The first RELACOUNT move
 * with the object, so what they add is one of its own addresses. */
static const char *check_table(struct image *m, int64_t table, int64_t size, uint64_t relative)
{
    const ElfW(Rela) *r = bytes_at(m, get(m, table), get(m, size));
    if (!has(m, table))
        return NULL;
    if (!r || get(m, size) % sizeof *r != 0)
        return "its table of relocations is cut short";
    for (uint64_t i = 0; i < get(m, size) / sizeof *r; i++) {
        uint64_t symbol = sizeof(void *) == 8 ? (uint64_t)r[i].r_info >> 32 : (uint64_t)r[i].r_info >> 8;
        if (!in_memory(m, r[i].r_offset, sizeof(ElfW(Addr)), PF_W))
            return "a relocation is outside the writable segments";
        if (i < relative && (r[i].r_info != r[0].r_info || !in_memory(m, (uint64_t)r[i].r_addend, 0, PF_R)))
            return "a relocation is of another kind, or points outside the segments";
        m->symbols = symbol >= m->symbols ? symbol + 1 : m->symbols;
    }
    return NULL;
}

static const char *check_packed(const struct image *m)
{
    const uint64_t word = sizeof(ElfW(Addr)), n = get(m, DT_RELRSZ) / word;
    const ElfW(Addr) *r = bytes_at(m, get(m, DT_RELR), get(m, DT_RELRSZ));
    uint64_t at = 0;
    if (has(m, DT_RELR) && !r)
        return "its table of relocations is cut short";
    for (uint64_t i = 0; has(m, DT_RELR) && i < n; i++) {
        for (uint64_t bit = 1; (r[i] & 1) && bit < 8 * word; bit++)
            if ((uint64_t)r[i] >> bit & 1 && !in_memory(m, at + (bit - 1) * word, word, PF_W))
                return "a relocation is outside the writable segments";
        if (!(r[i] & 1) && !in_memory(m, r[i], word, PF_W))
            return "a relocation is outside the writable segments";
        at = r[i] & 1 ? at + (8 * word - 1) * word : (uint64_t)r[i] + word;
    }
    return NULL;
}

static const char *check_relocations(struct image *m)
{
    const char *why = check_table(m, DT_RELA, DT_RELASZ, get(m, DT_RELACOUNT));
    if (has(m, DT_RELA) != has(m, DT_RELASZ) || has(m, DT_RELA) != has(m, DT_RELAENT) ||
        has(m, DT_JMPREL) != has(m, DT_PLTRELSZ) || has(m, DT_JMPREL) != has(m, DT_PLTREL) ||
        has(m, DT_RELR) != has(m, DT_RELRSZ) || has(m, DT_RELR) != has(m, DT_RELRENT))
        why = "its dynamic section lacks the place, the size or the kind of a table of relocations";
    if (!why && has(m, DT_RELACOUNT) && get(m, DT_RELACOUNT) > get(m, DT_RELASZ) / sizeof(ElfW(Rela)))
        why = "its table of relocations is cut short";
    if (!why)
        why = check_table(m, DT_JMPREL, DT_PLTRELSZ, 0);
    return why ? why : check_packed(m);
}

/* ---- section headers ---- */

/* 1: the section is what the dynamic section says under `place` and, unless 0, under `size`. */
static int agrees(const struct image *m, const ElfW(Shdr) * s, int64_t place, int64_t size)
{
    return has(m, place) && get(m, place) == s->sh_addr && (!size || get(m, size) == s->sh_size);
}

static int section_agrees(const struct image *m, const ElfW(Shdr) * s)
{
    switch (s->sh_type) {
    case SHT_DYNSYM:
        return agrees(m, s, DT_SYMTAB, 0) && s->sh_size / sizeof(ElfW(Sym)) >= m->symbols;
    case SHT_GNU_HASH:
        return agrees(m, s, DT_GNU_HASH, 0);
    case SHT_HASH:
        return agrees(m, s, DT_HASH, 0);
    case SHT_GNU_versym:
        return agrees(m, s, DT_VERSYM, 0);
    case SHT_GNU_verneed:
        return agrees(m, s, DT_VERNEED, 0);
    case SHT_INIT_ARRAY:
        return agrees(m, s, DT_INIT_ARRAY, DT_INIT_ARRAYSZ);
    case SHT_FINI_ARRAY:
        return agrees(m, s, DT_FINI_ARRAY, DT_FINI_ARRAYSZ);
    default:
        return 1;
    }
}

/* What becomes read-only after loading must not hold what is written later. */
static int stays_writable(const struct image *m, const ElfW(Shdr) * s, const char *name)
{
    if ((s->sh_flags & (SHF_WRITE | SHF_ALLOC | SHF_TLS)) != (SHF_WRITE | SHF_ALLOC) ||
        (s->sh_type != SHT_NOBITS && strcmp(name, ".data") != 0) || strcmp(name, ".bss.rel.ro") == 0)
        return 1;
    for (int i = 0; i < m->parts; i++)
        if (m->p[i].p_type == PT_GNU_RELRO && s->sh_addr < m->p[i].p_vaddr + m->p[i].p_memsz &&
            m->p[i].p_vaddr < s->sh_addr + s->sh_size)
            return 0;
    return 1;
}

static const char *check_sections(const struct image *m)
{
    const ElfW(Ehdr) *head = m->f->map;
    const ElfW(Shdr) *s = loom_elf_at(m->f, head->e_shoff, (uint64_t)head->e_shnum * sizeof *s);
    if (head->e_shnum == 0)
        return NULL;
    if (!s || head->e_shentsize != sizeof *s || head->e_shstrndx >= head->e_shnum)
        return "its section headers are not where they say";
    for (int i = 0; i < head->e_shnum; i++) {
        const ElfW(Shdr) *names = &s[head->e_shstrndx];
        const char *name = loom_elf_text(m->f, names->sh_offset, names->sh_size, s[i].sh_name);
        if (!name || (s[i].sh_type != SHT_NOBITS && !loom_elf_at(m->f, s[i].sh_offset, s[i].sh_size)))
            return "a section is outside the file";
        if (!section_agrees(m, &s[i]) || !stays_writable(m, &s[i], name) ||
            (strcmp(name, ".init") == 0 && !agrees(m, &s[i], DT_INIT, 0)) ||
            (strcmp(name, ".fini") == 0 && !agrees(m, &s[i], DT_FINI, 0)) ||
            (strcmp(name, ".dynstr") == 0 && !agrees(m, &s[i], DT_STRTAB, DT_STRSZ)) ||
            (strcmp(name, ".rela.dyn") == 0 && (!agrees(m, &s[i], DT_RELA, 0) || get(m, DT_RELASZ) < s[i].sh_size)) ||
            (strcmp(name, ".rela.plt") == 0 && !agrees(m, &s[i], DT_JMPREL, DT_PLTRELSZ)))
            return "its section headers and its dynamic section contradict each other";
    }
    return NULL;
}

const char *loom_elf_damage(const struct loom_elf *f)
{
    const ElfW(Ehdr) *head = f->map;
    struct image m = {.f = f, .parts = head->e_phnum};
    if (head->e_phentsize != sizeof(ElfW(Phdr)) || head->e_phnum == 0 || head->e_phnum == PN_XNUM)
        return "its program headers have an impossible size";
    m.p = loom_elf_at(f, head->e_phoff, (uint64_t)head->e_phnum * sizeof *m.p);
    const char *(*const tables[])(struct image *) = {check_versions, check_relocations};
    const char *why = check_loads(&m);
    if (!why)
        why = check_parts(&m);
    if (!why)
        why = check_dynamic(&m);
    if (!why)
        why = check_starters(&m);
    if (!why && has(&m, DT_GNU_HASH))
        why = check_gnu_hash(&m);
    if (!why && has(&m, DT_HASH))
        why = check_sysv_hash(&m);
    for (int i = 0; i < 2 && !why; i++)
        why = tables[i](&m);
    if (!why)
        why = check_symbols(&m);
    return why ? why : check_sections(&m);
}
