/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/config.h>

#include <string.h>

#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct loom_option vit[] = {
    {"width", LOOM_OPT_INT, 0, "128", "[1,65536]", "units", "Width of the model."},
    {"depth", LOOM_OPT_INT, 0, "4", NULL, NULL, "Blocks."},
    {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "Share of values dropped."},
    {"act", LOOM_OPT_STRING, 0, "gelu", "relu|gelu|silu", NULL, "Activation."},
    {"causal", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "Look back alone?"},
    {"note", LOOM_OPT_STRING, 0, "", NULL, NULL, "Free text."},
    {"betas", LOOM_OPT_REALS, 0, "0.9, 0.95", "[0,1)", NULL, "Decay of moments."},
    {"metrics", LOOM_OPT_STRINGS, 0, "", NULL, NULL, "What to measure."},
    {"limit", LOOM_OPT_REAL, 0, "inf", "(0,inf]", "ms", "Longest."},
    {"steps", LOOM_OPT_INT, LOOM_OPT_LIVE, "0", NULL, NULL, "Steps."},
    {0},
};

static const struct loom_option needy[] = {
    {"target", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, NULL, NULL, NULL, "What to decode."},
    {0},
};

static struct loom_config *config_of(const char *text, int n, const char *const *overrides)
{
    struct loom_error e = {0};
    struct loom_config *c;
    ck_ok(loom_config_parse(&c, text, "a.cfg", n, overrides, &e), &e);
    return c;
}

/* Status of reading group `b` of `text` by a table. */
static int parse_text(const char *text, const struct loom_option *table, struct loom_error *e)
{
    static const char *const reserved[] = {"plugin", NULL};
    struct loom_config *c;
    struct loom_options *o = NULL;
    int status = loom_config_parse(&c, text, "a.cfg", 0, NULL, e);
    if (status == LOOM_OK)
        status = loom_options_parse(&o, table, loom_config_group(c, "b"), "b", reserved, e);
    loom_options_free(o);
    loom_config_free(c);
    return status;
}

START_TEST(values_of_every_type)
{
    struct loom_error e = {0};
    struct loom_options *o;
    struct loom_config *c =
        config_of("b: { width = 64; dropout = 0; act = \"relu\"; causal = TRUE; note = \"a\\\"b\" \"c\";\n"
                  " betas = [0, 0.5]; metrics = \"r2\"; limit = \"inf\"; steps = 5000000000; };",
                  0, NULL);
    ck_ok(loom_options_parse(&o, vit, loom_config_group(c, "b"), NULL, NULL, &e), &e);
    loom_config_free(c);
    ck_assert_int_eq(loom_opt_int(o, "width"), 64);
    ck_assert_int_eq(loom_opt_int(o, "depth"), 4);
    ck_near(loom_opt_real(o, "dropout"), 0.0, 0);
    ck_assert_int_eq(loom_opt_is(o, "act", "relu"), 1);
    ck_assert_int_eq(loom_opt_bool(o, "causal"), 1);
    ck_assert_str_eq(loom_opt_string(o, "note"), "a\"bc");
    ck_assert_uint_eq(loom_opt_count(o, "betas"), 2);
    ck_near(loom_opt_real_at(o, "betas", 1), 0.5, 0);
    ck_assert_uint_eq(loom_opt_count(o, "metrics"), 1);
    ck_assert_str_eq(loom_opt_string_at(o, "metrics", 0), "r2");
    ck_assert(isinf(loom_opt_real(o, "limit")));
    ck_assert_int_eq(loom_opt_int(o, "steps"), 5000000000);
    ck_assert_int_eq(loom_opt_given(o, "width"), 1);
    ck_assert_int_eq(loom_opt_given(o, "depth"), 0);
    loom_options_free(o);
    /* Written out, as a resolved pipeline has them, defaults are no wish. */
    c = config_of(
        "b: { width = 128; act = \"gelu\"; betas = ( 0.9, 0.95 ); metrics = ( ); note = \"\"; limit = 2.0; };", 0,
        NULL);
    ck_ok(loom_options_parse(&o, vit, loom_config_group(c, "b"), NULL, NULL, &e), &e);
    loom_config_free(c);
    static const char *const written[] = {"width", "act", "betas", "metrics", "note"};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        ck_assert_int_eq(loom_opt_given(o, written[i]), 0);
    ck_assert_int_eq(loom_opt_given(o, "limit"), 1);
    loom_options_free(o);
    ck_ok(loom_options_parse(&o, vit, NULL, "b", NULL, &e), &e);
    ck_assert_int_eq(loom_opt_int(o, "width"), 128);
    ck_near(loom_opt_real_at(o, "betas", 0), 0.9, 0);
    ck_assert_uint_eq(loom_opt_count(o, "metrics"), 0);
    loom_options_free(o);
}
END_TEST

