/* SPDX-License-Identifier: Apache-2.0 */
/* Frozen: what a plugin saw of the interface when its minor number was 0, before descriptors had `ops`, tokenizers
 * `render` and traits `arity`. Never edited: plugins that were built against it stay as they are. */
#ifndef LOOM_TESTS_COMPAT_PLUGIN_0_0_H
#define LOOM_TESTS_COMPAT_PLUGIN_0_0_H

#include <loom/data.h>
#include <loom/options.h>
#include <loom/rows.h>

#define LOOM_ABI_MAJOR 0u
#define LOOM_ABI_MINOR 0u

struct loom_build_block {
    uint32_t abi_major, abi_minor;
    uint32_t real_size, max_rank;
    uint32_t option_size, window_size, rows_size, traits_size;
};

enum loom_kind { LOOM_SOURCE = 1, LOOM_TOKENIZER, LOOM_BACKBONE, LOOM_OBJECTIVE, LOOM_BASELINE };

struct loom_setup;
struct loom_update;
struct loom_build;

struct loom_traits {
    uint32_t size;
    uint64_t needs, offers;
    const char *const *axes;
    const char *likelihood;
    int32_t width, elems;
};

struct loom_part {
    uint32_t size;
    int (*create)(const struct loom_setup *s, void **self, struct loom_error *e);
    void (*destroy)(void *self);
    int (*describe)(const void *self, struct loom_traits *t, struct loom_error *e);
    int (*update)(const void *self, struct loom_update *u, struct loom_error *e);
    const void *(*extension)(const void *self, const char *id);
};

struct loom_tokenizer {
    struct loom_part part;
    int (*tokenize)(const void *self, const struct loom_window *w, struct loom_rows_builder *rows,
                    struct loom_error *e);
    struct loom_node *(*embed)(const void *self, struct loom_build *b, const struct loom_rows *rows, int width);
    struct loom_node *(*read)(const void *self, struct loom_build *b, const struct loom_rows *ask,
                              struct loom_node *answer);
};

struct loom_plugin {
    uint32_t size;
    struct loom_build_block build;
    const char *id;
    const char *version, *summary, *license;
    uint32_t kind;
    const struct loom_option *options;
    const void *table;
};

LOOM_EXTERN __attribute__((visibility("default"))) const struct loom_plugin *loom_plugin_entry(uint32_t index);

#endif
