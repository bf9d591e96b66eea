/* SPDX-License-Identifier: Apache-2.0 */
#include "train/pipeline.h"

#include "tensor/kernels/numerics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct loom_option loom_root_options[] = {
    {"name", LOOM_OPT_STRING, 0, "run", NULL, NULL, "what run folders and reports are called"},
    {"seed", LOOM_OPT_INT, 0, "1", "[0,inf)", NULL, "of initial weights, data order, masks, dropout and noise"},
    {"seeds", LOOM_OPT_REALS, 0, "", "[0,inf)", NULL,
     "run the whole pipeline once for each of these seeds, in folders seed-N, and report means and intervals over "
     "them"},
    {"events", LOOM_OPT_BOOL, 0, "false", NULL, NULL,
     "write losses, their terms, rates and metrics as TensorBoard reads them too: events.out.tfevents.loom"},
    {"threads", LOOM_OPT_INT, 0, "0", "[0,1024]", NULL,
     "workers; 0 = one for each processor; results do not depend on it"},
    {"shards", LOOM_OPT_INT, 0, "8", "[1,1024]", NULL,
     "parts that every batch is cut into: results depend on it, workers take whole shards"},
    {"shard_mib", LOOM_OPT_INT, 0, "4096", "[16,1048576]", "MiB",
     "address space of each of a shard's two arenas; memory is used as it is needed"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};