/* Each of these libconfig 1.5 reads wrongly, or as something else, without a word. */
START_TEST(numbers_are_what_they_say)
{
    static const char *const text =
        "a = 5000000000; b = 5000000000L; c = -9223372036854775808; d = 9223372036854775807;\n"
        "e = 0x1FFFFFFFF; f = 010; g = +7; h = 1e3; i = -.5; j = 3LL; k-2 = 1; l = (1, 5000000000);";
    static const struct {
        const char *name;
        int64_t value;
    } want[] = {{"a", 5000000000},  {"b", 5000000000}, {"c", INT64_MIN}, {"d", INT64_MAX},
                {"e", 0x1FFFFFFFF}, {"f", 10},         {"g", 7},         {"j", 3}};
    struct loom_error e = {0};
    struct loom_config *c = config_of(text, 0, NULL);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct loom_option table[] = {{want[i].name, LOOM_OPT_INT, 0, "0", NULL, NULL, "x"}, {0}};
        const char *const rest[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k-2", "l", NULL};
        struct loom_options *o;
        ck_ok(loom_options_parse(&o, table, loom_config_root(c), NULL, rest, &e), &e);
        ck_assert_int_eq(loom_opt_int(o, want[i].name), want[i].value);
        loom_options_free(o);
    }
    loom_config_free(c);
    ck_fails(loom_config_parse(&c, "\n a = 9223372036854775808;", "a.cfg", 0, NULL, &e), LOOM_ECONFIG, &e,
             "a.cfg:2: 92233");
    ck_fails(loom_config_parse(&c, "a = 0xFFFFFFFFFFFFFFFF;", "a.cfg", 0, NULL, &e), LOOM_ECONFIG, &e, "64 bits");
    ck_fails(loom_config_parse(&c, "a = 1e999;", "a.cfg", 0, NULL, &e), LOOM_ECONFIG, &e, "double precision");
}
END_TEST

