/* SPDX-License-Identifier: Apache-2.0 */
/* A quantiser of vectors: books of codes as memory of a tokenizer, how vectors choose among them, and how they move.
 * What a tokenizer's content becomes a vector by, and what a code becomes again, is the tokenizer's own.
 *
 * All memory stands in the scope "vq" of the tokenizer: functions with a build are called inside it. */
#ifndef LOOM_TOKENIZERS_VQ_QUANTISER_H
#define LOOM_TOKENIZERS_VQ_QUANTISER_H

#include <loom/model.h>
#include <loom/options.h>

#include "vq_book.h"

enum { VQ_MOST_LEVELS = 8 };

#define VQ_OPTIONS                                                                                                     \
    {"codes", LOOM_OPT_INT, 0, "256", "[2,8192]", NULL, "in the book of one level"},                                   \
        {"code_width", LOOM_OPT_INT, 0, "16", "[1,256]", NULL, "of a code's vector"},                                  \
        {"levels", LOOM_OPT_INT, 0, "1", "[1,8]", NULL, "codes of a row, each of what those before it left"},          \
        {"unit_codes",                                                                                                 \
         LOOM_OPT_BOOL,                                                                                                \
         0,                                                                                                            \
         "true",                                                                                                       \
         NULL,                                                                                                         \
         NULL,                                                                                                         \
         "vectors and the codes of the first level have length 1, so that these are chosen by angle"},                 \
        {"hidden",                                                                                                     \
         LOOM_OPT_INT,                                                                                                 \
         0,                                                                                                            \
         "128",                                                                                                        \
         "[1,4096]",                                                                                                   \
         NULL,                                                                                                         \
         "width of the hidden layers of encoder, decoder and input"},                                                  \
        {"decay", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.99", "[0,1)", NULL, "of the moving averages that codes follow"},    \
        {"kmeans",                                                                                                     \
         LOOM_OPT_INT,                                                                                                 \
         0,                                                                                                            \
         "10",                                                                                                         \
         "[0,64]",                                                                                                     \
         "rounds",                                                                                                     \
         "most rounds of k-means that each level starts with; 0 = random codes"},                                      \
    {                                                                                                                  \
        "restart", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.02", "[0,1)", NULL,                                                \
            "a code whose average use falls below this part of an even share begins anew beside the most used one; "   \
            "0 = never"                                                                                                \
    }

struct vq_quantiser {
    const struct loom_options *options; /* LIVE ones are read in every step */
    int32_t codes, width, levels;
    int64_t kmeans;
    char init[32];
    struct vq_book book;
};
/* From the options of VQ_OPTIONS. */
void vq_quantiser_init(struct vq_quantiser *t, const struct loom_setup *s);

struct vq_quantised {
    struct loom_node *code[VQ_MOST_LEVELS]; /* I32 [R] */
    struct loom_node *left[VQ_MOST_LEVELS]; /* [R, width] what each level chose for */
    struct loom_node *sum;                  /* [R, width] */
};
/* [build] Codes of z [R, width]; no gradient. */
struct vq_quantised vq_quantise(const struct vq_quantiser *t, struct loom_build *b, struct loom_node *z);
/* [build] Of all levels: I32 [R × levels], row by row. */
struct loom_node *vq_codes_of(const struct vq_quantiser *t, struct loom_build *b, const struct vq_quantised *q);
/* [build] z by way of its codes, with the gradient straight through. Rows of which something is scored are added to the
 * sums that move the books; *commitment is what loom_rebuilt wants. Perplexity and use of the books are logged. */
struct loom_node *vq_through(const struct vq_quantiser *t, struct loom_build *b, const struct loom_rows *ask,
                             struct loom_node *z, struct loom_node **commitment);
/* [update] Moves the books: by k-means in fitting passes, of which `pass` is the number, by averages in steps. Returns
 * what part.update does. */
int vq_quantiser_update(const struct vq_quantiser *t, struct loom_update *u, int pass);

/* [build] In the scope at hand: rows of x [R, width], and the vector "mask" in the place of hidden ones; x NULL: it
 * alone, for all rows. */
struct loom_node *vq_with_mask(struct loom_build *b, const struct loom_rows *rows, struct loom_node *x, int width);

#endif
