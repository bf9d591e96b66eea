/* SPDX-License-Identifier: Apache-2.0 */
/* One codebook: how it starts, and how it moves by the sums of the vectors that chose each code. */
#ifndef LOOM_TOKENIZERS_VQ_BOOK_H
#define LOOM_TOKENIZERS_VQ_BOOK_H

#include <loom/types.h>

/* Sums over vectors x: [codes, width + 2], of each code the vectors that chose it: how many, Σ |x|², Σ x. */
struct vq_book {
    int64_t codes, width;
    int normalize;    /* codes are unit vectors */
    double decay;     /* of moving averages */
    double smoothing; /* Laplace's, of the averaged counts */
    double restart;   /* a code whose share is below this part of 1 / codes is dead */
    uint64_t seed;
    int level;
};

/* Codes at random around the mean of all vectors, with their mean variance in each direction. */
void vq_book_start(const struct vq_book *k, const double *sums, loom_real *code);
/* One step of k-means (Lloyd 1982; by cosine where codes are unit vectors). A code that nobody chose is put beside the
 * one with the largest error (Linde, Buzo & Gray 1980), as long as there are such. Returns the summed squared distance
 * before the step; *empty = codes that nobody chose. */
double vq_book_lloyd(const struct vq_book *k, const double *sums, int64_t step, loom_real *code, int64_t *empty);
/* One step of moving averages. count [codes], mean [codes, width] are averages of counts and of Σ x.
 *   unit vectors (LaBraM, Jiang et al. 2024): e ← unit(m e + (1−m) unit(Σ x))
 *   else (van den Oord et al. 2017): N ← m N + (1−m) n, M ← m M + (1−m) Σ x, e ← M / N', N' = (N + ε) ΣN / (ΣN + K ε)
 * A code that nobody chose keeps its place. */
void vq_book_average(const struct vq_book *k, const double *sums, loom_real *code, loom_real *count, loom_real *mean);
/* Puts dead codes beside the most used ones, which share their counts with them. Returns how many were dead. */
int64_t vq_book_restart(const struct vq_book *k, int64_t step, loom_real *code, loom_real *count, loom_real *mean);
/* exp of the entropy of the shares: 1 = one code does it all, `codes` = all are used alike. 0 when nothing counts. */
double vq_book_perplexity(const struct vq_book *k, const loom_real *count);

#endif