START_TEST(errors_name_place_and_remedy)
{
    struct loom_error e = {0};
    ck_fails(parse_text("b: {\n widht = 3;\n};", vit, &e), LOOM_ECONFIG, &e,
             "a.cfg:2: b.widht: unknown option; did you mean 'width'? (options: width, depth, dropout,");
    ck_fails(parse_text("b: { zebra = 3; plugin = \"x\"; };", vit, &e), LOOM_ECONFIG, &e, "steps, plugin");
    ck_fails(parse_text("b: { width = 1e2; };", vit, &e), LOOM_ECONFIG, &e, "write width = 100");
    ck_fails(parse_text("b: { width = 1.5; };", vit, &e), LOOM_ECONFIG, &e,
             "expected integer, found a real number 1.5");
    ck_fails(parse_text("b: { width = \"7\"; };", vit, &e), LOOM_ECONFIG, &e, "found text \"7\"");
    ck_fails(parse_text("b: { width = 0; };", vit, &e), LOOM_ECONFIG, &e, "0 is outside [1,65536] units");
    ck_fails(parse_text("b: { dropout = 1; };", vit, &e), LOOM_ECONFIG, &e, "1 is outside [0,1)");
    ck_fails(parse_text("b: { act = \"gleu\"; };", vit, &e), LOOM_ECONFIG, &e,
             "a.cfg:1: b.act: 'gleu' is none of relu, gelu, silu; did you mean 'gelu'?");
    ck_fails(parse_text("b: { causal = 1; };", vit, &e), LOOM_ECONFIG, &e, "write for instance causal = true");
    ck_fails(parse_text("b: { betas = (0.5, 1.5); };", vit, &e), LOOM_ECONFIG, &e, "1.5 is outside");
    ck_fails(parse_text("b: { metrics = (\"r2\", 3); };", vit, &e), LOOM_ECONFIG, &e, "found an integer 3");
    ck_fails(parse_text("b: { note = { x = 1; }; };", vit, &e), LOOM_ECONFIG, &e, "found a group");
    ck_fails(parse_text("\nb: { };", needy, &e), LOOM_ECONFIG, &e, "a.cfg:2: b.target is missing");
    ck_fails(parse_text("b: { width = 1;\n width = 2; };", vit, &e), LOOM_ECONFIG, &e,
             "a.cfg:2: this key is already set");
    ck_fails(parse_text("b: { width = ; };", vit, &e), LOOM_ECONFIG, &e, "a.cfg:1: syntax error");
    ck_fails(parse_text("x = 1;\nb: { note = \"abc\n };", vit, &e), LOOM_ECONFIG, &e,
             "a.cfg:2: the text that starts here");
    ck_fails(parse_text("x = 1;\n/* b\n", vit, &e), LOOM_ECONFIG, &e, "a.cfg:2: the comment that starts here");
}
END_TEST

static char folder[] = "/tmp/loom-config-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static int open_file(struct loom_config **c, const char *name, struct loom_error *e)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return loom_config_open(c, path, 0, NULL, e);
}

START_TEST(includes_are_relative_and_keep_lines)
{
    struct loom_error e = {0};
    struct loom_config *c;
    char sub[256], text[1400];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(sub, sizeof sub, "%s/parts", folder);
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    put("main.cfg", "b: {\n  @include \"parts/vit.cfg\"\n  depth = 9;\n};\n");
    put("parts/vit.cfg", "# model\n@include \"act.cfg\"\nwidth = 77;");
    put("parts/act.cfg", "\n\nact = \"silu\";");
    ck_ok(open_file(&c, "main.cfg", &e), &e);
    const struct loom_group *b = loom_config_group(c, "b");
    ck_assert_str_eq(loom_group_text(b, "act"), "silu");
    static const struct {
        const char *key, *place;
    } want[] = {{"act", "/parts/act.cfg:3: b.act: x"},
                {"width", "/parts/vit.cfg:3: "},
                {"depth", "/main.cfg:3: "},
                {NULL, "/main.cfg:1: b: x"}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        loom_group_fail(b, want[i].key, &e, LOOM_ECONFIG, "x");
        ck_assert_msg(strstr(loom_error_text(&e, text, sizeof text), want[i].place) != NULL, "%s", text);
        loom_error_clear(&e);
    }
    loom_config_free(c);
    put("loop.cfg", "a = 1;\n@include \"loop.cfg\"");
    ck_fails(open_file(&c, "loop.cfg", &e), LOOM_ECONFIG, &e, "loop.cfg:2: includes are more than");
    put("gone.cfg", "\n@include \"no.cfg\"");
    ck_fails(open_file(&c, "gone.cfg", &e), LOOM_ECONFIG, &e, "gone.cfg:2: @include");
    put("open.cfg", "@include \"parts/open.cfg\"\n x = \"y\";");
    put("parts/open.cfg", "\nz = \"abc;");
    ck_fails(open_file(&c, "open.cfg", &e), LOOM_ECONFIG, &e, "parts/open.cfg:2: the text that starts here");
    ck_fails(open_file(&c, "nothing.cfg", &e), LOOM_EIO, &e, "nothing.cfg: cannot open");
    snprintf(text, sizeof text, "rm -r %s", folder);
    ck_assert_int_eq(system(text), 0);
}
END_TEST

static const char *const stages =
    "seed = 1;\nstages: ( { name = \"pretrain\"; steps = 10; }, { name = \"decode\"; } );";

