/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "words.h"

#include <loom/report.h>

#include <stdio.h>

static const char usage[] =
    "usage: loom report RUN… [--out FILE]\n"
    "\n"
    "Writes report.html, one page that needs nothing else, into the folder of RUN, and every\n"
    "figure's numbers as CSV into the folder `report` beside it. RUN may be an ablation's folder,\n"
    "whose report.html is made anew of its results.json. Of several RUNs the page is\n"
    "comparison.html in the folder of the first: whether they were tested alike, one table of\n"
    "metrics with baselines, curves over each other, what differs in their pipelines, what they\n"
    "took.\n"
    "  --out, -o FILE    write the page there\n";

int loom_cmd_report(int argc, char **argv)
{
    struct loom_report_spec spec = {.size = sizeof spec};
    struct loom_error e = {0};
    const struct loom_word words[] = {{"--out", .text = &spec.out}, {"-o", .text = &spec.out}, {.name = NULL}};
    struct loom_line l = {.command = "loom report", .usage = usage, .words = words, .most = argc};
    int code = loom_line_read(&l, argc, argv);
    spec.run = l.operand;
    spec.runs = l.operands;
    if (code < 0 && spec.runs == 0)
        code = loom_line_refuse(&l, "name the folder of a run");
    if (code < 0 && loom_report_write(&spec, &e) != LOOM_OK)
        code = loom_report_error("loom report", &e);
    if (code < 0) {
        printf("%s%s\n", spec.out != NULL ? spec.out : spec.run[0],
               spec.out != NULL ? ""
               : spec.runs > 1  ? "/comparison.html"
                                : "/report.html");
        code = 0;
    }
    loom_line_free(&l);
    return code;
}
