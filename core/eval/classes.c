/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/classes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double times(const struct loom_classes *c, int64_t i)
{
    return c->times != NULL ? c->times[i] : 1.0;
}

/* ---- ranks ---- */

struct ranked {
    double score;
    int32_t at;
};

static int by_score(const void *x, const void *y)
{
    const struct ranked *a = x, *b = y;
    return a->score != b->score ? (a->score > b->score) - (a->score < b->score) : (a->at > b->at) - (a->at < b->at);
}

int loom_classes_order(const struct loom_classes *c, int32_t *out, struct loom_error *e)
{
    struct ranked *rank = calloc((size_t)c->n + 1, sizeof *rank);
    if (rank == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to rank %lld predictions; free some", (long long)c->n);
    for (int k = 0; k < c->classes; k++) {
        for (int32_t i = 0; i < c->n; i++)
            rank[i] = (struct ranked){c->score[(int64_t)i * c->classes + k], i};
        qsort(rank, (size_t)c->n, sizeof *rank, by_score);
        for (int64_t i = 0; i < c->n; i++)
            out[k * c->n + i] = rank[i].at;
    }
    free(rank);
    return LOOM_OK;
}

/* How much of the label and of others stands at one score: from place *i of the order on, which goes by `step`. */
struct tied {
    double own, others;
};

static struct tied next_tie(const struct loom_classes *c, int k, int64_t *i, int64_t end, int step)
{
    struct tied t = {0.0, 0.0};
    const int32_t *order = c->order + k * c->n;
    double score = c->score[(int64_t)order[*i] * c->classes + k];
    for (; *i != end && c->score[(int64_t)order[*i] * c->classes + k] == score; *i += step)
        *(c->label[order[*i]] == k ? &t.own : &t.others) += times(c, order[*i]);
    return t;
}

static double auroc_of(const struct loom_classes *c, int k)
{
    double own = 0.0, others = 0.0, below = 0.0;
    for (int64_t i = 0; i < c->n;) {
        struct tied t = next_tie(c, k, &i, c->n, 1);
        below += t.own * (others + 0.5 * t.others);
        own += t.own;
        others += t.others;
    }
    return own > 0.0 && others > 0.0 ? below / (own * others) : NAN;
}

static double auprc_of(const struct loom_classes *c, int k)
{
    double own = 0.0, all = 0.0, sum = 0.0;
    for (int64_t i = c->n - 1; i >= 0;) {
        struct tied t = next_tie(c, k, &i, -1, -1);
        own += t.own;
        all += t.own + t.others;
        sum += t.own > 0.0 ? t.own * own / all : 0.0;
    }
    return own > 0.0 ? sum / own : NAN;
}

static double over_classes(const struct loom_classes *c, double (*of)(const struct loom_classes *c, int k))
{
    double sum = 0.0;
    int n = 0;
    if (c->score == NULL || c->order == NULL || c->n == 0)
        return NAN;
    if (c->classes == 2)
        return of(c, 1);
    for (int k = 0; k < c->classes; k++) {
        double x = of(c, k);
        sum += isnan(x) ? 0.0 : x;
        n += !isnan(x);
    }
    return n > 0 ? sum / n : NAN;
}

double loom_class_auroc(const struct loom_classes *c)
{
    return over_classes(c, auroc_of);
}

double loom_class_auprc(const struct loom_classes *c)
{
    return over_classes(c, auprc_of);
}

double loom_class_cross_entropy(const struct loom_classes *c)
{
    double sum = 0.0, n = 0.0;
    for (int64_t i = 0; i < c->n && c->score != NULL; i++) {
        sum -= times(c, i) * log(fmax(c->score[i * c->classes + c->label[i]], 1e-300));
        n += times(c, i);
    }
    return n > 0.0 ? sum / n : NAN;
}

/* ---- the confusion matrix ---- */

void loom_classes_confusion(const struct loom_classes *c, double *confusion)
{
    memset(confusion, 0, (size_t)c->classes * (size_t)c->classes * sizeof *confusion);
    for (int64_t i = 0; i < c->n; i++)
        confusion[c->label[i] * c->classes + c->guess[i]] += times(c, i);
}

struct margins {
    double labels, guesses, right;
};

static struct margins margins_of(const double *confusion, int classes, int k)
{
    struct margins m = {.right = confusion[k * classes + k]};
    for (int j = 0; j < classes; j++) {
        m.labels += confusion[k * classes + j];
        m.guesses += confusion[j * classes + k];
    }
    return m;
}

static double total_of(const double *confusion, int classes)
{
    double sum = 0.0;
    for (int i = 0; i < classes * classes; i++)
        sum += confusion[i];
    return sum;
}

double loom_class_accuracy(const double *confusion, int classes)
{
    double right = 0.0;
    for (int k = 0; k < classes; k++)
        right += confusion[k * classes + k];
    return right / total_of(confusion, classes);
}

double loom_class_balanced_accuracy(const double *confusion, int classes)
{
    double sum = 0.0;
    int n = 0;
    for (int k = 0; k < classes; k++) {
        struct margins m = margins_of(confusion, classes, k);
        sum += m.labels > 0.0 ? m.right / m.labels : 0.0;
        n += m.labels > 0.0;
    }
    return n > 0 ? sum / n : NAN;
}

double loom_class_kappa(const double *confusion, int classes)
{
    double total = total_of(confusion, classes), chance = 0.0;
    for (int k = 0; k < classes; k++) {
        struct margins m = margins_of(confusion, classes, k);
        chance += m.labels * m.guesses;
    }
    double missed = total * total - chance; /* whole numbers: exactly 0 where one class is all there is */
    return missed > 0.0 ? (loom_class_accuracy(confusion, classes) * total * total - chance) / missed : NAN;
}

double loom_class_weighted_f1(const double *confusion, int classes)
{
    double sum = 0.0;
    for (int k = 0; k < classes; k++) {
        struct margins m = margins_of(confusion, classes, k);
        sum += m.labels > 0.0 ? m.labels * 2.0 * m.right / (m.labels + m.guesses) : 0.0;
    }
    return sum / total_of(confusion, classes);
}

double loom_classes_chance(const char *metric, const double *confusion, int classes)
{
    double total = total_of(confusion, classes), most = 0.0;
    int present = 0;
    for (int k = 0; k < classes; k++) {
        struct margins m = margins_of(confusion, classes, k);
        most = fmax(most, m.labels / total);
        present += m.labels > 0.0;
    }
    if (strcmp(metric, "accuracy") == 0)
        return most;
    if (strcmp(metric, "weighted_f1") == 0)
        return most * 2.0 * most / (1.0 + most);
    if (strcmp(metric, "balanced_accuracy") == 0)
        return 1.0 / (present > 0 ? present : 1);
    if (strcmp(metric, "kappa") == 0)
        return 0.0;
    if (strcmp(metric, "auroc") == 0)
        return 0.5;
    if (strcmp(metric, "auprc") == 0)
        return classes == 2 ? margins_of(confusion, classes, 1).labels / total : 1.0 / (present > 0 ? present : 1);
    return strcmp(metric, "cross_entropy") == 0 ? log(classes) : NAN;
}
