/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/load.h"

#include "plugin/registry.h"

#include <loom/config.h>

#include <string.h>

static const char *const kind_names[] = {NULL, "source", "tokenizer", "backbone", "objective", "baseline"};
enum { KINDS = sizeof kind_names / sizeof *kind_names };

const char *loom_kind_name(uint32_t kind)
{
    return kind < KINDS ? kind_names[kind] : NULL;
}

uint32_t loom_kind_of(const char *name)
{
    for (uint32_t kind = 1; kind < KINDS; kind++)
        if (strcmp(name, kind_names[kind]) == 0)
            return kind;
    return 0;
}

/* What may differ: nothing under major 0. From major 1 on minor numbers count additions, so an older plugin is welcome,
 * and so are its shorter structures where they begin with their size (GROWS). */
enum { SAME, GROWS };

static int fits(uint32_t theirs, uint32_t ours, int rule, uint32_t major)
{
    return theirs == ours || (rule == GROWS && major > 0 && theirs < ours);
}

/* The block is a row of 32-bit numbers for ever, so it can be walked; remedies differ by field. */
static int check_build(const struct loom_build_block *theirs, const struct loom_build_block *ours, const char *file,
                       struct loom_error *e)
{
    static const struct {
        const char *name, *meaning, *remedy;
        size_t offset;
        int rule;
    } fields[] = {
#define FIELD(name, rule, meaning, remedy) {#name, meaning, remedy, offsetof(struct loom_build_block, name), rule}
        FIELD(abi_major, SAME, "plugin interface", "rebuild it against the headers of this neuroloom"),
        FIELD(abi_minor, GROWS, "plugin interface", "rebuild it against the headers of this neuroloom"),
        FIELD(real_size, SAME, "bytes of a number: 4 is single precision, 8 is a build with --enable-double",
              "rebuild it with the flags of `pkg-config --cflags loom` of this neuroloom"),
        FIELD(max_rank, SAME, "axes of a tensor", "rebuild it against the headers of this neuroloom"),
        FIELD(option_size, SAME, "bytes of struct loom_option", "rebuild it against the headers of this neuroloom"),
        FIELD(window_size, GROWS, "bytes of struct loom_window", "rebuild it against the headers of this neuroloom"),
        FIELD(rows_size, GROWS, "bytes of struct loom_rows", "rebuild it against the headers of this neuroloom"),
        FIELD(traits_size, GROWS, "bytes of struct loom_traits", "rebuild it against the headers of this neuroloom"),
#undef FIELD
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        uint32_t a, b;
        memcpy(&a, (const char *)theirs + fields[i].offset, sizeof a);
        memcpy(&b, (const char *)ours + fields[i].offset, sizeof b);
        if (!fits(a, b, fields[i].rule, ours->abi_major))
            return loom_fail(e, LOOM_EPLUGIN, file, 0,
                             "plugin was built with %s = %u, this neuroloom %s has %s = %u (%s); %s", fields[i].name, a,
                             loom_version(), fields[i].name, b, fields[i].meaning, fields[i].remedy);
    }
    return LOOM_OK;
}

static int check_id(const struct loom_plugin *p, const char *file, const char *stem, struct loom_error *e)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz", others[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    if (p->id == NULL || p->id[0] == '\0' || strchr(letters, p->id[0]) == NULL || p->id[strspn(p->id, others)] != '\0')
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "plugin id \"%s\" must be a small letter followed by small letters, digits, '_' or '-'",
                         p->id != NULL ? p->id : "(none)");
    if (stem != NULL && strcmp(p->id, stem) != 0)
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "file holds plugin \"%s\"; name the file %s.so, or the plugin \"%s\"", p->id, p->id, stem);
    return LOOM_OK;
}

static int check_words(const struct loom_plugin *p, const char *file, struct loom_error *e)
{
    const struct {
        const char *what, *text;
    } words[] = {{"version", p->version}, {"summary", p->summary}, {"license", p->license}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].text == NULL || words[i].text[0] == '\0')
            return loom_fail(e, LOOM_EPLUGIN, file, 0, "plugin \"%s\" has no %s; set .%s in its descriptor", p->id,
                             words[i].what, words[i].what);
    if (loom_kind_name(p->kind) == NULL)
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "plugin \"%s\" has kind %u, which is none of enum loom_kind; set .kind in its descriptor",
                         p->id, p->kind);
    if (p->table == NULL)
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "plugin \"%s\" has no table of functions; set .table in its descriptor", p->id);
    return LOOM_OK;
}

