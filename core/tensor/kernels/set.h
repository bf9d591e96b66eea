/* SPDX-License-Identifier: Apache-2.0 */
/* One source, several instruction sets.
 *
 * The files host_*.c and attend.c are compiled once for each set with LOOM_KERNEL_SET = its name. Within a set symbols
 * bear it: loom_host_gemm is loom_avx2_gemm to the linker. So the sources say plain names, and sets do not mix. */
#ifndef LOOM_TENSOR_SET_H
#define LOOM_TENSOR_SET_H

#define LOOM_SET_TEXT_(x) #x
#define LOOM_SET_TEXT(x) LOOM_SET_TEXT_(x)

#ifdef LOOM_KERNEL_SET
/* Behind the declaration of a function that each set has a copy of. */
#define LOOM_OF_SET(name) __asm__("loom_" LOOM_SET_TEXT(LOOM_KERNEL_SET) "_" name)
#define LOOM_KERNEL(ret, name, args)                                                                                   \
    ret loom_ref_##name args;                                                                                          \
    ret loom_host_##name args LOOM_OF_SET(#name)
#else
#define LOOM_OF_SET(name)
#define LOOM_KERNEL(ret, name, args) ret loom_ref_##name args
#endif

#endif
