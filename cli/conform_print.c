/* SPDX-License-Identifier: Apache-2.0 */
#include "conform_print.h"

#include "words.h"

#include <stdio.h>
#include <string.h>

static int is_bad(int outcome)
{
    return outcome == LOOM_FAILED || outcome == LOOM_CRASHED || outcome == LOOM_HUNG || outcome == LOOM_UNEXPECTED;
}

static void xml_text(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '<')
            fputs("&lt;", stdout);
        else if (*c == '&')
            fputs("&amp;", stdout);
        else if (*c == '"')
            fputs("&quot;", stdout);
        else
            putchar(*c < ' ' && *c != '\n' && *c != '\t' ? '?' : *c);
}

/* Words of `text` from column `indent` to 96. */
static void paragraph(const char *text, int indent)
{
    int column = indent;
    printf("%*s", indent, "");
    while (*text) {
        int n = (int)strcspn(text, " \n");
        if (column > indent && column + 1 + n > 96) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", n, text);
        column += n;
        text += n;
        text += strspn(text, " \n");
    }
    putchar('\n');
}

/* ---- the list ---- */

static void kinds_of(const struct loom_check *c, char *out, size_t size)
{
    static const char *const names[] = {"", "source", "tokenizer", "backbone", "objective", "baseline"};
    out[0] = '\0';
    for (unsigned k = LOOM_SOURCE; k <= LOOM_BASELINE; k++)
        if (c->kinds & 1u << k) {
            strncat(out, out[0] ? ", " : "", size - strlen(out) - 1);
            strncat(out, names[k], size - strlen(out) - 1);
        }
}

void conform_print_list(int format, int level)
{
    char kinds[96];
    int n = 0;
    for (const struct loom_check *const *c = loom_checks(); *c; c++) {
        if ((*c)->level > level && format != CONFORM_JSON)
            continue;
        kinds_of(*c, kinds, sizeof kinds);
        if (format == CONFORM_JSON) {
            printf("%s\n  {\"id\": \"%s\", \"level\": \"%s\", \"kinds\": \"%s\", \"what\": ", n++ ? "," : "[", (*c)->id,
                   loom_level_name((*c)->level), kinds);
            loom_print_json((*c)->what);
            putchar('}');
        } else {
            printf("%s%s  (%s; %s)\n", n++ ? "\n" : "", (*c)->id, loom_level_name((*c)->level), kinds);
            paragraph((*c)->what, 4);
        }
    }
    if (format == CONFORM_JSON)
        puts(n ? "\n]" : "[]");
}

/* ---- verdicts ---- */

void conform_print_plan(void *printer, int checks)
{
    const struct conform_printer *p = printer;
    if (p->format == CONFORM_TAP)
        printf("1..%d\n", checks);
    else if (p->format == CONFORM_JSON)
        printf("{\"checks\": [");
    else if (p->format == CONFORM_JUNIT)
        printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"loom conform\" tests=\"%d\">\n", checks);
}

static void tap(const struct conform_printer *p, const struct loom_verdict *v)
{
    const char *directive = v->outcome == LOOM_SKIPPED ? " # SKIP " : v->outcome == LOOM_EXPECTED ? " # TODO " : "";
    if (v->reason[0] && !*directive) {
        printf("# %s\n", v->reason);
        if (is_bad(v->outcome))
            printf("# again: %s\n", v->command);
    }
    printf("%s %d - %s %s: %s%s%s\n", is_bad(v->outcome) || v->outcome == LOOM_EXPECTED ? "not ok" : "ok", p->count,
           v->kind, v->plugin, v->check->id, directive, *directive ? v->reason : "");
}

static void json(const struct conform_printer *p, const struct loom_verdict *v)
{
    printf("%s\n  {\"plugin\": \"%s\", \"kind\": \"%s\", \"file\": ", p->count > 1 ? "," : "", v->plugin, v->kind);
    loom_print_json(v->file);
    printf(", \"check\": \"%s\", \"level\": \"%s\", \"outcome\": \"%s\", \"seconds\": %.3f, \"reason\": ", v->check->id,
           loom_level_name(v->check->level), loom_outcome_name(v->outcome), v->seconds);
    loom_print_json(v->reason);
    printf(", \"output\": ");
    loom_print_json(v->output);
    printf(", \"command\": ");
    loom_print_json(v->command);
    putchar('}');
}

static void junit(const struct loom_verdict *v)
{
    printf("  <testcase classname=\"%s.%s\" name=\"%s\" time=\"%.3f\"", v->kind, v->plugin, v->check->id, v->seconds);
    if (v->outcome == LOOM_PASSED || v->outcome == LOOM_WARNED) {
        puts("/>");
        return;
    }
    const char *tag = v->outcome == LOOM_SKIPPED || v->outcome == LOOM_EXPECTED ? "skipped"
                      : v->outcome == LOOM_CRASHED || v->outcome == LOOM_HUNG   ? "error"
                                                                                : "failure";
    printf("><%s message=\"", tag);
    xml_text(v->reason);
    printf("\">");
    xml_text(v->command);
    printf("</%s></testcase>\n", tag);
}

