/* SPDX-License-Identifier: Apache-2.0 */
/* Every legal triple of tokenizer, backbone and objective trains; every other is refused in the words of the matrix. */
#include "base/io.h"
#include "base/json.h"
#include "conform/matrix.h"

#include <loom/run.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

static char folder[] = "/tmp/loom-matrix-XXXXXX";
static struct loom_error e;
static struct loom_matrix *matrix;

static void set_up(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("LOOM_CACHE", folder, 1);
    ck_ok(loom_matrix_new(&matrix, NULL, &e), &e);
}

static void tear_down(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
    loom_matrix_free(matrix);
}

static void write_pipeline(const struct loom_triple *t, char path[128])
{
    snprintf(path, 128, "%s/p.cfg", folder);
    ck_ok(loom_file_write(path, t->pipeline, strlen(t->pipeline), &e), &e);
}

/* The last loss in a run's log; NaN: none. */
static double last_loss(const char *run)
{
    char path[160], *text = NULL, *at, *last = NULL;
    size_t size;
    snprintf(path, sizeof path, "%s/log.jsonl", run);
    ck_ok(loom_file_read(&text, &size, path, 1 << 24, &e), &e);
    for (at = text; (at = strstr(at, "\"step\":2,\"loss\":")); at++)
        last = at + 16;
    double loss = last ? strtod(last, &at) : 0;
    ck_assert_msg(last && at > last, "no loss after two steps in %s", text);
    free(text);
    return loss;
}

START_TEST(legal_triples_train)
{
    const struct loom_triple *t;
    int trained = 0;
    set_up();
    for (int i = 0; (t = loom_matrix_at(matrix, i)); i++) {
        char pipeline[128], out[128], text[1400];
        if (t->status != LOOM_OK)
            continue;
        write_pipeline(t, pipeline);
        snprintf(out, sizeof out, "%s/run-%d", folder, i);
        const struct loom_run_spec spec = {.size = sizeof spec, .pipeline = pipeline, .out = out, .threads = 1};
        if (loom_run(&spec, &e) != LOOM_OK)
            ck_abort_msg("%s, %s, %s %s: %s", t->tokenizer->id, t->backbone->id, t->objective->id, t->with,
                         loom_error_text(&e, text, sizeof text));
        ck_near(last_loss(out), 0, 1e6);
        trained++;
    }
    ck_assert_int_ge(trained, 6);
    tear_down();
}
END_TEST

START_TEST(illegal_triples_are_refused)
{
    const struct loom_triple *t;
    int refused = 0;
    set_up();
    for (int i = 0; (t = loom_matrix_at(matrix, i)); i++) {
        char pipeline[128], *text = NULL;
        if (t->status == LOOM_OK)
            continue;
        write_pipeline(t, pipeline);
        const struct loom_run_spec spec = {.size = sizeof spec, .pipeline = pipeline, .threads = 1};
        ck_fails(loom_run_check(&spec, &text, &e), t->status, &e, t->reason);
        ck_assert(strlen(t->reason) > 20);
        refused++;
    }
    ck_assert_int_ge(refused, 1);
    tear_down();
}
END_TEST

/* Every triple has its place: as many cells as there are triples, each legal or with a note. */
START_TEST(the_page_has_every_triple)
{
    char *page = NULL;
    int triples = 0, cells = 0, known = 0;
    const struct loom_triple *t;
    set_up();
    for (; (t = loom_matrix_at(matrix, triples)); triples++)
        known |= strcmp(t->tokenizer->id, "ndt2") == 0 && strcmp(t->backbone->id, "vit") == 0 &&
                 strcmp(t->objective->id, "mae") == 0 && t->status == LOOM_OK && *t->with == '\0';
    ck_assert(known);
    ck_ok(loom_matrix_markdown(matrix, &page, &e), &e);
    for (const char *at = page; (at = strchr(at, '|')); at++)
        cells += strncmp(at, "| yes ", 6) == 0 || strncmp(at, "| with ", 7) == 0 || strncmp(at, "| – (", 6) == 0;
    ck_assert_int_eq(cells, triples);
    free(page);
    tear_down();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {legal_triples_train, illegal_triples_are_refused, the_page_has_every_triple};
    return run_suite("matrix", sizeof tests / sizeof *tests, tests, 120);
}
