/* SPDX-License-Identifier: Apache-2.0 */
#include "model/internal.h"

#include <math.h>
#include <string.h>

/* Parameters [E, 1] (or [E, classes]) against targets [E], both as the ops want them: one flat axis. */
static struct loom_node *flat(struct loom_graph *g, struct loom_node *x)
{
    int64_t n = loom_node_size(x);
    return loom_node_rank(x) == 1 ? x : loom_reshape(g, x, 1, &n);
}

static struct loom_node *poisson_nll(struct loom_graph *g, struct loom_node *params, struct loom_node *target,
                                     struct loom_node *weight, int32_t elems)
{
    (void)elems;
    return loom_poisson_nll(g, flat(g, params), target, weight, 0);
}

static struct loom_node *poisson_mean(struct loom_graph *g, struct loom_node *params, int32_t elems)
{
    (void)elems;
    return loom_exp(g, flat(g, params));
}

static struct loom_node *gaussian_nll(struct loom_graph *g, struct loom_node *params, struct loom_node *target,
                                      struct loom_node *weight, int32_t elems)
{
    (void)elems;
    return loom_squared_error(g, flat(g, params), target, weight);
}

static struct loom_node *gaussian_mean(struct loom_graph *g, struct loom_node *params, int32_t elems)
{
    (void)elems;
    return flat(g, params);
}

static struct loom_node *bernoulli_nll(struct loom_graph *g, struct loom_node *params, struct loom_node *target,
                                       struct loom_node *weight, int32_t elems)
{
    (void)elems;
    return loom_bce(g, flat(g, params), target, weight);
}

static struct loom_node *bernoulli_mean(struct loom_graph *g, struct loom_node *params, int32_t elems)
{
    (void)elems;
    return loom_sigmoid(g, flat(g, params));
}

static struct loom_node *categorical_nll(struct loom_graph *g, struct loom_node *params, struct loom_node *target,
                                         struct loom_node *weight, int32_t elems)
{
    (void)elems;
    return loom_cross_entropy(g, params, target, weight, 0.0);
}

/* ln 0 is no number; e^-7 is a count in a thousand bins. */
static void poisson_likeliest(loom_real *params, const loom_real *target, int64_t n, int64_t each)
{
    for (int64_t i = 0; i < n * each; i++)
        params[i] = target[i] > 0 ? (loom_real)log((double)target[i]) : (loom_real)-7;
}

static void bernoulli_likeliest(loom_real *params, const loom_real *target, int64_t n, int64_t each)
{
    for (int64_t i = 0; i < n * each; i++)
        params[i] = target[i] > (loom_real)0.5 ? 10 : -10;
}

static void categorical_likeliest(loom_real *params, const loom_real *target, int64_t n, int64_t classes)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < classes; c++)
            params[i * classes + c] = (loom_real)c == target[i] ? 10 : -10;
}

/* Poisson: natural log of the expected count (NDT1, LFADS, NDT2). Gaussian: the mean, with variance 1/2, so that the
 * negative log-likelihood is the squared error. Bernoulli: the logit. Categorical: one logit a class; its targets are
 * class numbers and it has no mean. */
static const struct loom_likelihood likelihoods[] = {
    {"poisson", 1, poisson_nll, poisson_mean, poisson_likeliest},
    {"gaussian", 1, gaussian_nll, gaussian_mean, NULL},
    {"bernoulli", 1, bernoulli_nll, bernoulli_mean, bernoulli_likeliest},
    {"categorical", -1, categorical_nll, NULL, categorical_likeliest},
};

enum { LIKELIHOODS = sizeof(likelihoods) / sizeof(likelihoods[0]) };

const struct loom_likelihood *loom_likelihood_find(const char *name)
{
    for (int i = 0; i < LIKELIHOODS; i++)
        if (strcmp(likelihoods[i].name, name) == 0)
            return &likelihoods[i];
    return NULL;
}

const char *const *loom_likelihood_names(void)
{
    static const char *const names[] = {"poisson", "gaussian", "bernoulli", "categorical", NULL};
    return names;
}
