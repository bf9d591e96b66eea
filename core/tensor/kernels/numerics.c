/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tensor/kernels/numerics.h"

#include <pthread.h>
#include <stdio.h>

enum { SETS = 4 };
static struct {
    struct loom_kernels fast, bf16;
    char fast_name[32], bf16_name[32];
} made[SETS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define TAKE_FAST(name) made[i].fast.name = loom_fast_##name;
#define TAKE_BF16(name) made[i].bf16.name = loom_bf16_##name;
#define TAKE_REF_BF16(name) made[i].bf16.name = loom_ref_bf16_##name;

static void make(void)
{
    const struct loom_kernels *const *all = loom_kernels_all();
    for (int i = 0; all[i]; i++) {
        snprintf(made[i].fast_name, sizeof made[i].fast_name, "%s, fast", all[i]->set);
        snprintf(made[i].bf16_name, sizeof made[i].bf16_name, "%s, bf16", all[i]->set);
        made[i].fast = made[i].bf16 = *all[i];
        made[i].fast.set = made[i].fast_name;
        made[i].fast.by_columns = 0;
        made[i].bf16.set = made[i].bf16_name;
        LOOM_PRODUCT_NAMES(TAKE_FAST)
#ifdef HAVE_KERNELS_BF16
        LOOM_PRODUCT_NAMES(TAKE_BF16)
#endif
        if (all[i] == &loom_kernels_reference) {
            LOOM_PRODUCT_NAMES(TAKE_REF_BF16)
        }
    }
}

/* Why `exact` has no bf16 beside it, or NULL. */
static const char *lacks_bf16(const struct loom_kernels *exact)
{
    if (exact == &loom_kernels_reference)
        return NULL;
#ifdef HAVE_KERNELS_BF16
    if (!__builtin_cpu_supports("avx512bf16"))
        return "this processor has no AVX512-BF16 instructions";
    if (exact != &loom_kernels_avx512)
        return "LOOM_KERNELS holds it back from the AVX-512 kernels";
    return NULL;
#else
    return "this build has no kernels for it (single precision and a compiler for AVX512-BF16 are needed)";
#endif
}

const struct loom_kernels *loom_kernels_numeric(const struct loom_kernels *exact, enum loom_numerics numerics,
                                                struct loom_error *e)
{
    const struct loom_kernels *const *all = loom_kernels_all();
    int i = 0;
    if (numerics == LOOM_NUMERICS_EXACT)
        return exact;
    while (all[i] && all[i] != exact)
        i++;
    const char *why = numerics == LOOM_NUMERICS_BF16 ? lacks_bf16(exact) : NULL;
    if (!all[i] || why) {
        loom_fail(e, LOOM_ECONFIG, NULL, 0, "no bf16 products here: %s; set precision = \"float32\"",
                  why ? why : "these kernels are not one of the processor's own");
        return NULL;
    }
    pthread_once(&once, make);
    return numerics == LOOM_NUMERICS_FAST ? &made[i].fast : &made[i].bf16;
}
