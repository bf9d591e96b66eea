/* SPDX-License-Identifier: Apache-2.0 */
/* Every key of a pipeline file, from the tables that parse it. */
#include "base/str.h"
#include "data/catalog.h"
#include "train/pipeline.h"

#include <loom/config.h>
#include <loom/run.h>
#include <stdlib.h>

static const struct loom_key_group groups[] = {
    {"(root)", "The pipeline's own keys.", loom_root_options},
    {"data",
     "Which recordings, how they are cut into bins and windows; the options of the source stand in the same group.",
     loom_data_options},
    {"data.select[]", "Which rows of the table of trials are trials; several groups must all agree.",
     loom_select_options},
    {"data.split", "What is trained on, what is validated on, what is tested.", loom_split_options},
    {"stages[]", "One training or evaluation. A stage with `objectives` trains, one with `metrics` evaluates.",
     loom_stage_options},
    {"stages[].optimizer", "AdamW and its schedule.", loom_optimizer_options},
    {"stages[].optimizer, kind = \"sparse_lamb\"",
     "LAMB with rows of vocabularies apart, as POYO trains: the same keys, other defaults.", loom_sparse_lamb_options},
    {"stages[].lora", "Low-rank adaptation (LoRA): frozen weights plus a product of two thin matrices that train.",
     loom_lora_options},
    {"stages[].lr_scale[]", "Learning rates by the names of parameters.", loom_lr_scale_options},
    {"compare[]", "Evaluation stages compared over seeds, pair by pair.", loom_compare_options},
};

int loom_key_groups_describe(const struct loom_key_group *group, size_t n, char **out, struct loom_error *e)
{
    struct loom_str text = LOOM_STR_INIT;
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        char *table = NULL;
        int code = loom_options_describe(group[i].table, LOOM_DESCRIBE_MARKDOWN, &table, e);
        if (code != LOOM_OK) {
            loom_str_release(&text);
            return code;
        }
        loom_str_printf(&text, "%s### `%s`\n\n%s\n\n%s", i ? "\n" : "", group[i].path, group[i].says, table);
        free(table);
    }
    *out = loom_str_take(&text);
    return *out ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the list of keys: free some");
}

int loom_run_keys(char **out, struct loom_error *e)
{
    return loom_key_groups_describe(groups, sizeof groups / sizeof *groups, out, e);
}
