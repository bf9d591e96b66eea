/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/types.h>

#include "base/blas.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

#ifdef HAVE_HDF5
#define WITH_HDF5 "yes"
#else
#define WITH_HDF5 "no (sources nwb and lfads, predictions.h5: install libhdf5-dev and configure again)"
#endif
#ifdef HAVE_ONEDNN
#define WITH_ONEDNN "yes"
#else
#define WITH_ONEDNN "no (numerics = \"fast\" uses OpenBLAS: install libdnnl-dev and configure again)"
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

static char info[1024];

/* OpenBLAS is asked, for the system may load another build of it than the one that was there at configure. Its name and
 * version are the first two words of what it says of itself. */
static void write_info(void)
{
    const char *blas = openblas_get_config();
    size_t words = strcspn(blas, " ");
    words += blas[words] ? 1 + strcspn(blas + words + 1, " ") : 0;
    snprintf(info, sizeof info,
             "compiler: " LOOM_COMPILER "\n"
             "precision: " LOOM_PRECISION "\n"
             "BLAS: %.*s, threads: %s, kernels: %s\n"
             "oneDNN: " WITH_ONEDNN "\n"
             "HDF5: " WITH_HDF5 "\n"
             "matio: " WITH_MATIO "\n"
             "zlib: " WITH_ZLIB "\n",
             (int)words, blas, loom_blas_kind(), openblas_get_corename());
}

const char *loom_build_info(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, write_info);
    return info;
}
