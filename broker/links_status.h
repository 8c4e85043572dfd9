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

#include "common/base/slice.h"

struct links;

/* JSON text to be freed, also for an unknown question; NULL: no memory. */
char *links_status_answer(struct links *links, struct slice question);

#endif
