dnl SPDX-License-Identifier: Apache-2.0

# LOOM_CHECK_CFLAGS(VARIABLE, FLAGS)
# Append to VARIABLE each flag that the C compiler takes without a warning, and substitute it.
AC_DEFUN([LOOM_CHECK_CFLAGS], [
    for loom_flag in m4_normalize([$2]); do
        AC_MSG_CHECKING([whether $CC takes $loom_flag])
        save_CFLAGS=$CFLAGS
        CFLAGS="$CFLAGS -Werror $loom_flag"
        AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
            [AC_MSG_RESULT([yes]); AS_VAR_APPEND([$1], [" $loom_flag"])],
            [AC_MSG_RESULT([no])])
        CFLAGS=$save_CFLAGS
    done
    AC_SUBST([$1])
])

# LOOM_NEED(PREFIX, MODULE, DEBIAN PACKAGE)
# A library that the core cannot do without.
AC_DEFUN([LOOM_NEED], [
    PKG_CHECK_MODULES([$1], [$2], [],
        [AC_MSG_ERROR([$2 is missing: install $3, or set $1_CFLAGS and $1_LIBS])])
])

# LOOM_PART(PREFIX, NAME, MODULE, DEBIAN PACKAGE, WHAT IT SERVES)
# An optional part: --with-NAME=auto|yes|no, conditional HAVE_PREFIX, and loom_NAME_summary for the end of configure.
AC_DEFUN([LOOM_PART], [
    AC_ARG_WITH([$2], [AS_HELP_STRING([--with-$2=auto|yes|no], [$5])], [], [with_$2=auto])
    loom_have_$2=no
    AS_IF([test "x$with_$2" != xno],
        [PKG_CHECK_MODULES([$1], [$3], [loom_have_$2=yes],
            [AS_IF([test "x$with_$2" = xyes], [AC_MSG_ERROR([$3 is missing: install $4, or configure --without-$2])])])])
    AS_IF([test "x$loom_have_$2" = xyes],
        [AC_DEFINE([HAVE_$1], [1], [Define to 1 if $3 is there.])
         loom_$2_summary="yes ($5)"],
        [loom_$2_summary="no  ($5: install $4)"])
    AM_CONDITIONAL([HAVE_$1], [test "x$loom_have_$2" = xyes])
])

# LOOM_OPENBLAS_THREADING
# Which of its variants (serial, pthread, OpenMP) OpenBLAS is here, for the summary; the program asks the one it runs on.
AC_DEFUN([LOOM_OPENBLAS_THREADING], [
    AC_MSG_CHECKING([how OpenBLAS makes threads])
    save_LIBS=$LIBS; LIBS="$OPENBLAS_LIBS $LIBS"
    AC_RUN_IFELSE([AC_LANG_PROGRAM([[int openblas_get_parallel(void);]], [[return 10 + openblas_get_parallel();]])],
        [loom_status=unknown], [loom_status=$ac_status], [loom_status=unknown])
    LIBS=$save_LIBS
    AS_CASE([$loom_status], [10], [loom_blas_threads=none], [11], [loom_blas_threads=pthread],
            [12], [loom_blas_threads=OpenMP], [loom_blas_threads=unknown])
    AC_MSG_RESULT([$loom_blas_threads])
])

# LOOM_ONEDNN
# oneDNN, which Debian ships without a .pc file: --with-onednn=auto|yes|no, HAVE_ONEDNN, ONEDNN_CFLAGS, ONEDNN_LIBS.
# Its products run with one thread in each of ours, which is asked of OpenMP.
AC_DEFUN([LOOM_ONEDNN], [
    AC_ARG_VAR([ONEDNN_LIBS], [linker flags for oneDNN, default -ldnnl])
    AC_ARG_WITH([onednn], [AS_HELP_STRING([--with-onednn=auto|yes|no], [products of numerics = "fast"])], [],
        [with_onednn=auto])
    AC_OPENMP
    loom_have_onednn=no
    AS_IF([test "x$with_onednn" != xno],
        [save_LIBS=$LIBS; save_CFLAGS=$CFLAGS
         LIBS="${ONEDNN_LIBS:=-ldnnl} $LIBS"; CFLAGS="$CFLAGS $OPENMP_CFLAGS"
         AC_MSG_CHECKING([for oneDNN])
         AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <dnnl.h>
                                           #include <omp.h>]],
                 [[float x = 0; omp_set_num_threads(1);
                   return dnnl_sgemm('N', 'N', 1, 1, 1, 1, &x, 1, &x, 1, 0, &x, 1);]])],
             [loom_have_onednn=yes])
         AC_MSG_RESULT([$loom_have_onednn])
         LIBS=$save_LIBS; CFLAGS=$save_CFLAGS])
    AS_IF([test "x$with_onednn-$loom_have_onednn" = xyes-no],
        [AC_MSG_ERROR([oneDNN is missing: install libdnnl-dev, or configure --without-onednn])])
    AS_IF([test "x$loom_have_onednn" = xyes],
        [AC_DEFINE([HAVE_ONEDNN], [1], [Define to 1 if oneDNN is there.])
         ONEDNN_CFLAGS=$OPENMP_CFLAGS; ONEDNN_LIBS="$ONEDNN_LIBS $OPENMP_CFLAGS"
         loom_onednn_summary='yes (products of numerics = "fast")'],
        [ONEDNN_CFLAGS=; ONEDNN_LIBS=
         loom_onednn_summary='no  (products of numerics = "fast" by OpenBLAS: install libdnnl-dev)'])
    AC_SUBST([ONEDNN_CFLAGS])
])
