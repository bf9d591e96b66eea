/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of classes, as scikit-learn defines them, the degenerate cases included. Every one takes multiplicities,
 * which is what a bootstrap gives it; what cannot be had (one class alone for AUROC) is NaN. */
#ifndef LOOM_EVAL_CLASSES_H
#define LOOM_EVAL_CLASSES_H

#include <loom/types.h>

struct loom_classes {
    int64_t n;
    int classes;
    const int32_t *label, *guess; /* [n] 0 … classes-1 */
    const double *score;          /* [n, classes] probabilities, or anything that rises with them; NULL = none known */
    const double *times;          /* [n] how often each counts; NULL = once */
    const int32_t *order;         /* [classes, n] as loom_classes_order gives it; needed by auroc and auprc */
};
/* Numbers 0 … n-1 by each class's score, ascending: out [classes, n]. LOOM_ENOMEM. */
int loom_classes_order(const struct loom_classes *c, int32_t *out, struct loom_error *e);

/* confusion [classes, classes]: label, guess. The six below it are functions of it. */
void loom_classes_confusion(const struct loom_classes *c, double *confusion);
double loom_class_accuracy(const double *confusion, int classes);
/* Mean recall of the classes that there are labels of. */
double loom_class_balanced_accuracy(const double *confusion, int classes);
/* Cohen's κ (Cohen 1960): (agreement - agreement by chance) / (1 - agreement by chance); NaN where the latter is 1. */
double loom_class_kappa(const double *confusion, int classes);
/* F1 of each class, weighed by how many labels are of it; a class that is never guessed nor labelled counts 0. */
double loom_class_weighted_f1(const double *confusion, int classes);

/* Area under the ROC curve, ties by mid-ranks (Mann-Whitney). Two classes: of class 1. More: mean over one-against-rest
 * of the classes that have labels and are not all labels. */
double loom_class_auroc(const struct loom_classes *c);
/* Average precision: Σ (R_k - R_{k-1}) P_k over thresholds, without interpolation. Two classes: of class 1. More: mean
 * over one-against-rest of the classes that have labels. */
double loom_class_auprc(const struct loom_classes *c);
/* -mean ln of the label's score. */
double loom_class_cross_entropy(const struct loom_classes *c);

/* What each scores without looking at the input: the commonest class for accuracy and F1, 1/classes with labels, 0 for
 * κ, 1/2 for AUROC, prevalence for AUPRC, ln classes for the cross-entropy. `metric` as in a pipeline; NaN for others.
 */
double loom_classes_chance(const char *metric, const double *confusion, int classes);

#endif
