/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/class_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void loom_class_rows_release(struct loom_class_rows *r)
{
    free((void *)(uintptr_t)r->c.label);
    free((void *)(uintptr_t)r->c.guess);
    free((void *)(uintptr_t)r->c.score);
    free((void *)(uintptr_t)r->c.order);
    free(r->row);
    *r = (struct loom_class_rows){0};
}

static void fill(struct loom_class_rows *r, const struct loom_scored *s, int32_t *label, int32_t *guess, double *score)
{
    const int classes = r->c.classes;
    for (int64_t i = 0; i < s->p->n; i++) {
        double y, g;
        if (!loom_scored_pair(s, i, &y, &g) || y < 0.0 || y >= classes || !(g >= 0.0 && g < classes))
            continue;
        label[r->c.n] = (int32_t)y;
        guess[r->c.n] = (int32_t)g;
        r->row[r->c.n] = i;
        if (score != NULL)
            memcpy(score + r->c.n * classes, s->p->param + i * classes, (size_t)classes * sizeof *score);
        r->c.n++;
    }
}

int loom_class_rows_init(struct loom_class_rows *r, const struct loom_scored *s, struct loom_error *e)
{
    size_t n = (size_t)s->p->n, classes = s->p->params > 1 ? (size_t)s->p->params : 2;
    int known = s->predicted == NULL && s->p->param != NULL && s->p->params > 1;
    int32_t *label = calloc(n + 1, sizeof *label), *guess = calloc(n + 1, sizeof *guess),
            *order = calloc(n * classes + 1, sizeof *order);
    double *score = known ? calloc(n * classes + 1, sizeof *score) : NULL;
    *r = (struct loom_class_rows){
        .c = {.classes = (int)classes, .label = label, .guess = guess, .score = score, .order = order},
        .row = calloc(n + 1, sizeof *r->row)};
    int code = LOOM_OK;
    if (label == NULL || guess == NULL || order == NULL || r->row == NULL || (known && score == NULL))
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %zu labels; free some", n);
    if (code == LOOM_OK)
        fill(r, s, label, guess, score);
    if (code == LOOM_OK && known)
        code = loom_classes_order(&r->c, order, e);
    if (code != LOOM_OK)
        loom_class_rows_release(r);
    return code;
}

double loom_class_rows_value(const struct loom_class_rows *r, const char *metric, double *confusion)
{
    static const struct {
        const char *name;
        double (*of_confusion)(const double *confusion, int classes);
        double (*of_scores)(const struct loom_classes *c);
    } values[] = {
        {"accuracy", loom_class_accuracy, NULL},
        {"balanced_accuracy", loom_class_balanced_accuracy, NULL},
        {"kappa", loom_class_kappa, NULL},
        {"weighted_f1", loom_class_weighted_f1, NULL},
        {"auroc", NULL, loom_class_auroc},
        {"auprc", NULL, loom_class_auprc},
        {"cross_entropy", NULL, loom_class_cross_entropy},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (strcmp(values[i].name, metric) != 0)
            continue;
        if (values[i].of_scores != NULL)
            return values[i].of_scores(&r->c);
        loom_classes_confusion(&r->c, confusion);
        return values[i].of_confusion(confusion, r->c.classes);
    }
    return NAN;
}

int loom_class_metric(const char *metric, const struct loom_scored *s, json_t *out, struct loom_error *e)
{
    struct loom_class_rows r;
    int code = loom_class_rows_init(&r, s, e);
    if (code != LOOM_OK)
        return code;
    double *confusion = calloc((size_t)(r.c.classes * r.c.classes) + 1, sizeof *confusion);
    if (confusion == NULL)
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d classes; free some", r.c.classes);
    if (code == LOOM_OK) {
        json_object_set_new(out, "mean", loom_json_number(loom_class_rows_value(&r, metric, confusion)));
        loom_classes_confusion(&r.c, confusion);
        json_object_set_new(out, "chance", loom_json_number(loom_classes_chance(metric, confusion, r.c.classes)));
        json_object_set_new(out, "n", json_integer(r.c.n));
    }
    free(confusion);
    loom_class_rows_release(&r);
    return code;
}
