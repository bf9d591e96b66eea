/* SPDX-License-Identifier: Apache-2.0 */
/* Between loom_recordings_read and the child it starts. */
#ifndef LOOM_DATA_INGEST_H
#define LOOM_DATA_INGEST_H

#include <loom/data.h>

#include "data/recorder.h"
#include "data/wire.h"

enum { LOOM_INGEST_SINK = 3 }; /* the child's descriptor of its sink; it reads its request from 0 */

/* What the child is to do, as it stands in the request: texts module ("" = built in), id, file ("" = none), options;
 * i64 memory_bytes; f64 cpu_s. */

/* Start the helper program on a request and feed `r` from it until it is done, fails, dies or exceeds a limit. `how`
 * with its defaults filled in. */
int loom_ingest_run(const struct loom_ingest *how, const struct loom_wire *request, struct loom_recorder *r,
                    struct loom_error *e);

#endif
