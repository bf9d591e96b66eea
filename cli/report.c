/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "words.h"

#include <loom/report.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: loom report RUN… [--out FILE]\n"
    "\n"
    "Writes report.html, one page that needs nothing else, into the folder of the first RUN, and\n"
    "every figure's numbers as CSV into the folder `report` beside it. Several RUNs are set side\n"
    "by side in front.\n"
    "  --out FILE    write the page there\n";

int loom_cmd_report(int argc, char **argv)
{
    struct loom_report_spec spec = {.size = sizeof spec};
    struct loom_error e = {0};
    const char **run = calloc((size_t)argc + 1, sizeof *run), *wrong = NULL;
    int code = 0;
    for (int i = 1; run != NULL && i < argc && wrong == NULL; i++) {
        if (strcmp(argv[i], "--out") == 0 && i + 1 < argc)
            spec.out = argv[++i];
        else if (strncmp(argv[i], "--out=", 6) == 0)
            spec.out = argv[i] + 6;
        else if (argv[i][0] == '-')
            wrong = argv[i];
        else
            run[spec.runs++] = argv[i];
    }
    spec.run = run;
    if (wrong != NULL && (strcmp(wrong, "--help") == 0 || strcmp(wrong, "-h") == 0)) {
        fputs(usage, stdout);
    } else if (run == NULL || wrong != NULL || spec.runs == 0) {
        fprintf(stderr, "loom report: %s%s\n%s", wrong != NULL ? "cannot make sense of " : "name the folder of a run",
                wrong != NULL ? wrong : "", usage);
        code = 2;
    } else if (loom_report_write(&spec, &e) != LOOM_OK) {
        code = loom_report_error("loom report", &e);
    } else {
        printf("%s%s\n", spec.out != NULL ? spec.out : run[0], spec.out != NULL ? "" : "/report.html");
    }
    free(run);
    return code;
}
