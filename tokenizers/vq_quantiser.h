/* SPDX-License-Identifier: Apache-2.0 */
/* What tokenizers of codes share: a quantiser of vectors (books of codes as memory, how vectors choose among them, how
 * these move), the small networks that lead to it, and what a backbone sees. What of rows is their content, and what a
 * code becomes again, is the tokenizer's own.
 *
 * An instance of such a tokenizer begins with a struct vq_quantiser, so that functions below with `self` stand in its
 * tables as they are. All memory of codes stands in the scope "vq" of the tokenizer. */
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
        {"restart",                                                                                                    \
         LOOM_OPT_REAL,                                                                                                \
         LOOM_OPT_LIVE,                                                                                                \
         "0.02",                                                                                                       \
         "[0,1)",                                                                                                      \
         NULL,                                                                                                         \
         "a code whose average use falls below this part of an even share begins anew beside the most used one; "      \
         "0 = never"},                                                                                                 \
    {                                                                                                                  \
        "dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "of token vectors"                              \
    }

/* [build] Content of rows [R, n], of questions their truth; 0 where nothing may be known. In the tokenizer's own scope.
 */
typedef struct loom_node *(*vq_content_fn)(const void *self, struct loom_build *b, const struct loom_rows *rows);

struct vq_quantiser {
    const struct loom_options *options; /* LIVE ones are read in every step */
    vq_content_fn content;
    int32_t codes, width, levels, hidden;
    int from_codes; /* a backbone sees vectors of codes, not content */
    int64_t kmeans;
    char init[32];
    struct vq_book book;
};
/* From the options of VQ_OPTIONS and `input`, "patch" or "codes". */
void vq_quantiser_init(struct vq_quantiser *t, const struct loom_setup *s, vq_content_fn content);

/* [build] struct loom_tokenizer's embed: content through a small network, or the vectors of its codes; the vector
 * "mask" for questions and in the place of hidden rows. */
struct loom_node *vq_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width);
/* struct loom_codes' members of these names. */
int32_t vq_count(const void *self);
int32_t vq_levels(const void *self);
struct loom_node *vq_codes(const void *self, struct loom_build *b, const struct loom_rows *ask);
/* [build] Of loom_codes' rebuild, inside the scope "vq": content x [R, n] of a question as vectors [R, code_width] that
 * went by way of their codes, with the gradient straight through. Rows of which something is scored are added to the
 * sums that move the books; *commitment is what loom_rebuilt wants. Perplexity and use of the books are logged. */
struct loom_node *vq_through(const struct vq_quantiser *t, struct loom_build *b, const struct loom_rows *ask,
                             struct loom_node *x, struct loom_node **commitment);
/* [update] Moves the books: by k-means in fitting passes, of which `pass` is the number, by averages in steps. Returns
 * what part.update does. */
int vq_quantiser_update(const struct vq_quantiser *t, struct loom_update *u, int pass);

#endif
