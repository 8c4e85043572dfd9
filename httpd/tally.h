/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tally - what was offered for each bridge, and what became of it.
 *
 * A message counts for every bridge in the set of its lane.  The numbers are
 * in the link's notes (common/msg/offers.h), so that the broker, weirctl and
 * this program's next life find them; while there is no link they gather here
 * and are added when it is back.
 *
 *	tally_count(tally, "cloud+plant", TALLY_OFFERED);
 *	...
 *	tally_count(tally, "cloud+plant", TALLY_ACCEPTED);
 *
 * Sets without a lane of their own ("*") name no bridge and are not counted
 * here.  One thread.
 */

#ifndef WEIR_HTTPD_TALLY_H
#define WEIR_HTTPD_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg/offers.h"

enum tally_term {
	TALLY_OFFERED,
	TALLY_ACCEPTED,
	TALLY_REFUSED,
	TALLY_UNKNOWN,
	TALLY_WITHDRAWN /* offered, and now is another set's */
};

/* Embed it by value, zeroed: without a link. */
struct tally {
	struct offers own;     /* what counts while there is no link */
	struct offers *shared; /* NULL: there is none */
	bool was_attached;     /* in this life */
};

/*
 * The link is up, with `notes` for sizeof(struct offers) bytes that stay until
 * tally_detach().  The first time in this life: what a former one had under
 * way is unknown.
 */
void tally_attach(struct tally *tally, void *notes);
void tally_detach(struct tally *tally);

/* One message for each bridge of `set`; a set that is "" or "*" is nobody. */
void tally_count(struct tally *tally, const char *set, enum tally_term term);

#endif