const struct loom_option loom_stage_options[] = {
    {"name", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, NULL, NULL, NULL,
     "what other stages, metrics and checkpoints call it"},
    {"from", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "stage whose weights it starts from, matched by name; an evaluation without it takes the last trained stage"},
    {"take", LOOM_OPT_STRING, 0, "best", "best|last", NULL, "which weights of that stage: best by validation, or last"},
    {"steps", LOOM_OPT_INT, 0, "1000", "[0,inf)", "steps", "optimizer steps"},
    {"epochs", LOOM_OPT_REAL, 0, "0", "[0,inf)", "epochs", "if given, instead of steps: passes over the training data"},
    {"batch", LOOM_OPT_INT, 0, "64", "[1,1000000]", "windows", "windows (tuples of windows) a batch"},
    {"accumulate", LOOM_OPT_INT, 0, "1", "[1,65536]", "batches", "batches whose mean gradient makes one step"},
    {"recordings", LOOM_OPT_STRINGS, 0, "", NULL, NULL, "patterns of the recordings it sees; none = all"},
    {"partner_s", LOOM_OPT_REAL, 0, "1.0", "(0,inf)", "s", "objectives on pairs: how far apart windows of a tuple lie"},
    {"fit", LOOM_OPT_STRING, 0, "auto", "auto|always|never", NULL,
     "fitting passes before step 0 (normalisers, codebooks); auto = unless every fitted value came with `from`"},
    {"fit_passes", LOOM_OPT_INT, 0, "200", "[1,100000]", "passes", "most fitting passes"},
    {"valid_every", LOOM_OPT_INT, 0, "0", "[0,inf)", "steps", "steps between validations; 0 = a twentieth of all"},
    {"valid_windows", LOOM_OPT_INT, 0, "256", "[0,inf)", "windows",
     "windows a validation looks at, evenly spread; 0 = all"},
    {"monitor", LOOM_OPT_STRING, 0, "loss", NULL, NULL,
     "what chooses the best weights and stops early on the validation split: loss, or a metric such as r2"},
    {"patience", LOOM_OPT_INT, 0, "0", "[0,inf)", "validations",
     "stop after so many without a better value; 0 = never"},
    {"checkpoint_every", LOOM_OPT_INT, 0, "500", "[0,inf)", "steps", "steps between checkpoints; 0 = at the end alone"},
    {"log_every", LOOM_OPT_INT, 0, "10", "[1,inf)", "steps", "steps between lines of log.jsonl"},
    {"freeze", LOOM_OPT_STRINGS, 0, "", NULL, NULL, "patterns of parameters that stay as they are (\"backbone.*\")"},
    {"unfreeze_after", LOOM_OPT_INT, 0, "-1", "[-1,inf)", "steps",
     "after so many steps what `freeze` froze is trained too (gradual unfreezing); -1 = never"},
    {"shadow", LOOM_OPT_REAL, 0, "0", "[0,1)", NULL,
     "decay of a moving average of the weights, which objectives may encode through; 0 = keep none"},
    {"numerics", LOOM_OPT_STRING, 0, "exact", "exact|fast", NULL,
     "exact: results do not depend on threads, batch or place; fast: products as the machine makes them fastest"},
    {"precision", LOOM_OPT_STRING, 0, "float32", "float32|bf16", NULL,
     "of what products multiply; bf16 needs numerics = \"fast\" and a processor that has it; sums, weights, moments "
     "and "
     "losses stay float32"},
    {"metrics", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "makes the stage an evaluation: what to compute of its predictions"},
    {"against", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "baselines fitted on the same training split and asked the same; options of one stand in baselines: { NAME: { … } "
     "}"},
    {"splits", LOOM_OPT_STRINGS, 0, "test", "train|valid|test", NULL, "splits to evaluate on"},
    {"truth", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "series of the true rates of all units, in Hz: what they score stands beside validations and metrics of spikes "
     "(simulation: \"rates\", with data.truth = true)"},
    {"draws", LOOM_OPT_INT, 0, "1", "[1,10000]", "passes", "evaluation: passes with other random draws, averaged"},
    {"bootstrap", LOOM_OPT_INT, 0, "1000", "[0,1000000]", "resamples",
     "evaluation: for the 95 % interval of each metric, over trials, or over stretches of stretch_s where there are "
     "none; nothing is fitted again; 0 = no interval"},
    {"shuffles", LOOM_OPT_INT, 0, "100", "[0,1000000]", "shuffles",
     "evaluation: how often each metric of the model is computed on targets of other trials, or shifted around in time "
     "where there are none; 0 = never"},
    {"stretch_s", LOOM_OPT_REAL, 0, "5", "(0,inf)", "s",
     "evaluation: what bootstrap draws where recordings have no trials: longer than what is measured takes to change"},
    {"predictions", LOOM_OPT_BOOL, 0, "true", NULL, NULL, "evaluation: write predictions.h5"},
    {"latents", LOOM_OPT_INT, 0, "4096", "[0,inf)", NULL,
     "evaluation: points in time whose latents predictions.h5 keeps of each modality, in windows drawn at random"},
    {"condition", LOOM_OPT_STRING, 0, "auto", NULL, NULL,
     "evaluation: column of the trials' table that sorts trials for psth_r2 and in the report's figures; auto = a "
     "usual one (condition, target, …) that all recordings have; \"\" = none"},
    {"behavior", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "evaluation: series of the recordings that vel_r2 reads from rates (\"handVel\")"},
    {"behavior_lag_ms", LOOM_OPT_REAL, 0, "0", "[-1000,1000]", "ms",
     "evaluation: rates at time t tell of that behaviour at t + behavior_lag_ms"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};
static const char *const stage_reserved[] = {"objectives", "optimizer", "lr_scale", "lora", "baselines", NULL};

/* What both optimizers have, each with defaults of its own. */
#define OPTIMIZER_OPTIONS(kind, lr, betas, eps, decay, clip, schedule, floor, low)                                       \
    {"kind", LOOM_OPT_STRING, 0, kind, "adamw|sparse_lamb", NULL, "which rule; defaults of the other keys go by it"},    \
        {"lr", LOOM_OPT_REAL, 0, lr, "[0,inf)", NULL, "highest learning rate"},                                          \
        {"betas", LOOM_OPT_REALS, 0, betas, "[0,1)", NULL, "decay of the gradient's mean and of its square's"},          \
        {"eps", LOOM_OPT_REAL, 0, eps, "(0,1]", NULL, "added to the root of the mean square"},                           \
        {"weight_decay",                                                                                                 \
         LOOM_OPT_REAL,                                                                                                  \
         0,                                                                                                              \
         decay,                                                                                                          \
         "[0,inf)",                                                                                                      \
         NULL,                                                                                                           \
         "decay of weights, times the learning rate: of matrices alone (adamw), or of all, inside the trust ratio"},     \
        {"clip", LOOM_OPT_REAL, 0, clip, "[0,inf)", NULL, "largest norm of the whole gradient; 0 = no clipping"},        \
        {"schedule",                                                                                                     \
         LOOM_OPT_STRING,                                                                                                \
         0,                                                                                                              \
         schedule,                                                                                                       \
         "cosine|constant|plateau|hold",                                                                                 \
         NULL,                                                                                                           \
         "law of the learning rate after warm-up"},                                                                      \
        {"warmup", LOOM_OPT_INT, 0, "0", "[0,inf)", "steps", "linear warm-up"},                                          \
        {"warmup_start", LOOM_OPT_REAL, 0, "0.1", "[0,1]", NULL, "share of lr that warm-up begins with"},                \
        {"floor", LOOM_OPT_REAL, 0, floor, "[0,1]", NULL, "share of lr that the schedule never goes below"},             \
        {"factor", LOOM_OPT_REAL, 0, "0.5", "(0,1)", NULL, "plateau: lr is multiplied by it"},                           \
        {"plateau_patience", LOOM_OPT_INT, 0, "5", "[1,inf)", "validations", "plateau: so many without a better value"}, \
        {"hold",                                                                                                         \
         LOOM_OPT_REAL,                                                                                                  \
         0,                                                                                                              \
         "0.5",                                                                                                          \
         "[0,1]",                                                                                                        \
         NULL,                                                                                                           \
         "hold: share of all steps at lr, before a cosine to the floor"},                                                \
        {"beta_low",                                                                                                     \
         LOOM_OPT_REAL,                                                                                                  \
         0,                                                                                                              \
         low,                                                                                                            \
         "[0,1)",                                                                                                        \
         NULL,                                                                                                           \
         "if not 0: the first of betas falls to it over the share hold of all steps, and returns over the rest"},        \
    {                                                                                                                    \
        NULL, 0, 0, NULL, NULL, NULL, NULL                                                                               \
    }

const struct loom_option loom_optimizer_options[] = {
    OPTIMIZER_OPTIONS("adamw", "0.0005", "0.9, 0.999", "1e-8", "0.01", "1.0", "cosine", "0.01", "0")};
/* POYO's recipe: 3.125e-5 times its batch of 128 windows. */
const struct loom_option loom_sparse_lamb_options[] = {
    OPTIMIZER_OPTIONS("sparse_lamb", "0.004", "0.95, 0.999", "1e-6", "1e-4", "0", "hold", "1e-4", "0.85")};

const struct loom_option loom_lr_scale_options[] = {
    {"match", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, NULL, NULL, NULL, "pattern of names of parameters (\"head.*\")"},
    {"scale", LOOM_OPT_REAL, LOOM_OPT_REQUIRED, NULL, "[0,inf)", NULL, "multiplies their learning rate"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};

const struct loom_option loom_lora_options[] = {
    {"rank", LOOM_OPT_INT, 0, "8", "[1,4096]", NULL, "of the factors"},
    {"alpha", LOOM_OPT_REAL, 0, "16.0", "(0,inf)", NULL, "their product is multiplied by alpha / rank"},
    {"match", LOOM_OPT_STRINGS, LOOM_OPT_REQUIRED, NULL, NULL, NULL,
     "patterns of names of linear layers' weights (\"backbone.*.attention.*\"), which are frozen"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};

const struct loom_option loom_compare_options[] = {
    {"a", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, NULL, NULL, NULL, "evaluation stage whose metric is compared"},
    {"b", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, NULL, NULL, NULL,
     "evaluation stage it is compared with, or a baseline of a"},
    {"metric", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, NULL, NULL, NULL, "metric of both"},
    {"split", LOOM_OPT_STRING, 0, "test", "train|valid|test", NULL, "split of both"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};

static const char *const root_reserved[] = {"data", "tokenizer", "modalities", "backbone", "stages", "compare", NULL};

int loom_pipeline_stage(const struct loom_pipeline *p, const char *name)
{
    for (int i = 0; i < p->stages; i++)
        if (strcmp(p->stage[i].name, name) == 0)
            return i;
    return -1;
}

int loom_pipeline_is_name(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n < LOOM_STAGE_NAME && text[n] == '\0';
}

static int link_stage(struct loom_pipeline *p, struct loom_stage *s, struct loom_error *e)
{
    const char *from = loom_opt_string(s->options, "from");
    s->from = -1;
    if (*from) {
        for (int i = 0; i < s->index; i++)
            if (strcmp(p->stage[i].name, from) == 0)
                s->from = i;
        if (s->from < 0)
            return loom_opt_fail(s->options, "from", e,
                                 "no stage before '%s' is called '%s': name one that stands before it", s->name, from);
        if (p->stage[s->from].evaluates)
            return loom_opt_fail(s->options, "from", e,
                                 "stage '%s' evaluates and has no weights of its own: name a trained stage", from);
    }
    for (int i = s->index - 1; s->evaluates && s->from < 0 && i >= 0; i--)
        if (!p->stage[i].evaluates)
            s->from = i;
    if (s->evaluates && s->from < 0)
        return loom_opt_fail(s->options, "from", e,
                             "stage '%s' has nothing to evaluate: put a training stage before it", s->name);
    s->asks = loom_group_list_count(s->group, "objectives") > 0 ? s->index : s->from;
    if (s->asks < 0 || (!s->evaluates && s->asks != s->index))
        return loom_group_fail(
            s->group, "objectives", e, LOOM_ECONFIG,
            "stage '%s' has neither objectives nor metrics: give it objectives to train, or metrics to evaluate",
            s->name);
    return LOOM_OK;
}

static int read_lists(struct loom_stage *s, struct loom_error *e)
{
    size_t n = loom_group_list_count(s->group, "lr_scale");
    int code = LOOM_OK;
    if (s->evaluates && (n || loom_group_has(s->group, "optimizer")))
        return loom_group_fail(s->group, "optimizer", e, LOOM_ECONFIG,
                               "stage '%s' has metrics, so it evaluates and trains nothing: make two stages of it",
                               s->name);
    s->lr_scale = calloc(n + 1, sizeof *s->lr_scale);
    if (!s->lr_scale)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for stage '%s': free some", s->name);
    for (size_t i = 0; i < n && code == LOOM_OK; i++) {
        code = loom_options_parse(&s->lr_scale[i], loom_lr_scale_options, loom_group_list(s->group, "lr_scale", i),
                                  "lr_scale", NULL, e);
        s->lr_scales += code == LOOM_OK;
    }
    return code;
}

static int read_optimizer(struct loom_stage *s, const struct loom_group *g, struct loom_error *e)
{
    const char *kind = loom_group_text(g, "kind");
    const int lamb = kind && strcmp(kind, "sparse_lamb") == 0;
    return loom_options_parse(&s->optimizer, lamb ? loom_sparse_lamb_options : loom_optimizer_options, g, "optimizer",
                              NULL, e);
}

/* Factors are the stage's own, or come along with the weights it starts from. */
static int read_lora(struct loom_pipeline *p, struct loom_stage *s, struct loom_error *e)
{
    const struct loom_group *g = loom_group_child(s->group, "lora");
    if (s->from >= 0)
        s->lora = p->stage[s->from].lora;
    if (!g)
        return LOOM_OK;
    if (s->evaluates || s->lora.rank > 0)
        return loom_group_fail(s->group, "lora", e, LOOM_ECONFIG,
                               s->evaluates ? "stage '%s' evaluates: lora belongs to the stage that trains"
                                            : "the weights that stage '%s' starts from are adapted already, and go on "
                                              "being so: leave lora out here",
                               s->name);
    int code = loom_options_parse(&s->lora_options, loom_lora_options, g, "lora", NULL, e);
    if (code == LOOM_OK && loom_opt_count(s->lora_options, "match") > LOOM_LORA_MATCHES)
        code = loom_opt_fail(s->lora_options, "match", e, "at most %d patterns", LOOM_LORA_MATCHES);
    if (code == LOOM_OK)
        s->lora = (struct loom_lora){
            .rank = (int32_t)loom_opt_int(s->lora_options, "rank"),
            .alpha = loom_opt_real(s->lora_options, "alpha"),
            .match = loom_option_words(s->lora_options, "match", s->lora_word, LOOM_LORA_MATCHES),
        };
    return code;
}

static int read_stage(struct loom_pipeline *p, int i, struct loom_error *e)
{
    struct loom_stage *s = &p->stage[i];
    const struct loom_group *g = loom_group_list(p->root, "stages", (size_t)i);
    if (!g)
        return loom_group_fail(p->root, "stages", e, LOOM_ECONFIG,
                               "element %d of stages is no group: write ( { name = …; } )", i);
    s->index = i;
    s->group = g;
    int code = loom_options_parse(&s->options, loom_stage_options, g, "stages", stage_reserved, e);
    if (code != LOOM_OK)
        return code;
    p->stages = i + 1;
    s->name = loom_opt_string(s->options, "name");
    if (!loom_pipeline_is_name(s->name))
        return loom_opt_fail(s->options, "name", e,
                             "'%s' cannot be a folder's name: use letters, digits, - and _, %d at most", s->name,
                             LOOM_STAGE_NAME - 1);
    if (loom_pipeline_stage(p, s->name) != i)
        return loom_opt_fail(s->options, "name", e, "two stages are called '%s': rename one", s->name);
    s->evaluates = loom_opt_count(s->options, "metrics") > 0;
    code = link_stage(p, s, e);
    if (code == LOOM_OK)
        code = read_lists(s, e);
    if (code == LOOM_OK)
        code = read_lora(p, s, e);
    if (code != LOOM_OK || s->evaluates)
        return code;
    code = read_optimizer(s, loom_group_ensure(g, "optimizer"), e);
    if (code == LOOM_OK && loom_opt_count(s->optimizer, "betas") != 2)
        code = loom_opt_fail(s->optimizer, "betas", e, "betas are two numbers: write ( 0.9, 0.999 )");
    return code;
}

static int read_compares(struct loom_pipeline *p, struct loom_error *e)
{
    size_t n = loom_group_list_count(p->root, "compare");
    p->compare = calloc(n + 1, sizeof *p->compare);
    if (!p->compare)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for comparisons: free some");
    for (size_t i = 0; i < n; i++) {
        struct loom_options *o;
        int code =
            loom_options_parse(&o, loom_compare_options, loom_group_list(p->root, "compare", i), "compare", NULL, e);
        if (code != LOOM_OK)
            return code;
        p->compare[p->compares++] = o;
        int a = loom_pipeline_stage(p, loom_opt_string(o, "a"));
        if (a < 0 || !p->stage[a].evaluates)
            return loom_opt_fail(o, "a", e, "'%s' is no stage with metrics: name one", loom_opt_string(o, "a"));
    }
    return LOOM_OK;
}

int loom_pipeline_init(struct loom_pipeline *p, struct loom_config *config, struct loom_error *e)
{
    *p = (struct loom_pipeline){.config = config, .root = loom_config_root(config)};
    size_t stages = loom_group_list_count(p->root, "stages");
    if (loom_group_has(p->root, "axes"))
        return loom_group_fail(p->root, "axes", e, LOOM_ECONFIG,
                               "this is the file of an ablation: loom ablate runs it");
    int code = loom_options_parse(&p->options, loom_root_options, p->root, "pipeline", root_reserved, e);
    if (code == LOOM_OK && (stages == 0 || stages > LOOM_STAGES))
        code = loom_group_fail(p->root, "stages", e, LOOM_ECONFIG,
                               "a pipeline has 1 to %d stages, this one %zu: write stages: ( { name = …; } );",
                               LOOM_STAGES, stages);
    if (code == LOOM_OK) {
        p->name = loom_opt_string(p->options, "name");
        p->seed = (uint64_t)loom_opt_int(p->options, "seed");
        p->shards = (int)loom_opt_int(p->options, "shards");
        p->arena = (size_t)loom_opt_int(p->options, "shard_mib") << 20;
        if (!loom_pipeline_is_name(p->name))
            code = loom_opt_fail(p->options, "name", e, "'%s' cannot be a folder's name: use letters, digits, - and _",
                                 p->name);
    }
    for (size_t i = 0; i < stages && code == LOOM_OK; i++)
        code = read_stage(p, (int)i, e);
    if (code == LOOM_OK)
        code = read_compares(p, e);
    if (code != LOOM_OK)
        loom_pipeline_release(p);
    return code;
}

void loom_pipeline_release(struct loom_pipeline *p)
{
    for (int i = 0; i < LOOM_STAGES; i++) {
        struct loom_stage *s = &p->stage[i];
        for (int k = 0; k < s->lr_scales; k++)
            loom_options_free(s->lr_scale[k]);
        free(s->lr_scale);
        loom_options_free(s->options);
        loom_options_free(s->optimizer);
        loom_options_free(s->lora_options);
    }
    for (int i = 0; i < p->compares; i++)
        loom_options_free(p->compare[i]);
    free(p->compare);
    loom_options_free(p->options);
    *p = (struct loom_pipeline){0};
}

struct loom_optimizer_spec loom_stage_optimizer(const struct loom_stage *s)
{
    return (struct loom_optimizer_spec){
        .kind = loom_opt_is(s->optimizer, "kind", "sparse_lamb") ? LOOM_SPARSE_LAMB : LOOM_ADAMW,
        .beta1 = loom_opt_real_at(s->optimizer, "betas", 0),
        .beta2 = loom_opt_real_at(s->optimizer, "betas", 1),
        .eps = loom_opt_real(s->optimizer, "eps"),
        .weight_decay = loom_opt_real(s->optimizer, "weight_decay"),
        .clip = loom_opt_real(s->optimizer, "clip"),
        .shadow_decay = loom_opt_real(s->options, "shadow"),
    };
}

struct loom_schedule_spec loom_stage_schedule(const struct loom_stage *s, int64_t steps)
{
    const struct loom_options *o = s->optimizer;
    return (struct loom_schedule_spec){
        .kind = loom_opt_is(o, "schedule", "cosine")    ? LOOM_SCHEDULE_COSINE
                : loom_opt_is(o, "schedule", "plateau") ? LOOM_SCHEDULE_PLATEAU
                : loom_opt_is(o, "schedule", "hold")    ? LOOM_SCHEDULE_HOLD
                                                        : LOOM_SCHEDULE_CONSTANT,
        .lr = loom_opt_real(o, "lr"),
        .floor = loom_opt_real(o, "floor"),
        .start = loom_opt_real(o, "warmup_start"),
        .warmup = loom_opt_int(o, "warmup"),
        .steps = steps,
        .factor = loom_opt_real(o, "factor"),
        .patience = (int)loom_opt_int(o, "plateau_patience"),
        .hold = loom_opt_real(o, "hold"),
        .beta1 = loom_opt_real_at(o, "betas", 0),
        .beta1_low = loom_opt_real(o, "beta_low"),
    };
}

/* The parameter that shares the longest beginning with a pattern that matched none. */
static const char *nearest_parameter(const struct loom_store *store, const char *pattern)
{
    const char *best = "none";
    size_t longest = 0;
    for (int i = 0; i < store->count; i++) {
        size_t n = 0;
        while (pattern[n] && pattern[n] == store->entry[i].name[n])
            n++;
        if (store->entry[i].lifetime == LOOM_LIFE_PARAM && (n > longest || longest == 0)) {
            best = store->entry[i].name;
            longest = n;
        }
    }
    return best;
}

static int no_match(const struct loom_options *o, const char *option, const char *pattern,
                    const struct loom_store *store, struct loom_error *e)
{
    return loom_opt_fail(o, option, e, "'%s' matches no parameter; a near one is '%s' (loom check lists all)", pattern,
                         nearest_parameter(store, pattern));
}

/* Weights with factors stay as they are. */
static int freeze_adapted(const struct loom_stage *s, struct loom_store *store, struct loom_error *e)
{
    char factor[1024];
    for (int32_t i = 0; i < s->lora.match.n; i++) {
        int matched = 0;
        for (int k = 0; k < store->count; k++) {
            struct loom_entry *n = &store->entry[k];
            if (n->lifetime != LOOM_LIFE_PARAM || !loom_name_match(s->lora.match.word[i], n->name))
                continue;
            snprintf(factor, sizeof factor, "lora.%s.a", n->name);
            if (!loom_store_find(store, LOOM_LIFE_PARAM, factor))
                continue;
            n->lr_scale = 0;
            matched++;
        }
        if (matched == 0 && s->lora_options)
            return loom_opt_fail(s->lora_options, "match", e,
                                 "'%s' matches no weight of a linear layer; a near name is '%s' (loom check lists all)",
                                 s->lora.match.word[i], nearest_parameter(store, s->lora.match.word[i]));
    }
    return LOOM_OK;
}

int loom_stage_scale(const struct loom_stage *s, struct loom_store *store, int thawed, struct loom_error *e)
{
    for (int i = 0; i < store->count; i++)
        store->entry[i].lr_scale = 1;
    for (size_t i = 0; !thawed && i < loom_opt_count(s->options, "freeze"); i++) {
        const char *pattern = loom_opt_string_at(s->options, "freeze", i);
        if (loom_store_scale(store, pattern, 0) == 0)
            return no_match(s->options, "freeze", pattern, store, e);
    }
    for (int i = 0; i < s->lr_scales; i++) {
        const char *pattern = loom_opt_string(s->lr_scale[i], "match");
        if (loom_store_scale(store, pattern, loom_opt_real(s->lr_scale[i], "scale")) == 0)
            return no_match(s->lr_scale[i], "match", pattern, store, e);
    }
    return freeze_adapted(s, store, e);
}

struct loom_words loom_option_words(const struct loom_options *o, const char *name, const char **word, size_t room)
{
    size_t n = loom_opt_count(o, name);
    if (n > room)
        n = room;
    for (size_t i = 0; i < n; i++)
        word[i] = loom_opt_string_at(o, name, i);
    return (struct loom_words){(int32_t)n, word};
}

int loom_stage_kernels(const struct loom_stage *s, const struct loom_kernels **out, struct loom_error *e)
{
    const int fast = strcmp(loom_opt_string(s->options, "numerics"), "fast") == 0;
    const int bf16 = strcmp(loom_opt_string(s->options, "precision"), "bf16") == 0;
    struct loom_error why = {0};
    const struct loom_kernels *exact = loom_kernels_default(e);
    if (!exact)
        return LOOM_ECONFIG;
    if (bf16 && !fast)
        return loom_opt_fail(s->options, "precision", e,
                             "bf16 rounds what is multiplied to 8 bits, which numerics = \"exact\" forbids: set "
                             "numerics = \"fast\" beside it, or precision = \"float32\"");
    *out = loom_kernels_numeric(exact,
                                bf16   ? LOOM_NUMERICS_BF16
                                : fast ? LOOM_NUMERICS_FAST
                                       : LOOM_NUMERICS_EXACT,
                                &why);
    return *out ? LOOM_OK : loom_opt_fail(s->options, "precision", e, "%s", why.message);
}
