/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernels this processor runs. */
#include "config.h"

#include "tensor/kernels/numerics.h"

#include <stdlib.h>
#include <string.h>

#define ENTRY(name) .name = loom_ref_##name,
const struct loom_kernels loom_kernels_reference = {.set = "reference", LOOM_KERNEL_NAMES(ENTRY)};

#ifdef HAVE_KERNELS_X86
/* Both ask the operating system as well: registers that it does not keep are of no use. */
static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("fma");
}

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

enum { SETS = 4 };

const struct loom_kernels *const *loom_kernels_all(void)
{
#ifdef HAVE_KERNELS_X86
    static const struct loom_kernels *const all[SETS + 1] = {&loom_kernels_avx512, &loom_kernels_avx2,
                                                             &loom_kernels_baseline, &loom_kernels_reference, NULL};
    return all + (has_avx512() ? 0 : has_avx2() ? 1 : 2);
#else
    static const struct loom_kernels *const all[] = {&loom_kernels_baseline, &loom_kernels_reference, NULL};
    return all;
#endif
}

const struct loom_kernels *loom_kernels_named(const char *set, struct loom_error *e)
{
    const struct loom_kernels *const *all = loom_kernels_all();
    const char *names[SETS + 1] = {NULL};
    char list[128] = "";
    if (!set || !*set)
        return all[0];
    for (int i = 0; all[i]; i++) {
        if (strcmp(all[i]->set, set) == 0)
            return all[i];
        names[i] = all[i]->set;
        strncat(list, i ? ", " : "", sizeof list - strlen(list) - 1);
        strncat(list, all[i]->set, sizeof list - strlen(list) - 1);
    }
    const char *near = loom_nearest(set, names);
    loom_fail(e, LOOM_ECONFIG, NULL, 0, "no kernels named '%s' run on this processor: take one of %s%s%s%s", set, list,
              near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

const struct loom_kernels *loom_kernels_default(struct loom_error *e)
{
    struct loom_error why = {0};
    const struct loom_kernels *k = loom_kernels_named(getenv("LOOM_KERNELS"), &why);
    if (!k)
        loom_fail(e, why.code, NULL, 0, "LOOM_KERNELS: %s", why.message);
    return k;
}

const char *loom_kernels_name(struct loom_error *e)
{
    const struct loom_kernels *k = loom_kernels_default(e);
    return k ? k->set : NULL;
}
