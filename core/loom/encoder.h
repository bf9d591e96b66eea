/* SPDX-License-Identifier: Apache-2.0 */
/* A transformer over rows: where they stand, who sees whom, and which context stands behind them. What backbones that
 * encode a view's rows share; how they answer is their own.
 *
 * A backbone puts LOOM_ENCODER_OPTIONS into its option table, calls loom_encoder_init in create, loom_encoder_view in
 * encode, and builds its answers of loom_encoder_pass, or of its own blocks with loom_encoder_rule. */
#ifndef LOOM_ENCODER_H
#define LOOM_ENCODER_H

#include <loom/nn.h>

/* Defaults of the options of these names, as in a pipeline file. */
#define LOOM_ENCODER_OPTIONS(width, depth, layer_scale, drop_path)                                                       \
    {"width", LOOM_OPT_INT, 0, width, "[8,8192]", NULL, "of every row's vector"},                                        \
        {"depth", LOOM_OPT_INT, 0, depth, "[0,128]", "blocks", "of the encoder"},                                        \
        {"heads", LOOM_OPT_INT, 0, "4", "[1,256]", NULL, "of attention; width is a multiple"},                           \
        {"feed_forward", LOOM_OPT_REAL, 0, "1.0", "(0,16]", NULL, "hidden width of each MLP over width"},                \
        {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "of sublayers, MLPs and the encoder's output"},  \
        {"attention_dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "of attention weights"},               \
        {"layer_scale",                                                                                                  \
         LOOM_OPT_REAL,                                                                                                  \
         0,                                                                                                              \
         layer_scale,                                                                                                    \
         "[0,10]",                                                                                                       \
         NULL,                                                                                                           \
         "what factors of each column of sublayers' outputs start at; 0 = no such factors"},                             \
        {"drop_path",                                                                                                    \
         LOOM_OPT_REAL,                                                                                                  \
         LOOM_OPT_LIVE,                                                                                                  \
         drop_path,                                                                                                      \
         "[0,1)",                                                                                                        \
         NULL,                                                                                                           \
         "chance that a window skips a sublayer of the last block; rises from 0 at the first"},                          \
        {"pre_norm", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "normalise before each sublayer, and once at the end"},      \
        {"time", LOOM_OPT_STRING, 0, "learned", "learned|sinusoid|rotary", NULL, "how a row knows when it stands"},      \
        {"max_space", LOOM_OPT_INT, 0, "64", "[1,65536]", NULL, "rows of the table for the space coordinate (patches)"}, \
        {"context",                                                                                                      \
         LOOM_OPT_STRINGS,                                                                                               \
         0,                                                                                                              \
         "",                                                                                                             \
         "session|subject|task",                                                                                         \
         NULL,                                                                                                           \
         "context rows in every segment; transfer matches them by name"},                                                \
        {"causal", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "rows see rows of their own bin and before"},                  \
        {"back_ms", LOOM_OPT_REAL, 0, "-1", "[-1,inf)", "ms", "how far back a row sees; -1 = without limit"},            \
    {                                                                                                                    \
        "ahead_ms", LOOM_OPT_REAL, 0, "-1", "[-1,inf)", "ms", "how far ahead a row sees; -1 = without limit"             \
    }

enum { LOOM_CONTEXTS = 3 };

struct loom_encoder {
    const struct loom_options *options; /* LIVE ones are read while building */
    int32_t width, depth, heads, max_space, contexts;
    int32_t bins; /* of the longest window, with room for questions at its end */
    const char *context[LOOM_CONTEXTS];
    int32_t learned, rotary; /* time: learned, rotary, else sinusoid */
    int32_t causal, pre_norm;
    double back_s, ahead_s, bin_s;
    struct loom_block_spec block; /* without what is LIVE: see loom_encoder_block */
};
/* [setup] From the options of LOOM_ENCODER_OPTIONS. LOOM_ECONFIG where width and heads do not go together. */
LOOM_API int loom_encoder_init(struct loom_encoder *n, const struct loom_setup *s, struct loom_error *e);
/* The axes that it wants, for `axes` of its traits: "time", "space". */
LOOM_API const char *const *loom_encoder_axes(void);
/* [build] The shape of block i of `depth` with the dropouts of now: drop_path rises with i. */
LOOM_API struct loom_block_spec loom_encoder_block(const struct loom_encoder *n, int32_t i, int32_t depth);

/* Rows of the net, whatever they came from: a view's, pooled ones, questions. */
struct loom_places {
    int32_t rows, segments;
    const int32_t *segment; /* [rows] */
    const double *time;     /* [rows] seconds */
    const double *space;    /* [rows] */
};
LOOM_API struct loom_places loom_places_of(const struct loom_rows *rows);
/* [build] `a` and then `b`, as places of one pass. 0: out of memory, the graph has failed. */
LOOM_API int loom_places_join(struct loom_build *b, const struct loom_places *first, const struct loom_places *then,
                              struct loom_places *out);
/* [build] Rows of one time of a segment, averaged: [times, W]; *p becomes the means' places. What a behaviour, which
 * has no patches, needs of a bin. */
LOOM_API struct loom_node *loom_places_pool(const struct loom_encoder *n, struct loom_build *b, struct loom_node *x,
                                            struct loom_places *p);
/* [build] Vectors of time and of space [rows, width]: tables "time" and "space" of the scope at hand. Time is NULL
 * where it is rotary. A row beyond max_space fails the graph. */
LOOM_API struct loom_node *loom_encoder_time(const struct loom_encoder *n, struct loom_build *b,
                                             const struct loom_places *p);
LOOM_API struct loom_node *loom_encoder_space(const struct loom_encoder *n, struct loom_build *b,
                                              const struct loom_places *p);
/* [build] Who sees whom in one attention: queries of `q`, keys of `k` (the same: one set of rows), `contexts` context
 * rows for each segment behind the keys, and behind the queries where these are the same rows. Context sees context
 * alone, and is seen by all; the limits of sight are those of the options or of the view. */
LOOM_API void loom_encoder_rule(const struct loom_encoder *n, struct loom_build *b, const struct loom_view *view,
                                const struct loom_places *q, const struct loom_places *k, int32_t contexts,
                                struct loom_attention *out);
/* [build] Context rows, segment by segment: [segments × contexts, width], and how many a segment has: one for each name
 * in `context` and for each prompt of the view. NULL and 0 where there are none. */
LOOM_API struct loom_node *loom_encoder_context(const struct loom_encoder *n, struct loom_build *b,
                                                const struct loom_view *view, int32_t *contexts);
/* [build] x [p->rows, width] + time + space, context rows behind, through blocks "block0" … of the scope at hand; all
 * rows come back, context rows behind. context NULL: none. */
LOOM_API struct loom_node *loom_encoder_pass(const struct loom_encoder *n, struct loom_build *b,
                                             const struct loom_view *view, struct loom_node *x,
                                             const struct loom_places *p, struct loom_node *context, int32_t contexts,
                                             int32_t depth);
/* [build] A backbone's encode: the view's rows x through `depth` blocks. memory.own is what loom_encoder_context
 * returned. */
LOOM_API struct loom_memory loom_encoder_view(const struct loom_encoder *n, struct loom_build *b,
                                              const struct loom_view *view, struct loom_node *x);

#endif
