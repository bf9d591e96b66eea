/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that write HDF5 share. Only where config.h says HAVE_HDF5. */
#ifndef LOOM_EVAL_H5_H
#define LOOM_EVAL_H5_H

#include <hdf5.h>

/* Text attribute `name` of an object; 1 or 0. */
int loom_h5_write_text(hid_t at, const char *name, const char *text);

#endif