START_TEST(overrides_reach_everything)
{
    static const char *const set[] = {"stages.pretrain.steps=7",
                                      "stages.1.steps=8",
                                      "stages.decode.optimizer.lr=1e-3",
                                      "seed=5000000000",
                                      "name=run 7",
                                      "b.act=relu",
                                      "b.causal=true",
                                      "b.betas=(0.1, 0.2)",
                                      "b.metrics=r2",
                                      "b.note=1e-3",
                                      "stages.1.name=fine"};
    struct loom_error e = {0};
    struct loom_options *o;
    struct loom_config *c = config_of(stages, sizeof set / sizeof *set, set);
    const struct loom_group *fine = loom_config_group(c, "stages.fine");
    ck_assert_ptr_nonnull(fine);
    ck_assert_str_eq(loom_group_path(loom_group_child(fine, "optimizer")), "stages.fine.optimizer");
    ck_assert_str_eq(loom_group_text(loom_config_root(c), "name"), "run 7");
    ck_assert_str_eq(loom_group_text(loom_config_root(c), "seed"), "5000000000");
    ck_assert_uint_eq(loom_group_list_count(loom_config_root(c), "stages"), 2);
    ck_ok(loom_options_parse(&o, vit, loom_config_group(c, "stages.pretrain"), NULL,
                             (const char *const[]){"name", NULL}, &e),
          &e);
    ck_assert_int_eq(loom_opt_int(o, "steps"), 7);
    loom_options_free(o);
    ck_ok(loom_options_parse(&o, vit, loom_config_group(c, "b"), NULL, NULL, &e), &e);
    ck_assert_str_eq(loom_opt_string(o, "act"), "relu");
    ck_assert_int_eq(loom_opt_bool(o, "causal"), 1);
    ck_near(loom_opt_real_at(o, "betas", 1), 0.2, 0);
    ck_assert_str_eq(loom_opt_string_at(o, "metrics", 0), "r2");
    ck_assert_str_eq(loom_opt_string(o, "note"), "1e-3");
    ck_fails(loom_opt_fail(o, "act", &e, "no"), LOOM_ECONFIG, &e, "command line: b.act: no");
    loom_options_free(o);
    loom_config_free(c);
}
END_TEST

static int with_override(const char *override, struct loom_error *e)
{
    struct loom_config *c;
    int status = loom_config_parse(&c, stages, "a.cfg", 1, &override, e);
    loom_config_free(c);
    return status;
}

START_TEST(wrong_overrides)
{
    struct loom_error e = {0};
    ck_fails(with_override("stages.pretrian.steps=7", &e), LOOM_ECONFIG, &e,
             "did you mean 'pretrain'? (elements: 0 to 1, or pretrain, decode)");
    ck_fails(with_override("stages.2.steps=7", &e), LOOM_ECONFIG, &e, "no element '2'");
    ck_fails(with_override("seed.x=7", &e), LOOM_ECONFIG, &e, "is an integer, not a group");
    ck_fails(with_override("seed", &e), LOOM_ECONFIG, &e, "write path.to.key=value");
    ck_fails(with_override("=3", &e), LOOM_ECONFIG, &e, "write path.to.key=value");
    ck_fails(with_override("a..b=3", &e), LOOM_ECONFIG, &e, "'' is no name");
    ck_fails(with_override("a b=3", &e), LOOM_ECONFIG, &e, "'a b' is no name");
    /* One value, whatever the text tries: the rest of it is text. */
    static const char *const sneaky = "seed=1; name = \"x\"";
    struct loom_config *c = config_of(stages, 1, &sneaky);
    ck_assert_str_eq(loom_group_text(loom_config_root(c), "seed"), "1; name = \"x\"");
    ck_assert_int_eq(loom_group_has(loom_config_root(c), "name"), 0);
    loom_config_free(c);
}
END_TEST

