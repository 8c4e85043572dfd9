/* SPDX-License-Identifier: Apache-2.0 */

/*
 * claims - ending at the remote what another life began under identifiers.
 *
 * A remote that remembers a QoS 2 exchange takes a message with the same
 * identifier for a copy of that one, and drops it.  When the ring is new (its
 * sequences begin again) the exchange may be one of an earlier ring: before
 * the first use of an identifier a PUBREL ends whatever stands under it, a
 * block of identifiers at a time, and the notes say how far that is done.
 *
 *	claims_begin() -> claims_work() -> claims_ended() for each -> not busy
 *
 * Nothing is sent meanwhile, so order holds.  One thread.
 */

#ifndef WEIR_BRIDGED_CLAIMS_H
#define WEIR_BRIDGED_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridged/notes.h"
#include "bridged/remote.h"

/* Identifiers that are ended in one go. */
#define CLAIMS_BLOCK 1024u

/* Embed it by value, zeroed but for the first three. */
struct claims {
	struct notes *notes;
	const struct remote_kind *kind;
	struct remote *remote;
	uint64_t first; /* sequences whose identifiers are to be ended */
	uint64_t next;  /* ... the next one to be asked for */
	uint64_t last;
	size_t waiting; /* asked for and not yet ended */
	bool is_busy;
	bool is_noted; /* when it is done */
};

/* May a record of that sequence be published at QoS 2? */
bool claims_has(const struct claims *claims, uint64_t sequence);

/* Make it so, with all of the block behind it. */
void claims_begin(struct claims *claims, uint64_t sequence);

/*
 * The same for sequences whose records have left the ring unfinished
 * (overflow "drop_oldest"); nothing is noted.
 */
void claims_end_lost(struct claims *claims, uint64_t first, uint64_t last);

/* Ask for what is still to be asked.  Returns -EAGAIN: the socket is full. */
int claims_work(struct claims *claims);

/* The remote has ended one of them. */
void claims_ended(struct claims *claims);

/* The connection is gone: what was not ended must be begun again. */
void claims_down(struct claims *claims);

#endif
