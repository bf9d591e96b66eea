/* SPDX-License-Identifier: Apache-2.0 */
/* Which class is taken for which: shares of each recorded class, as a table whose cells are as dark as they are full.
 */
#include "eval/class_rows.h"
#include "eval/report_groups.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 16, NAME = 96 };

static const char *class_name(const struct loom_predictions *p, int k, char buffer[NAME])
{
    if (k < p->class_names && p->class_name != NULL)
        return p->class_name[k];
    snprintf(buffer, NAME, "class %d", k);
    return buffer;
}

static void heads(struct loom_str *s, const struct loom_predictions *p, int classes)
{
    char buffer[NAME];
    loom_str_add(s, "<div class=scroll><table class=confusion><thead><tr><th>recorded</th>");
    for (int k = 0; k < classes; k++) {
        loom_str_add(s, "<th>");
        loom_str_html(s, class_name(p, k, buffer));
        loom_str_add(s, "</th>");
    }
    loom_str_add(s, "<th>of</th></tr></thead><tbody>\n");
}

static void row(struct loom_str *s, struct loom_str *csv, const struct loom_predictions *p, const double *count,
                int label, int classes)
{
    char buffer[NAME];
    double all = 0.0;
    for (int k = 0; k < classes; k++)
        all += count[k];
    loom_str_add(s, "<tr><td>");
    loom_str_html(s, class_name(p, label, buffer));
    loom_str_add(s, "</td>");
    for (int k = 0; k < classes; k++) {
        double share = all > 0.0 ? count[k] / all : 0.0;
        loom_str_csv(csv, class_name(p, label, buffer));
        loom_str_add(csv, ",");
        loom_str_csv(csv, class_name(p, k, buffer));
        loom_str_printf(csv, ",%.0f,%.9g\n", count[k], share);
        if (all > 0.0 && count[k] == 0.0)
            loom_str_add(s, k == label ? "<td><b>0</b></td>" : "<td>0</td>");
        else if (all > 0.0)
            loom_str_printf(s, "<td style=\"background:color-mix(in srgb,var(--c0) %.0f%%,transparent)\">%s%.2f%s</td>",
                            80.0 * share, k == label ? "<b>" : "", share, k == label ? "</b>" : "");
        else
            loom_str_add(s, "<td>–</td>");
    }
    loom_str_printf(s, "<td><small>%.0f</small></td></tr>\n", all);
}

static int figure(struct loom_page *page, const struct loom_report_group *g, const double *confusion, int classes,
                  int64_t n, struct loom_error *e)
{
    struct loom_str table = LOOM_STR_INIT, csv = LOOM_STR_INIT, *s = &page->html;
    char file[320], href[256];
    loom_str_add(&csv, "recorded,named,count,share\n");
    heads(&table, g->p, classes);
    for (int k = 0; k < classes; k++)
        row(&table, &csv, g->p, confusion + (size_t)k * (size_t)classes, k, classes);
    loom_str_add(&table, "</tbody></table></div>");
    snprintf(file, sizeof file, "confusion-%s-%s-%s", g->stage, g->split, g->modality);
    int rc = loom_report_csv(page, file, &csv, href, e);
    if (rc == LOOM_OK) {
        loom_str_add(s, "<figure><figcaption><b>Classes of ");
        loom_str_html(s, g->modality);
        loom_str_add(s, "</b> <a href=\"");
        loom_str_html(s, href);
        loom_str_add(s, "\">csv</a><br><small>");
        loom_str_html(s, g->stage);
        loom_str_add(s, ", ");
        loom_report_origin(s, page, g);
        loom_str_printf(
            s,
            ", %lld answers: shares of each recorded class (rows) by what it is named (columns)</small></figcaption>",
            (long long)n);
        loom_str_add(s, table.text != NULL ? table.text : "");
        loom_str_add(s, "</figure>\n");
    }
    s->failed |= table.failed;
    loom_str_release(&table);
    loom_str_release(&csv);
    return rc;
}

int loom_report_confusion(struct loom_page *page, const struct loom_report_group *g, struct loom_error *e)
{
    struct loom_class_rows rows;
    double confusion[MOST_CLASSES * MOST_CLASSES];
    const struct loom_scored scored = {.p = g->p, .held = LOOM_HELD_ALL};
    int rc = loom_class_rows_init(&rows, &scored, e);
    if (rc != LOOM_OK)
        return rc;
    if (rows.c.n > 0 && rows.c.classes <= MOST_CLASSES) {
        loom_classes_confusion(&rows.c, confusion);
        rc = figure(page, g, confusion, rows.c.classes, rows.c.n, e);
    }
    loom_class_rows_release(&rows);
    return rc;
}