START_TEST(walking)
{
    struct loom_config *c = config_of("models: { vq: { a = 1; }; main: { b: { x = 1; }; }; n = 3; };", 0, NULL);
    const struct loom_group *models = loom_config_group(c, "models");
    ck_assert_uint_eq(loom_group_count(models), 3);
    ck_assert_str_eq(loom_group_key(models, 1), "main");
    ck_assert_ptr_nonnull(loom_group_at(models, 0));
    ck_assert_ptr_null(loom_group_at(models, 2));
    ck_assert_ptr_null(loom_group_key(models, 3));
    ck_assert_ptr_eq(loom_config_group(c, "models.main.b"), loom_group_child(loom_group_at(models, 1), "b"));
    ck_assert_ptr_null(loom_config_group(c, "models.n"));
    ck_assert_ptr_null(loom_config_group(c, "models.n.x"));
    ck_assert_ptr_null(loom_group_child(NULL, "x"));
    ck_assert_uint_eq(loom_group_list_count(models, "vq"), 1);
    ck_assert_ptr_eq(loom_group_list(models, "vq", 0), loom_group_at(models, 0));
    ck_assert_ptr_null(loom_group_ensure(models, "n"));
    ck_assert_ptr_eq(loom_group_ensure(models, "vq"), loom_group_at(models, 0));
    const struct loom_group *made = loom_group_ensure(models, "made");
    ck_assert_str_eq(loom_group_path(made), "models.made");
    ck_assert_ptr_eq(loom_config_group(c, "models.made"), made);
    loom_config_free(c);
}
END_TEST

static const struct loom_option top[] = {
    {"name", LOOM_OPT_STRING, 0, "run", NULL, NULL, "Name."},
    {"seed", LOOM_OPT_INT, 0, "1", NULL, NULL, "Seed."},
    {0},
};

static void read_pipeline(struct loom_config *c, struct loom_error *e)
{
    static const char *const blocks[] = {"b", "list", NULL}, *const other[] = {"plugin", "target", NULL},
                             *const of_vit[] = {"plugin", "width", "depth",   "dropout", "act",   "causal",
                                                "note",   "betas", "metrics", "limit",   "steps", NULL};
    const struct {
        const struct loom_option *table;
        const struct loom_group *group;
        const char *const *reserved;
    } reads[] = {
        {top, loom_config_root(c), blocks},
        {vit, loom_group_ensure(loom_config_root(c), "b"), other},
        {needy, loom_group_list(loom_config_root(c), "list", 0), NULL},
        {vit, loom_group_list(loom_config_root(c), "list", 1), other},
        {needy, loom_group_list(loom_config_root(c), "list", 1), of_vit},
    };
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        struct loom_options *o;
        ck_ok(loom_options_parse(&o, reads[i].table, reads[i].group, NULL, reads[i].reserved, e), e);
        loom_options_free(o);
    }
}

/* The text without comments: what must not change when it is read back. */
static char *plain(const char *text)
{
    char *out = calloc(strlen(text) + 1, 1), *at = out;
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        const char *mark = strstr(line, " # ");
        size_t n = strcspn(line, "\n");
        if (line[0] == '#')
            continue;
        if (mark != NULL && mark < line + n)
            n = (size_t)(mark - line);
        memcpy(at, line, n);
        at += n;
    }
    return out;
}

