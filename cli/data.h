/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of `loom data`. */
#ifndef LOOM_CLI_DATA_H
#define LOOM_CLI_DATA_H

#include <loom/data.h>

#include <stdio.h>

void loom_data_print(FILE *out, const struct loom_recording *r); /* a page for a person */
/* SVG: raster of all units over series and trials. from_s -infinity: from where something was observed first. */
void loom_data_picture(FILE *out, const struct loom_recording *r, double from_s, double seconds);

#endif