/* Size of the table of a kind, and the functions that it cannot do without. */
static int check_table(const struct loom_loaded *l, const char *file, struct loom_error *e)
{
    uint32_t kind = l->plugin.kind;
    const struct loom_part *part = &l->table.part;
    const struct {
        uint32_t kind;
        const char *name;
        int there;
    } musts[] = {
        {0, "part.create", part->create != NULL},
        {0, "part.describe", kind == LOOM_SOURCE || part->describe != NULL},
        {LOOM_SOURCE, "read", l->table.source.read != NULL},
        {LOOM_TOKENIZER, "tokenize", l->table.tokenizer.tokenize != NULL},
        {LOOM_TOKENIZER, "embed", l->table.tokenizer.embed != NULL},
        {LOOM_BACKBONE, "encode", l->table.backbone.encode != NULL},
        {LOOM_BACKBONE, "answer", l->table.backbone.answer != NULL},
        {LOOM_BASELINE, "encode", l->table.backbone.encode != NULL},
        {LOOM_BASELINE, "answer", l->table.backbone.answer != NULL},
        {LOOM_OBJECTIVE, "plan", l->table.objective.plan != NULL},
        {LOOM_OBJECTIVE, "build", l->table.objective.build != NULL},
    };
    for (size_t i = 0; i < sizeof musts / sizeof *musts; i++)
        if ((musts[i].kind == 0 || musts[i].kind == kind) && !musts[i].there)
            return loom_fail(e, LOOM_EPLUGIN, file, 0,
                             "%s \"%s\" lacks the function %s; set it in its table (see <loom/plugin.h>)",
                             loom_kind_name(kind), l->plugin.id, musts[i].name);
    return LOOM_OK;
}

static int copy_table(struct loom_loaded *l, const char *file, struct loom_error *e)
{
    static const size_t ours[KINDS] = {[LOOM_SOURCE] = sizeof(struct loom_source),
                                       [LOOM_TOKENIZER] = sizeof(struct loom_tokenizer),
                                       [LOOM_BACKBONE] = sizeof(struct loom_backbone),
                                       [LOOM_OBJECTIVE] = sizeof(struct loom_objective),
                                       [LOOM_BASELINE] = sizeof(struct loom_backbone)};
    size_t size = ours[l->plugin.kind];
    uint32_t theirs;
    memcpy(&theirs, l->plugin.table, sizeof theirs);
    if (theirs < sizeof(struct loom_part))
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "the table of %s \"%s\" says that it is %u bytes long, and must have %zu at least; "
                         "set .part.size to sizeof the whole table",
                         loom_kind_name(l->plugin.kind), l->plugin.id, theirs, sizeof(struct loom_part));
    memcpy(&l->table, l->plugin.table, theirs < size ? theirs : size);
    l->table.part.size = (uint32_t)size;
    l->plugin.table = &l->table;
    return check_table(l, file, e);
}

static int check_ops(const struct loom_plugin *p, const char *file, struct loom_error *e)
{
    for (const struct loom_op *const *op = p->ops; op != NULL && *op != NULL; op++) {
        if ((*op)->size < sizeof(struct loom_op) || (*op)->name == NULL)
            return loom_fail(
                e, LOOM_EPLUGIN, file, 0,
                "op %zu of plugin \"%s\" has no name or a size below %zu; set .size = sizeof(struct loom_op)"
                " and .name",
                (size_t)(op - p->ops), p->id, sizeof(struct loom_op));
        if ((*op)->infer == NULL || ((*op)->forward == NULL && (*op)->forward_part == NULL))
            return loom_fail(e, LOOM_EPLUGIN, file, 0,
                             "op \"%s\" of plugin \"%s\" lacks infer or forward; set both (forward_part will do)",
                             (*op)->name, p->id);
    }
    return LOOM_OK;
}

static int check_options(const struct loom_plugin *p, const char *file, struct loom_error *e)
{
    struct loom_error inner = {0};
    int rc = p->options != NULL ? loom_options_check(p->options, &inner) : LOOM_OK;
    if (rc == LOOM_OK)
        return LOOM_OK;
    return loom_fail(e, LOOM_EPLUGIN, file, 0, "plugin \"%s\": %s", p->id, inner.message);
}

int loom_plugin_check(const struct loom_plugin *p, const char *file, const char *stem, struct loom_loaded *out,
                      struct loom_error *e)
{
    return loom_plugin_check_for(NULL, p, file, stem, out, e);
}

int loom_plugin_check_for(const struct loom_build_block *host, const struct loom_plugin *p, const char *file,
                          const char *stem, struct loom_loaded *out, struct loom_error *e)
{
    static const struct loom_build_block ours = LOOM_BUILD_BLOCK;
    int rc;
    if (p->size < offsetof(struct loom_plugin, id))
        return loom_fail(
            e, LOOM_EPLUGIN, file, 0,
            "the plugin's descriptor says that it is %u bytes long; set .size = sizeof(struct loom_plugin)", p->size);
    if ((rc = check_build(&p->build, host != NULL ? host : &ours, file, e)) != LOOM_OK)
        return rc;
    if (p->size < offsetof(struct loom_plugin, ops))
        return loom_fail(e, LOOM_EPLUGIN, file, 0,
                         "the plugin's descriptor says that it is %u bytes long, and must have %zu at least; "
                         "set .size = sizeof(struct loom_plugin)",
                         p->size, offsetof(struct loom_plugin, ops));
    memset(out, 0, sizeof *out);
    memcpy(&out->plugin, p, p->size < sizeof out->plugin ? p->size : sizeof out->plugin);
    out->plugin.size = sizeof out->plugin;
    if ((rc = check_id(&out->plugin, file, stem, e)) != LOOM_OK || (rc = check_words(&out->plugin, file, e)) != LOOM_OK)
        return rc;
    if ((rc = copy_table(out, file, e)) != LOOM_OK || (rc = check_options(&out->plugin, file, e)) != LOOM_OK)
        return rc;
    return check_ops(&out->plugin, file, e);
}
