/* SPDX-License-Identifier: Apache-2.0 */
/* Files without a name, gone when they are closed. */
#ifndef LOOM_DATA_SPOOL_H
#define LOOM_DATA_SPOOL_H

int loom_spool_open(const char *folder); /* descriptor for reading and writing; -1 with errno */

#endif