START_TEST(resolved_reads_back)
{
    static const char *const set[] = {"b.dropout=0.25", "b.note=tab\there \"quoted\" µ"};
    struct loom_error e = {0};
    char *first, *second;
    struct loom_config *c =
        config_of("name = \"x\";\nlist: ( { target = \"a\"; },\n { plugin = \"p\"; width = 5; target = \"b\"; } );\n"
                  "b: { steps = 5000000000;\n limit = \"inf\"; betas = (); };",
                  2, set);
    read_pipeline(c, &e);
    ck_ok(loom_config_unread(c, &e), &e);
    ck_ok(loom_config_resolved(c, &first, &e), &e);
    loom_config_free(c);
    static const char *const lines[] = {
        "name = \"x\"; ",   "# a.cfg:1\n",           "seed = 1; ",  "# default\n",      "dropout = 0.25; ",
        "# command line\n", "steps = 5000000000L; ", "# a.cfg:4\n", "limit = \"inf\";", "width = 5;",
        "plugin = \"p\";"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(strstr(first, lines[i]) != NULL, "no %s in %s", lines[i], first);
    c = config_of(first, 0, NULL);
    read_pipeline(c, &e);
    ck_ok(loom_config_resolved(c, &second, &e), &e);
    loom_config_free(c);
    char *a = plain(first), *b = plain(second);
    ck_assert_str_eq(a, b);
    free(a);
    free(b);
    free(first);
    free(second);
}
END_TEST

START_TEST(blocks_that_nobody_reads)
{
    struct loom_error e = {0};
    struct loom_options *o;
    struct loom_config *c = config_of("name = \"x\";\nb: { };\nlist: ( { sub: { }; } );", 0, NULL);
    ck_ok(loom_options_parse(&o, top, loom_config_root(c), NULL, (const char *const[]){"b", "list", NULL}, &e), &e);
    loom_options_free(o);
    ck_fails(loom_config_unread(c, &e), LOOM_ECONFIG, &e, "a.cfg:2: b: no part");
    ck_ok(loom_options_parse(&o, vit, loom_config_group(c, "b"), NULL, NULL, &e), &e);
    loom_options_free(o);
    ck_fails(loom_config_unread(c, &e), LOOM_ECONFIG, &e, "a.cfg:3: list.0: no part");
    loom_config_free(c);
}
END_TEST

START_TEST(blocks_of_names)
{
    struct loom_error e = {0};
    struct loom_options *o;
    struct loom_config *c = config_of("name = \"x\";\nb: {\n one: { };\n two: { };\n};", 0, NULL);
    ck_ok(loom_options_parse(&o, top, loom_config_root(c), NULL, (const char *const[]){"b", NULL}, &e), &e);
    loom_options_free(o);
    ck_fails(loom_config_unread(c, &e), LOOM_ECONFIG, &e, "a.cfg:2: b: no part");
    ck_ok(loom_options_parse(&o, vit, loom_config_group(c, "b.one"), NULL, NULL, &e), &e);
    loom_options_free(o);
    ck_fails(loom_config_unread(c, &e), LOOM_ECONFIG, &e, "a.cfg:4: b.two: no part");
    ck_ok(loom_options_parse(&o, vit, loom_config_group(c, "b.two"), NULL, NULL, &e), &e);
    loom_options_free(o);
    ck_ok(loom_config_unread(c, &e), &e);
    loom_config_free(c);
}
END_TEST

START_TEST(live_options)
{
    struct loom_error e = {0};
    struct loom_options *o;
    ck_ok(loom_options_parse(&o, vit, NULL, "b", NULL, &e), &e);
    ck_ok(loom_options_set(o, "dropout", 0.5, &e), &e);
    ck_near(loom_opt_real(o, "dropout"), 0.5, 0);
    ck_fails(loom_options_set(o, "dropout", 1.0, &e), LOOM_ECONFIG, &e, "b.dropout: 1 is outside [0,1)");
    ck_fails(loom_options_set(o, "dropout", (double)NAN, &e), LOOM_ECONFIG, &e, "outside");
    ck_near(loom_opt_real(o, "dropout"), 0.5, 0);
    ck_ok(loom_options_set(o, "steps", 2.6, &e), &e);
    ck_assert_int_eq(loom_opt_int(o, "steps"), 3);
    ck_fails(loom_options_set(o, "steps", 1e300, &e), LOOM_ECONFIG, &e, "outside");
    ck_fails(loom_options_set(o, "width", 3, &e), LOOM_EINVAL, &e, "only live");
    loom_options_free(o);
}
END_TEST

START_TEST(tables_are_checked)
{
    static const struct {
        struct loom_option option;
        const char *fault;
    } bad[] = {
        {{"9x", LOOM_OPT_INT, 0, "1", NULL, NULL, "x"}, "no name"},
        {{"x", 77, 0, "1", NULL, NULL, "x"}, "type"},
        {{"x", LOOM_OPT_INT, 0, "1.5", NULL, NULL, "x"}, "not of its type"},
        {{"x", LOOM_OPT_INT, 0, NULL, NULL, NULL, "x"}, "not of its type"},
        {{"x", LOOM_OPT_INT, 0, "1", NULL, NULL, ""}, "no sentence"},
        {{"x", LOOM_OPT_REAL, 0, "2", "[0,1]", NULL, "x"}, "2 is outside [0,1]"},
        {{"x", LOOM_OPT_REAL, 0, "1", "0..1", NULL, "x"}, "malformed range"},
        {{"x", LOOM_OPT_REAL, 0, "1", "[2,1]", NULL, "x"}, "malformed range"},
        {{"x", LOOM_OPT_STRING, 0, "c", "a|b", NULL, "x"}, "none of a, b"},
        {{"x", LOOM_OPT_STRING, LOOM_OPT_LIVE, "c", NULL, NULL, "x"}, "live and no number"},
        {{"x", LOOM_OPT_BOOL, 0, "yes", NULL, NULL, "x"}, "not of its type"},
    };
    struct loom_error e = {0};
    ck_ok(loom_options_check(vit, &e), &e);
    ck_ok(loom_options_check(needy, &e), &e);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct loom_option table[] = {bad[i].option, {0}};
        ck_fails(loom_options_check(table, &e), LOOM_EPLUGIN, &e, bad[i].fault);
    }
    const struct loom_option twice[] = {vit[0], vit[0], {0}};
    ck_fails(loom_options_check(twice, &e), LOOM_EPLUGIN, &e, "twice");
}
END_TEST

