/* SPDX-License-Identifier: Apache-2.0 */
/* The module `cae` has two plugins: the backbone, and the objective that goes with it. */
#ifndef LOOM_BACKBONES_CAE_H
#define LOOM_BACKBONES_CAE_H

#include <loom/plugin.h>

extern const struct loom_plugin cae_objective; /* objectives/cae.c */

#endif
