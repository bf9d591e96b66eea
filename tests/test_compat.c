/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin that was built against an older header (tests/compat) at work in a later host: it learns as it did. That one
 * is refused while the major number is 0, and newer ones always, is test_plugin's. */
#include "model/internal.h"
#include "train/optimizer.h"
#include "train/step.h"

#include <loom/config.h>

#include <math.h>
#include <stdio.h>

#include "fake.h"
#include "suite.h"

enum { WINDOWS = 8, STEPS = 30 };

static struct loom_error e;

static void loads_only_in_later_hosts(struct loom_registry *registry, const char *file)
{
    static const struct loom_build_block today = LOOM_BUILD_BLOCK;
    struct loom_build_block later = today;
    const struct loom_plugin *p;
    later.abi_major = 1;
    later.abi_minor = 3;
    loom_registry_host(registry, &later);
    ck_ok(loom_registry_find(registry, LOOM_TOKENIZER, file, &p, &e), &e);
    loom_registry_host(registry, NULL);
    const struct loom_tokenizer *t = p->table;
    ck_assert_uint_eq(t->part.size, sizeof *t);
    ck_assert(t->embed && !t->truth && !t->render);
}

static struct loom_model *model_of(struct loom_registry *registry, struct loom_catalog *catalog,
                                   struct loom_config **config, const char *file)
{
    char pipeline[8192];
    struct loom_model *model;
    snprintf(pipeline, sizeof pipeline,
             "tokenizer: { plugin = \"%s\"; };"
             "backbone: { plugin = \"vit\"; width = 16; depth = 1; heads = 2; decoder_depth = 1; dropout = 0.0; };"
             "objectives: ( { plugin = \"mae\"; hide = 0.5; } );",
             file);
    ck_ok(loom_config_parse(config, pipeline, "test.cfg", 0, NULL, &e), &e);
    const struct loom_model_spec spec = {.registry = registry,
                                         .catalog = catalog,
                                         .root = loom_config_root(*config),
                                         .stage = loom_config_root(*config),
                                         .seed = 5};
    ck_ok(loom_model_new(&model, &spec, &e), &e);
    return model;
}

/* Loss of the first and of the last of some steps on the same windows. */
static void learn(struct loom_model *model, const struct loom_windows *windows, double *first, double *last)
{
    const struct loom_optimizer_spec spec = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip = 1};
    struct loom_step_result result;
    struct loom_stepper *stepper;
    struct loom_optimizer o;
    struct loom_pool *pool;
    double norm;
    ck_ok(loom_pool_new(&pool, 2, &e), &e);
    ck_ok(loom_stepper_new(&stepper, model, pool, 2, 64 << 20, &e), &e);
    ck_ok(loom_optimizer_init(&o, loom_model_store(model), &spec, &e), &e);
    for (int t = 0; t < STEPS; t++) {
        ck_ok(loom_stepper_run(stepper, windows->sample, WINDOWS, 1, LOOM_STEP, 0, &result, &e), &e);
        ck_ok(loom_optimizer_step(&o, result.root->grad, 1, 0.02, pool, &norm, &e), &e);
        *(t == 0 ? first : last) = result.loss;
    }
    loom_optimizer_release(&o);
    loom_stepper_free(stepper);
    loom_pool_free(pool);
}

START_TEST(an_older_plugin_learns_in_a_later_host)
{
    const char *build = getenv("top_builddir");
    char relative[1024], file[4096];
    struct fake *fake = fake_new(4, 0, 0.05);
    const struct loom_recording *all[] = {&fake->r};
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *catalog;
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_selection selection;
    struct loom_windows windows;
    double first = 0, last = 0;
    snprintf(relative, sizeof relative, "%s/tests/compat/.libs/older_1.so", build ? build : ".");
    ck_assert_ptr_nonnull(realpath(relative, file));
    spec.bin_s = 0.05;
    spec.window_s = 0.5;
    ck_ok(loom_catalog_new(&catalog, all, 1, &spec, &e), &e);
    ck_ok(loom_registry_new(&registry, NULL, &e), &e);
    loads_only_in_later_hosts(registry, file);
    struct loom_model *model = model_of(registry, catalog, &config, file);
    ck_ok(loom_selection_init(&selection, catalog, LOOM_TRAIN, (struct loom_words){0, NULL}, &e), &e);
    ck_ok(loom_windows_init(&windows, &selection, &(struct loom_tiling){0}, &e), &e);
    learn(model, &windows, &first, &last);
    ck_assert_msg(last < first - 0.1 * fabs(first), "loss %g at first, %g after %d steps", first, last, STEPS);
    loom_windows_release(&windows);
    loom_selection_release(&selection);
    loom_model_free(model);
    loom_config_free(config);
    loom_registry_free(registry);
    loom_catalog_free(catalog);
    free(fake);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {an_older_plugin_learns_in_a_later_host};
    return run_suite("compat", 1, tests, 60);
}