START_TEST(described)
{
    struct loom_error e = {0};
    char *text;
    ck_ok(loom_options_describe(vit, LOOM_DESCRIBE_MARKDOWN, &text, &e), &e);
    ck_assert_ptr_nonnull(strstr(text, "| `act` | text | `\"gelu\"` | `relu\\|gelu\\|silu` |  | Activation. |\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "| `dropout` | real | `0.1` | `[0,1)` |  | Share of values dropped. (live) |\n"));
    free(text);
    ck_ok(loom_options_describe(needy, LOOM_DESCRIBE_TEXT, &text, &e), &e);
    ck_assert_str_eq(text, "  target = required    text\n      What to decode.\n");
    free(text);
}
END_TEST

/* Whatever bytes come, an error or a tree, never a crash: every prefix, and every byte changed, of a pipeline. */
START_TEST(damaged_files)
{
    static const char good[] =
        "a: { b = [1, 2.5e3L, 0x1F]; c = \"x\\n\" \"y\"; }; // c\n/* d */ e = ( { f = TRUE; }, -7 ); # g\n";
    char text[sizeof good];
    struct loom_error e = {0};
    struct loom_config *c;
    for (size_t i = 0; i < sizeof good; i++) {
        memcpy(text, good, sizeof good);
        text[i] = '\0';
        loom_config_parse(&c, text, "a.cfg", 0, NULL, &e);
        loom_config_free(c);
        for (const char *byte = "\"({@\\/*=;\xff\x01"
                                "9-";
             *byte != '\0' && i + 1 < sizeof good; byte++) {
            memcpy(text, good, sizeof good);
            text[i] = *byte;
            loom_config_parse(&c, text, "a.cfg", 0, NULL, &e);
            loom_config_free(c);
        }
    }
    char deep[3000];
    memset(deep, '(', sizeof deep);
    memcpy(deep, "a = ", 4);
    deep[sizeof deep - 1] = '\0';
    loom_error_clear(&e);
    ck_fails(loom_config_parse(&c, deep, "a.cfg", 0, NULL, &e), LOOM_ECONFIG, &e, "brackets are more than");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        values_of_every_type,
        numbers_are_what_they_say,
        errors_name_place_and_remedy,
        includes_are_relative_and_keep_lines,
        overrides_reach_everything,
        wrong_overrides,
        walking,
        resolved_reads_back,
        blocks_that_nobody_reads,
        blocks_of_names,
        live_options,
        tables_are_checked,
        described,
        damaged_files,
    };
    return run_suite("config", sizeof tests / sizeof *tests, tests, 30);
}
