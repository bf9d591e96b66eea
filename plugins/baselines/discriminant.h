/* SPDX-License-Identifier: Apache-2.0 */
/* Linear discriminant analysis (Fisher 1936) with a shrunk covariance (Friedman 1989), from sums: what baselines that
 * name classes end in.
 *
 * Features of a class are N(μ_k, Σ), Σ = (1 - s) S + s tr(S)/n I with S the covariance within classes; classes are as
 * common as in training. So ln p(k | x) = x·Σ⁻¹μ_k - μ_k·Σ⁻¹μ_k / 2 + ln p_k, but for a constant of x. */
#ifndef LOOM_BASELINES_DISCRIMINANT_H
#define LOOM_BASELINES_DISCRIMINANT_H

#include <loom/estimator.h>

/* Numbers of sums: [classes] how many, [classes, n] sums of features, the upper triangle of Σ x xᵀ. And of the state:
 * [classes, n] weights, [classes] biases. */
int64_t discriminant_sums(int64_t n, int64_t classes);
int64_t discriminant_states(int64_t n, int64_t classes);
/* [step] Features x [n] of a case of the class. */
void discriminant_add(double *sums, const double *x, int64_t n, int64_t classes, int64_t is);
/* [step] out [classes] = ln p(k | x), but for a constant. */
void discriminant_say(const double *state, const double *x, int64_t n, int64_t classes, double *out);
/* [update] A class without a case is named last of all; without any case at all the state stays as it is. LOOM_ENUMERIC
 * where the shrunk covariance is singular: the message says to shrink more. */
int discriminant_solve(const double *sums, int64_t n, int64_t classes, double shrinkage, double *state,
                       struct loom_error *e);

#endif
