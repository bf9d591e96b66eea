/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/types.h>

#include "config.h"

const char *loom_version(void)
{
    return PACKAGE_VERSION;
}

const char *loom_build_info(void)
{
    return "compiler: " LOOM_COMPILER "\n"
           "precision: " LOOM_PRECISION "\n"
           "instructions: " LOOM_ISA_NAME "\n"
           "BLAS: OpenBLAS, threads: " LOOM_BLAS_THREADS "\n";
}
