/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/types.h>

#include "config.h"

#ifdef HAVE_HDF5
#define WITH_HDF5 "yes"
#else
#define WITH_HDF5 "no (sources nwb and lfads, predictions.h5: install libhdf5-dev and configure again)"
#endif
#ifdef HAVE_MATIO
#define WITH_MATIO "yes"
#else
#define WITH_MATIO "no (source mat: install libmatio-dev and configure again)"
#endif
#ifdef HAVE_ZLIB
#define WITH_ZLIB "yes"
#else
#define WITH_ZLIB "no (install zlib1g-dev and configure again)"
#endif

const char *loom_version(void)
{
    return PACKAGE_VERSION;
}

const char *loom_build_info(void)
{
    return "compiler: " LOOM_COMPILER "\n"
           "precision: " LOOM_PRECISION "\n"
           "BLAS: OpenBLAS, threads: " LOOM_BLAS_THREADS "\n"
           "HDF5: " WITH_HDF5 "\n"
           "matio: " WITH_MATIO "\n"
           "zlib: " WITH_ZLIB "\n";
}
