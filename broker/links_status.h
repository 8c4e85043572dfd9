/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_status - what the broker answers to weirctl, as JSON.
 *
 *	"status"	version, uptime, workers, bridges, memory
 *	"store"		what the journal has done and takes
 *	"store compact"	ask for a checkpoint now
 */

#ifndef WEIR_BROKER_LINKS_STATUS_H
#define WEIR_BROKER_LINKS_STATUS_H

#include <jansson.h>

#include "common/base/slice.h"

struct links;
struct links_endpoint;

/* JSON text to be freed, also for an unknown question; NULL: no memory. */
char *links_status_answer(struct links *links, struct slice question);

/*
 * Parts of them, objects: the whole status, and that of one bridge.
 * NULL: no memory.
 */
json_t *links_status_broker(const struct links *links);
json_t *links_status_bridge(const struct links_endpoint *endpoint);

#endif
