/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/load.h"

#include "plugin/elf.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

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

static int check_all(entry_fn entry, const char *file, const struct loom_build_block *host, struct loom_loaded *loaded,
                     int *n, struct loom_error *e)
{
    char stem[256];
    file_stem(file, stem, sizeof stem);
    for (*n = 0; *n < LOOM_MODULE_PLUGINS; ++*n) {
        const struct loom_plugin *p = entry((uint32_t)*n);
        if (p == NULL)
            break;
        int rc = loom_plugin_check_for(host, p, file, *n == 0 ? stem : NULL, &loaded[*n], e);
        if (rc != LOOM_OK)
            return rc;
    }
    if (*n == 0)
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "loom_plugin_entry(0) returned nothing; let it return the first descriptor");
    return LOOM_OK;
}

int loom_module_load(const char *file, const struct loom_build_block *host, struct loom_loaded **out, int *n,
                     struct loom_error *e)
{
    struct loom_elf elf;
    *out = NULL;
    /* The dynamic linker follows what headers and tables promise, and dies where they promise too much. */
    int rc = loom_elf_open(&elf, file, e);
    if (rc != LOOM_OK)
        return rc;
    loom_elf_release(&elf);
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
    rc = check_all(entry, file, host, loaded, n, e);
    if (rc != LOOM_OK) {
        free(loaded);
        *n = 0;
        return rc;
    }
    *out = loaded;
    return LOOM_OK;
}
