/* SPDX-License-Identifier: Apache-2.0 */
/* How many threads OpenBLAS may make, whichever of its builds is loaded. With threads of its own the number is one for
 * the whole program; with OpenMP every thread has a number, a new one that of the environment, and what OpenBLAS itself
 * says of it is whatever the last caller left. */
#ifndef LOOM_BASE_BLAS_H
#define LOOM_BASE_BLAS_H

int loom_blas_threads(void); /* of a call made here */
/* For calls made here, and unless OpenMP makes the threads, everywhere. Not beside calls of other threads. */
void loom_blas_set_threads(int n);
/* First in a thread that works beside others: no library it calls makes OpenMP threads for it. */
void loom_blas_alone(void);
const char *loom_blas_kind(void); /* "none", "pthread", "OpenMP": of the library that is loaded */

#endif
