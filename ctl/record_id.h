/* SPDX-License-Identifier: Apache-2.0 */

/*
 * record_id - the name of a message on its way: "0.1.4711".
 *
 * That is the link by which it came to the broker (0: weir-httpd, then the
 * bridges in the order of the configuration), the lane of that link, and the
 * sequence in the lane.  "mqtt.2.99" came from an MQTT client: the worker that
 * served it, and that worker's count.
 */

#ifndef WEIR_CTL_RECORD_ID_H
#define WEIR_CTL_RECORD_ID_H

#include "common/ring/ring_trace.h"

/* Room for any id with its NUL. */
#define RECORD_ID_SIZE 48

/* Write it to `text`, which has RECORD_ID_SIZE bytes, and return it. */
const char *record_id_write(const struct ring_trace_id *id, char *text);

/* Returns 0, or -EINVAL when `text` is no id. */
int record_id_parse(const char *text, struct ring_trace_id *out_id);

#endif
