/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that outlives a process: all of it is the core's, so a checkpoint has everything. */
#include "conform/course.h"
#include "conform/families.h"

#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 3 };

static int open_world(struct loom_trial *t, struct loom_world *w)
{
    return loom_trial_load(t) == LOOM_OK && loom_world_open(w, t, NULL, 0) == LOOM_OK;
}

/* A model that is fitted and has taken the first steps. */
static int begin(struct loom_course *c, struct loom_world *w, struct loom_trial *t)
{
    int code = loom_course_open(c, w, t, 1, &t->e);
    if (code == LOOM_OK)
        code = loom_course_fit(c, &t->e);
    if (code == LOOM_OK)
        code = loom_course_steps(c, 0, STEPS, &t->e);
    return code;
}

static int roundtrip(struct loom_trial *t)
{
    struct loom_world w = {0};
    struct loom_course straight = {0}, resumed = {0};
    char path[320], text[256];
    const char *differ = NULL;
    int code = LOOM_OK;
    snprintf(path, sizeof path, "%s/three.safetensors", t->folder);
    if (!open_world(t, &w))
        return loom_trial_fail_error(t, "a model");
    code = begin(&straight, &w, t);
    if (code == LOOM_OK)
        code = loom_course_save(&straight, path, &t->e);
    if (code == LOOM_OK)
        code = loom_course_steps(&straight, STEPS, STEPS, &t->e);
    if (code == LOOM_OK)
        code = loom_course_open(&resumed, &w, t, 1, &t->e);
    if (code == LOOM_OK)
        code = loom_course_load(&resumed, path, &t->e);
    if (code == LOOM_OK)
        code = loom_course_steps(&resumed, STEPS, STEPS, &t->e);
    if (code == LOOM_OK)
        differ = loom_course_differ(&straight, &resumed, text, &code, &t->e);
    int outcome = LOOM_PASSED;
    if (code != LOOM_OK)
        outcome = loom_trial_fail_error(t, "three steps, a checkpoint, three more");
    else if (differ)
        outcome = loom_trial_fail(t,
                                  "%s after three steps, a checkpoint and three more: whatever moves with training "
                                  "belongs in loom_param or loom_state, not in the instance",
                                  differ);
    loom_course_release(&straight);
    loom_course_release(&resumed);
    loom_world_release(&w);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_state_roundtrip = {
    .id = "state-roundtrip",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what =
        "Trains six steps straight; and three steps, a checkpoint, which a fresh model reads, and three steps more. "
        "Parameters, states, moments and predictions must be the same bits (a baseline is fitted instead). A run "
        "that was killed and resumed must be the run that was not.",
    .run = roundtrip,
};

static int same_file(struct loom_trial *t, const char *a, const char *b, int *outcome)
{
    char *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    int code = loom_file_read(&x, &n, a, (size_t)1 << 30, &t->e);
    if (code == LOOM_OK)
        code = loom_file_read(&y, &m, b, (size_t)1 << 30, &t->e);
    if (code == LOOM_OK && (n != m || memcmp(x, y, n) != 0)) {
        size_t at = 0;
        while (at < n && at < m && x[at] == y[at])
            at++;
        *outcome =
            loom_trial_fail(t,
                            "a checkpoint of %zu bytes, read and written again by a fresh model, has %zu and differs "
                            "from byte %zu on: name parameters and states in one order in every instance, and "
                            "let no time or address into them",
                            n, m, at);
    }
    free(x);
    free(y);
    return code;
}

static int state_bytes(struct loom_trial *t)
{
    struct loom_world w = {0};
    struct loom_course first = {0}, second = {0};
    char one[320], two[320];
    int outcome = LOOM_PASSED;
    snprintf(one, sizeof one, "%s/one.safetensors", t->folder);
    snprintf(two, sizeof two, "%s/two.safetensors", t->folder);
    if (!open_world(t, &w))
        return loom_trial_fail_error(t, "a model");
    int code = begin(&first, &w, t);
    if (code == LOOM_OK)
        code = loom_course_save(&first, one, &t->e);
    if (code == LOOM_OK)
        code = loom_course_open(&second, &w, t, 1, &t->e);
    if (code == LOOM_OK)
        code = loom_course_load(&second, one, &t->e);
    if (code == LOOM_OK)
        code = loom_course_save(&second, two, &t->e);
    if (code == LOOM_OK)
        code = same_file(t, one, two, &outcome);
    if (code != LOOM_OK)
        outcome = loom_trial_fail_error(t, "save, load, save");
    loom_course_release(&first);
    loom_course_release(&second);
    loom_world_release(&w);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_state_bytes = {
    .id = "state-bytes",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_STRICT,
    .what =
        "Writes a checkpoint after three steps, reads it into a fresh model, writes it again. Both files must be the "
        "same bytes: names, shapes and order of memory are a function of the pipeline.",
    .run = state_bytes,
};

/* ---- state-corrupt ---- */

static uint64_t digest_of(const struct loom_course *c)
{
    const struct loom_store *s = loom_model_store(c->model);
    uint64_t h = loom_hash(s->param, (size_t)s->size[LOOM_LIFE_PARAM] * sizeof *s->param, 0);
    return loom_hash(s->state, (size_t)s->size[LOOM_LIFE_STATE] * sizeof *s->state, h);
}

/* One damaged file: refused, with an error that names it, and the model as it was. */
static int refused(struct loom_trial *t, struct loom_course *c, const char *path, uint64_t before, const char *how,
                   size_t at)
{
    struct loom_error e = {0};
    int code = loom_course_load(c, path, &e);
    if (code == LOOM_OK)
        return loom_trial_fail(t, "a checkpoint %s byte %zu was read as if it were whole", how, at);
    if (!strstr(e.file, "damaged") && !strstr(e.message, "damaged"))
        return loom_trial_fail(t, "a checkpoint %s byte %zu was refused without its name: %.200s", how, at, e.message);
    if (digest_of(c) != before)
        return loom_trial_fail(t, "a checkpoint %s byte %zu was refused, and parameters or states were changed", how,
                               at);
    return LOOM_PASSED;
}

/* Without the care for a crash that loom_file_write takes, which costs more than all the rest. */
static int write_plainly(const char *path, const char *bytes, size_t n, struct loom_error *e)
{
    FILE *f = fopen(path, "wb");
    int whole = f && fwrite(bytes, 1, n, f) == n;
    if (f && fclose(f) != 0)
        whole = 0;
    return whole ? LOOM_OK : loom_fail(e, LOOM_EIO, path, 0, "cannot be written: make room in $TMPDIR");
}

enum { BUDGET = 24 << 20 };

static int damage(struct loom_trial *t, struct loom_course *c, const char *whole)
{
    char path[320], *bytes = NULL;
    size_t n = 0;
    const uint64_t before = digest_of(c);
    int outcome = LOOM_PASSED;
    struct loom_rng rng;
    loom_rng_init(&rng, t->seed, "conform.damage", 0, 0);
    snprintf(path, sizeof path, "%s/damaged.safetensors", t->folder);
    if (loom_file_read(&bytes, &n, whole, (size_t)1 << 30, &t->e) != LOOM_OK)
        return loom_trial_fail_error(t, "reading a checkpoint");
    /* Reading takes as long as the file: of large ones fewer. */
    const size_t tries = n < BUDGET / 60 ? 60 : n > BUDGET / 3 ? 3 : BUDGET / n, stride = (n / tries / 97 + 1) * 97;
    for (size_t cut = 0; cut < n && outcome == LOOM_PASSED; cut += stride) {
        if (write_plainly(path, bytes, cut, &t->e) != LOOM_OK)
            outcome = loom_trial_fail_error(t, "writing a damaged checkpoint");
        else
            outcome = refused(t, c, path, before, "cut off at", cut);
    }
    for (size_t i = 0; i < tries && outcome == LOOM_PASSED; i++) {
        const size_t at = loom_rng_below(&rng, (uint32_t)n);
        bytes[at] ^= (char)(1 + loom_rng_below(&rng, 255));
        if (write_plainly(path, bytes, n, &t->e) != LOOM_OK)
            outcome = loom_trial_fail_error(t, "writing a damaged checkpoint");
        else
            outcome = refused(t, c, path, before, "changed at", at);
    }
    free(bytes);
    return outcome;
}

static int corrupt(struct loom_trial *t)
{
    struct loom_world w = {0};
    struct loom_course c = {0};
    char path[320];
    int outcome;
    snprintf(path, sizeof path, "%s/whole.safetensors", t->folder);
    if (!open_world(t, &w))
        return loom_trial_fail_error(t, "a model");
    int code = loom_course_open(&c, &w, t, 1, &t->e);
    if (code == LOOM_OK)
        code = loom_course_save(&c, path, &t->e);
    if (code != LOOM_OK)
        outcome = loom_trial_fail_error(t, "a checkpoint");
    else if (loom_course_load(&c, path, &t->e) != LOOM_OK) /* else every damage would be found */
        outcome = loom_trial_fail_error(t, "a whole checkpoint is refused; mend the names of parameters and states");
    else
        outcome = damage(t, &c, path);
    loom_course_release(&c);
    loom_world_release(&w);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_state_corrupt = {
    .id = "state-corrupt",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what =
        "Reads a checkpoint of the model, which must do; cuts it off at many places, all multiples of 97 bytes, and "
        "changes bytes of it. Each such file must be refused with an error that names it, and leave the model as it "
        "was.",
    .run = corrupt,
};
