/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of `loom data`. */
#ifndef LOOM_CLI_DATA_H
#define LOOM_CLI_DATA_H

#include <loom/data.h>

#include <stdio.h>

void loom_data_print(FILE *out, const struct loom_recording *r); /* a page for a person */
/* SVG: raster of all units over series and trials. from_s -infinity: from where something was observed first. */
void loom_data_picture(FILE *out, const struct loom_recording *r, double from_s, double seconds);

/* Writes all recordings of a set as `file`, in the format that its ending names, and says so; several: FILE-ID.ext. */
int loom_data_convert(const struct loom_recordings *set, const char *file, const char *plugin_path,
                      struct loom_error *e);
/* Ids of the sources that files of such an ending may belong to, likeliest first, NULL-ended. */
const char *const *loom_data_sources(const char *file);

#endif
