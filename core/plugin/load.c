/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The dynamic linker maps what the program headers promise and dies of SIGBUS where the file is shorter; so they are
 * compared with the file's size first. What else can be wrong the linker says itself. */
static int check_elf(int fd, off_t size, const char *file, struct loom_error *e)
{
    ElfW(Ehdr) head = {0};
    ssize_t got = pread(fd, &head, sizeof head, 0);
    if (got < SELFMAG || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "not a shared object (it does not begin as one); give the .so that the plugin was linked to");
    if (got == (ssize_t)sizeof head && head.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
        return LOOM_OK;
    uint64_t have = (uint64_t)size, needed = sizeof head;
    if (got == (ssize_t)sizeof head)
        needed = head.e_phoff + (uint64_t)head.e_phnum * sizeof(ElfW(Phdr));
    for (int i = 0; needed <= have && i < head.e_phnum; i++) {
        ElfW(Phdr) part = {0};
        off_t at = (off_t)(head.e_phoff + (uint64_t)i * sizeof part);
        if (pread(fd, &part, sizeof part, at) != (ssize_t)sizeof part || part.p_filesz > UINT64_MAX - part.p_offset)
            needed = UINT64_MAX;
        else if (part.p_offset + part.p_filesz > needed)
            needed = part.p_offset + part.p_filesz;
    }
    if (needed > have)
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "shared object is cut short: its headers speak of more than its %llu bytes; copy or build it "
                         "again",
                         (unsigned long long)have);
    return LOOM_OK;
}

static int check_file(const char *file, struct loom_error *e)
{
    struct stat st;
    int rc, fd = -1;
    if (stat(file, &st) != 0)
        return loom_fail(e, LOOM_EPLUGIN, file, 0, "cannot be opened: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return loom_fail(e, LOOM_EPLUGIN, file, 0, "is %s, not a plugin; give the path of a .so file",
                         S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    if ((fd = open(file, O_RDONLY | O_CLOEXEC)) < 0)
        return loom_fail(e, LOOM_EPLUGIN, file, 0, "cannot be opened: %s; check its permissions", strerror(errno));
    rc = check_elf(fd, st.st_size, file, e);
    close(fd);
    return rc;
}

/* What follows "file: " in the linker's sentence, for it names the file that the message names already. */
static const char *linker_says(const char *file)
{
    const char *text = dlerror();
    size_t n = strlen(file);
    if (text == NULL)
        return "the dynamic linker gives no reason";
    return strncmp(text, file, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2 : text;
}

static const char *remedy(const char *reason)
{
    if (strstr(reason, "undefined symbol") != NULL)
        return "rebuild it against this neuroloom";
    if (strstr(reason, "cannot open shared object file") != NULL)
        return "install the library it names, or set LD_LIBRARY_PATH to its folder (`ldd` shows what is missing)";
    return "rebuild it on this machine";
}

static void file_stem(const char *file, char *out, size_t size)
{
    const char *base = strrchr(file, '/');
    base = base != NULL ? base + 1 : file;
    size_t n = strlen(base);
    if (n > 3 && strcmp(base + n - 3, ".so") == 0)
        n -= 3;
    n = n < size ? n : size - 1;
    memcpy(out, base, n);
    out[n] = '\0';
}

typedef const struct loom_plugin *(*entry_fn)(uint32_t index);

static int check_all(entry_fn entry, const char *file, struct loom_loaded *loaded, int *n, struct loom_error *e)
{
    char stem[256];
    file_stem(file, stem, sizeof stem);
    for (*n = 0; *n < LOOM_MODULE_PLUGINS; ++*n) {
        const struct loom_plugin *p = entry((uint32_t)*n);
        if (p == NULL)
            break;
        int rc = loom_plugin_check(p, file, *n == 0 ? stem : NULL, &loaded[*n], e);
        if (rc != LOOM_OK)
            return rc;
    }
    if (*n == 0)
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "loom_plugin_entry(0) returned nothing; let it return the first descriptor");
    return LOOM_OK;
}

int loom_module_load(const char *file, struct loom_loaded **out, int *n, struct loom_error *e)
{
    *out = NULL;
    int rc = check_file(file, e);
    if (rc != LOOM_OK)
        return rc;
    /* LOCAL: two plugins may use the same names inside. NOW: a missing symbol is found here, not in the tenth hour. */
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *reason = linker_says(file);
        return loom_fail(e, LOOM_EPLUGIN, file, 0, "cannot be loaded: %s; %s", reason, remedy(reason));
    }
    void *symbol = dlsym(handle, "loom_plugin_entry");
    if (symbol == NULL)
        return loom_fail(
            e, LOOM_EPLUGIN, file, 0,
            "has no loom_plugin_entry, so it is no plugin of neuroloom; define it as <loom/plugin.h> says");
    entry_fn entry;
    memcpy(&entry, &symbol, sizeof entry);
    struct loom_loaded *loaded = calloc(LOOM_MODULE_PLUGINS, sizeof *loaded);
    if (loaded == NULL)
        return loom_fail(e, LOOM_ENOMEM, file, 0, "no memory for a plugin's descriptors; free some");
    rc = check_all(entry, file, loaded, n, e);
    if (rc != LOOM_OK) {
        free(loaded);
        *n = 0;
        return rc;
    }
    *out = loaded;
    return LOOM_OK;
}