/* The first line with something in it of what a check's process wrote, a mark behind it if there are more. */
static void first_line(const char *output, char *out, size_t size)
{
    const char *from = output + strspn(output, "\n"), *end = from + strcspn(from, "\n");
    snprintf(out, size, "%.*s%s", (int)(end - from), from, end[strspn(end, "\n")] ? " …" : "");
}

/* The check that failed for the same: its reason, but for what was being done ("a model: …"), ends this one too, and it
 * wrote the same. NULL: none, and this one is kept. */
static const char *told_by(struct conform_printer *p, const struct loom_verdict *v, const char *wrote)
{
    const size_t n = strlen(v->reason);
    for (int i = 0; i < p->causes; i++) {
        const struct conform_cause *c = &p->cause[i];
        const size_t k = strlen(c->says);
        if (k > 0 && k <= n && strcmp(v->reason + n - k, c->says) == 0 && (!*wrote || strcmp(wrote, c->wrote) == 0))
            return c->check;
    }
    if (p->causes < CONFORM_CAUSES) {
        struct conform_cause *c = &p->cause[p->causes++];
        const char *colon = v->outcome == LOOM_FAILED ? strstr(v->reason, ": ") : NULL;
        c->check = v->check->id;
        snprintf(c->says, sizeof c->says, "%s", colon ? colon + 2 : v->reason);
        snprintf(c->wrote, sizeof c->wrote, "%s", wrote);
    }
    return NULL;
}

/* The last lines of what a plugin wrote, or a sanitizer about it; one alone stands behind its heading. */
static void last_lines(const char *text, int indent)
{
    enum { LINES = 12 };
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    const char *from = text + n;
    for (int lines = 0; from > text && (from[-1] != '\n' || ++lines < LINES);)
        from--;
    const int one = from == text && memchr(text, '\n', n) == NULL;
    if (n > 0)
        printf("%*sit wrote%s:%s", indent, "", from > text ? " at last" : "", one ? " " : "\n");
    if (one)
        indent = -2;
    for (size_t length; from < text + n; from += length + 1) {
        length = strcspn(from, "\n");
        printf("%*s%.*s\n", indent + 2, "", (int)length, from);
    }
}

static void text_bad(struct conform_printer *p, const struct loom_verdict *v)
{
    char wrote[256];
    first_line(v->output, wrote, sizeof wrote);
    const char *before = told_by(p, v, wrote);
    if (before) {
        printf("             for the same as %s\n", before);
        return;
    }
    if (v->reason[0])
        paragraph(v->reason, 13);
    last_lines(v->output, 13);
    printf("             again: %s\n", v->command);
}

static void text(struct conform_printer *p, const struct loom_verdict *v)
{
    char name[256];
    snprintf(name, sizeof name, "%s%s%s", v->kind, *v->kind ? "/" : "", v->plugin);
    if (strcmp(name, p->plugin) != 0) {
        printf("%s%s  %s\n", p->plugin[0] ? "\n" : "", name, v->file[0] ? v->file : "(built in)");
        snprintf(p->plugin, sizeof p->plugin, "%s", name);
        p->causes = 0;
    }
    printf("  %-10s %-26s %5.2f s\n", loom_outcome_name(v->outcome), v->check->id, v->seconds);
    if (is_bad(v->outcome))
        text_bad(p, v);
    else if (v->reason[0])
        paragraph(v->reason, 13);
}

void conform_print_verdict(void *printer, const struct loom_verdict *v)
{
    struct conform_printer *p = printer;
    p->count++;
    if (p->format == CONFORM_TAP)
        tap(p, v);
    else if (p->format == CONFORM_JSON)
        json(p, v);
    else if (p->format == CONFORM_JUNIT)
        junit(v);
    else
        text(p, v);
    fflush(stdout);
}

void conform_print_end(struct conform_printer *p, const struct loom_conform_counts *counts)
{
    if (p->format == CONFORM_JSON && p->count) {
        printf("\n], \"counts\": {");
        for (int i = 0; i < LOOM_OUTCOMES; i++)
            printf("%s\"%s\": %d", i ? ", " : "", loom_outcome_name(i), counts->of[i]);
        puts("}}");
    } else if (p->format == CONFORM_JUNIT) {
        puts("</testsuite>");
    } else if (p->format == CONFORM_TEXT && p->count) {
        putchar('\n');
        for (int i = 0; i < LOOM_OUTCOMES; i++)
            if (counts->of[i] || i <= LOOM_FAILED)
                printf("%s%d %s", i ? ", " : "", counts->of[i], loom_outcome_name(i));
        putchar('\n');
    }
}
